package certs_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
)

// memory keeps what the contract of certs.Store and certs.KeyStore asks for.
type memory struct {
	mu         sync.Mutex
	challenges map[string]*row
	certs      []certs.Certificate
	keys       []certs.KeyRecord
	entries    []audit.Entry
	pinned     map[string]string // enrolment: SHA-256 of its MDM identity
	fail       error             // of every write, when set
}

type row struct {
	challenge certs.Challenge
	claim     *certs.Claim
	der       []byte
	void      bool
}

var (
	_ certs.Store    = (*memory)(nil)
	_ certs.KeyStore = (*memory)(nil)
	_ certs.KeyMover = (*memory)(nil)
)

func newMemory() *memory { return &memory{challenges: map[string]*row{}} }

func (m *memory) SaveChallenge(_ context.Context, c certs.Challenge) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.challenges[string(c.Hash)] = &row{challenge: c}
	return nil
}

func (m *memory) Issue(_ context.Context, hash []byte, claim certs.Claim, now time.Time, sign certs.Signing) (certs.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.challenges[string(hash)]
	switch {
	case m.fail != nil:
		return certs.Certificate{}, m.fail
	case r == nil:
		return certs.Certificate{}, fmt.Errorf("%w: unknown", certs.ErrChallengeInvalid)
	case r.void:
		return certs.Certificate{}, fmt.Errorf("%w: void", certs.ErrChallengeInvalid)
	case r.claim == nil && !now.Before(r.challenge.ExpiresAt):
		return certs.Certificate{}, fmt.Errorf("%w: expired", certs.ErrChallengeInvalid)
	}
	return m.issue(r, claim, sign)
}

// issue is what challenge and renewal have in common.
func (m *memory) issue(r *row, claim certs.Claim, sign certs.Signing) (certs.Certificate, error) {
	if r.claim != nil {
		if r.claim.TransactionID != claim.TransactionID || !bytes.Equal(r.claim.KeyHash, claim.KeyHash) {
			return certs.Certificate{}, fmt.Errorf("%w: used by another", certs.ErrChallengeInvalid)
		}
		i := slices.IndexFunc(m.certs, func(c certs.Certificate) bool { return bytes.Equal(c.DER, r.der) })
		return m.certs[i], nil
	}
	g := r.challenge.Grant
	for _, c := range slices.Backward(m.certs) {
		if c.KeyHash == hexText(claim.KeyHash) {
			if err := c.MayShareKey(g); err != nil {
				return certs.Certificate{}, err
			}
			break
		}
	}
	cert, entry, err := sign(g)
	if err != nil {
		return certs.Certificate{}, err
	}
	for _, other := range m.challenges {
		o := other.challenge.Grant
		if other != r && other.claim == nil && (g.InvitationID != "" && o.InvitationID == g.InvitationID ||
			g.EnrollmentID != "" && o.EnrollmentID == g.EnrollmentID && o.Rule == g.Rule) {
			other.void = true
		}
	}
	r.claim, r.der = &claim, cert.DER
	m.certs, m.entries = append(m.certs, cert), append(m.entries, entry)
	return cert, nil
}

func (m *memory) CertificateByHash(_ context.Context, sha256 string) (certs.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.certs {
		if c.SHA256 == sha256 {
			return c, nil
		}
	}
	return certs.Certificate{}, certs.ErrNotFound
}

func (m *memory) Certificates(_ context.Context, enrollmentID string, rule certs.RuleName) ([]certs.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []certs.Certificate
	for _, c := range slices.Backward(m.certs) {
		if c.EnrollmentID == enrollmentID && c.Rule == rule {
			list = append(list, c)
		}
	}
	return list, nil
}

func (m *memory) Keys(context.Context) ([]certs.KeyRecord, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := slices.Clone(m.keys)
	slices.Reverse(list)
	return list, nil
}

func (m *memory) SaveKeys(_ context.Context, records []certs.KeyRecord, entry audit.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.keys = append(m.keys, records...)
	m.entries = append(m.entries, entry)
	return nil
}

func (m *memory) MoveKeys(_ context.Context, records []certs.KeyRecord, entry audit.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	for _, r := range records {
		if !slices.ContainsFunc(m.keys, func(k certs.KeyRecord) bool { return bytes.Equal(k.Certificate, r.Certificate) }) {
			return certs.ErrNotFound
		}
	}
	m.keys = slices.Clone(m.keys)
	for _, r := range records {
		for i := range m.keys {
			if bytes.Equal(m.keys[i].Certificate, r.Certificate) {
				m.keys[i].ActiveAt, m.keys[i].RetiredAt = r.ActiveAt, r.RetiredAt
			}
		}
	}
	m.entries = append(m.entries, entry)
	return nil
}

func (m *memory) issued() []certs.Certificate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.certs)
}

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fixture is an authority on a fresh store.
type fixture struct {
	store     *memory
	clock     *clock
	authority *certs.Authority
	issuer    *certs.Issuer
}

func open(t *testing.T, store *memory, c *clock) *certs.Authority {
	t.Helper()
	a, err := certs.Open(t.Context(), store, certs.Options{Organization: "Example", Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// madeKeys are the keys of one first start: RSA takes its time to make.
var madeKeys = sync.OnceValue(func() []certs.KeyRecord {
	store := newMemory()
	must(certs.Open(context.Background(), store, certs.Options{Organization: "Example", Now: newClock().Now}))
	return store.keys
})

// newFixture is an authority at its second start.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{store: newMemory(), clock: newClock()}
	f.store.keys = slices.Clone(madeKeys())
	f.authority = open(t, f.store, f.clock)
	f.issuer = &certs.Issuer{
		Authority: f.authority, Store: f.store, Renewals: renewals{f.store}, Revocations: revocations{f.store}, Now: f.clock.Now,
	}
	return f
}

func grant() certs.Grant {
	return certs.Grant{
		Rule: certs.RuleMDMIdentity, CommonName: "alice@example.test", UPN: "alice@example.test",
		Mail: "alice.a@example.test", UserID: "user-1", InvitationID: "invitation-1",
	}
}

// mailGrant is for the mail identity of a phone, whose key may be of any kind.
func mailGrant(enrollmentID string) certs.Grant {
	g := grant()
	g.Rule, g.InvitationID, g.EnrollmentID, g.Profile = certs.RuleMailIdentity, "", enrollmentID, "profile-1"
	return g
}

// samePublic reports whether public is that of key.
func samePublic(public crypto.PublicKey, key crypto.Signer) bool {
	return key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(public)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func hexText(b []byte) string { return hex.EncodeToString(b) }
