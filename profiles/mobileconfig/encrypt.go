package mobileconfig

import (
	"crypto/x509"
	"fmt"

	"sallyport/internal/cms"
)

// Encrypt writes the profile so that only the device whose certificate to is
// can read its payloads: the PayloadContent array as a property list, in CMS
// EnvelopedData, takes the array's place. The key must be RSA. The top level
// stays readable, with the same PayloadUUID as unencrypted; sign the result. A
// profile that waits for a private key is refused with ErrAwaited.
func Encrypt(p Profile, to *x509.Certificate) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	content, err := encode(p.content(sent))
	if err != nil {
		return nil, err
	}
	sealed, err := cms.Encrypt(content, to)
	if err != nil {
		return nil, fmt.Errorf("encrypt profile %s: %w", p.Identifier, err)
	}
	dict := p.head(p.TopUUID(), sent)
	dict["IsEncrypted"] = true
	dict["EncryptedPayloadContent"] = sealed
	return encode(dict)
}
