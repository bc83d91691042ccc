package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"

	"sallyport/certs"
)

// TestImportTwin: who signed whom is told by names and key identifiers among what is
// on record. A chain that has those of another certificate there, and another key,
// would stand in its place: the active authority would lead to a root that never
// signed it, and its own could be retired under the phones.
func TestImportTwin(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		change func(f *fixture, c *x509.Certificate)
		which  string
	}{
		{"of our root", func(f *fixture, c *x509.Certificate) {
			c.RawSubject, c.SubjectKeyId = f.authority.Root().RawSubject, f.authority.Root().SubjectKeyId
		}, "root"},
		{"of our root, as an intermediate", func(f *fixture, c *x509.Certificate) {
			c.RawSubject, c.SubjectKeyId = f.authority.Root().RawSubject, f.authority.Root().SubjectKeyId
		}, "between"},
		{"of our issuing CA", func(f *fixture, c *x509.Certificate) {
			c.RawSubject, c.SubjectKeyId = f.authority.Issuing().RawSubject, f.authority.Issuing().SubjectKeyId
		}, "issuing"},
		{"of our issuing CA, as an intermediate", func(f *fixture, c *x509.Certificate) {
			c.RawSubject, c.SubjectKeyId = f.authority.Issuing().RawSubject, f.authority.Issuing().SubjectKeyId
		}, "between"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			root, chain := f.authority.Root(), f.authority.Chain()
			f.clock.advance(day)
			twin := newCorporate(f.clock.Now(), changes{test.which: func(c *x509.Certificate) { test.change(f, c) }})
			_, err := f.authority.Import(t.Context(), certs.Import{Chain: twin.chain(), Key: twin.issuing.key})
			if !errors.Is(err, certs.ErrAuthorityInvalid) {
				t.Errorf("got %v", err)
			}
			if !f.authority.Root().Equal(root) || len(f.authority.Chain()) != len(chain) || len(f.authority.Anchors()) != 1 {
				t.Error("the authority leads to another root")
			}
		})
	}
}

// TestImportRenewedRoot: a root that was renewed with its key has its name, its
// identifier and its key: it is no twin.
func TestImportRenewedRoot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.clock.advance(day)
	corp := newCorporate(f.clock.Now(), nil)
	must(f.authority.Import(t.Context(), certs.Import{Chain: corp.chain(), Key: corp.issuing.key}))
	f.clock.advance(day)
	corp.issuing.key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	corp.sign(f.clock.Now(), changes{"issuing": func(c *x509.Certificate) { c.Subject.CommonName, c.SubjectKeyId = "Corp issuing 2", []byte("another") }})
	if _, err := f.authority.Import(t.Context(), certs.Import{Chain: corp.chain(), Key: corp.issuing.key}); err != nil {
		t.Error(err)
	}
}
