package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// Renewals keeps what identities of enrolments follow each other.
type Renewals struct{ db *DB }

var (
	_ enroll.RenewalStore = (*Renewals)(nil)
	_ enroll.UntoldStore  = (*Renewals)(nil)
)

// Renewals returns the store of renewals.
func (db *DB) Renewals() *Renewals { return &Renewals{db} }

// They are asked of a whole fleet, some identities at a time, and follow an index
// in its order (TestQueryPlans). The pin tells whose an mdm-identity is: a program
// that knows no more than 0003 writes no enrolment into its row.
const (
	identityColumns    = `SELECT e.id, c.rule, c.profile, c.sha256, c.not_before, c.not_after, e.renewals `
	expiringIdentities = identityColumns + `FROM certs_certificates c
		JOIN enroll_enrollments e ON e.id = CASE c.rule
			WHEN 'mdm-identity' THEN (SELECT x.id FROM enroll_enrollments x WHERE x.certificate_hash = c.sha256 AND x.certificate_hash <> '')
			WHEN 'mail-identity' THEN c.enrollment_id END
		WHERE c.revoked_at = 0 AND c.not_after < $1 AND (c.not_after, c.sha256) > ($2, $3) AND e.state IN ` + activeStates + `
		ORDER BY c.not_after, c.sha256 LIMIT $4`
	// SQLite goes from left to right where the join is a CROSS JOIN, and would begin
	// with all certificates of the rule otherwise. What is not active is named
	// for it, too: where it looks for the two active states in an index, it sorts.
	untoldIdentities = identityColumns + `FROM enroll_enrollments e CROSS JOIN certs_certificates c` + untold
	untoldPhones     = `SELECT e.id, ` + deviceColumns + `, COALESCE(u.upn, ''), e.last_seen_at
		FROM enroll_enrollments e CROSS JOIN certs_certificates c
		LEFT JOIN enroll_devices d ON d.id = e.device_id LEFT JOIN directory_users u ON u.id = e.user_id AND u.removed_at = 0` + untold
	untold = `
		LEFT JOIN certs_challenges b ON b.certificate_sha256 = c.sha256 AND b.certificate_sha256 <> ''
		WHERE e.id > $1 AND e.state NOT IN ` + endedStates + ` AND e.state NOT IN ('authenticated', 'held') AND c.sha256 = e.certificate_hash AND c.rule = 'mdm-identity'
			AND COALESCE(b.created_at, 0) < $2 ORDER BY e.id LIMIT $3`
)

// waitingIdentity is one with what its enrolment waits for.
type waitingIdentity struct {
	enroll.Identity
	due []mdm.Renewal
}

func scanIdentity(row scanner) (waitingIdentity, error) {
	var i waitingIdentity
	err := row.Scan(&i.EnrollmentID, &i.Rule, &i.Profile, &i.SHA256, stamp{&i.NotBefore}, stamp{&i.NotAfter}, renewals{&i.due})
	return i, err
}

// waits reports whether its successor is asked for already. One that is older than
// the column of profiles is known by itself alone.
func (i waitingIdentity) waits() bool {
	return slices.ContainsFunc(i.due, func(r mdm.Renewal) bool {
		return r.Rule == i.Rule && r.Profile == i.Profile || r.Certificate == i.SHA256
	})
}

// ExpiringIdentities lists identities that end before.
func (s *Renewals) ExpiringIdentities(ctx context.Context, before time.Time, after *enroll.Identity, limit int) ([]enroll.Identity, error) {
	last := enroll.Identity{}
	if after != nil {
		last = *after
	}
	list, err := gather(limit, func(some int) ([]waitingIdentity, error) {
		rows, err := s.db.reader.QueryContext(ctx, expiringIdentities, micros(before), micros(last.NotAfter), last.SHA256, some)
		page, err := collect(rows, err, scanIdentity)
		if len(page) > 0 {
			last = page[len(page)-1].Identity
		}
		return page, err
	}, waitingIdentity.waits)
	if err != nil {
		return nil, fmt.Errorf("list expiring identities: %w", err)
	}
	return list, nil
}

// UntoldIdentities lists pinned identities that were asked for before since.
func (s *Renewals) UntoldIdentities(ctx context.Context, since time.Time, waiting bool, after mdm.EnrollmentID, limit int) ([]enroll.Identity, error) {
	list, err := gather(limit, func(some int) ([]waitingIdentity, error) {
		rows, err := s.db.reader.QueryContext(ctx, untoldIdentities, after, micros(since), some)
		page, err := collect(rows, err, scanIdentity)
		if len(page) > 0 {
			after = page[len(page)-1].EnrollmentID
		}
		return page, err
	}, func(i waitingIdentity) bool { return !waiting && i.waits() })
	if err != nil {
		return nil, fmt.Errorf("list untold identities: %w", err)
	}
	return list, nil
}

// UntoldPhones lists the phones of such identities.
func (s *Renewals) UntoldPhones(ctx context.Context, since time.Time, after mdm.EnrollmentID, limit int) ([]enroll.UntoldPhone, error) {
	rows, err := s.db.reader.QueryContext(ctx, untoldPhones, after, micros(since), pageLimit(limit))
	list, err := collect(rows, err, func(row scanner) (p enroll.UntoldPhone, err error) {
		fields := append([]any{&p.EnrollmentID}, deviceFields(&p.Device)...)
		return p, row.Scan(append(fields, &p.UPN, stamp{&p.LastSeenAt})...)
	})
	if err != nil {
		return nil, fmt.Errorf("list untold phones: %w", err)
	}
	return list, nil
}

// gather reads page after page until limit of them are not left out.
func gather(limit int, next func(some int) ([]waitingIdentity, error), leaveOut func(waitingIdentity) bool) ([]enroll.Identity, error) {
	some := pageLimit(limit)
	list := []enroll.Identity{}
	for more := true; more && len(list) < some; {
		page, err := next(some)
		if err != nil {
			return nil, err
		}
		for _, i := range page {
			if !leaveOut(i) && len(list) < some {
				list = append(list, i.Identity)
			}
		}
		more = len(page) == some
	}
	return list, nil
}

// SaveRenewals adds what is due to the enrolments, and has their phones woken.
func (s *Renewals) SaveRenewals(ctx context.Context, due []enroll.IdentityRenewal, entry audit.Entry) error {
	return s.db.write(ctx, "save renewals", func(t *tx) error {
		saved := false
		for _, d := range due {
			added, err := t.addRenewal(ctx, d.EnrollmentID, d.Renewal)
			if err != nil {
				return fmt.Errorf("renewal for %s: %w", d.EnrollmentID, err)
			}
			saved = saved || added
		}
		if !saved {
			return errUnchanged
		}
		return t.audit(ctx, entry)
	})
}

// PinSuccessor moves the pin to a new identity.
func (s *Renewals) PinSuccessor(ctx context.Context, id mdm.EnrollmentID, from, to string, now time.Time, entry audit.Entry) (mdm.Enrollment, error) {
	var e mdm.Enrollment
	err := s.db.write(ctx, "pin successor", func(t *tx) (err error) {
		if e, err = t.enrollment(ctx, id); err != nil {
			return err
		}
		switch {
		case e.CertificateHash == to:
			return errUnchanged
		case e.CertificateHash != from:
			return fmt.Errorf("another identity is pinned: %w", enroll.ErrConflict)
		case !e.State.Active():
			return fmt.Errorf("enrolment is %s: %w", e.State, enroll.ErrConflict)
		}
		if err := t.pin(ctx, e, to, now); err != nil {
			return err
		}
		t.emit(mdm.EventIdentity, id, now)
		if e, err = t.enrollment(ctx, id); err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
	if err != nil {
		return mdm.Enrollment{}, err
	}
	return e, nil
}

// pin pins e to another certificate than it is pinned to.
func (t *tx) pin(ctx context.Context, e mdm.Enrollment, to string, now time.Time) error {
	if err := t.succeeds(ctx, e, to, now); err != nil {
		return err
	}
	rights, err := t.commonRights(ctx, e, to)
	if err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, `UPDATE enroll_enrollments SET certificate_hash = $2, access_rights = $3, state_changed_at = $4 WHERE id = $1`,
		e.ID, to, rights, micros(now)); err != nil {
		return err
	}
	// One that was asked for because the old one ends came too late to be needed.
	err = t.changeRenewals(ctx, e.ID, func(list []mdm.Renewal) []mdm.Renewal {
		return slices.DeleteFunc(list, func(r mdm.Renewal) bool {
			return r.Certificate == e.CertificateHash && r.Reason == mdm.RenewalExpiry
		})
	})
	if err != nil {
		return err
	}
	rows, err := t.QueryContext(ctx, overtaken, e.ID, to, e.CertificateHash)
	old, err := collect(rows, err, func(row scanner) (sha256 string, err error) { err = row.Scan(&sha256); return sha256, err })
	if err != nil {
		return err
	}
	for _, sha256 := range old {
		if err := t.revoke(ctx, sha256, certs.ReasonSuperseded, now); err != nil {
			return err
		}
	}
	return nil
}

// overtaken are the identity that an enrolment is pinned to, and those that were
// issued for it before the one that it will be pinned to and never used.
const overtaken = `SELECT o.sha256 FROM certs_certificates o JOIN certs_certificates c ON c.sha256 = $2
	WHERE o.sha256 = $3 OR (o.enrollment_id = $1 AND o.rule = 'mdm-identity' AND o.revoked_at = 0
		AND (o.issued_at, o.sha256) < (c.issued_at, c.sha256))`

// succeeds makes sure that a certificate was issued to e, after the one that it is
// pinned to, and is good at now. Nothing follows an identity that an admin has revoked.
func (t *tx) succeeds(ctx context.Context, e mdm.Enrollment, to string, now time.Time) error {
	c, err := t.certificate(ctx, to)
	switch {
	case errors.Is(err, certs.ErrNotFound), err == nil && (c.Rule != certs.RuleMDMIdentity || c.EnrollmentID != string(e.ID)):
		return fmt.Errorf("no identity of this enrolment: %w", enroll.ErrConflict)
	case err != nil:
		return err
	case !c.RevokedAt.IsZero():
		return fmt.Errorf("the identity is revoked: %w", enroll.ErrConflict)
	case !now.Before(c.NotAfter):
		return fmt.Errorf("the identity has expired: %w", enroll.ErrConflict)
	}
	var older, revoked bool
	err = t.QueryRowContext(ctx, `SELECT (p.issued_at, p.sha256) > (c.issued_at, c.sha256), p.revoked_at <> 0
		FROM certs_certificates c JOIN certs_certificates p ON p.sha256 = $2 WHERE c.sha256 = $1`, to, e.CertificateHash).Scan(&older, &revoked)
	switch {
	case err != nil:
		return orNotFound(err, nil) // the pinned one is not on record
	case revoked:
		return fmt.Errorf("the pinned identity is revoked: %w", enroll.ErrConflict)
	case older:
		return fmt.Errorf("the identity is older than the pinned one: %w", enroll.ErrConflict)
	}
	return nil
}

// commonRights are what e keeps with the profile that brought its new identity. A
// grant that says nothing of rights takes none away.
func (t *tx) commonRights(ctx context.Context, e mdm.Enrollment, to string) (int, error) {
	brought, err := t.challengeOf(ctx, to)
	if err != nil || brought.Grant.AccessRights == 0 {
		return e.AccessRights, orNotFound(err, nil)
	}
	return e.AccessRights & brought.Grant.AccessRights, nil
}

const mailIdentities = `SELECT sha256, profile, revoked_at FROM certs_certificates
	WHERE enrollment_id = $1 AND rule = 'mail-identity' ORDER BY issued_at, sha256`

// predecessors finds mail identities of which the phone lists a newer one.
func predecessors(ctx context.Context, q querier, id mdm.EnrollmentID, listed []string) ([]string, error) {
	rows, err := q.QueryContext(ctx, mailIdentities, id)
	all, err := collect(rows, err, func(row scanner) (certs.Certificate, error) {
		var c certs.Certificate
		err := row.Scan(&c.SHA256, &c.Profile, stamp{&c.RevokedAt})
		return c, err
	})
	var old []string
	for i, c := range all {
		replaced := slices.ContainsFunc(all[i+1:], func(newer certs.Certificate) bool {
			if !slices.Contains(listed, newer.SHA256) {
				return false
			}
			// One that is older than the column of profiles is gone when the phone says so.
			return newer.Profile == c.Profile || c.Profile == "" && !slices.Contains(listed, c.SHA256)
		})
		if replaced && c.RevokedAt.IsZero() {
			old = append(old, c.SHA256)
		}
	}
	return old, err
}

// RetirePredecessors revokes mail identities that a newer one has replaced. Nearly
// always there is none, which is found out without holding up anybody who writes.
func (s *Renewals) RetirePredecessors(ctx context.Context, id mdm.EnrollmentID, listed []string, now time.Time, entry audit.Entry) (int, error) {
	old, err := predecessors(ctx, s.db.reader, id, listed)
	if err != nil {
		return 0, fmt.Errorf("look for predecessors: %w", err)
	}
	if len(old) == 0 {
		return 0, nil
	}
	err = s.db.write(ctx, "retire predecessors", func(t *tx) error {
		if old, err = predecessors(ctx, t, id, listed); err != nil || len(old) == 0 {
			return unchanged(err)
		}
		if err := t.retireIdentities(ctx, id, old, certs.ReasonSuperseded, now); err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
	if err != nil {
		return 0, err
	}
	return len(old), nil
}

// retireIdentities revokes certificates of an enrolment, and ends what was to renew them.
func (t *tx) retireIdentities(ctx context.Context, id mdm.EnrollmentID, old []string, reason certs.RevocationReason, now time.Time) error {
	for _, sha256 := range old {
		if err := t.revoke(ctx, sha256, reason, now); err != nil {
			return err
		}
	}
	err := t.changeRenewals(ctx, id, func(list []mdm.Renewal) []mdm.Renewal {
		return slices.DeleteFunc(list, func(r mdm.Renewal) bool { return slices.Contains(old, r.Certificate) })
	})
	if err != nil {
		return err
	}
	return t.emitIdentity(ctx, certs.Certificate{EnrollmentID: string(id)}, now)
}
