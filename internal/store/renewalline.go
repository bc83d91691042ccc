package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sallyport/certs"
)

// A certificate that was renewed by its own signature does not stand in the row of its
// successor: only the hash of the challenge that brought the successor tells. So a
// line of renewals is followed from its beginning, one look-up for each.
const (
	successorOf = `SELECT ` + certificateColumns + ` FROM certs_certificates WHERE sha256 =
		(SELECT certificate_sha256 FROM certs_challenges WHERE hash = $1 AND certificate_sha256 <> '')`
	lostOfUser = `SELECT sha256 FROM certs_certificates WHERE user_id = $1 AND revoked_at <> 0 AND reason = $2 ORDER BY sha256`
)

// Successors follows the renewals by signature that began with a certificate.
func (s *Certificates) Successors(ctx context.Context, sha256 string) ([]certs.Certificate, error) {
	var line []certs.Certificate
	err := s.db.read(ctx, "list successors", func(t *tx) error {
		line = nil
		return t.eachSuccessor(ctx, sha256, map[string]bool{}, func(c certs.Certificate) { line = append(line, c) })
	})
	if err != nil {
		return nil, err
	}
	return line, nil
}

// successor is what was renewed by the signature of a certificate; sql.ErrNoRows
// where nothing was.
func (t *tx) successor(ctx context.Context, sha256 string) (certs.Certificate, error) {
	return scanCertificate(t.QueryRowContext(ctx, successorOf, certs.RenewalHash(sha256)))
}

// eachSuccessor follows a line to its end, or to what was met before.
func (t *tx) eachSuccessor(ctx context.Context, sha256 string, met map[string]bool, do func(certs.Certificate)) error {
	for met[sha256] = true; ; met[sha256] = true {
		c, err := t.successor(ctx, sha256)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("successor of certificate %s: %w", sha256, err)
		}
		if met[c.SHA256] {
			return nil
		}
		do(c)
		sha256 = c.SHA256
	}
}

// descendsFromLost reports whether a certificate was renewed by signature, at once or by
// way of others, from one whose key was lost. Whoever revokes for that ends the
// whole line; earlier versions did not. A line is of one user.
func (t *tx) descendsFromLost(ctx context.Context, c certs.Certificate) (bool, error) {
	rows, err := t.QueryContext(ctx, lostOfUser, c.UserID, certs.ReasonKeyCompromise)
	lost, err := collect(rows, err, func(row scanner) (sha256 string, err error) { return sha256, row.Scan(&sha256) })
	if err != nil {
		return false, err
	}
	descends, met := false, map[string]bool{}
	for _, ancestor := range lost {
		err := t.eachSuccessor(ctx, ancestor, met, func(next certs.Certificate) { descends = descends || next.SHA256 == c.SHA256 })
		if err != nil || descends {
			return descends, err
		}
	}
	return false, nil
}
