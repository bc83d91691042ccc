package mobileconfig

import (
	"errors"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// ErrAwaited says that a profile still waits for a private key: it can be shown,
// and not be sent.
var ErrAwaited = errors.New("profile waits for a private key")

// AwaitedPKCS12 stands where an identity will be, whose key comes only when the
// profile is delivered. It holds no key, so that a profile with one can be kept,
// compared and shown; With puts the file in its place, and leaves TopUUID as it is.
type AwaitedPKCS12 struct {
	Common
	FileName string
	// KeyID names key and certificate, and stands for them in TopUUID. Empty while
	// there are none: such a profile waits for more than its delivery.
	KeyID string
}

// With returns the payload with the file in it, which password opens.
func (a AwaitedPKCS12) With(der []byte, password secret.Value) PKCS12 {
	return NewPKCS12(a.Common, a.FileName, der, password, a.KeyID)
}

// Type implements Payload.
func (AwaitedPKCS12) Type() string { return pkcs12Type }

func (AwaitedPKCS12) secret() bool { return true }

// fill writes what PKCS12 writes, byte for byte, but where a file is sent: there is
// none, and complete has refused before.
func (a AwaitedPKCS12) fill(dict map[string]any, m mode) {
	text(dict, "PayloadCertificateFileName", a.FileName)
	if m != sent {
		dict["Password"] = blank("", a.KeyID, m)
		dict["PayloadContent"] = blank([]byte(nil), a.KeyID, m)
	}
}

func (a AwaitedPKCS12) check() refusal.List {
	return texts(a.Type()+".", map[string]string{"PayloadCertificateFileName": a.FileName, "PayloadContent": a.KeyID})
}

func (AwaitedPKCS12) references() map[string]string { return nil }

// complete refuses to send a profile that waits for a key.
func (p Profile) complete() error {
	for _, payload := range p.Payloads {
		if a, ok := payload.(AwaitedPKCS12); ok {
			return refusal.New(ErrAwaited, a.Type()+".PayloadContent", "is not there: the key of "+a.Identifier+" comes with the delivery", "put the file in its place first")
		}
	}
	return nil
}
