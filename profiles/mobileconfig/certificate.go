package mobileconfig

import (
	"crypto/x509"

	"sallyport/internal/refusal"
)

// Certificate installs a certificate without its key. A root in a profile that
// also holds an MDM payload is trusted for TLS; in other profiles the user has to
// switch that on.
// https://developer.apple.com/documentation/devicemanagement/certificateroot
type Certificate struct {
	Common
	FileName string
	DER      []byte
	Root     bool // a trust anchor; otherwise an intermediate or a leaf
}

// Type implements Payload.
func (c Certificate) Type() string {
	if c.Root {
		return "com.apple.security.root"
	}
	return "com.apple.security.pkcs1"
}

func (c Certificate) fill(dict map[string]any, _ mode) {
	dict["PayloadContent"] = c.DER
	text(dict, "PayloadCertificateFileName", c.FileName)
}

func (c Certificate) check() refusal.List {
	list := texts(c.Type()+".", map[string]string{"PayloadCertificateFileName": c.FileName})
	if _, err := x509.ParseCertificate(c.DER); err != nil {
		list.Add(refusal.New(ErrInvalid, c.Type()+".PayloadContent", "is not an X.509 certificate", "give it in DER"))
	}
	return list
}

func (Certificate) references() map[string]string { return nil }
