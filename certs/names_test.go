package certs_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"

	"sallyport/certs"
)

// TestMailCertificateNamesNoLogin: whoever gets a signed mail reads the certificate,
// and its subject as well as its other names.
func TestMailCertificateNamesNoLogin(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	g := certs.Grant{Rule: certs.RuleSMIMESigning, CommonName: "login@example.test", UPN: "login@example.test", Mail: "alice@example.test", UserID: "user-1", RequestedBy: "ann"}
	cert, err := f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, g), PublicKey: phoneKey().Public(), TransactionID: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if cert.Subject.CommonName != g.Mail || bytes.Contains(cert.Raw, []byte("login")) {
		t.Errorf("subject %s, UPN %q: a login is in it", cert.Subject, upn(t, cert))
	}
}

// upn reads the otherName by hand.
func upn(t *testing.T, cert *x509.Certificate) string {
	t.Helper()
	for _, e := range cert.Extensions {
		if !e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			continue
		}
		var list []asn1.RawValue
		if _, err := asn1.Unmarshal(e.Value, &list); err != nil {
			t.Fatal(err)
		}
		for _, name := range list {
			if name.Tag != 0 {
				continue
			}
			var other struct {
				ID    asn1.ObjectIdentifier
				Value string `asn1:"explicit,tag:0,utf8"`
			}
			if _, err := asn1.UnmarshalWithParams(name.FullBytes, &other, "tag:0"); err != nil {
				t.Fatal(err)
			}
			if other.ID.String() == "1.3.6.1.4.1.311.20.2.3" {
				return other.Value
			}
		}
	}
	return ""
}

func TestNamesThatNeedCare(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	g := grant()
	g.CommonName = strings.Repeat("é", 70) + "@example.test"
	g.UPN = "jörg@example.test"
	g.Mail = "jörg@example.test"
	cert, err := f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, g), PublicKey: phoneKey().Public(), TransactionID: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if cert.Subject.CommonName != strings.Repeat("é", 64) || upn(t, cert) != g.UPN || len(cert.EmailAddresses) != 0 {
		t.Errorf("%s, UPN %q, mail %v", cert.Subject, upn(t, cert), cert.EmailAddresses)
	}
	g.UPN, g.Mail, g.InvitationID = "", "", "invitation-2"
	cert, err = f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, g), PublicKey: phoneKey().Public(), TransactionID: "t2"})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range cert.Extensions {
		if e.Id.String() == "2.5.29.17" {
			t.Error("a SAN without names")
		}
	}
}
