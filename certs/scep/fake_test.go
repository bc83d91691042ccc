package scep

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
)

// use is of a challenge, or of a certificate for its renewal.
type use struct {
	claim certs.Claim
	cert  certs.Certificate
}

// memory is a certs.Store and KeyStore for one invitation at a time, and an
// audit.Log.
type memory struct {
	mu      sync.Mutex
	open    map[string]certs.Challenge
	used    map[string]use
	rows    []certs.Certificate // what was issued
	keys    []certs.KeyRecord
	refused []audit.Entry
	fail    error // of the certificate store
	mute    error // of the audit log
}

var (
	_ certs.Store        = (*memory)(nil)
	_ certs.KeyStore     = (*memory)(nil)
	_ certs.RenewalStore = (*memory)(nil)
	_ audit.Log          = (*memory)(nil)
)

func (m *memory) SaveChallenge(_ context.Context, c certs.Challenge) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[string(c.Hash)] = c
	return m.fail
}

func (m *memory) Issue(_ context.Context, hash []byte, claim certs.Claim, now time.Time, sign certs.Signing) (certs.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.open[string(hash)]
	if _, used := m.used[string(hash)]; !used && (!ok || !now.Before(c.ExpiresAt)) && m.fail == nil {
		return certs.Certificate{}, fmt.Errorf("%w: unknown or expired", certs.ErrChallengeInvalid)
	}
	return m.issue(string(hash), c.Grant, claim, sign)
}

func (m *memory) issue(hash string, g certs.Grant, claim certs.Claim, sign certs.Signing) (certs.Certificate, error) {
	if m.fail != nil {
		return certs.Certificate{}, m.fail
	}
	if u, ok := m.used[hash]; ok {
		if u.claim.TransactionID != claim.TransactionID || !bytes.Equal(u.claim.KeyHash, claim.KeyHash) {
			return certs.Certificate{}, fmt.Errorf("%w: used by another", certs.ErrChallengeInvalid)
		}
		return u.cert, nil
	}
	for _, row := range slices.Backward(m.rows) {
		if row.KeyHash == hex.EncodeToString(claim.KeyHash) {
			if err := row.MayShareKey(g); err != nil {
				return certs.Certificate{}, err
			}
			break
		}
	}
	cert, _, err := sign(g)
	if err != nil {
		return certs.Certificate{}, err
	}
	m.used[hash] = use{claim, cert}
	m.rows = append(m.rows, cert)
	return cert, nil
}

func (m *memory) CertificateByHash(_ context.Context, sha256 string) (certs.Certificate, error) {
	return m.find(func(c certs.Certificate) bool { return c.SHA256 == sha256 })
}

func (m *memory) find(is func(certs.Certificate) bool) (certs.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range slices.Backward(m.rows) {
		if is(c) {
			return c, nil
		}
	}
	return certs.Certificate{}, certs.ErrNotFound
}

// IssueRenewal leaves out what another phone or profile would make of it: that is
// tested where there is a database.
func (m *memory) IssueRenewal(_ context.Context, signer string, claim certs.Claim, now time.Time, sign certs.Signing) (certs.Certificate, error) {
	row, err := m.CertificateByHash(context.Background(), signer)
	if err != nil {
		return certs.Certificate{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	hash := string(certs.RenewalHash(signer))
	if _, used := m.used[hash]; !used && (!row.RevokedAt.IsZero() || now.After(row.NotAfter)) {
		return certs.Certificate{}, fmt.Errorf("%w: revoked or expired", certs.ErrChallengeInvalid)
	}
	return m.issue(hash, certs.Grant{
		Rule: row.Rule, CommonName: "alice@example.test", UserID: row.UserID, EnrollmentID: row.EnrollmentID, Profile: row.Profile,
	}, claim, sign)
}

// Successors is asked for by who revokes, which is not done here.
func (m *memory) Successors(context.Context, string) ([]certs.Certificate, error) {
	return nil, errors.New("not asked for here")
}

// revoke marks whatever was issued.
func (m *memory) revoke(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.rows {
		m.rows[i].RevokedAt = now
	}
}

func (m *memory) Certificates(context.Context, string, certs.RuleName) ([]certs.Certificate, error) {
	return nil, nil
}

func (m *memory) Keys(context.Context) ([]certs.KeyRecord, error) {
	list := slices.Clone(m.keys)
	slices.Reverse(list)
	return list, nil
}

func (m *memory) SaveKeys(_ context.Context, records []certs.KeyRecord, _ audit.Entry) error {
	m.keys = append(m.keys, records...)
	return nil
}

func (m *memory) Append(_ context.Context, e audit.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refused = append(m.refused, e)
	return m.mute
}

func (m *memory) List(context.Context, audit.Filter) ([]audit.Entry, error) {
	return nil, errors.New("not asked for here")
}

func (m *memory) count() (issued, refused int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows), len(m.refused)
}

// lastReason is the audit trail's newest word.
func (m *memory) lastReason() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.refused) == 0 {
		return ""
	}
	return m.refused[len(m.refused)-1].Detail["reason"]
}

var madeKeys = sync.OnceValue(func() []certs.KeyRecord {
	store := &memory{}
	must(certs.Open(context.Background(), store, certs.Options{Organization: "Example"}))
	return store.keys
})

// fixture is a service on a fresh store; its clock stands at now plus skew.
type fixture struct {
	*Service
	store *memory
	skew  time.Duration
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	f := &fixture{store: &memory{
		open: map[string]certs.Challenge{}, used: map[string]use{}, keys: slices.Clone(madeKeys()),
	}}
	now := func() time.Time { return time.Now().Add(f.skew) }
	authority, err := certs.Open(tb.Context(), f.store, certs.Options{Organization: "Example", Now: now})
	if err != nil {
		tb.Fatal(err)
	}
	f.Service = &Service{
		Authority: authority, Audit: f.store, Now: now,
		Issuer: &certs.Issuer{Authority: authority, Store: f.store, Renewals: f.store, Now: now},
	}
	return f
}

// mint makes a challenge for the management identity of a phone that enrols.
func (f *fixture) mint(tb testing.TB) string {
	tb.Helper()
	return f.mintFor(tb, certs.Grant{
		Rule: certs.RuleMDMIdentity, CommonName: "alice@example.test", UPN: "alice@example.test",
		Mail: "alice@example.test", UserID: "user-1", InvitationID: "invitation-1",
	})
}

// mailGrant is for the mail identity of a phone, whose key may be of any kind.
func mailGrant() certs.Grant {
	return certs.Grant{
		Rule: certs.RuleMailIdentity, CommonName: "alice@example.test", UPN: "alice@example.test",
		Mail: "alice@example.test", UserID: "user-1", EnrollmentID: "enrollment-1", Profile: "profile-1",
	}
}

func (f *fixture) mintFor(tb testing.TB, g certs.Grant) string {
	tb.Helper()
	challenge, err := f.Issuer.Mint(tb.Context(), g, time.Hour)
	if err != nil {
		tb.Fatal(err)
	}
	return challenge.Reveal()
}

// claims is how many challenges and certificates were used.
func (m *memory) claims() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.used)
}

// challengesUntouched reports whether no challenge was used.
func (m *memory) challengesUntouched() bool { return m.claims() == 0 }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
