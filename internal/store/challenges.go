package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"sallyport/certs"
)

// Certificates keeps challenges and issued certificates.
type Certificates struct{ db *DB }

var _ certs.Store = (*Certificates)(nil)

// Certificates returns the store of challenges and certificates.
func (db *DB) Certificates() *Certificates { return &Certificates{db} }

// SaveChallenge writes an open challenge.
func (s *Certificates) SaveChallenge(ctx context.Context, c certs.Challenge) error {
	return s.db.write(ctx, "save challenge", func(t *tx) error {
		return t.insertChallenge(ctx, c)
	})
}

// insertChallenge leaves empty what versions put there that chose serial and validity
// before they signed.
func (t *tx) insertChallenge(ctx context.Context, c certs.Challenge) error {
	_, err := t.ExecContext(ctx, `INSERT INTO certs_challenges (hash, rule, entitlement, user_id, invitation_id,
			enrollment_id, profile, created_at, expires_at, void_at, claimed_at, transaction_id, key_hash, serial,
			not_before, not_after, certificate_sha256)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, '', NULL, NULL, 0, 0, '')`,
		c.Hash, c.Grant.Rule, document{c.Grant}, c.Grant.UserID, c.Grant.InvitationID, c.Grant.EnrollmentID, c.Grant.Profile,
		micros(c.CreatedAt), micros(c.ExpiresAt))
	return err
}

// voidChallenges ends the challenges that match and have no certificate yet.
// condition uses $2 and up.
func (t *tx) voidChallenges(ctx context.Context, now time.Time, condition string, args ...any) error {
	_, err := t.ExecContext(ctx, `UPDATE certs_challenges SET void_at = $1
		WHERE void_at = 0 AND certificate_sha256 = '' AND `+condition, append([]any{micros(now)}, args...)...)
	return err
}

// challengeRow is a challenge with everything that decides about it.
type challengeRow struct {
	grant           certs.Grant
	expiresAt       time.Time
	voidAt          time.Time
	claimedAt       time.Time
	claim           certs.Claim
	certificate     string // SHA-256
	userOnRecord    bool
	invitationState string // empty without an invitation
}

func (t *tx) challenge(ctx context.Context, hash []byte) (challengeRow, error) {
	var c challengeRow
	err := t.QueryRowContext(ctx, `SELECT c.entitlement, c.expires_at, c.void_at, c.claimed_at, c.transaction_id,
			c.key_hash, c.certificate_sha256,
			c.user_id = '' OR u.id IS NOT NULL, COALESCE(i.state, '')
		FROM certs_challenges c
		LEFT JOIN directory_users u ON u.id = c.user_id AND u.removed_at = 0
		LEFT JOIN enroll_invitations i ON i.id = c.invitation_id
		WHERE c.hash = $1`, hash).Scan(document{&c.grant}, stamp{&c.expiresAt}, stamp{&c.voidAt}, stamp{&c.claimedAt},
		&c.claim.TransactionID, &c.claim.KeyHash, &c.certificate, &c.userOnRecord, &c.invitationState)
	if err != nil {
		return c, orNotFound(err, refuseChallenge("unknown"))
	}
	return c, nil
}

// offer is what a challenge has for a claim.
type offer struct {
	grant certs.Grant
	open  bool // the claim may take it
	known bool // its key is in a certificate already
}

// offerTo says with one look whether a claim may take a challenge. Versions that
// committed a claim before its certificate may have left one without: the same
// request may take it again.
const offerTo = `SELECT c.entitlement, c.void_at = 0 AND c.certificate_sha256 = ''
		AND (c.claimed_at = 0 AND c.expires_at > $2 OR c.claimed_at <> 0 AND c.transaction_id = $3 AND c.key_hash = $4)
		AND (c.user_id = '' OR EXISTS (SELECT 1 FROM directory_users u WHERE u.id = c.user_id AND u.removed_at = 0))
		AND (c.invitation_id = '' OR EXISTS (SELECT 1 FROM enroll_invitations i WHERE i.id = c.invitation_id AND i.state = 'open'))
		AND NOT EXISTS (SELECT 1 FROM enroll_enrollments e WHERE e.id = c.enrollment_id AND (e.state IN ` + endedStates + ` OR e.state = 'held')),
	EXISTS (SELECT 1 FROM certs_certificates k WHERE k.key_hash = $5)
	FROM certs_challenges c WHERE c.hash = $1`

func (t *tx) offer(ctx context.Context, hash []byte, claim certs.Claim, now time.Time) (offer, error) {
	var o offer
	err := t.QueryRowContext(ctx, offerTo, hash, micros(now), claim.TransactionID, claim.KeyHash, hex.EncodeToString(claim.KeyHash)).
		Scan(document{&o.grant}, &o.open, &o.known)
	return o, orNotFound(err, refuseChallenge("unknown"))
}

// takeChallenge ties a certificate to a challenge that is open, unless somebody else
// was first.
func (t *tx) takeChallenge(ctx context.Context, hash []byte, claim certs.Claim, sha256 string, now time.Time) error {
	n, err := t.change(ctx, `UPDATE certs_challenges SET claimed_at = $2, transaction_id = $3, key_hash = $4, certificate_sha256 = $5
		WHERE hash = $1 AND void_at = 0 AND certificate_sha256 = ''`,
		hash, micros(now), claim.TransactionID, claim.KeyHash, sha256)
	if err == nil && n == 0 {
		return refuseChallenge("taken meanwhile")
	}
	return err
}

// refuseChallenge says why, in words for the audit trail only.
func refuseChallenge(reason string) error {
	return fmt.Errorf("%s: %w", reason, certs.ErrChallengeInvalid)
}

// keySharers is all that certs.Certificate.MayShareKey looks at, and what tells the
// newest.
const keySharers = `SELECT user_id, enrollment_id, revoked_at, reason, issued_at, sha256 FROM certs_certificates WHERE key_hash = $1`

type keySharer struct {
	certs.Certificate
	issuedAt time.Time
}

func scanKeySharer(row scanner) (k keySharer, err error) {
	err = row.Scan(&k.UserID, &k.EnrollmentID, stamp{&k.RevokedAt}, &k.Reason, stamp{&k.issuedAt}, &k.SHA256)
	return k, err
}

// mayShareKey refuses the key of another device. The newest certificate tells whose a key is, and any one that it was lost.
func (t *tx) mayShareKey(ctx context.Context, keyHash []byte, g certs.Grant) error {
	rows, err := t.QueryContext(ctx, keySharers, hex.EncodeToString(keyHash))
	list, err := collect(rows, err, scanKeySharer)
	if err != nil || len(list) == 0 {
		return err
	}
	if i := slices.IndexFunc(list, func(k keySharer) bool { return k.Lost() }); i >= 0 {
		return list[i].MayShareKey(g)
	}
	return slices.MaxFunc(list, func(a, b keySharer) int {
		return cmp.Or(a.issuedAt.Compare(b.issuedAt), cmp.Compare(a.SHA256, b.SHA256))
	}).MayShareKey(g)
}

// takeTurn lets the claims of siblings pass one by one: each ends the others, so
// two of them would wait for each other's rows.
func (t *tx) takeTurn(ctx context.Context, g certs.Grant) error {
	switch {
	case g.InvitationID != "":
		return t.db.engine.turn(ctx, t, "invitation "+g.InvitationID)
	case g.EnrollmentID != "":
		return t.db.engine.turn(ctx, t, "enrolment "+g.EnrollmentID+" "+string(g.Rule)+" "+g.Profile)
	}
	return nil // one that was asked for by hand has none
}

// voidSiblings ends every other challenge for the same thing.
func (t *tx) voidSiblings(ctx context.Context, hash []byte, g certs.Grant, now time.Time) error {
	if g.InvitationID != "" {
		if err := t.voidChallenges(ctx, now, `invitation_id = $2 AND hash <> $3`, g.InvitationID, hash); err != nil {
			return err
		}
	}
	if g.EnrollmentID != "" {
		return t.voidChallenges(ctx, now, `enrollment_id = $2 AND rule = $3 AND profile = $4 AND hash <> $5`,
			g.EnrollmentID, g.Rule, g.Profile, hash)
	}
	return nil
}

// issuedBefore answers a claim that did not take the challenge.
func (t *tx) issuedBefore(ctx context.Context, hash []byte, claim certs.Claim, now time.Time) (certs.Certificate, error) {
	row, err := t.challenge(ctx, hash)
	if err != nil {
		return certs.Certificate{}, err
	}
	same := row.claim.TransactionID == claim.TransactionID && bytes.Equal(row.claim.KeyHash, claim.KeyHash)
	switch {
	case !row.userOnRecord:
		return certs.Certificate{}, refuseChallenge("user removed")
	case !row.claimedAt.IsZero() && !same:
		return certs.Certificate{}, refuseChallenge("used by another transaction or key")
	case row.grant.InvitationID != "" && row.invitationState == "revoked":
		return certs.Certificate{}, refuseChallenge("invitation revoked")
	case row.certificate != "":
		return t.certificate(ctx, row.certificate)
	case row.grant.InvitationID != "" && row.invitationState != "open":
		return certs.Certificate{}, refuseChallenge("invitation used by another challenge")
	case !row.voidAt.IsZero():
		return certs.Certificate{}, refuseChallenge("void")
	case row.claimedAt.IsZero() && !now.Before(row.expiresAt):
		return certs.Certificate{}, refuseChallenge("expired")
	}
	return certs.Certificate{}, refuseChallenge("not open, or the enrolment has ended")
}
