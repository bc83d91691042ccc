package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/cms"
	"sallyport/internal/refusal"
)

// link is a certificate of a corporate CA, with its key.
type link struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// corporate is a root, an intermediate and an issuing CA as a company has them.
// change may alter the templates, by name, before they are signed.
type corporate struct {
	root, between, issuing link
}

type changes map[string]func(*x509.Certificate)

func newCorporate(now time.Time, change changes) corporate {
	c := corporate{
		root:    link{key: must(rsa.GenerateKey(rand.Reader, 2048))},
		between: link{key: must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))},
		issuing: link{key: must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))},
	}
	c.sign(now, change)
	return c
}

func (c *corporate) sign(now time.Time, change changes) {
	c.root.cert = certify("root", nil, c.root.key.Public(), c.root.key, now, change)
	c.between.cert = certify("between", c.root.cert, c.between.key.Public(), c.root.key, now, change)
	c.issuing.cert = certify("issuing", c.between.cert, c.issuing.key.Public(), c.between.key, now, change)
}

func certify(name string, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer, now time.Time, change changes) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.Unix()), Subject: pkix.Name{Organization: []string{"Corp"}, CommonName: "Corp " + name},
		NotBefore: now.Add(-day), NotAfter: now.Add(2000 * day),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: hashOf([]byte(name))[:20],
	}
	if f := change[name]; f != nil {
		f(t)
	}
	if parent == nil {
		parent = t
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, t, parent, key, by))))
}

func (c corporate) chain() []*x509.Certificate {
	return []*x509.Certificate{c.issuing.cert, c.between.cert, c.root.cert}
}

func TestImportCorporateCA(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	own := f.authority.Root()
	phone := f.mailCertificate(t, "one")
	ra, signer := f.authority.RA().Certificate, f.authority.ProfileSigner().Certificate
	server := must(f.authority.ServerCertificate(t.Context(), []string{"localhost"})).Leaf
	f.clock.advance(day)
	corp := newCorporate(f.clock.Now(), nil)

	keys := len(f.store.keys)
	info := must(f.authority.Import(t.Context(), certs.Import{Chain: corp.chain(), Key: corp.issuing.key, DryRun: true}))
	if info.State != certs.StateStaged || info.Subject != "CN=Corp issuing,O=Corp" || len(f.store.keys) != keys || len(f.authority.List()) != 2 {
		t.Errorf("a dry run gave %+v and left %d keys", info, len(f.store.keys))
	}
	info = must(f.authority.Import(t.Context(), certs.Import{Chain: corp.chain(), Key: corp.issuing.key}))
	if len(info.Warnings) != 0 || len(f.store.keys) != keys+3 {
		t.Errorf("import gave %+v and left %d keys", info, len(f.store.keys))
	}
	if !f.authority.Root().Equal(own) || len(f.authority.Anchors()) != 2 || !f.authority.Anchors()[1].Equal(corp.root.cert) ||
		!f.authority.NewestAnchor().Equal(f.clock.Now().UTC().Truncate(time.Microsecond)) {
		t.Error("while it is staged the new root is not the second anchor")
	}
	for _, role := range []string{"root", "intermediate", "issuing"} {
		if got := states(f.authority, role); got[0] != certs.StateStaged {
			t.Errorf("%s: states %v", role, got)
		}
	}
	trusted(t, f, leafOf(corp.issuing, f.clock.Now()))

	f.clock.advance(day)
	must(f.authority.Activate(t.Context(), info.Fingerprint))
	if chain := f.authority.Chain(); !slices.EqualFunc(chain, corp.chain(), (*x509.Certificate).Equal) {
		t.Errorf("chain of %d", len(chain))
	}
	if !f.authority.Root().Equal(corp.root.cert) || !f.authority.Anchors()[0].Equal(corp.root.cert) || len(f.authority.Anchors()) != 2 {
		t.Error("the new root is not the first anchor, or the old one is gone")
	}
	if f.authority.RA().Certificate.Equal(ra) || f.authority.ProfileSigner().Certificate.Equal(signer) || len(f.authority.RAs()) != 2 {
		t.Error("RA and profile signer are still those of the old root")
	}
	renewed := must(f.authority.ServerCertificate(t.Context(), []string{"localhost"}))
	if renewed.Leaf.Equal(server) || len(renewed.Certificate) != 3 {
		t.Errorf("the server certificate has a chain of %d", len(renewed.Certificate))
	}
	for _, id := range []cms.Identity{f.authority.RA(), f.authority.ProfileSigner()} {
		if len(id.Chain) != 3 {
			t.Errorf("a chain of %d", len(id.Chain))
		}
		trusted(t, f, id.Certificate)
	}
	trusted(t, f, phone)
	trusted(t, f, f.mailCertificate(t, "two"))
	again := open(t, f.store, f.clock)
	if !slices.EqualFunc(again.Chain(), corp.chain(), (*x509.Certificate).Equal) {
		t.Error("after a restart the chain is another")
	}

	old := f.authority.List()
	for _, i := range old {
		if i.Role == "issuing" && i.State == certs.StateOld {
			if err := f.authority.Retire(t.Context(), i.Fingerprint); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(f.authority.Anchors()) != 1 || trusts(f, phone) == nil {
		t.Error("our former root is still trusted")
	}
}

func leafOf(issuer link, now time.Time) *x509.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return certify("leaf", issuer.cert, key.Public(), issuer.key, now, changes{"leaf": func(c *x509.Certificate) { c.IsCA = false }})
}

// TestImportForOurRequest: a corporate CA signs what `ca csr` wrote.
func TestImportForOurRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	corp := newCorporate(f.clock.Now(), nil)
	csr := must(f.authority.Request(t.Context(), certs.KeyRSA2048))
	request := readRequest(t, csr)
	if err := request.CheckSignature(); err != nil || request.Subject.Organization[0] != "Example" || len(request.Extensions) != 2 {
		t.Errorf("request of %s: %v", request.Subject, err)
	}
	certified := func(name string) *x509.Certificate {
		return certify("issuing", corp.between.cert, request.PublicKey, corp.between.key, f.clock.Now(), changes{
			"issuing": func(c *x509.Certificate) { c.Subject.CommonName = name },
		})
	}
	first := certified("Corp mobile")
	chain := []*x509.Certificate{first, corp.between.cert, corp.root.cert}
	if _, err := f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, grant()), PublicKey: request.PublicKey, TransactionID: "x"}); err == nil {
		t.Error("the key of our request was certified for a phone")
	}
	info := must(f.authority.Import(t.Context(), certs.Import{Chain: chain}))
	must(f.authority.Activate(t.Context(), info.Fingerprint))
	trusted(t, f, f.mailCertificate(t, "one"))

	// Renewed with its key, and what is on record left out of the chain.
	f.clock.advance(day)
	second := certified("Corp mobile")
	info = must(f.authority.Import(t.Context(), certs.Import{Chain: []*x509.Certificate{second}}))
	must(f.authority.Activate(t.Context(), info.Fingerprint))
	if len(f.authority.Chain()) != 3 || !f.authority.Issuing().Equal(second) {
		t.Error("the renewed one does not sign")
	}
	trusted(t, f, f.mailCertificate(t, "two"))
	_, err := f.authority.Import(t.Context(), certs.Import{Chain: []*x509.Certificate{certified("Corp other")}})
	refused(t, "another name", err, certs.ErrAuthorityInvalid, "one CRL")
}

// TestImportAfterRetirement: a root that was retired comes back as a new one, so
// that phones are told of it again.
func TestImportAfterRetirement(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	corp := newCorporate(f.clock.Now(), nil)
	info := must(f.authority.Import(t.Context(), certs.Import{Chain: corp.chain(), Key: corp.issuing.key}))
	if err := f.authority.Retire(t.Context(), info.Fingerprint); err != nil {
		t.Fatal(err)
	}
	if len(f.authority.Anchors()) != 1 {
		t.Error("nothing leads to the root, and it is trusted")
	}
	_, err := f.authority.Import(t.Context(), certs.Import{Chain: corp.chain(), Key: corp.issuing.key})
	refused(t, "the retired one", err, certs.ErrAuthorityState, "was retired on")
	f.clock.advance(time.Hour)
	corp.issuing.key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	corp.issuing.cert = certify("issuing", corp.between.cert, corp.issuing.key.Public(), corp.between.key, f.clock.Now(),
		changes{"issuing": func(c *x509.Certificate) { c.SubjectKeyId = []byte("another") }})
	info = must(f.authority.Import(t.Context(), certs.Import{Chain: corp.chain(), Key: corp.issuing.key}))
	if len(f.authority.Anchors()) != 2 || !f.authority.NewestAnchor().Equal(f.clock.Now().UTC().Truncate(time.Microsecond)) {
		t.Error("the root did not come back")
	}
	again := open(t, f.store, f.clock)
	must(again.Activate(t.Context(), info.Fingerprint))
	if len(again.Chain()) != 3 || len(again.List()) != 6 {
		t.Errorf("chain of %d, list of %d", len(again.Chain()), len(again.List()))
	}
}

func TestImportWarns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	corp := newCorporate(f.clock.Now(), changes{"issuing": func(c *x509.Certificate) {
		c.NotAfter = f.clock.Now().Add(100 * day)
		c.PermittedDNSDomainsCritical, c.PermittedEmailAddresses = true, []string{"corp.test"}
	}})
	info := must(f.authority.Import(t.Context(), certs.Import{Chain: corp.chain(), Key: corp.issuing.key}))
	if len(info.Warnings) != 2 || !strings.Contains(info.Warnings[0], "2027-03-01") || !strings.Contains(info.Warnings[1], "corp.test") {
		t.Errorf("warnings %q", info.Warnings)
	}
}

// TestImportUnderAnOldRoot: how a root signed itself does not matter.
func TestShortIssuingIsTold(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := newCorporate(f.clock.Now(), changes{"issuing": func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = f.clock.Now().Add(-time.Minute), f.clock.Now().Add(20*day)
	}})
	info, err := f.authority.Import(t.Context(), certs.Import{Chain: c.chain(), Key: c.issuing.key})
	if err != nil {
		t.Fatal(err)
	}
	list := f.authority.Expiring(f.clock.Now())
	if len(list) != 1 || list[0].Fingerprint != info.Fingerprint || !strings.Contains(list[0].Advice, "ca csr") {
		t.Errorf("expiring: %+v", list)
	}
}

func TestImportUnderAnOldRoot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	corp := newCorporate(f.clock.Now(), changes{"root": func(c *x509.Certificate) { c.SignatureAlgorithm, c.KeyUsage = x509.SHA1WithRSA, 0 }})
	info := must(f.authority.Import(t.Context(), certs.Import{Chain: corp.chain(), Key: corp.issuing.key}))
	must(f.authority.Activate(t.Context(), info.Fingerprint))
	trusted(t, f, f.mailCertificate(t, "one"))
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(f.authority.ServerCertificate(t.Context(), []string{"mdm.example.test", "127.0.0.1"}))
	now := f.clock.Now()
	sound := newCorporate(now, nil)
	with := func(change changes) corporate {
		c := sound
		c.sign(now, change)
		return c
	}
	edit := func(name string, change func(*x509.Certificate)) func() certs.Import {
		return func() certs.Import {
			return certs.Import{Chain: with(changes{name: change}).chain(), Key: sound.issuing.key}
		}
	}
	given := func(i certs.Import) func() certs.Import { return func() certs.Import { return i } }
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	constraint := must(asn1.Marshal(asn1.RawValue{Tag: 16, IsCompound: true, Bytes: must(asn1.Marshal(asn1.RawValue{
		Class: 2, Tag: 0, IsCompound: true, Bytes: must(asn1.Marshal(asn1.RawValue{Tag: 16, IsCompound: true,
			Bytes: must(asn1.Marshal(asn1.RawValue{Class: 2, Tag: 4, IsCompound: true, Bytes: must(asn1.Marshal(pkix.Name{CommonName: "x"}.ToRDNSequence()))}))}))}))}))
	tests := []struct {
		name, field, says string
		in                func() certs.Import
	}{
		{"nothing", "chain", "missing", given(certs.Import{})},
		{"nil", "chain", "missing", given(certs.Import{Chain: []*x509.Certificate{nil}})},
		{"too many", "chain", "more than 8", given(certs.Import{Chain: slices.Repeat([]*x509.Certificate{sound.between.cert}, 9), Key: sound.issuing.key})},
		{"root alone", "chain[0]", "is a root", given(certs.Import{Chain: []*x509.Certificate{sound.root.cert}, Key: sound.root.key})},
		{"no root", "chain", "does not lead to its root", given(certs.Import{Chain: sound.chain()[:2], Key: sound.issuing.key})},
		{"wrong order", "chain[1]", "is a root, and there are more", given(certs.Import{
			Chain: []*x509.Certificate{sound.issuing.cert, sound.root.cert, sound.between.cert}, Key: sound.issuing.key})},
		{"gap", "chain[0]", "was not signed by the next", given(certs.Import{Chain: []*x509.Certificate{sound.issuing.cert, sound.root.cert}, Key: sound.issuing.key})},
		{"root twice", "chain[2]", "more certificates behind", given(certs.Import{Chain: append(sound.chain(), sound.root.cert), Key: sound.issuing.key})},
		{"no key", "key", "is missing", given(certs.Import{Chain: sound.chain()})},
		{"another's key", "key", "is not that of the first", given(certs.Import{Chain: sound.chain(), Key: sound.between.key})},
		{"no CA", "chain[0]", "is not a CA", edit("issuing", func(c *x509.Certificate) { c.IsCA = false })},
		{"no constraints", "chain[1]", "is not a CA", edit("between", func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = false, false })},
		{"no keyCertSign", "chain[0]", "keyCertSign", edit("issuing", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })},
		{"no cRLSign", "chain[0]", "cRLSign", edit("issuing", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })},
		{"no usage", "chain[0]", "cRLSign", edit("issuing", func(c *x509.Certificate) { c.KeyUsage = 0 })},
		{"intermediate without keyCertSign", "chain[1]", "keyCertSign", edit("between", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })},
		{"path length of the root", "chain[2]", "allows 1 CAs under it, and there are 2", edit("root", func(c *x509.Certificate) { c.MaxPathLen = 1 })},
		{"path length 0", "chain[1]", "allows 0 CAs", edit("between", func(c *x509.Certificate) { c.MaxPathLenZero = true })},
		{"expired", "chain[0]", "expired on 2026-11-20", edit("issuing", func(c *x509.Certificate) { c.NotAfter = now.Add(-day) })},
		{"expired above", "chain[2]", "expired on", edit("root", func(c *x509.Certificate) { c.NotAfter = now.Add(-day) })},
		{"not yet valid", "chain[0]", "not valid before", edit("issuing", func(c *x509.Certificate) { c.NotBefore = now.Add(day) })},
		{"unknown critical extension", "chain[0]", "critical extension 1.2.3", edit("issuing", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		})},
		{"constrained to directory names", "chain[1]", "name constraints", edit("between", func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: constraint}}
		})},
		{"constrained to other hosts", "chain", "exclude the names of this server: mdm.example.test, 127.0.0.1", edit("between", func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"corp.test"}
		})},
		{"constrained to other addresses", "chain", "exclude the names of this server", edit("root", func(c *x509.Certificate) {
			c.PermittedDNSDomainsCritical = true
			c.ExcludedIPRanges = []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}}
		})},
		{"for servers only", "chain", "extended key usages that exclude certificates of the rule mdm-identity", edit("between", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})},
		{"not for mail", "chain", "rule smime-signing", edit("issuing", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})},
		{"SHA-1", "chain[1]", "is signed with SHA1-RSA", edit("between", func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA })},
		{"weak key", "chain[0]", "weak key", func() certs.Import {
			weak := must(rsa.GenerateKey(rand.Reader, 1024))
			c := certify("issuing", sound.between.cert, weak.Public(), sound.between.key, now, nil)
			return certs.Import{Chain: []*x509.Certificate{c, sound.between.cert, sound.root.cert}, Key: weak}
		}},
		{"too large a curve for ours", "chain[0]", "weak key", func() certs.Import {
			large := must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader))
			c := certify("issuing", sound.between.cert, large.Public(), sound.between.key, now, nil)
			return certs.Import{Chain: []*x509.Certificate{c, sound.between.cert, sound.root.cert}, Key: large}
		}},
		{"key of another kind", "chain[0]", "weak key", func() certs.Import {
			c := certify("issuing", sound.between.cert, edwards.Public(), sound.between.key, now, nil)
			return certs.Import{Chain: []*x509.Certificate{c, sound.between.cert, sound.root.cert}, Key: edwards}
		}},
		{"our RA's key", "chain[0]", "has the key of our scep-ra", func() certs.Import {
			c := certify("issuing", sound.between.cert, f.authority.RA().Certificate.PublicKey, sound.between.key, now, nil)
			return certs.Import{Chain: []*x509.Certificate{c, sound.between.cert, sound.root.cert}, Key: f.authority.RA().Key}
		}},
	}
	before, entries := len(f.store.keys), len(f.store.entries)
	for _, tt := range tests {
		_, err := f.authority.Import(t.Context(), tt.in())
		refused(t, tt.name, err, certs.ErrAuthorityInvalid, tt.says)
		if list := refusal.All(err); !slices.ContainsFunc(list, func(r *refusal.Error) bool { return r.Field == tt.field }) {
			t.Errorf("%s: got %v, want the field %s", tt.name, err, tt.field)
		}
	}
	if len(f.store.keys) != before || len(f.store.entries) != entries {
		t.Error("a refused import left something behind")
	}
	must(f.authority.Import(t.Context(), certs.Import{Chain: sound.chain(), Key: sound.issuing.key}))
	_, err := f.authority.Import(t.Context(), certs.Import{Chain: sound.chain(), Key: sound.issuing.key})
	refused(t, "twice", err, certs.ErrAuthorityState, "on record already")
}
