package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/enroll"
)

var _ enroll.EndingStore = (*Renewals)(nil)

const (
	week  = 7 * 24 * time.Hour
	month = 30 * 24 * time.Hour

	// As expiringIdentities, waiting or not.
	endingIdentities = `SELECT COUNT(*), COUNT(CASE WHEN c.not_after < $3 THEN 1 END) FROM certs_certificates c
		JOIN enroll_enrollments e ON e.id = CASE WHEN c.rule = 'mdm-identity'
			THEN (SELECT x.id FROM enroll_enrollments x WHERE x.certificate_hash = c.sha256) ELSE c.enrollment_id END
		WHERE c.revoked_at = 0 AND c.not_after > $1 AND c.not_after < $2 AND e.state IN ` + activeStates + `
			AND (c.rule = 'mdm-identity' OR NOT ` + newerExists + `)`
	waitingEnrollments = `SELECT COUNT(*) FROM enroll_enrollments WHERE renewals <> '' AND state IN ` + activeStates
)

// CountEndings counts identities that end soon, and enrolments that wait for new ones.
func (s *Renewals) CountEndings(ctx context.Context, now time.Time) (enroll.IdentityEndings, error) {
	var e enroll.IdentityEndings
	err := s.db.reader.QueryRowContext(ctx, endingIdentities, micros(now), micros(now.Add(month)), micros(now.Add(week))).Scan(&e.Within30, &e.Within7)
	if err == nil {
		err = s.db.reader.QueryRowContext(ctx, waitingEnrollments).Scan(&e.Waiting)
	}
	if err != nil {
		return e, fmt.Errorf("count identities that end: %w", err)
	}
	return e, nil
}
