package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"sallyport/certs"
	"sallyport/mdm"
)

var _ certs.RenewalStore = (*Certificates)(nil)

// IssueRenewal replaces a certificate by its own signature: a challenge like any
// other, which comes into being when it is used.
func (s *Certificates) IssueRenewal(ctx context.Context, signer string, claim certs.Claim, now time.Time, sign certs.Signing) (certs.Certificate, error) {
	var issued certs.Certificate
	err := s.db.write(ctx, "issue renewal", func(t *tx) error {
		err := t.offerRenewal(ctx, signer, now)
		if err == nil {
			issued, err = t.issue(ctx, certs.RenewalHash(signer), claim, now, sign)
		}
		return err
	})
	if err != nil {
		return certs.Certificate{}, err
	}
	return issued, nil
}

// offerRenewal sees to it that the challenge is there which a certificate is to
// whoever has its key.
func (t *tx) offerRenewal(ctx context.Context, signer string, now time.Time) error {
	hash := certs.RenewalHash(signer)
	row, err := t.challenge(ctx, hash)
	if err == nil && row.certificate != "" {
		return nil
	}
	unknown := errors.Is(err, certs.ErrChallengeInvalid)
	if err != nil && !unknown {
		return err
	}
	c, err := t.renewable(ctx, signer, now)
	if err != nil {
		return err
	}
	c.Hash = hash
	if unknown {
		return t.insertChallenge(ctx, c)
	}
	// A version of before ADR 0009 claimed it, with the names of that time.
	_, err = t.ExecContext(ctx, `UPDATE certs_challenges SET entitlement = $2 WHERE hash = $1`, hash, document{c.Grant})
	return err
}

// renewable makes the challenge that a certificate is to whoever has its key,
// without the hash. It ends with the certificate. It is as old as the one that
// brought the first of the line: what the phone was told of roots then is what it
// knows still (UntoldIdentities).
func (t *tx) renewable(ctx context.Context, signer string, now time.Time) (certs.Challenge, error) {
	c, err := t.certificate(ctx, signer)
	switch {
	case errors.Is(err, certs.ErrNotFound):
		return certs.Challenge{}, refuseChallenge("unknown certificate")
	case err != nil:
		return certs.Challenge{}, err
	case !c.RevokedAt.IsZero():
		return certs.Challenge{}, refuseChallenge("certificate revoked")
	case !now.Before(c.NotAfter):
		return certs.Challenge{}, refuseChallenge("certificate expired")
	}
	descends, err := t.descendsFromLost(ctx, c)
	if err != nil {
		return certs.Challenge{}, err
	}
	if descends {
		return certs.Challenge{}, refuseChallenge("renewed from a certificate whose key was lost")
	}
	brought, err := t.challengeOf(ctx, signer)
	if errors.Is(err, sql.ErrNoRows) {
		return certs.Challenge{}, refuseChallenge("certificate of a rule that no challenge names: " + string(c.Rule))
	}
	if err != nil {
		return certs.Challenge{}, err
	}
	g := brought.Grant
	g.InvitationID = ""
	if g.EnrollmentID, err = t.renewableFor(ctx, c); err != nil {
		return certs.Challenge{}, err
	}
	err = t.QueryRowContext(ctx, `SELECT upn, upn, email FROM directory_users WHERE id = $1 AND removed_at = 0`, g.UserID).
		Scan(&g.CommonName, &g.UPN, &g.Mail)
	return certs.Challenge{Grant: g, CreatedAt: brought.CreatedAt, ExpiresAt: c.NotAfter}, orNotFound(err, refuseChallenge("user removed"))
}

const challengeOf = `SELECT entitlement, created_at FROM certs_challenges
	WHERE certificate_sha256 = $1 AND certificate_sha256 <> ''`

// challengeOf is what brought a certificate: its grant, and when it was made.
func (t *tx) challengeOf(ctx context.Context, sha256 string) (certs.Challenge, error) {
	var c certs.Challenge
	err := t.QueryRowContext(ctx, challengeOf, sha256).Scan(document{&c.Grant}, stamp{&c.CreatedAt})
	return c, err
}

// newerExists says of a certificate c that a newer one has taken its place.
const newerExists = `EXISTS (SELECT 1 FROM certs_certificates n
	WHERE n.enrollment_id = c.enrollment_id AND n.rule = c.rule AND n.profile = c.profile
		AND (n.issued_at, n.sha256) > (c.issued_at, c.sha256))`

// renewableFor is the active enrolment whose certificate c is still in use; empty
// for one that an admin had asked for by hand. Of these a user may have several, on a
// device each, and nothing tells which one another replaces.
func (t *tx) renewableFor(ctx context.Context, c certs.Certificate) (string, error) {
	if c.EnrollmentID == "" && c.Rule != certs.RuleMDMIdentity {
		return "", nil
	}
	query, key, none := `SELECT e.id, e.state, `+newerExists+` FROM certs_certificates c
		JOIN enroll_enrollments e ON e.id = c.enrollment_id WHERE c.sha256 = $1`, c.SHA256, "the enrolment is unknown"
	if c.Rule == certs.RuleMDMIdentity {
		query, none = `SELECT id, state, FALSE FROM enroll_enrollments WHERE certificate_hash = $1 AND certificate_hash <> ''`, "not the pinned identity of its enrolment"
	}
	var id string
	var state mdm.EnrollmentState
	var replaced bool
	err := t.QueryRowContext(ctx, query, key).Scan(&id, &state, &replaced)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", refuseChallenge(none)
	case err != nil:
		return "", err
	case !state.Active():
		return "", refuseChallenge("the enrolment is " + string(state))
	case replaced:
		return "", refuseChallenge("a newer certificate has taken its place")
	}
	return id, nil
}
