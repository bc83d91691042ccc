package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
)

var _ enroll.EndingStore = (*Renewals)(nil)

const (
	week  = 7 * 24 * time.Hour
	month = 30 * 24 * time.Hour

	// As expiringIdentities, waiting or not.
	endingIdentities = `SELECT COUNT(*), COUNT(CASE WHEN c.not_after < $3 THEN 1 END) FROM certs_certificates c
		JOIN enroll_enrollments e ON e.id = CASE WHEN c.rule = 'mdm-identity'
			THEN (SELECT x.id FROM enroll_enrollments x WHERE x.certificate_hash = c.sha256 AND x.certificate_hash <> '') ELSE c.enrollment_id END
		WHERE c.revoked_at = 0 AND c.not_after > $1 AND c.not_after < $2 AND e.state IN ` + activeStates + `
			AND (c.rule = 'mdm-identity' OR NOT ` + newerExists + `)`
	// What was enrolled by hand, and is no key that we keep for its user.
	endingByHand = `SELECT c.sha256, c.not_after FROM certs_certificates c
		WHERE c.revoked_at = 0 AND c.not_after > $1 AND c.not_after < $2 AND c.enrollment_id = '' AND c.rule <> 'mdm-identity'
			AND NOT EXISTS (SELECT 1 FROM certs_smime_keys k WHERE k.sha256 = c.sha256)`
	waitingEnrollments = `SELECT COUNT(*) FROM enroll_enrollments WHERE renewals <> '' AND state IN ` + activeStates
)

// CountEndings counts identities that end soon, and enrolments that wait for new ones.
func (s *Renewals) CountEndings(ctx context.Context, now time.Time) (enroll.IdentityEndings, error) {
	var e enroll.IdentityEndings
	err := s.db.reader.QueryRowContext(ctx, endingIdentities, micros(now), micros(now.Add(month)), micros(now.Add(week))).Scan(&e.Within30, &e.Within7)
	if err == nil {
		err = s.db.reader.QueryRowContext(ctx, waitingEnrollments).Scan(&e.Waiting)
	}
	if err == nil {
		e.ByHand30, e.ByHand7, err = s.countByHand(ctx, now)
	}
	if err != nil {
		return e, fmt.Errorf("count identities that end: %w", err)
	}
	return e, nil
}

// countByHand leaves out what its device has renewed: its successor does not name
// it, only the hash of its challenge does. There are few: an admin made each.
func (s *Renewals) countByHand(ctx context.Context, now time.Time) (in30, in7 int, err error) {
	type ending struct {
		sha256   string
		notAfter time.Time
	}
	rows, err := s.db.reader.QueryContext(ctx, endingByHand, micros(now), micros(now.Add(month)))
	list, err := collect(rows, err, func(r scanner) (e ending, err error) {
		return e, r.Scan(&e.sha256, stamp{&e.notAfter})
	})
	if err != nil {
		return 0, 0, err
	}
	for _, e := range list {
		var renewed int
		err := s.db.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM certs_challenges WHERE hash = $1 AND certificate_sha256 <> ''`,
			certs.RenewalHash(e.sha256)).Scan(&renewed)
		switch {
		case err != nil:
			return 0, 0, err
		case renewed > 0:
			continue
		}
		in30++
		if e.notAfter.Before(now.Add(week)) {
			in7++
		}
	}
	return in30, in7, nil
}
