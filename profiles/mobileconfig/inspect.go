package mobileconfig

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"sallyport/internal/bounded"
	"sallyport/internal/cms"
)

// MaxProfile bounds a .mobileconfig in any form: the property list, and what a
// signature adds to it.
const MaxProfile = bounded.MaxPlist + bounded.MaxPlist/2

// Inspection is a profile of any origin, opened for a person to look at.
type Inspection struct {
	Signed bool
	// Signer made the signature, which fits the content. Whose certificate it is
	// nobody has checked.
	Signer *x509.Certificate
	// Encrypted says that the payloads came as EncryptedPayloadContent; Opened,
	// that they were decrypted and stand in Dict as if they had come in clear.
	Encrypted, Opened bool
	Plist             []byte         // the property list as it came, without signature and byte order mark
	Dict              map[string]any // its content, secrets included: Redact it before it is shown
}

// ErrNotProfile: the file is neither XML nor signed, so it is no profile in any form.
var ErrNotProfile = errors.New("neither an XML property list nor a signed profile")

// Inspect opens an unsigned, signed or encrypted profile within the limits for
// input from outside. cert and key may be nil; then encrypted payloads stay
// closed. An error of cms says what is wrong with a signature or an encryption.
func Inspect(data []byte, cert *x509.Certificate, key crypto.PrivateKey) (Inspection, error) {
	i := Inspection{Plist: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))}
	if !looksLikeText(i.Plist) {
		if !bytes.HasPrefix(data, []byte{derSequence}) {
			return Inspection{}, ErrNotProfile
		}
		content, signer, err := cms.Open(data, MaxProfile)
		if err != nil {
			return Inspection{}, fmt.Errorf("open signed profile: %w", err)
		}
		i.Signed, i.Signer, i.Plist = true, signer, content
	}
	var err error
	if i.Dict, err = Decode(i.Plist); err != nil {
		return Inspection{}, err
	}
	sealed, ok := i.Dict["EncryptedPayloadContent"].([]byte)
	i.Encrypted = ok
	if !ok || cert == nil || key == nil {
		return i, nil
	}
	payloads, err := decrypt(sealed, cert, key)
	if err != nil {
		return Inspection{}, err
	}
	delete(i.Dict, "EncryptedPayloadContent")
	delete(i.Dict, "IsEncrypted")
	i.Dict["PayloadContent"], i.Opened = payloads, true
	return i, nil
}

// derSequence begins every signed profile, which is a ContentInfo (RFC 5652, section 3).
const derSequence = 0x30

// looksLikeText: DER begins with a SEQUENCE, never with white space or '<'. Binary
// property lists go the same way, to be refused by name.
func looksLikeText(data []byte) bool {
	text := bytes.TrimLeft(data, " \t\r\n")
	return bytes.HasPrefix(text, []byte("<")) || bytes.HasPrefix(text, []byte("bplist"))
}

func decrypt(sealed []byte, cert *x509.Certificate, key crypto.PrivateKey) ([]any, error) {
	content, err := cms.DecryptUpTo(sealed, cert, key, bounded.MaxPlist)
	if err != nil {
		return nil, fmt.Errorf("decrypt profile: %w", err)
	}
	var payloads []any
	if err := bounded.DecodePlist(content, bounded.MaxPlist, bounded.MaxDepth, &payloads); err != nil {
		return nil, fmt.Errorf("decode decrypted payloads: %w", err)
	}
	if payloads == nil {
		return nil, fmt.Errorf("decode decrypted payloads: %w: not an array", bounded.ErrMalformed)
	}
	return payloads, nil
}
