package certs_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/cms"
	"sallyport/internal/refusal"
)

// offline is an authority whose root was handed out.
func offline(t *testing.T, kind certs.KeyKind) (*fixture, certs.RootFile) {
	t.Helper()
	f := &fixture{store: newMemory(), clock: newClock()}
	var root certs.RootFile
	err := certs.Init(t.Context(), f.store, certs.Options{Organization: "Example", Now: f.clock.Now}, certs.InitOptions{
		Kind: kind,
		RootOut: func(c *x509.Certificate, key crypto.Signer) error {
			if len(f.store.keys) != 0 {
				t.Error("something was saved before the root was handed out")
			}
			root = certs.RootFile{Certificate: c, Key: key}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	f.authority = open(t, f.store, f.clock)
	f.issuer = &certs.Issuer{
		Authority: f.authority, Store: f.store, Renewals: renewals{f.store}, Revocations: revocations{f.store}, Now: f.clock.Now,
	}
	return f, root
}

// refused is a refusal that names everything.
func refused(t *testing.T, name string, err, sentinel error, says string) {
	t.Helper()
	list := refusal.All(err)
	if !errors.Is(err, sentinel) || len(list) == 0 {
		t.Errorf("%s: got %v, want %v", name, err, sentinel)
		return
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("%s: got %v, want %q in it", name, err, says)
	}
	for _, r := range list {
		if r.Reason == "" || r.Remedy == "" {
			t.Errorf("%s: got %+v, without reason or remedy", name, r)
		}
	}
}

func states(a *certs.Authority, role string) []certs.AuthorityState {
	var list []certs.AuthorityState
	for _, info := range a.List() {
		if info.Role == role {
			list = append(list, info.State)
		}
	}
	return list
}

func fingerprint(c *x509.Certificate) string { return hexText(hashOf(c.Raw)) }

func TestInitLeavesTheRootElsewhere(t *testing.T) {
	t.Parallel()
	for _, kind := range []certs.KeyKind{certs.KeyP256, certs.KeyP384, certs.KeyRSA2048} {
		f, root := offline(t, kind)
		for _, info := range f.authority.List() {
			if info.Kind != kind || info.KeyHere != (info.Role == "issuing") || info.State != certs.StateActive {
				t.Errorf("%s: got %+v", kind, info)
			}
		}
		if !f.authority.Root().Equal(root.Certificate) || f.authority.Issuing().CheckSignatureFrom(root.Certificate) != nil {
			t.Errorf("%s: the root is another", kind)
		}
		if key, ok := f.authority.RA().Key.(*rsa.PrivateKey); !ok || key.N.BitLen() != 2048 {
			t.Errorf("%s: RA key is %T", kind, f.authority.RA().Key)
		}
		if _, err := cms.Sign([]byte("x"), f.authority.ProfileSigner()); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		for _, r := range f.store.keys {
			if r.Role == "root" && len(r.Key) != 0 {
				t.Errorf("%s: the root's key is on record", kind)
			}
		}
		err := certs.Init(t.Context(), f.store, certs.Options{}, certs.InitOptions{Kind: kind})
		refused(t, "again", err, certs.ErrAuthorityState, "already")
	}
}

// TestKeyKinds makes the larger keys once, as they take their time.
func TestKeyKinds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for kind, bits := range map[certs.KeyKind]int{certs.KeyRSA3072: 3072, certs.KeyRSA4096: 4096} {
		if testing.Short() && kind == certs.KeyRSA4096 {
			continue
		}
		request := readRequest(t, must(f.authority.Request(t.Context(), kind)))
		if key, ok := request.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() != bits || !kind.Valid() {
			t.Errorf("%s: got a %T", kind, request.PublicKey)
		}
	}
}

func TestInitSavesNothingWhenTheRootCannotBeHandedOut(t *testing.T) {
	t.Parallel()
	store, full := newMemory(), errors.New("disk full")
	err := certs.Init(t.Context(), store, certs.Options{}, certs.InitOptions{RootOut: func(*x509.Certificate, crypto.Signer) error { return full }})
	if !errors.Is(err, full) || len(store.keys)+len(store.entries) != 0 {
		t.Errorf("got %v and %d keys", err, len(store.keys))
	}
	refused(t, "kind", certs.Init(t.Context(), store, certs.Options{}, certs.InitOptions{Kind: "rsa1024"}), certs.ErrAuthorityInvalid, "use one of p256")
	store.fail = full
	if err := certs.Init(t.Context(), store, certs.Options{}, certs.InitOptions{}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

// TestOfflineRootIsLeftAlone: what cannot be renewed here does not stop what can.
func TestOfflineRootIsLeftAlone(t *testing.T) {
	t.Parallel()
	f, root := offline(t, "")
	issuing, ra := f.authority.Issuing(), f.authority.RA().Certificate
	if list := f.authority.Expiring(f.clock.Now()); len(list) != 0 {
		t.Errorf("expiring at once: %+v", list)
	}
	f.clock.advance(1400 * day) // beyond two thirds of five years
	for range 3 {
		if err := f.authority.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !f.authority.Issuing().Equal(issuing) || f.authority.RA().Certificate.Equal(ra) {
		t.Error("the issuing CA was renewed, or the RA was not")
	}
	list := f.authority.Expiring(f.clock.Now())
	if len(list) != 1 || list[0].Fingerprint != fingerprint(issuing) || !strings.Contains(list[0].Advice, "ca csr") {
		t.Errorf("expiring: %+v", list)
	}
	_, err := f.authority.Rollover(t.Context(), "")
	refused(t, "rollover", err, certs.ErrAuthorityState, "ca import")

	csr := must(f.authority.Request(t.Context(), certs.KeyP384))
	signed := must(certs.SignRequest(root, csr, certs.Options{}, f.clock.Now()))
	if signed.Subject.Organization[0] != "Example" || signed.KeyUsage != x509.KeyUsageCertSign|x509.KeyUsageCRLSign || !signed.MaxPathLenZero {
		t.Errorf("signed %s, usage %b", signed.Subject, signed.KeyUsage)
	}
	info := must(f.authority.Import(t.Context(), certs.Import{Chain: []*x509.Certificate{signed}}))
	if info.State != certs.StateStaged || info.Kind != certs.KeyP384 || !f.authority.Issuing().Equal(issuing) {
		t.Errorf("imported %+v", info)
	}
	signer := f.authority.ProfileSigner().Certificate
	if got := must(f.authority.Activate(t.Context(), info.Fingerprint)); got.State != certs.StateActive || !f.authority.Issuing().Equal(signed) {
		t.Errorf("activated %+v", got)
	}
	if !f.authority.ProfileSigner().Certificate.Equal(signer) {
		t.Error("under the same root the profile signer was made anew")
	}
	if list := f.authority.Expiring(f.clock.Now()); len(list) != 0 {
		t.Errorf("still expiring: %+v", list)
	}
	f.clock.advance(20 * 365 * day)
	if err := f.authority.Maintain(t.Context()); err != nil {
		t.Errorf("when all has expired: %v", err)
	}
}

func TestRolloverUnderTheSameRoot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old, anchor := f.authority.Issuing(), f.authority.NewestAnchor()
	before := f.mailCertificate(t, "one")
	staged := must(f.authority.Rollover(t.Context(), ""))
	if staged.State != certs.StateStaged || staged.Kind != certs.KeyP256 || !f.authority.Issuing().Equal(old) {
		t.Errorf("staged %+v", staged)
	}
	f.clock.advance(time.Minute)
	must(f.authority.Activate(t.Context(), staged.Fingerprint))
	after := f.mailCertificate(t, "two")
	if slices.Equal(before.AuthorityKeyId, after.AuthorityKeyId) {
		t.Error("what is issued after the activation is under the old one")
	}
	for _, c := range []*x509.Certificate{before, after} {
		trusted(t, f, c)
	}
	if len(f.authority.Anchors()) != 1 || !f.authority.NewestAnchor().Equal(anchor) {
		t.Error("phones would have to be told of a root")
	}
	if got := states(f.authority, "issuing"); !slices.Equal(got, []certs.AuthorityState{certs.StateActive, certs.StateOld}) {
		t.Errorf("states %v", got)
	}
	// Back, and on again: the one that was activated last signs.
	must(f.authority.Activate(t.Context(), fingerprint(old)))
	if !f.authority.Issuing().Equal(old) {
		t.Error("the old one was not taken back")
	}
	f.clock.advance(-time.Hour)
	must(f.authority.Activate(t.Context(), staged.Fingerprint))
	if f.authority.Issuing().Equal(old) {
		t.Error("a clock that was set back undid an activation")
	}
	again := open(t, f.store, f.clock)
	if !again.Issuing().Equal(f.authority.Issuing()) {
		t.Error("after a restart another one signs")
	}
}

func (f *fixture) mailCertificate(t *testing.T, transaction string) *x509.Certificate {
	t.Helper()
	g := grant()
	g.Rule, g.InvitationID, g.EnrollmentID = certs.RuleMailIdentity, "", "enrollment-1"
	cert, err := f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, g), PublicKey: phoneKey().Public(), TransactionID: transaction})
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func trusts(f *fixture, c *x509.Certificate) error {
	trust := cms.Trust{Roots: f.authority.Roots(), Intermediates: f.authority.Intermediates(), Now: f.clock.Now()}
	return trust.Check(c)
}

func trusted(t *testing.T, f *fixture, c *x509.Certificate) {
	t.Helper()
	if err := trusts(f, c); err != nil {
		t.Errorf("%s: %v", c.Subject, err)
	}
}

func TestRetire(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := f.authority.Issuing()
	before := f.mailCertificate(t, "one")
	refused(t, "active", f.authority.Retire(t.Context(), fingerprint(old)), certs.ErrAuthorityState, "activate another")
	refused(t, "root", f.authority.Retire(t.Context(), fingerprint(f.authority.Root())), certs.ErrAuthorityState, "active")
	refused(t, "unknown", f.authority.Retire(t.Context(), "00"), certs.ErrNotFound, "ca show")
	server := must(f.authority.ServerCertificate(t.Context(), []string{"localhost"})).Leaf
	staged := must(f.authority.Rollover(t.Context(), certs.KeyP384))
	must(f.authority.Activate(t.Context(), staged.Fingerprint))
	if !must(f.authority.ServerCertificate(t.Context(), []string{"localhost"})).Leaf.Equal(server) {
		t.Error("a new server certificate under the same root")
	}
	for range 2 { // again: nothing more
		if err := f.authority.Retire(t.Context(), strings.ToUpper(fingerprint(old))); err != nil {
			t.Fatal(err)
		}
	}
	if err := trusts(f, before); err == nil {
		t.Error("what a retired one signed is trusted")
	}
	if got := states(f.authority, "issuing"); !slices.Equal(got, []certs.AuthorityState{certs.StateActive, certs.StateRetired}) {
		t.Errorf("states %v", got)
	}
	if got := states(f.authority, "root"); !slices.Equal(got, []certs.AuthorityState{certs.StateActive}) {
		t.Errorf("the root of the active one is %v", got)
	}
	for name, c := range map[string]*x509.Certificate{
		"RA": f.authority.RA().Certificate, "signer": f.authority.ProfileSigner().Certificate,
		"server": must(f.authority.ServerCertificate(t.Context(), []string{"localhost"})).Leaf,
	} {
		if err := trusts(f, c); err != nil {
			t.Errorf("%s still hangs under the retired one: %v", name, err)
		}
	}
	_, err := f.authority.Activate(t.Context(), fingerprint(old))
	refused(t, "activate a retired one", err, certs.ErrAuthorityState, "was retired on")
	_, err = f.authority.Activate(t.Context(), fingerprint(f.authority.Root()))
	refused(t, "activate a root", err, certs.ErrAuthorityState, "above the issuing")
	acts := map[string]int{}
	for _, e := range f.store.entries {
		acts[e.Action]++
	}
	if acts["authority.activate"] != 1 || acts["authority.retire"] != 1 || acts["authority.rollover"] != 1 {
		t.Errorf("audited %v", acts)
	}
}

// TestNearTheEndOfTheRoot: what cannot last longer is not made again and again.
func TestNearTheEndOfTheRoot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 40 {
		f.clock.advance(90 * day)
		if err := f.authority.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(states(f.authority, "issuing")); n > 5 {
		t.Errorf("%d issuing certificates in ten years", n)
	}
	list := f.authority.Expiring(f.clock.Now())
	if len(list) != 2 || list[0].NotAfter.After(list[1].NotAfter) {
		t.Fatalf("expiring: %+v", list)
	}
	for _, info := range list {
		if !strings.Contains(info.Advice, "new root") {
			t.Errorf("%s: %s", info.Role, info.Advice)
		}
	}
}

// TestRecordsOfOlderPrograms: those know no states; what was newest signed.
func TestRecordsOfOlderPrograms(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(f.authority.Activate(t.Context(), must(f.authority.Rollover(t.Context(), "")).Fingerprint))
	for i := range f.store.keys {
		f.store.keys[i].ActiveAt = time.Time{}
	}
	again := open(t, f.store, f.clock)
	if !again.Issuing().Equal(f.authority.Issuing()) {
		t.Error("another one signs")
	}
	if got := states(again, "issuing"); !slices.Equal(got, []certs.AuthorityState{certs.StateActive, certs.StateStaged}) {
		t.Errorf("states %v", got)
	}
}

// TestAnotherProcess: what one has activated or retired, others follow.
func TestAnotherProcess(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := open(t, f.store, f.clock)
	staged := must(f.authority.Rollover(t.Context(), ""))
	must(other.Activate(t.Context(), staged.Fingerprint))
	refused(t, "by the one that does not know", f.authority.Retire(t.Context(), staged.Fingerprint), certs.ErrAuthorityState, "active")
	if err := f.authority.Maintain(t.Context()); err != nil || !f.authority.Issuing().Equal(other.Issuing()) {
		t.Errorf("%v, or another one signs", err)
	}
}

func TestMoveFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	staged := must(f.authority.Rollover(t.Context(), ""))
	f.store.fail = errors.New("disk full")
	if _, err := f.authority.Activate(t.Context(), staged.Fingerprint); !errors.Is(err, f.store.fail) {
		t.Errorf("activate: %v", err)
	}
	if err := f.authority.Retire(t.Context(), staged.Fingerprint); !errors.Is(err, f.store.fail) {
		t.Errorf("retire: %v", err)
	}
	if _, err := f.authority.Request(t.Context(), ""); !errors.Is(err, f.store.fail) {
		t.Errorf("request: %v", err)
	}
	if got := states(f.authority, "issuing"); !slices.Equal(got, []certs.AuthorityState{certs.StateStaged, certs.StateActive}) {
		t.Errorf("states %v", got)
	}
}

func hashOf(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
