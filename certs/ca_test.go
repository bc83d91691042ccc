package certs_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/cms"
)

const day = 24 * time.Hour

func TestOpenMakesTheAuthorityOnce(t *testing.T) {
	t.Parallel()
	f := &fixture{store: newMemory(), clock: newClock()}
	f.authority = open(t, f.store, f.clock)
	if len(f.store.keys) != 4 || len(f.store.entries) != 1 {
		t.Fatalf("%d keys, %d audit entries, want 4 in one act", len(f.store.keys), len(f.store.entries))
	}
	again := open(t, f.store, f.clock)
	if len(f.store.keys) != 4 {
		t.Errorf("a second start made keys: %d", len(f.store.keys))
	}
	if !again.Root().Equal(f.authority.Root()) || !again.Issuing().Equal(f.authority.Issuing()) ||
		!again.RA().Certificate.Equal(f.authority.RA().Certificate) ||
		!again.ProfileSigner().Certificate.Equal(f.authority.ProfileSigner().Certificate) {
		t.Error("a second start has other certificates")
	}
}

func TestOwnCertificates(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	now := f.clock.Now()
	root, issuing, ra, signer := f.authority.Root(), f.authority.Issuing(), f.authority.RA(), f.authority.ProfileSigner()
	intermediates := x509.NewCertPool()
	intermediates.AddCert(issuing)
	for name, tt := range map[string]struct {
		cert   *x509.Certificate
		years  int
		usage  x509.KeyUsage
		ca     bool
		usage2 x509.ExtKeyUsage
	}{
		"root":    {root, 10, x509.KeyUsageCertSign | x509.KeyUsageCRLSign, true, x509.ExtKeyUsageAny},
		"issuing": {issuing, 5, x509.KeyUsageCertSign | x509.KeyUsageCRLSign, true, x509.ExtKeyUsageAny},
		"ra":      {ra.Certificate, 2, x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, false, x509.ExtKeyUsageAny},
		"signer":  {signer.Certificate, 2, x509.KeyUsageDigitalSignature, false, x509.ExtKeyUsageEmailProtection},
	} {
		c := tt.cert
		if _, err := c.Verify(x509.VerifyOptions{Roots: f.authority.Roots(), Intermediates: intermediates, CurrentTime: now,
			KeyUsages: []x509.ExtKeyUsage{tt.usage2}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.KeyUsage != tt.usage || c.IsCA != tt.ca || !c.BasicConstraintsValid {
			t.Errorf("%s: usage %b, CA %v", name, c.KeyUsage, c.IsCA)
		}
		if years := int(c.NotAfter.Sub(now).Round(365*day) / (365 * day)); years != tt.years {
			t.Errorf("%s: %d years, want %d", name, years, tt.years)
		}
		if len(c.SubjectKeyId) != 20 || (name != "root" && len(c.AuthorityKeyId) != 20) {
			t.Errorf("%s: SKI %x, AKI %x", name, c.SubjectKeyId, c.AuthorityKeyId)
		}
		if !strings.HasPrefix(c.Subject.CommonName, "Example ") || c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() != 127 {
			t.Errorf("%s: %s, serial of %d bits", name, c.Subject, c.SerialNumber.BitLen())
		}
	}
	if !issuing.MaxPathLenZero || root.MaxPathLen != 1 {
		t.Errorf("path lengths: root %d, issuing %d", root.MaxPathLen, issuing.MaxPathLen)
	}
	if key, ok := ra.Key.(*rsa.PrivateKey); !ok || key.N.BitLen() != 2048 {
		t.Errorf("RA key is %T", ra.Key)
	}
	if _, ok := signer.Key.(*ecdsa.PrivateKey); !ok {
		t.Errorf("signer key is %T", signer.Key)
	}
	if chain := f.authority.Chain(); len(chain) != 2 || chain[0] != issuing || chain[1] != root {
		t.Error("Chain is not issuing, root")
	}
	der := must(cms.Sign([]byte("x"), signer))
	if _, _, err := cms.Verify(der, cms.Trust{Roots: f.authority.Roots(), Now: now, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}); err != nil {
		t.Errorf("what the profile signer signs: %v", err)
	}
}

func TestMaintainRenewsBeforeTheEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ra, issuing, signer := f.authority.RA(), f.authority.Issuing(), f.authority.ProfileSigner()
	step := func(d time.Duration) {
		t.Helper()
		f.clock.advance(d)
		if err := f.authority.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	step(400 * day)
	if !f.authority.RA().Certificate.Equal(ra.Certificate) {
		t.Error("the RA was renewed too early")
	}
	step(100 * day) // beyond two thirds of two years
	if f.authority.RA().Certificate.Equal(ra.Certificate) || f.authority.ProfileSigner().Certificate.Equal(signer.Certificate) {
		t.Error("RA or profile signer was not renewed")
	}
	if ras := f.authority.RAs(); len(ras) != 2 || !ras[1].Certificate.Equal(ra.Certificate) {
		t.Errorf("%d RAs, want the new and the old one", len(ras))
	}
	step(800 * day) // 1300 in all: two thirds of five years
	if f.authority.Issuing().Equal(issuing) || len(f.authority.Intermediates()) != 2 {
		t.Error("the issuing CA was not renewed")
	}
	if f.authority.Issuing().Subject.String() == issuing.Subject.String() {
		t.Error("two issuing CAs of one name")
	}
	for _, ra := range f.authority.RAs() {
		if ra.Certificate.NotAfter.Before(f.clock.Now()) {
			t.Error("an expired RA is still in use")
		}
		if err := ra.Certificate.CheckSignatureFrom(ra.Chain[0]); err != nil {
			t.Errorf("the chain of an RA does not fit: %v", err)
		}
	}
	again := open(t, f.store, f.clock)
	if !again.Issuing().Equal(f.authority.Issuing()) || !again.RA().Certificate.Equal(f.authority.RA().Certificate) {
		t.Error("after a restart other members are the newest")
	}
	step(2000 * day)
	if f.authority.Issuing().NotAfter.After(f.authority.Root().NotAfter) {
		t.Error("an issuing CA outlives the root")
	}
}

func TestOpenRefusesWhatItCannotTrust(t *testing.T) {
	t.Parallel()
	whole := newFixture(t)
	tests := map[string]func(*memory, *clock){
		"root lost":        func(m *memory, _ *clock) { m.keys = m.keys[1:] },
		"root expired":     func(_ *memory, c *clock) { c.advance(3651 * day) },
		"key of another":   func(m *memory, _ *clock) { m.keys[0].Key = m.keys[1].Key },
		"key damaged":      func(m *memory, _ *clock) { m.keys[2].Key = []byte("x") },
		"cert damaged":     func(m *memory, _ *clock) { m.keys[3].Certificate = nil },
		"store is refused": func(m *memory, _ *clock) { m.keys, m.fail = nil, errors.New("disk full") },
	}
	for name, damage := range tests {
		store, c := newMemory(), newClock()
		store.keys = slices.Clone(whole.store.keys)
		damage(store, c)
		before := len(store.keys)
		_, err := certs.Open(t.Context(), store, certs.Options{Now: c.Now})
		if err == nil {
			t.Errorf("%s: was opened", name)
		}
		if len(store.keys) != before {
			t.Errorf("%s: keys were made", name)
		}
	}
}

func TestServerCertificate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	get := func(hosts ...string) *x509.Certificate {
		t.Helper()
		c, err := f.authority.ServerCertificate(t.Context(), hosts)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Certificate) != 2 || !bytes.Equal(c.Certificate[1], f.authority.Issuing().Raw) {
			t.Errorf("%d certificates, want leaf and issuing", len(c.Certificate))
		}
		return c.Leaf
	}
	first := get("localhost", "127.0.0.1", "::1", "Example.Test.")
	pool := x509.NewCertPool()
	pool.AddCert(f.authority.Issuing())
	for _, host := range []string{"localhost", "127.0.0.1", "::1", "example.test"} {
		if _, err := first.Verify(x509.VerifyOptions{DNSName: host, Roots: f.authority.Roots(), Intermediates: pool, CurrentTime: f.clock.Now()}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if life := first.NotAfter.Sub(first.NotBefore); life > 397*day {
		t.Errorf("life of %v", life)
	}
	if !get("example.test", "::1", "localhost", "127.0.0.1", "localhost").Equal(first) {
		t.Error("the same hosts in another order gave another certificate")
	}
	if !must(open(t, f.store, f.clock).ServerCertificate(t.Context(), []string{"example.test", "::1", "localhost", "127.0.0.1"})).Leaf.Equal(first) {
		t.Error("a restart gave another certificate")
	}
	second := get("localhost")
	if second.Equal(first) || len(second.DNSNames) != 1 {
		t.Error("other hosts gave the same certificate")
	}
	f.clock.advance(300 * day)
	if get("localhost").Equal(second) {
		t.Error("it was not renewed with less than a third of its life left")
	}
	for _, bad := range [][]string{nil, {""}, {"*.example.test"}, {"https://example.test"}, {"a b"}, {"bücher.example"}, {"localhost:8443"}} {
		if _, err := f.authority.ServerCertificate(context.Background(), bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
