package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

var _ enroll.Hanging = (*Certificates)(nil)

// revokeBatch is how many certificates are revoked before others may write.
const revokeBatch = 200

// underIssuer goes through what is valid under one issuer, whatever hangs under
// others beside it, in the order of an index (TestIdentityQueries).
const underIssuer = `SELECT c.sha256, c.enrollment_id, c.not_after, c.issuer, CASE WHEN c.issuer = '' THEN c.der END, COALESCE(e.id, '')
	FROM certs_certificates c LEFT JOIN enroll_enrollments e ON e.certificate_hash = c.sha256 AND e.certificate_hash <> '' AND e.state IN ` + activeStates + `
	WHERE c.revoked_at = 0 AND (c.not_after, c.sha256) > ($1, $2) AND c.issuer IN ($3, '') ORDER BY c.not_after, c.sha256 LIMIT $4`

// hanging is a valid certificate under an issuer, with the active enrolment that is
// pinned to it.
type hanging struct {
	certs.Certificate
	pinned mdm.EnrollmentID
}

// hangers walks through what hangs under an issuer.
type hangers struct {
	issuer string
	last   certs.Certificate
}

func (h *hangers) next(ctx context.Context, q querier, some int) (page []hanging, more bool, err error) {
	rows, err := q.QueryContext(ctx, underIssuer, micros(h.last.NotAfter), h.last.SHA256, h.issuer, some)
	all, err := collect(rows, err, func(row scanner) (hanging, error) {
		var x hanging
		err := row.Scan(&x.SHA256, &x.EnrollmentID, stamp{&x.NotAfter}, &x.Issuer, &x.DER, textOf(&x.pinned))
		return x, err
	})
	for _, x := range all {
		h.last = x.Certificate
		if x.Issuer == h.issuer || issuerOf(x.DER) == h.issuer {
			page = append(page, x)
		}
	}
	return page, len(all) == some, err
}

// CountPinned counts the active enrolments that are pinned to what hangs under it.
func (s *Certificates) CountPinned(ctx context.Context, issuer string, now time.Time) (int, error) {
	n, h := 0, hangers{issuer: issuer, last: certs.Certificate{NotAfter: now, SHA256: afterAll}}
	for more := true; more; {
		var page []hanging
		var err error
		if page, more, err = h.next(ctx, s.db.reader, pageLimit(0)); err != nil {
			return n, fmt.Errorf("count phones under an issuer: %w", err)
		}
		for _, x := range page {
			if x.pinned != "" {
				n++
			}
		}
	}
	return n, nil
}

// afterAll sorts after every SHA-256 in hex: what ends at this moment has ended.
const afterAll = "g"

// RevokeUnder revokes what hangs under it, batch by batch.
func (s *Certificates) RevokeUnder(ctx context.Context, issuer string, now time.Time, entry audit.Entry) (int, error) {
	n, h := 0, hangers{issuer: issuer, last: certs.Certificate{NotAfter: now, SHA256: afterAll}}
	for more := true; more; {
		from, done := h, 0
		err := s.db.write(ctx, "revoke what hangs under an issuer", func(t *tx) error {
			h = from // a transaction may be tried again
			page, rest, err := h.next(ctx, t, revokeBatch)
			if done, more = len(page), rest; err != nil || len(page) == 0 {
				return unchanged(err)
			}
			for _, x := range page {
				if err := t.revokeHanging(ctx, x, now); err != nil {
					return err
				}
			}
			return t.audit(ctx, entry)
		})
		if err != nil {
			return n, err
		}
		n += done
	}
	return n, nil
}

func (t *tx) revokeHanging(ctx context.Context, x hanging, now time.Time) error {
	if err := t.revoke(ctx, x.SHA256, certs.ReasonCessationOfOperation, now); err != nil {
		return err
	}
	if _, err := t.revokeSMIME(ctx, x.SHA256, certs.ReasonCessationOfOperation, now); err != nil {
		return err
	}
	return t.emitIdentity(ctx, x.Certificate, now)
}
