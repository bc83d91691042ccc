package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

var _ enroll.Leftovers = (*Certificates)(nil)

const (
	namelessKeys = `SELECT sha256 FROM certs_certificates WHERE key_hash = ''`
	// endedHolders goes through what is valid in the order of an index, as underIssuer does.
	endedHolders = `SELECT c.sha256, c.not_after, COALESCE(e.id, ''), COALESCE(e.state, '')
		FROM certs_certificates c LEFT JOIN enroll_enrollments e ON e.id = CASE WHEN c.enrollment_id <> '' THEN c.enrollment_id
			ELSE (SELECT x.id FROM enroll_enrollments x WHERE x.certificate_hash = c.sha256 AND x.certificate_hash <> '') END
		WHERE c.revoked_at = 0 AND (c.not_after, c.sha256) > ($1, $2) ORDER BY c.not_after, c.sha256 LIMIT $3`
)

// NameKeys reads from each certificate what its row does not say of the key.
func (s *Certificates) NameKeys(ctx context.Context) (int, error) {
	rows, err := s.db.reader.QueryContext(ctx, namelessKeys)
	nameless, err := collect(rows, err, func(row scanner) (sha256 string, err error) { return sha256, row.Scan(&sha256) })
	if err != nil {
		return 0, fmt.Errorf("list certificates without a key: %w", err)
	}
	n := 0
	for batch := range slices.Chunk(nameless, revokeBatch) {
		done := 0
		err := s.db.write(ctx, "note keys", func(t *tx) error {
			done = 0
			for _, sha256 := range batch {
				named, err := t.nameKey(ctx, sha256)
				if err != nil {
					return fmt.Errorf("of certificate %s: %w", sha256, err)
				}
				done += named
			}
			if done == 0 {
				return errUnchanged
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		n += done
	}
	return n, nil
}

func (t *tx) nameKey(ctx context.Context, sha256 string) (int, error) {
	c, err := t.certificate(ctx, sha256)
	if err != nil {
		return 0, err
	}
	key := keyHashOf(c)
	if key == "" {
		return 0, nil
	}
	n, err := t.change(ctx, `UPDATE certs_certificates SET key_hash = $2 WHERE sha256 = $1 AND key_hash = ''`, sha256, key)
	return int(n), err
}

// RevokeEnded ends what outlived its enrolment.
func (s *Certificates) RevokeEnded(ctx context.Context, now time.Time, entry audit.Entry) (int, error) {
	n, last := 0, certs.Certificate{NotAfter: now, SHA256: afterAll}
	for more := true; more; {
		rows, err := s.db.reader.QueryContext(ctx, endedHolders, micros(last.NotAfter), last.SHA256, maxLimit)
		page, err := collect(rows, err, func(row scanner) (h holder, err error) {
			return h, row.Scan(&h.SHA256, stamp{&h.NotAfter}, textOf(&h.enrollment.ID), textOf(&h.enrollment.State))
		})
		if err != nil {
			return n, fmt.Errorf("list certificates of enrolments that have ended: %w", err)
		}
		if more = len(page) == maxLimit; more {
			last = page[len(page)-1].Certificate
		}
		for batch := range slices.Chunk(endedOf(page), revokeBatch) {
			done, err := s.revokeEnded(ctx, batch, now, entry)
			if n += done; err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// holder is who has a certificate, as far as anybody does.
type holder struct {
	certs.Certificate
	enrollment mdm.Enrollment
}

// endedOf are the enrolments among them that have ended, each of them once.
func endedOf(page []holder) []mdm.Enrollment {
	var list []mdm.Enrollment
	for _, h := range page {
		known := slices.ContainsFunc(list, func(e mdm.Enrollment) bool { return e.ID == h.enrollment.ID })
		if h.enrollment.State.Ended() && !known {
			list = append(list, h.enrollment)
		}
	}
	return list
}

func (s *Certificates) revokeEnded(ctx context.Context, ended []mdm.Enrollment, now time.Time, entry audit.Entry) (n int, err error) {
	err = s.db.write(ctx, "revoke what outlived its enrolment", func(t *tx) error {
		n = 0
		for _, e := range ended {
			revoked, err := t.change(ctx, revokeOfEnrollment, e.ID, micros(now), endReason(e.State))
			if err != nil {
				return fmt.Errorf("of %s: %w", e.ID, err)
			}
			if revoked == 0 { // another server was here
				continue
			}
			n++
			entry.Target = string(e.ID)
			if err := t.audit(ctx, entry); err != nil {
				return err
			}
		}
		if n == 0 {
			return errUnchanged
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}
