package store

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

var _ certs.RevocationStore = (*Certificates)(nil)

// What is asked of all certificates on record follows partial indexes, and none
// of it but the last reads a certificate (TestQueryPlans).
const (
	revocationMark = `SELECT (SELECT COUNT(*) FROM certs_certificates WHERE revoked_at <> 0 AND revoked_at >= $1),
		(SELECT COALESCE(MAX(revoked_at), 0) FROM certs_certificates WHERE revoked_at <> 0),
		COALESCE((SELECT CAST(value AS BIGINT) FROM app_settings WHERE name = '` + raisedSetting + `'), 0)`
	// raisedSetting counts the revocations that got another reason since: their rows tell
	// neither that nor when.
	raisedSetting = "certificates.raised"
	countRaised   = `INSERT INTO app_settings (name, value) VALUES ('` + raisedSetting + `', '1')
		ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(app_settings.value AS BIGINT) + 1 AS TEXT)`
	revokedBy = `SELECT serial, revoked_at, reason FROM certs_certificates
		WHERE revoked_at <> 0 AND issuer = $1 AND not_after >= $2 ORDER BY not_after, serial`
	validByIssuer = `SELECT issuer, COUNT(*) FROM certs_certificates WHERE revoked_at = 0 AND not_after > $1 GROUP BY issuer`
	// Those of a program that knows no more than 0003 only say themselves who issued them.
	revokedUnsaid = `SELECT serial, revoked_at, reason, der FROM certs_certificates
		WHERE revoked_at <> 0 AND issuer = '' AND not_after >= $1 ORDER BY not_after, serial`
	validUnsaid = `SELECT der FROM certs_certificates WHERE revoked_at = 0 AND not_after > $1 AND issuer = ''`
)

// listedColumns leave out what a listing has no use for.
var listedColumns = strings.Replace(certificateColumns, " der,", " NULL,", 1)

// ListCertificates returns them in the order of SHA256.
func (s *Certificates) ListCertificates(ctx context.Context, f certs.CertificateFilter) ([]certs.Certificate, error) {
	query, args := listCertificates(f)
	rows, err := s.db.reader.QueryContext(ctx, query, args...)
	list, err := collect(rows, err, scanCertificate)
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	return list, nil
}

func listCertificates(f certs.CertificateFilter) (query string, args []any) {
	var w where
	w.add("sha256 > ?", f.After)
	if f.UserID != "" {
		w.add("user_id = ?", f.UserID)
	}
	if f.EnrollmentID != "" {
		w.add(strings.ReplaceAll(ofEnrollment, "$1", "?"), f.EnrollmentID, f.EnrollmentID)
	}
	if f.Rule != "" {
		w.add("rule = ?", f.Rule)
	}
	if !f.ExpiringBefore.IsZero() {
		w.add("revoked_at = 0 AND not_after > ? AND not_after < ?", micros(f.Now), micros(f.ExpiringBefore))
	}
	query = `SELECT ` + listedColumns + ` FROM certs_certificates` + w.clause() + ` ORDER BY sha256` + w.limit(pageLimit(f.Limit))
	return query, w.args
}

// Revoke marks a certificate, which from then on renews nothing either.
func (s *Certificates) Revoke(ctx context.Context, sha256 string, reason certs.RevocationReason, now time.Time, entry audit.Entry) (certs.Certificate, error) {
	var revoked certs.Certificate
	err := s.db.write(ctx, "revoke certificate", func(t *tx) error {
		c, err := t.certificate(ctx, sha256)
		if err != nil {
			return err
		}
		revoked = c
		marked, err := t.mark(ctx, c, reason, now)
		if err != nil {
			return err
		}
		if marked {
			if revoked, err = t.certificate(ctx, sha256); err != nil {
				return err
			}
		}
		return t.revoked(ctx, c, marked, reason, now, entry)
	})
	if err != nil {
		return certs.Certificate{}, err
	}
	return revoked, nil
}

// revoked ends a revocation: with a key that was lost goes all that is certified of it,
// and all that was renewed by its signature, also where c itself was revoked before.
// Where there is nothing to do, nothing is written.
func (t *tx) revoked(ctx context.Context, c certs.Certificate, marked bool, reason certs.RevocationReason, now time.Time, entry audit.Entry) error {
	others := 0
	if reason == certs.ReasonKeyCompromise {
		var err error
		if others, err = t.loseKey(ctx, c, now, entry); err != nil {
			return err
		}
	}
	switch {
	case marked:
		return t.audit(ctx, entry)
	case others == 0:
		return errUnchanged
	}
	return nil
}

// mark revokes one certificate with the S/MIME keys that are its own, and tells
// whom that concerns. Of one that is revoked already nothing changes, but that a key
// that was lost outweighs every other reason.
func (t *tx) mark(ctx context.Context, c certs.Certificate, reason certs.RevocationReason, now time.Time) (bool, error) {
	switch {
	case c.RevokedAt.IsZero():
	case reason != certs.ReasonKeyCompromise || c.Reason == reason:
		return false, nil
	default:
		if _, err := t.ExecContext(ctx, `UPDATE certs_certificates SET reason = $2 WHERE sha256 = $1`, c.SHA256, reason); err != nil {
			return false, err
		}
		_, err := t.ExecContext(ctx, countRaised)
		return true, err
	}
	if err := t.revoke(ctx, c.SHA256, reason, now); err != nil {
		return false, err
	}
	if _, err := t.revokeSMIME(ctx, c.SHA256, reason, now); err != nil {
		return false, err
	}
	return true, t.emitIdentity(ctx, c, now)
}

// revoke marks one certificate. What a server of before ADR 0009 has claimed by its
// signature, and not recorded yet, comes to nothing.
func (t *tx) revoke(ctx context.Context, sha256 string, reason certs.RevocationReason, now time.Time) error {
	_, err := t.ExecContext(ctx, `UPDATE certs_certificates SET revoked_at = $2, reason = $3 WHERE sha256 = $1 AND revoked_at = 0`,
		sha256, micros(now), reason)
	if err != nil {
		return err
	}
	return t.voidChallenges(ctx, now, `hash = $2`, certs.RenewalHash(sha256))
}

// emitIdentity tells the consumers of the active enrolment that has the certificate.
func (t *tx) emitIdentity(ctx context.Context, c certs.Certificate, now time.Time) error {
	rows, err := t.QueryContext(ctx, `SELECT id FROM enroll_enrollments
		WHERE (id = $1 OR certificate_hash = $2) AND state IN `+activeStates, c.EnrollmentID, c.SHA256)
	concerned, err := collect(rows, err, scanEnrollmentID)
	for _, id := range concerned {
		t.emit(mdm.EventIdentity, id, now)
	}
	return err
}

// day is how far the clocks of two servers may be apart.
const day = 24 * time.Hour

// RevocationMark counts what was revoked since yesterday began: years of it would
// take longer to count than a list takes to serve. The time of the last one shows
// what came later, and the count what came beside it or from a clock that is behind.
// A reason that was raised shows in neither: what it is said of may be long past.
func (s *Certificates) RevocationMark(ctx context.Context) (certs.RevocationMark, error) {
	var m certs.RevocationMark
	yesterday := s.db.now().Truncate(day).Add(-day)
	if err := s.db.reader.QueryRowContext(ctx, revocationMark, micros(yesterday)).Scan(&m.Count, stamp{&m.Last}, &m.Raised); err != nil {
		return certs.RevocationMark{}, fmt.Errorf("count revoked certificates: %w", err)
	}
	return m, nil
}

// RevokedBy lists what an issuing certificate signed and was revoked.
func (s *Certificates) RevokedBy(ctx context.Context, issuer string, since time.Time) ([]certs.Revoked, error) {
	list := []certs.Revoked{}
	err := s.db.read(ctx, "list revoked certificates", func(t *tx) error {
		rows, err := t.QueryContext(ctx, revokedBy, issuer, micros(since))
		list, err = collect(rows, err, func(row scanner) (certs.Revoked, error) {
			var r certs.Revoked
			err := row.Scan(&r.Serial, stamp{&r.RevokedAt}, &r.Reason)
			return r, err
		})
		if err != nil {
			return err
		}
		rows, err = t.QueryContext(ctx, revokedUnsaid, micros(since))
		_, err = collect(rows, err, func(row scanner) (struct{}, error) {
			var r certs.Revoked
			var der []byte
			err := row.Scan(&r.Serial, stamp{&r.RevokedAt}, &r.Reason, &der)
			if err == nil && issuerOf(der) == issuer {
				list = append(list, r)
			}
			return struct{}{}, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// CountValid counts the valid certificates of each issuer.
func (s *Certificates) CountValid(ctx context.Context, now time.Time) (map[string]int, error) {
	valid := map[string]int{}
	err := s.db.read(ctx, "count valid certificates", func(t *tx) error {
		clear(valid)
		rows, err := t.QueryContext(ctx, validByIssuer, micros(now))
		_, err = collect(rows, err, func(row scanner) (string, error) {
			var issuer string
			var n int
			err := row.Scan(&issuer, &n)
			valid[issuer] = n
			return issuer, err
		})
		if err != nil || valid[""] == 0 {
			return err
		}
		delete(valid, "")
		rows, err = t.QueryContext(ctx, validUnsaid, micros(now))
		_, err = collect(rows, err, func(row scanner) (struct{}, error) {
			var der []byte
			err := row.Scan(&der)
			valid[issuerOf(der)]++
			return struct{}{}, err
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return valid, nil
}

// issuerOf is who a certificate says has issued it; empty for one that cannot be
// read: no issuer of ours has to answer for that.
func issuerOf(der []byte) string {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(c.AuthorityKeyId)
}
