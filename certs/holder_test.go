package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
)

// TestSubjectIsReadable: the refusal of a certificate tells whose it is.
func TestSubjectIsReadable(t *testing.T) {
	t.Parallel()
	name := pkix.Name{CommonName: "Mallory", ExtraNames: []pkix.AttributeTypeAndValue{
		{Type: oidEmailAddress, Value: "mallory@example.test"},
		{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "mallory"},
	}}
	der, err := asn1.Marshal(name.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	var sequence pkix.RDNSequence
	if _, err := asn1.Unmarshal(der, &sequence); err != nil {
		t.Fatal(err)
	}
	var parsed pkix.Name
	parsed.FillFromRDNSequence(&sequence)
	got := subjectText(parsed)
	for _, want := range []string{"CN=Mallory", "emailAddress=mallory@example.test", "UID=mallory"} {
		if !strings.Contains(got, want) || strings.Contains(got, "#") {
			t.Errorf("got %q, want %s in it", got, want)
		}
	}
}

// TestHolderOf reads what names.apply writes, and an address outside of ASCII.
func TestHolderOf(t *testing.T) {
	t.Parallel()
	for _, mail := range []string{"alice@example.test", "älice@example.test"} {
		extension, err := names{upn: "alice@corp.test", mail: mail}.personal()
		if err != nil {
			t.Fatal(err)
		}
		cert := &x509.Certificate{Extensions: []pkix.Extension{*extension}, Subject: pkix.Name{CommonName: "Alice"}}
		if isASCII(mail) { // crypto/x509 reads those
			cert.EmailAddresses = []string{mail}
		}
		h := HolderOf(cert)
		if !slices.Equal(h.Mails, []string{mail}) || !slices.Equal(h.UPNs, []string{"alice@corp.test"}) || h.Subject != "CN=Alice" {
			t.Errorf("got %+v", h)
		}
	}
}

func FuzzHolderOf(f *testing.F) {
	extension, err := names{upn: "alice@example.test", mail: "ä@b.test"}.personal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(extension.Value, "CN")
	f.Add([]byte{0x30, 0x02, 0xa0, 0x00}, "a@b\x1b[2J")
	f.Fuzz(func(t *testing.T, altName []byte, commonName string) {
		subject := pkix.Name{CommonName: commonName, Names: []pkix.AttributeTypeAndValue{{Type: oidCommonName, Value: commonName}, {Type: oidEmailAddress, Value: commonName}}}
		h := HolderOf(&x509.Certificate{Subject: subject, Extensions: []pkix.Extension{{Id: oidSubjectAltName, Value: altName}}})
		for _, name := range slices.Concat(h.UPNs, h.Mails) {
			if name == "" || unreadable(name) {
				t.Errorf("got the name %q out of a certificate", name)
			}
		}
	})
}
