package certs_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
)

// renewals keeps the contract of certs.RenewalStore on a memory.
type renewals struct{ *memory }

var _ certs.RenewalStore = renewals{}

func (m renewals) IssueRenewal(_ context.Context, signer string, claim certs.Claim, now time.Time, sign certs.Signing) (certs.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return certs.Certificate{}, m.fail
	}
	hash := string(certs.RenewalHash(signer))
	if r := m.challenges[hash]; r != nil {
		return m.issue(r, claim, sign)
	}
	i := slices.IndexFunc(m.certs, func(c certs.Certificate) bool { return c.SHA256 == signer })
	if i < 0 {
		return certs.Certificate{}, fmt.Errorf("%w: unknown", certs.ErrChallengeInvalid)
	}
	c := m.certs[i]
	switch {
	case !c.RevokedAt.IsZero():
		return certs.Certificate{}, fmt.Errorf("%w: revoked", certs.ErrChallengeInvalid)
	case now.After(c.NotAfter):
		return certs.Certificate{}, fmt.Errorf("%w: expired", certs.ErrChallengeInvalid)
	case c.Rule == certs.RuleMDMIdentity && m.pinned[c.EnrollmentID] != signer:
		return certs.Certificate{}, fmt.Errorf("%w: not the pinned one", certs.ErrChallengeInvalid)
	case c.Rule != certs.RuleMDMIdentity && slices.ContainsFunc(m.certs[i+1:], func(o certs.Certificate) bool {
		return o.EnrollmentID == c.EnrollmentID && o.UserID == c.UserID && o.Rule == c.Rule && o.Profile == c.Profile
	}):
		return certs.Certificate{}, fmt.Errorf("%w: not the newest", certs.ErrChallengeInvalid)
	}
	r := &row{challenge: certs.Challenge{Grant: certs.Grant{
		Rule: c.Rule, CommonName: "renamed@example.test", UPN: "renamed@example.test",
		UserID: c.UserID, EnrollmentID: c.EnrollmentID, Profile: c.Profile,
	}}}
	cert, err := m.issue(r, claim, sign)
	if err == nil {
		m.challenges[hash] = r
	}
	return cert, err
}

func (m renewals) Successors(_ context.Context, sha256 string) (line []certs.Certificate, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for r := m.challenges[string(certs.RenewalHash(sha256))]; r != nil; r = m.challenges[string(certs.RenewalHash(sha256))] {
		i := slices.IndexFunc(m.certs, func(c certs.Certificate) bool { return bytes.Equal(c.DER, r.der) })
		line = append(line, m.certs[i])
		sha256 = m.certs[i].SHA256
	}
	return line, m.fail
}

// revocations is what of certs.RevocationStore an Issuer uses.
type revocations struct{ *memory }

var _ certs.RevocationStore = revocations{}

func (m revocations) Revoke(_ context.Context, sha256 string, reason certs.RevocationReason, now time.Time, entry audit.Entry) (certs.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.certs {
		c := &m.certs[i]
		if c.SHA256 != sha256 {
			continue
		}
		if c.RevokedAt.IsZero() {
			c.RevokedAt, c.Reason = now, reason
			m.entries = append(m.entries, entry)
		}
		return *c, nil
	}
	return certs.Certificate{}, certs.ErrNotFound
}

func (m revocations) ListCertificates(_ context.Context, f certs.CertificateFilter) ([]certs.Certificate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []certs.Certificate
	for _, c := range m.certs {
		if f.UserID == "" || c.UserID == f.UserID {
			list = append(list, c)
		}
	}
	return list, m.fail
}

func (m revocations) RevocationMark(context.Context) (certs.RevocationMark, error) {
	return certs.RevocationMark{}, nil
}

func (m revocations) RevokedBy(context.Context, string, time.Time) ([]certs.Revoked, error) {
	return nil, nil
}

func (m revocations) CountValid(context.Context, time.Time) (map[string]int, error) { return nil, nil }

// enrolled issues an MDM identity and pins it.
func (f *fixture) pin(enrollmentID, sha256 string) {
	f.store.mu.Lock()
	defer f.store.mu.Unlock()
	if f.store.pinned == nil {
		f.store.pinned = map[string]string{}
	}
	f.store.pinned[enrollmentID] = sha256
	for i := range f.store.certs {
		if f.store.certs[i].SHA256 == sha256 {
			f.store.certs[i].EnrollmentID = enrollmentID
		}
	}
}
