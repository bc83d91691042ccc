package certs_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/cms/openssltest"
)

// revokedRows is what of certs.RevocationStore a CRL is made of.
type revokedRows struct {
	certs.RevocationStore
	mu    sync.Mutex
	rows  map[string][]certs.Revoked
	mark  certs.RevocationMark
	reads int
	since time.Time
	fail  error
}

func (r *revokedRows) add(issuer string, row certs.Revoked) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rows == nil {
		r.rows = map[string][]certs.Revoked{}
	}
	r.rows[issuer] = append(r.rows[issuer], row)
	r.mark = certs.RevocationMark{Count: r.mark.Count + 1, Last: row.RevokedAt}
}

func (r *revokedRows) RevocationMark(context.Context) (certs.RevocationMark, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mark, r.fail
}

func (r *revokedRows) RevokedBy(_ context.Context, issuer string, since time.Time) ([]certs.Revoked, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	r.since = since
	return slices.Clone(r.rows[issuer]), r.fail
}

type crlFixture struct {
	*fixture
	rows *revokedRows
	crls *certs.CRLs
}

func newCRLs(t *testing.T) *crlFixture {
	f := &crlFixture{fixture: newFixture(t), rows: &revokedRows{}}
	f.crls = &certs.CRLs{Authority: f.authority, Store: f.rows, Now: f.clock.Now}
	return f
}

func keyID(c *x509.Certificate) string { return hexText(c.SubjectKeyId) }

func (f *crlFixture) list(t *testing.T, issuer *x509.Certificate) *x509.RevocationList {
	t.Helper()
	der, next, err := f.crls.CRL(t.Context(), keyID(issuer))
	if err != nil {
		t.Fatal(err)
	}
	list := must(x509.ParseRevocationList(der))
	if err := list.CheckSignatureFrom(issuer); err != nil || !list.NextUpdate.Equal(next) || !bytes.Equal(list.AuthorityKeyId, issuer.SubjectKeyId) {
		t.Errorf("%v, next update %v and %v", err, list.NextUpdate, next)
	}
	return list
}

func TestCRL(t *testing.T) {
	t.Parallel()
	f := newCRLs(t)
	issuing, now := f.authority.Issuing(), f.clock.Now().UTC()
	empty := f.list(t, issuing)
	if len(empty.RevokedCertificateEntries) != 0 || empty.NextUpdate.Sub(empty.ThisUpdate) != 24*time.Hour {
		t.Errorf("an empty list of %d from %v until %v", len(empty.RevokedCertificateEntries), empty.ThisUpdate, empty.NextUpdate)
	}
	if early := now.Sub(empty.ThisUpdate); early < time.Hour || early > time.Hour+time.Second {
		t.Errorf("a clock that is %v slow would refuse it", early)
	}
	if again := f.list(t, issuing); again.Number.Cmp(empty.Number) != 0 || f.rows.reads != 1 {
		t.Error("made anew though nothing changed")
	}

	f.rows.add(keyID(issuing), certs.Revoked{Serial: "4a01", RevokedAt: now, Reason: certs.ReasonUnspecified})
	f.rows.add(keyID(issuing), certs.Revoked{Serial: "7fffffffffffffffffffffffffffffff", RevokedAt: now, Reason: certs.ReasonSuperseded})
	f.rows.add("00", certs.Revoked{Serial: "01", RevokedAt: now})
	list := f.list(t, issuing)
	if list.Number.Cmp(empty.Number) <= 0 || len(list.RevokedCertificateEntries) != 2 {
		t.Fatalf("number %v after %v, %d entries", list.Number, empty.Number, len(list.RevokedCertificateEntries))
	}
	first, second := list.RevokedCertificateEntries[0], list.RevokedCertificateEntries[1]
	if first.SerialNumber.Cmp(big.NewInt(0x4a01)) != 0 || len(first.Extensions) != 0 || second.ReasonCode != 4 || second.SerialNumber.BitLen() != 127 {
		t.Errorf("entries %+v", list.RevokedCertificateEntries)
	}
	if !f.rows.since.Before(now) || now.Sub(f.rows.since) < 24*time.Hour {
		t.Errorf("asked for what had not expired before %v: each must be on one list after its end", f.rows.since)
	}

	f.clock.advance(11 * time.Hour)
	if again := f.list(t, issuing); again.Number.Cmp(list.Number) != 0 {
		t.Error("made anew before its time")
	}
	f.clock.advance(time.Hour)
	later := f.list(t, issuing)
	if later.Number.Cmp(list.Number) <= 0 || !later.NextUpdate.After(list.NextUpdate) {
		t.Error("not made anew after half of its life")
	}
	f.clock.advance(-48 * time.Hour) // the clock is set back: dates follow, numbers do not
	back := f.list(t, issuing)
	if back.Number.Cmp(later.Number) <= 0 || back.NextUpdate.After(later.NextUpdate) {
		t.Errorf("after a step back: number %v after %v, until %v", back.Number, later.Number, back.NextUpdate)
	}
	other := &certs.CRLs{Authority: f.authority, Store: f.rows, Now: f.clock.Now}
	der, _, err := other.CRL(t.Context(), keyID(issuing))
	if err != nil || must(x509.ParseRevocationList(der)).Number.Sign() <= 0 {
		t.Errorf("another server: %v", err)
	}
}

// TestCRLOfRaisedReason: a reason that became keyCompromise is on the next list, though
// nothing else was revoked.
func TestCRLOfRaisedReason(t *testing.T) {
	t.Parallel()
	f := newCRLs(t)
	issuing := f.authority.Issuing()
	f.rows.add(keyID(issuing), certs.Revoked{Serial: "4a01", RevokedAt: f.clock.Now(), Reason: certs.ReasonSuperseded})
	before := f.list(t, issuing)
	f.clock.advance(time.Minute)
	f.rows.rows[keyID(issuing)][0].Reason = certs.ReasonKeyCompromise
	f.rows.mark.Raised++
	after := f.list(t, issuing)
	if before.RevokedCertificateEntries[0].ReasonCode != 4 || after.RevokedCertificateEntries[0].ReasonCode != 1 {
		t.Errorf("reasons %d, then %d", before.RevokedCertificateEntries[0].ReasonCode, after.RevokedCertificateEntries[0].ReasonCode)
	}
}

func TestCRLOfOldAndRetired(t *testing.T) {
	t.Parallel()
	f := newCRLs(t)
	old := f.authority.Issuing()
	must(f.authority.Activate(t.Context(), must(f.authority.Rollover(t.Context(), certs.KeyRSA2048)).Fingerprint))
	f.rows.add(keyID(old), certs.Revoked{Serial: "4a01", RevokedAt: f.clock.Now()})
	if err := f.authority.Retire(t.Context(), fingerprint(old)); err != nil {
		t.Fatal(err)
	}
	if n := len(f.list(t, old).RevokedCertificateEntries); n != 1 {
		t.Errorf("%d entries of the retired one", n)
	}
	if n := len(f.list(t, f.authority.Issuing()).RevokedCertificateEntries); n != 0 {
		t.Errorf("%d entries of the active one", n)
	}
	for _, id := range []string{"", "00", "zz", keyID(f.authority.Root()), strings.ToUpper(keyID(old)), keyID(old) + ".crl"} {
		if _, _, err := f.crls.CRL(t.Context(), id); !errors.Is(err, certs.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestCRLFails(t *testing.T) {
	t.Parallel()
	f := newCRLs(t)
	id := keyID(f.authority.Issuing())
	f.rows.fail = errors.New("no database")
	if _, _, err := f.crls.CRL(t.Context(), id); !errors.Is(err, f.rows.fail) {
		t.Errorf("got %v", err)
	}
	f.rows.fail = nil
	f.rows.add(id, certs.Revoked{Serial: "no number", RevokedAt: f.clock.Now()})
	if _, _, err := f.crls.CRL(t.Context(), id); err == nil {
		t.Error("a list that leaves one out")
	}
}

// TestCRLInParallel: many who ask at once get one list, made once.
func TestCRLInParallel(t *testing.T) {
	t.Parallel()
	f := newCRLs(t)
	id := keyID(f.authority.Issuing())
	var all sync.WaitGroup
	lists := make([][]byte, 32)
	for i := range lists {
		all.Go(func() { lists[i], _, _ = f.crls.CRL(t.Context(), id) })
	}
	all.Wait()
	for _, der := range lists {
		if len(der) == 0 || !bytes.Equal(der, lists[0]) {
			t.Fatal("they got different lists")
		}
	}
	if f.rows.reads != 1 {
		t.Errorf("made %d times", f.rows.reads)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 8 { // neither hangs, nor keeps its turn
		_, _, _ = f.crls.CRL(gone, id)
	}
	if _, _, err := f.crls.CRL(t.Context(), id); err != nil {
		t.Error(err)
	}
}

// TestOpenSSLReadsTheCRL, and refuses with it what was revoked.
func TestOpenSSLReadsTheCRL(t *testing.T) {
	t.Parallel()
	box := openssltest.Open(t)
	f := newCRLs(t)
	run := func(args ...string) (string, error) {
		out, err := box.Command(args...).CombinedOutput()
		return string(out), err
	}
	for _, kind := range []certs.KeyKind{certs.KeyP256, certs.KeyP384, certs.KeyRSA2048} {
		must(f.authority.Activate(t.Context(), must(f.authority.Rollover(t.Context(), kind)).Fingerprint))
		issuing := f.authority.Issuing()
		sound, lost := f.mailCertificate(t, "sound "+string(kind)), f.mailCertificate(t, "lost "+string(kind))
		f.rows.add(keyID(issuing), certs.Revoked{Serial: lost.SerialNumber.Text(16), RevokedAt: f.clock.Now(), Reason: certs.ReasonKeyCompromise})
		der, _, err := f.crls.CRL(t.Context(), keyID(issuing))
		if err != nil {
			t.Fatal(err)
		}
		list := box.File("list.pem", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
		above := box.Certs("issuing.pem", issuing)
		out, err := run("crl", "-in", list, "-noout", "-verify", "-text", "-CAfile", above)
		if err != nil || !strings.Contains(out, "verify OK") || !strings.Contains(out, "Key Compromise") || !strings.Contains(out, "X509v3 CRL Number") {
			t.Errorf("%s: openssl crl: %v: %s", kind, err, out)
		}
		at := f.clock.Now().Unix()
		check := func(cert *x509.Certificate) (string, error) {
			return run("verify", "-attime", big.NewInt(at).String(), "-crl_check", "-CRLfile", list, "-CAfile", box.Certs("root.pem", f.authority.Root()),
				"-untrusted", above, box.Certs("leaf.pem", cert))
		}
		if out, err := check(sound); err != nil {
			t.Errorf("%s: %v: %s", kind, err, out)
		}
		if out, err := check(lost); err == nil || !strings.Contains(out, "certificate revoked") {
			t.Errorf("%s: what was revoked is good to openssl: %s", kind, out)
		}
	}
}

// TestCertificatesSayWhereTheCRLIs: those that others look at, and no others.
func TestCertificatesSayWhereTheCRLIs(t *testing.T) {
	t.Parallel()
	f := &fixture{store: newMemory(), clock: newClock()}
	options := certs.Options{Organization: "Example", CRLURL: "http://mdm.example.test:8080/", Now: f.clock.Now}
	f.authority = must(certs.Open(t.Context(), f.store, options))
	issue := func(rule certs.RuleName) *x509.Certificate {
		f.issuer = &certs.Issuer{
			Authority: f.authority, Store: f.store, Renewals: renewals{f.store}, Revocations: revocations{f.store}, Now: f.clock.Now,
		}
		g := grant()
		if g.Rule = rule; rule != certs.RuleMDMIdentity {
			g.InvitationID, g.EnrollmentID = "", "enrollment-1"
		}
		return must(f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, g), PublicKey: newRSA().Public(), TransactionID: string(rule)}))
	}
	check := func(name string, c *x509.Certificate, listed bool) {
		t.Helper()
		var want []string
		if listed {
			want = []string{"http://mdm.example.test:8080/crl/" + keyID(f.authority.Issuing()) + ".crl"}
		}
		if !slices.Equal(c.CRLDistributionPoints, want) {
			t.Errorf("%s: got %q, want %q", name, c.CRLDistributionPoints, want)
		}
	}
	for range 2 { // made and loaded
		check("mdm", issue(certs.RuleMDMIdentity), true)
		check("mail", issue(certs.RuleMailIdentity), true)
		check("S/MIME", issue(certs.RuleSMIMESigning), true)
		check("profile signer", f.authority.ProfileSigner().Certificate, true)
		check("root", f.authority.Root(), false)
		check("issuing", f.authority.Issuing(), false)
		check("RA", f.authority.RA().Certificate, false)
		check("server", must(f.authority.ServerCertificate(t.Context(), []string{"localhost"})).Leaf, false)
		must(f.authority.Activate(t.Context(), must(f.authority.Rollover(t.Context(), "")).Fingerprint))
		check("after a rollover", issue(certs.RuleMailIdentity), true)
		options.CRLURL = "http://mdm.example.test:8080"
		f.store.keys = f.store.keys[:4]
		f.authority = must(certs.Open(t.Context(), f.store, options))
	}
}
