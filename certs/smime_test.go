package certs_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/certs"
	"sallyport/internal/auth"
	"sallyport/internal/secret"
)

const aliceMail = "alice@example.test"

func ensured(t *testing.T, s *certs.SMIME, mail string, usages ...certs.SMIMEUsage) []certs.SMIMEKey {
	t.Helper()
	keys, err := s.Ensure(t.Context(), "alice", "alice@corp.test", mail, usages)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func keyIDs(keys []certs.SMIMEKey) []string {
	var ids []string
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return ids
}

// TestEnsure: keys are made once, and anew in the last third of their life; old
// encryption keys stay, old signing keys do not.
func TestEnsure(t *testing.T) {
	t.Parallel()
	s, d, f := mailFixture(t)
	first := ensured(t, s, aliceMail, certs.SMIMEUsages()...)
	if len(first) != 2 || first[0].Usage != certs.SMIMESigning || first[1].Usage != certs.SMIMEEncryption || first[0].Key != nil {
		t.Fatalf("got %v", first)
	}
	if again := ensured(t, s, aliceMail, certs.SMIMEUsages()...); !slices.Equal(keyIDs(again), keyIDs(first)) {
		t.Errorf("got %v, want the same keys", again)
	}
	cert := must(x509.ParseCertificate(first[0].Certificate))
	if cert.EmailAddresses[0] != aliceMail || cert.Subject.CommonName != aliceMail || len(certs.HolderOf(cert).UPNs) != 1 {
		t.Errorf("the certificate names %v, %s and %v", cert.EmailAddresses, cert.Subject, certs.HolderOf(cert).UPNs)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: f.authority.Roots(), Intermediates: pool(first[0].Chain), CurrentTime: f.clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}}); err != nil {
		t.Error(err)
	}

	// Another account of the same user, with an address of its own, takes no turns with it.
	other := ensured(t, s, "sales@example.test", certs.SMIMESigning)
	if slices.Contains(keyIDs(first), other[0].ID) {
		t.Error("a certificate for another address")
	}
	if got := ensured(t, s, aliceMail, certs.SMIMESigning); got[0].ID != first[0].ID {
		t.Error("the first account got another key")
	}

	f.clock.advance(certs.RenewalDue(first[1].NotBefore, first[1].NotAfter, 0, first[1].SHA256).Sub(f.clock.Now()) + time.Second)
	renewed := ensured(t, s, aliceMail, certs.SMIMEEncryption)
	if len(renewed) != 2 || renewed[0].ID == first[1].ID || renewed[1].ID != first[1].ID || !renewed[0].Current || renewed[1].Current {
		t.Errorf("got %v, want a new key before the old one", renewed)
	}
	signing := ensured(t, s, aliceMail, certs.SMIMESigning)
	if len(signing) != 1 {
		t.Errorf("got %d signing keys", len(signing))
	}
	if _, err := s.Ensure(t.Context(), "bob", "bob", "", []certs.SMIMEUsage{certs.SMIMESigning}); !errors.Is(err, certs.ErrSMIME) {
		t.Errorf("without an address: %v", err)
	}
	if got := fmt.Sprintf("%+v", d.keys[0]); got != "S/MIME key "+d.keys[0].ID+" for signing of user alice" {
		t.Errorf("a key prints as %s", got)
	}
}

func pool(chain [][]byte) *x509.CertPool {
	p := x509.NewCertPool()
	for _, der := range chain {
		p.AddCert(must(x509.ParseCertificate(der)))
	}
	return p
}

// TestEnsureAtOnce: two phones of a user come at the same time.
func TestEnsureAtOnce(t *testing.T) {
	t.Parallel()
	s, d, _ := mailFixture(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { ensured(t, s, aliceMail, certs.SMIMESigning) })
	}
	all.Wait()
	if len(d.keys) != 1 {
		t.Errorf("%d keys were made", len(d.keys))
	}
}

// TestPKCS12: what is handed out opens under its password, by both sets of
// ciphers, with its chain, and for its own user alone.
func TestPKCS12(t *testing.T) {
	t.Parallel()
	s, _, _ := mailFixture(t)
	key := ensured(t, s, aliceMail, certs.SMIMEEncryption)[0]
	for _, legacy := range []bool{false, true} {
		data, err := s.PKCS12(t.Context(), "alice", key.ID, secret.New("password"), legacy)
		if err != nil {
			t.Fatal(err)
		}
		_, leaf, chain, err := pkcs12.DecodeChain(data, "password")
		if err != nil || string(leaf.Raw) != string(key.Certificate) || len(chain) != len(key.Chain) || len(chain) == 0 {
			t.Errorf("legacy %v: got %d above, %v", legacy, len(chain), err)
		}
		opened, refused := certs.OpenPKCS12(data, secret.New("password"), certs.PKCS12Fields{})
		if refused != nil || len(opened.Chain) != len(key.Chain) {
			t.Errorf("legacy %v: %v", legacy, refused)
		}
	}
	if _, err := s.PKCS12(t.Context(), "bob", key.ID, secret.New("password"), false); !errors.Is(err, certs.ErrNotFound) {
		t.Errorf("another's key: %v", err)
	}
}

func TestIssueAndRevoke(t *testing.T) {
	t.Parallel()
	s, d, f := mailFixture(t)
	if _, err := s.Issue(t.Context(), certs.SMIMEIssue{UPN: "nobody"}); err == nil {
		t.Error("issued to nobody")
	}
	if _, err := s.Issue(t.Context(), certs.SMIMEIssue{UPN: "alice@corp.test", Usages: []certs.SMIMEUsage{"x"}}); !errors.Is(err, certs.ErrSMIME) {
		t.Errorf("got %v", err)
	}
	keys := must(s.Issue(t.Context(), certs.SMIMEIssue{UPN: "alice@corp.test", Usages: []certs.SMIMEUsage{certs.SMIMESigning}}))
	if len(keys) != 1 || keys[0].Mails[0] != aliceMail {
		t.Fatalf("got %v", keys)
	}
	if err := s.Revoke(t.Context(), keys[0].ID, 2); !errors.Is(err, certs.ErrReasonInvalid) {
		t.Errorf("got %v", err)
	}
	if err := s.Revoke(t.Context(), "none", certs.ReasonSuperseded); !errors.Is(err, certs.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := s.Revoke(t.Context(), keys[0].ID, certs.ReasonSuperseded); err != nil {
		t.Fatal(err)
	}
	f.clock.advance(2 * time.Hour)
	if next := ensured(t, s, aliceMail, certs.SMIMESigning); next[0].ID == keys[0].ID {
		t.Error("a revoked key is in use")
	}
	if want := "smime.issue done\nsmime.revoke done\nsmime.issue done"; d.trail() != want {
		t.Errorf("trail:\n%s", d.trail())
	}
}

// TestExport: a private key leaves by two hands, once, within a day.
func TestExport(t *testing.T) {
	t.Parallel()
	s, d, f := mailFixture(t)
	ensured(t, s, aliceMail, certs.SMIMEUsages()...)
	first, second := as(t.Context(), "first"), as(t.Context(), "second")
	password := secret.New("a long password")
	ask := certs.SMIMEExportRequest{UPN: "alice@corp.test", Reason: "court order"}
	for name, bad := range map[string]certs.SMIMEExportRequest{
		"no reason": {UPN: ask.UPN}, "nobody": {Reason: "x"}, "none's key": {UPN: ask.UPN, Reason: "x", KeyIDs: []string{"x"}},
		"no keys": {UPN: "bob@example.test", Reason: "x"}, "two lines": {UPN: ask.UPN, Reason: "a\nb"}, "unknown": {UPN: "x", Reason: "x"},
	} {
		if _, err := s.RequestExport(first, bad); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	e := must(s.RequestExport(first, ask))
	take := func(by string) error {
		_, err := s.TakeExport(as(t.Context(), by), e.ID, password, false)
		return err
	}
	if err := take("first"); !errors.Is(err, certs.ErrExportNotReady) {
		t.Errorf("not approved: %v", err)
	}
	for _, by := range []string{"first", "sock"} {
		if _, err := s.ApproveExport(as(t.Context(), by), e.ID); !errors.Is(err, certs.ErrSameHand) {
			t.Errorf("approved by %s: %v", by, err)
		}
	}
	if got := must(s.ApproveExport(second, e.ID)); got.State(f.clock.Now()) != "approved" || got.ApprovedBy != "second" {
		t.Errorf("got %+v", got)
	}
	if _, err := s.ApproveExport(second, e.ID); !errors.Is(err, certs.ErrExportNotReady) {
		t.Errorf("approved twice: %v", err)
	}
	if err := take("second"); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("taken by another: %v", err)
	}
	if _, err := s.TakeExport(first, e.ID, secret.New("short"), false); !errors.Is(err, certs.ErrSMIME) {
		t.Errorf("a short password: %v", err)
	}
	files, err := s.TakeExport(first, e.ID, password, true)
	if err != nil || len(files) != 2 || files[0].Key.Key != nil {
		t.Fatalf("got %d files, %v", len(files), err)
	}
	if _, _, _, err := pkcs12.DecodeChain(files[1].Data, password.Reveal()); err != nil {
		t.Error(err)
	}
	if err := take("first"); !errors.Is(err, certs.ErrExportNotReady) {
		t.Errorf("taken twice: %v", err)
	}
	late := must(s.RequestExport(first, ask))
	f.clock.advance(24 * time.Hour)
	if _, err := s.ApproveExport(second, late.ID); !errors.Is(err, certs.ErrExportNotReady) {
		t.Errorf("approved too late: %v", err)
	}
	want := "smime.issue done\nsmime.issue done\nsmime.export.request done\nsmime.export.take refused\nsmime.export.approve refused\nsmime.export.approve refused\n" +
		"smime.export.approve done\nsmime.export.approve refused\nsmime.export.take refused\nsmime.export.take done\nsmime.export.take refused\nsmime.export.request done\nsmime.export.approve refused"
	if d.trail() != want {
		t.Errorf("trail:\n%s", d.trail())
	}
}
