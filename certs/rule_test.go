package certs

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"slices"
	"testing"
	"time"
)

// TestMailRules: S/MIME certificates sign or are encrypted to, name an address and
// nothing else, and last two years.
func TestMailRules(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	active, _ := newFamily(t, KeyP256, now).active()
	rsaKey, err := KeyRSA2048.newKey()
	if err != nil {
		t.Fatal(err)
	}
	curve, err := KeyP256.newKey()
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name RuleName, change func(*content)) (*x509.Certificate, error) {
		r := issuanceRules[name]
		c := content{
			subject: pkix.Name{CommonName: "alice@example.test"}, serial: newSerial(), key: rsaKey.Public(),
			names: names{upn: "login@example.test", mail: "alice@example.test"},
		}
		c.notBefore, c.notAfter = r.period(now)
		if change != nil {
			change(&c)
		}
		return sign(r, c, &active, nil)
	}
	for name, usage := range map[RuleName]x509.KeyUsage{
		RuleSMIMESigning: x509.KeyUsageDigitalSignature, RuleSMIMEEncryption: x509.KeyUsageKeyEncipherment,
	} {
		cert, err := issue(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if cert.KeyUsage != usage || !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}) || cert.IsCA {
			t.Errorf("%s: usage %b, extended %v", name, cert.KeyUsage, cert.ExtKeyUsage)
		}
		for _, e := range cert.Extensions {
			if e.Id.Equal(oidSubjectAltName) && len(e.Value) != len("alice@example.test")+4 {
				t.Errorf("%s: names %x, want the address alone", name, e.Value)
			}
			if e.Id.String() == "2.5.29.15" && !e.Critical {
				t.Errorf("%s: the key usage is not critical", name)
			}
		}
		if life := cert.NotAfter.Sub(cert.NotBefore); life != 730*day {
			t.Errorf("%s: lasts %v", name, life)
		}
		if _, err := issue(name, func(c *content) { c.names.mail = "" }); !errors.Is(err, ErrGrantInvalid) {
			t.Errorf("%s without an address: %v", name, err)
		}
	}
	if _, err := issue(RuleSMIMEEncryption, func(c *content) { c.key = curve.Public() }); !errors.Is(err, ErrKeyRefused) {
		t.Errorf("encryption to a curve: %v", err)
	}
	if cert, err := issue(RuleSMIMESigning, func(c *content) { c.key = curve.Public() }); err != nil || cert.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("signing with a curve: %v", err)
	}
	cert, err := issue(RuleSMIMESigning, func(c *content) { c.notAfter = active.cert.NotAfter.Add(day) })
	if err != nil || !cert.NotAfter.Equal(active.cert.NotAfter) {
		t.Errorf("it outlives its issuer: %v", err)
	}
	if _, err := issue(RuleSMIMESigning, func(c *content) { c.notBefore = active.cert.NotAfter }); !errors.Is(err, errExpired) {
		t.Errorf("under one that has expired: %v", err)
	}
}
