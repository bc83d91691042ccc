package enroll

import (
	"cmp"
	"context"
	"slices"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

var _ RenewalStore = (*memory)(nil)

func (m *memory) waits(e mdm.Enrollment, rule, profile string) bool {
	return slices.ContainsFunc(e.Renewals, func(r mdm.Renewal) bool { return r.Rule == rule && r.Profile == profile })
}

// inUse reports whether a certificate is an identity that may be renewed.
func (m *memory) inUse(c certs.Certificate) (mdm.Enrollment, bool) {
	e := m.enrollments[mdm.EnrollmentID(c.EnrollmentID)]
	if !e.State.Active() || !c.RevokedAt.IsZero() {
		return e, false
	}
	return e, c.Rule == certs.RuleMailIdentity || c.Rule == certs.RuleMDMIdentity && e.CertificateHash == c.SHA256
}

func asIdentity(c certs.Certificate) Identity {
	return Identity{mdm.EnrollmentID(c.EnrollmentID), string(c.Rule), c.Profile, c.SHA256, c.NotBefore, c.NotAfter}
}

func (m *memory) ExpiringIdentities(_ context.Context, before time.Time, after *Identity, limit int) ([]Identity, error) {
	defer m.lock()()
	order := func(a, b Identity) int {
		return cmp.Or(a.NotAfter.Compare(b.NotAfter), cmp.Compare(a.SHA256, b.SHA256))
	}
	var list []Identity
	for _, c := range m.certs {
		i := asIdentity(c)
		e, ok := m.inUse(c)
		if ok && c.NotAfter.Before(before) && !m.waits(e, i.Rule, i.Profile) && (after == nil || order(i, *after) > 0) {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, order)
	return list[:min(len(list), limit)], m.broken
}

func (m *memory) UntoldIdentities(_ context.Context, since time.Time, waiting bool, after mdm.EnrollmentID, limit int) ([]Identity, error) {
	defer m.lock()()
	var list []Identity
	for _, c := range m.certs {
		e, ok := m.inUse(c)
		told := !c.NotBefore.Before(since) // the challenge is as old as the certificate, here
		if ok && c.Rule == certs.RuleMDMIdentity && !told && e.ID > after && (waiting || !m.waits(e, string(c.Rule), "")) {
			list = append(list, asIdentity(c))
		}
	}
	slices.SortFunc(list, func(a, b Identity) int { return cmp.Compare(a.EnrollmentID, b.EnrollmentID) })
	return list[:min(len(list), limit)], m.broken
}

func (m *memory) SaveRenewals(_ context.Context, renewals []IdentityRenewal, entry audit.Entry) error {
	defer m.lock()()
	if m.broken != nil {
		return m.broken
	}
	for _, r := range renewals {
		e := m.enrollments[r.EnrollmentID]
		if !e.State.Active() || m.waits(e, r.Renewal.Rule, r.Renewal.Profile) {
			continue
		}
		e.Renewals = append(slices.Clone(e.Renewals), r.Renewal)
		m.enrollments[e.ID] = e
		if due, ok := m.wakes[e.ID]; !ok || r.Renewal.DueAt.Before(due) {
			m.wakes[e.ID] = r.Renewal.DueAt
		}
	}
	m.audit = append(m.audit, entry)
	return nil
}

func (m *memory) PinSuccessor(_ context.Context, id mdm.EnrollmentID, from, to string, now time.Time, entry audit.Entry) (mdm.Enrollment, error) {
	defer m.lock()()
	if m.beforePin != nil {
		m.beforePin()
	}
	e, next := m.enrollments[id], m.certs[to]
	switch {
	case m.broken != nil:
		return mdm.Enrollment{}, m.broken
	case e.CertificateHash == to:
		return e, nil
	case e.CertificateHash != from, !e.State.Active(), next.EnrollmentID != string(id), next.Rule != certs.RuleMDMIdentity,
		!next.RevokedAt.IsZero(), !m.certs[from].RevokedAt.IsZero(), !now.Before(next.NotAfter):
		return mdm.Enrollment{}, ErrConflict
	}
	e.CertificateHash = to
	if rights, ok := m.rights[to]; ok {
		e.AccessRights &= rights
	}
	m.enrollments[id] = e
	for sha, c := range m.certs {
		if c.EnrollmentID == string(id) && c.Rule == certs.RuleMDMIdentity && c.RevokedAt.IsZero() && c.NotBefore.Before(next.NotBefore) {
			m.supersede(sha, now)
		}
	}
	m.event(mdm.EventIdentity, id, now)
	m.audit = append(m.audit, entry)
	return e, nil
}

func (m *memory) supersede(sha string, now time.Time) {
	c := m.certs[sha]
	c.RevokedAt, c.Reason = now, certs.ReasonSuperseded
	m.certs[sha] = c
}

func (m *memory) RetirePredecessors(_ context.Context, id mdm.EnrollmentID, listed []string, now time.Time, entry audit.Entry) (int, error) {
	defer m.lock()()
	m.retired++
	n := 0
	for sha, old := range m.certs {
		if old.EnrollmentID != string(id) || old.Rule != certs.RuleMailIdentity || !old.RevokedAt.IsZero() {
			continue
		}
		for _, next := range m.certs {
			if slices.Contains(listed, next.SHA256) && next.EnrollmentID == old.EnrollmentID && next.Rule == old.Rule && next.Profile == old.Profile && next.NotBefore.After(old.NotBefore) {
				m.supersede(sha, now)
				m.done(id, func(r mdm.Renewal) bool { return r.Certificate == sha })
				n++
				break
			}
		}
	}
	if n > 0 {
		m.event(mdm.EventIdentity, id, now)
		m.audit = append(m.audit, entry)
	}
	return n, m.broken
}

func (m *memory) done(id mdm.EnrollmentID, which func(mdm.Renewal) bool) {
	e, ok := m.enrollments[id]
	if !ok {
		return
	}
	e.Renewals = slices.DeleteFunc(slices.Clone(e.Renewals), which)
	m.enrollments[id] = e
}
