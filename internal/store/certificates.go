package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

const certificateColumns = `sha256, der, serial, rule, user_id, invitation_id, enrollment_id,
	profile, issuer, key_hash, not_before, not_after, revoked_at, reason`

func scanCertificate(row scanner) (certs.Certificate, error) {
	var c certs.Certificate
	err := row.Scan(certificateFields(&c)...)
	return c, err
}

func certificateFields(c *certs.Certificate) []any {
	return []any{&c.SHA256, &c.DER, &c.Serial, &c.Rule, &c.UserID, &c.InvitationID, &c.EnrollmentID,
		&c.Profile, &c.Issuer, &c.KeyHash, stamp{&c.NotBefore}, stamp{&c.NotAfter}, stamp{&c.RevokedAt}, &c.Reason}
}

func (t *tx) certificate(ctx context.Context, sha256 string) (certs.Certificate, error) {
	c, err := scanCertificate(t.QueryRowContext(ctx, `SELECT `+certificateColumns+` FROM certs_certificates WHERE sha256 = $1`, sha256))
	return c, orNotFound(err, certs.ErrNotFound)
}

// Issue takes a challenge and records the certificate that is made of it.
func (s *Certificates) Issue(ctx context.Context, hash []byte, claim certs.Claim, now time.Time, sign certs.Signing) (certs.Certificate, error) {
	var issued certs.Certificate
	err := s.db.write(ctx, "issue certificate", func(t *tx) error {
		var err error
		issued, err = t.issue(ctx, hash, claim, now, sign)
		return err
	})
	if err != nil {
		return certs.Certificate{}, err
	}
	return issued, nil
}

// issue makes the certificate of a challenge, or ends the unit with the one that
// was issued to the same claim before.
func (t *tx) issue(ctx context.Context, hash []byte, claim certs.Claim, now time.Time, sign certs.Signing) (certs.Certificate, error) {
	o, err := t.offer(ctx, hash, claim, now)
	if err != nil {
		return certs.Certificate{}, err
	}
	if err := t.takeTurn(ctx, o.grant); err != nil {
		return certs.Certificate{}, err
	}
	if !o.open {
		before, err := t.issuedBefore(ctx, hash, claim, now)
		return before, unchanged(err)
	}
	if o.known {
		if err := t.mayShareKey(ctx, claim.KeyHash, o.grant); err != nil {
			return certs.Certificate{}, err
		}
	}
	cert, entry, err := sign(o.grant)
	if err != nil {
		return certs.Certificate{}, err
	}
	return t.record(ctx, hash, o.grant, claim, cert, now, entry)
}

// record writes what was signed, and all that follows from it.
func (t *tx) record(ctx context.Context, hash []byte, g certs.Grant, claim certs.Claim, c certs.Certificate, now time.Time, entry audit.Entry) (certs.Certificate, error) {
	if c.Rule != g.Rule || c.UserID != g.UserID || c.InvitationID != g.InvitationID || c.EnrollmentID != g.EnrollmentID || c.Profile != g.Profile ||
		c.KeyHash != hex.EncodeToString(claim.KeyHash) {
		return certs.Certificate{}, refuseChallenge("it is for another certificate")
	}
	if err := t.takeChallenge(ctx, hash, claim, c.SHA256, now); err != nil {
		return certs.Certificate{}, err
	}
	if err := t.voidSiblings(ctx, hash, g, now); err != nil {
		return certs.Certificate{}, err
	}
	if err := t.burnInvitation(ctx, g.InvitationID, now); err != nil {
		return certs.Certificate{}, err
	}
	c, err := t.insertCertificate(ctx, c, now)
	if err != nil {
		return certs.Certificate{}, err
	}
	if err := t.endRenewal(ctx, g); err != nil {
		return certs.Certificate{}, err
	}
	if err := t.knoxIssued(ctx, c, now); err != nil {
		return certs.Certificate{}, err
	}
	if c.Rule == certs.RuleMailIdentity { // by which a mail client may prove itself from now on
		t.emitUser(mdm.EventAccess, directory.UserID(c.UserID), now)
	}
	return c, t.audit(ctx, entry)
}

func (t *tx) burnInvitation(ctx context.Context, id string, now time.Time) error {
	if id == "" {
		return nil
	}
	n, err := t.change(ctx, `UPDATE enroll_invitations SET state = 'used', used_at = $2 WHERE id = $1 AND state = 'open'`, id, micros(now))
	if err == nil && n == 0 {
		return refuseChallenge("invitation no longer open")
	}
	return err
}

// issuedAt is the time $13, or what follows the last certificate of the enrolment
// $7. It tells which of them is the newest: a clock that was set back must not make
// the successor of an identity look older than that, or the phone that uses it is
// refused. The enrolment's first identity may name it in the pin alone.
const issuedAt = `(SELECT MAX(follows) FROM (SELECT CAST($13 AS BIGINT) AS follows
	UNION ALL SELECT o.issued_at + 1 FROM certs_certificates o WHERE o.enrollment_id = $7 AND o.enrollment_id <> ''
	UNION ALL SELECT p.issued_at + 1 FROM enroll_enrollments e JOIN certs_certificates p ON p.sha256 = e.certificate_hash WHERE e.id = $7) AS line)`

func (t *tx) insertCertificate(ctx context.Context, c certs.Certificate, now time.Time) (certs.Certificate, error) {
	_, err := t.ExecContext(ctx, `INSERT INTO certs_certificates (sha256, der, serial, rule, user_id,
			invitation_id, enrollment_id, profile, issuer, key_hash, not_before, not_after, issued_at, revoked_at, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, `+issuedAt+`, $14, $15)`,
		c.SHA256, c.DER, c.Serial, c.Rule, c.UserID, c.InvitationID, c.EnrollmentID, c.Profile, c.Issuer, c.KeyHash,
		micros(c.NotBefore), micros(c.NotAfter), micros(now), micros(c.RevokedAt), c.Reason)
	c.NotBefore, c.NotAfter, c.RevokedAt = whole(c.NotBefore), whole(c.NotAfter), whole(c.RevokedAt)
	return c, err
}

// CertificateByHash looks up by SHA-256 in lower-case hex.
func (s *Certificates) CertificateByHash(ctx context.Context, sha256 string) (certs.Certificate, error) {
	c, err := scanCertificate(s.db.reader.QueryRowContext(ctx,
		`SELECT `+certificateColumns+` FROM certs_certificates WHERE sha256 = $1`, sha256))
	if err != nil {
		return certs.Certificate{}, fmt.Errorf("load certificate %s: %w", sha256, orNotFound(err, certs.ErrNotFound))
	}
	return c, nil
}

// ofEnrollment finds the certificates of the enrolment $1. The identity that its
// phone enrolled with may not say so in its row: a program that knows no more than
// 0003 leaves it out. An OR of the two would have PostgreSQL read all there are.
const ofEnrollment = `sha256 IN (SELECT o.sha256 FROM certs_certificates o WHERE o.enrollment_id = $1
	UNION SELECT e.certificate_hash FROM enroll_enrollments e WHERE e.id = $1)`

const certificatesOfRule = `SELECT ` + certificateColumns + ` FROM certs_certificates
	WHERE ` + ofEnrollment + ` AND rule = $2 ORDER BY issued_at DESC, sha256`

// Certificates returns those of one enrolment and rule, newest first.
func (s *Certificates) Certificates(ctx context.Context, enrollmentID string, rule certs.RuleName) ([]certs.Certificate, error) {
	rows, err := s.db.reader.QueryContext(ctx, certificatesOfRule, enrollmentID, rule)
	list, err := collect(rows, err, scanCertificate)
	if err != nil {
		return nil, fmt.Errorf("list certificates of %s: %w", enrollmentID, err)
	}
	return list, nil
}
