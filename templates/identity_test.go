package templates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/internal/secret"
)

const filePassword = "file-canary-4711"

// noon is the time of every test that needs one.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var (
	oidUPN            = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// holder is what a test certificate says of its holder.
type holder struct {
	commonName string
	upn        string // otherName
	mails      []string
	notAfter   time.Time // zero: a year after noon
}

func (h holder) certificate(t testing.TB) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if h.notAfter.IsZero() {
		h.notAfter = noon.AddDate(1, 0, 0)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: h.commonName},
		NotBefore: noon.AddDate(-1, 0, 0), NotAfter: h.notAfter, EmailAddresses: h.mails,
	}
	if h.upn != "" {
		template.EmailAddresses = nil
		template.ExtraExtensions = []pkix.Extension{{Id: oidSubjectAltName, Value: h.altName(t)}}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate
}

// altName is a SubjectAltName with a UPN and mail addresses, as Windows writes it.
func (h holder) altName(t testing.TB) []byte {
	t.Helper()
	marshal := func(v any, params string) asn1.RawValue {
		der, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	text := marshal(h.upn, "utf8")
	names := []asn1.RawValue{marshal(struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}{oidUPN, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: text.FullBytes}}, "tag:0")}
	for _, mail := range h.mails {
		names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 1, Bytes: []byte(mail)})
	}
	return marshal(names, "").FullBytes
}

func (h holder) file(t testing.TB, encoder *pkcs12.Encoder) []byte {
	t.Helper()
	key, certificate := h.certificate(t)
	data, err := encoder.Encode(key, certificate, nil, filePassword)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// identity is a stored PKCS#12 secret of the holder.
func (h holder) identity(t testing.TB, name string) Secret {
	t.Helper()
	s := Secret{Name: name, Kind: SecretPKCS12, Revision: "revision-" + name, Value: secret.New(filePassword), Data: h.file(t, pkcs12.Modern)}
	if err := s.read(noon); err != nil {
		t.Fatal(err)
	}
	return s
}

func passwordSecret(name, value string) Secret {
	return Secret{Name: name, Kind: SecretPassword, Revision: "revision-" + name, Value: secret.New(value)}
}
