package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/enroll"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

// Push returns what a wake-up needs; enroll.ErrNotFound when the enrolment is
// unknown or has not sent a token yet.
func (s *Enrollments) Push(ctx context.Context, id mdm.EnrollmentID) (mdm.Push, error) {
	var p mdm.Push
	var token, magic, unlock []byte
	err := s.db.reader.QueryRowContext(ctx, `SELECT push_topic, push_token, push_magic, unlock_token, push_updated_at
		FROM enroll_enrollments WHERE id = $1 AND push_updated_at <> 0`, id).
		Scan(&p.Topic, &token, &magic, &unlock, stamp{&p.UpdatedAt})
	if err != nil {
		return mdm.Push{}, fmt.Errorf("load push data of %s: %w", id, orNotFound(err, enroll.ErrNotFound))
	}
	err = s.db.openPushes(id, sealedPush{"push_token", token, &p.Token}, sealedPush{"push_magic", magic, &p.Magic},
		sealedPush{"unlock_token", unlock, &p.UnlockToken})
	if err != nil {
		return mdm.Push{}, fmt.Errorf("load push data of %s: %w", id, err)
	}
	return p, nil
}

// RequestReport notes that an admin wants to know everything anew.
func (s *Enrollments) RequestReport(ctx context.Context, id mdm.EnrollmentID, at time.Time) error {
	return s.db.write(ctx, "request report", func(t *tx) error {
		r, err := t.report(ctx, id)
		if errors.Is(err, enroll.ErrNotFound) || err == nil && !at.After(r.AskedAt) {
			return errUnchanged
		}
		if err != nil {
			return err
		}
		r.AskedAt = at.UTC().Truncate(time.Microsecond)
		_, err = t.ExecContext(ctx, `UPDATE enroll_enrollments SET report = $2 WHERE id = $1`, id, document{r})
		return err
	})
}

// sealedPush is one sealed column of the push data.
type sealedPush struct {
	column string
	sealed []byte
	to     *secret.Value
}

func (db *DB) openPushes(id mdm.EnrollmentID, columns ...sealedPush) error {
	for _, c := range columns {
		var err error
		if *c.to, err = db.openPush(id, c.column, c.sealed); err != nil {
			return fmt.Errorf("open %s of %s: %w", c.column, id, err)
		}
	}
	return nil
}

func (db *DB) openPush(id mdm.EnrollmentID, column string, sealed []byte) (secret.Value, error) {
	if sealed == nil {
		return secret.Value{}, nil
	}
	plain, err := db.options.Sealer.Open("enroll_enrollments", string(id), column, sealed)
	return secret.New(string(plain)), err
}

// sealPush returns nil for an empty value.
func (db *DB) sealPush(id mdm.EnrollmentID, column string, value secret.Value) ([]byte, error) {
	if value.IsZero() {
		return nil, nil
	}
	return db.options.Sealer.Seal("enroll_enrollments", string(id), column, []byte(value.Reveal()))
}

// savePush replaces the push data. A phone sends its unlock token once: a
// later message without one does not take it away
// (https://developer.apple.com/documentation/devicemanagement/tokenupdate).
func (t *tx) savePush(ctx context.Context, e mdm.Enrollment, p mdm.Push) error {
	old, err := t.pushOnRecord(ctx, e.ID)
	if err != nil {
		return err
	}
	told, replayed, err := t.pushTold(ctx, e.ID, p)
	if err != nil || replayed {
		return err
	}
	if p.UpdatedAt.IsZero() {
		p.UpdatedAt = t.db.now()
	}
	p.UpdatedAt = whole(p.UpdatedAt)
	changed := old.Topic != p.Topic || old.Token.Reveal() != p.Token.Reveal()
	if changed && !p.UpdatedAt.After(old.UpdatedAt) {
		p.UpdatedAt = old.UpdatedAt.Add(time.Microsecond) // whoever holds the old token can tell
	}
	token, err := t.db.sealPush(e.ID, "push_token", p.Token)
	if err != nil {
		return err
	}
	magic, err := t.db.sealPush(e.ID, "push_magic", p.Magic)
	if err != nil {
		return err
	}
	unlock, err := t.db.sealPush(e.ID, "unlock_token", p.UnlockToken)
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `UPDATE enroll_enrollments SET push_topic = $2, push_token = $3, push_magic = $4,
		unlock_token = COALESCE($5, unlock_token), push_updated_at = $6, push_told = $7 WHERE id = $1`,
		e.ID, p.Topic, token, magic, unlock, micros(p.UpdatedAt), document{told})
	if err != nil || !changed {
		return err
	}
	_, err = t.ExecContext(ctx, `UPDATE enroll_wakes SET topic = $2, token_changed = $3, dead = FALSE, attempts = 0, error = ''
		WHERE enrollment_id = $1`, e.ID, p.Topic, micros(p.UpdatedAt))
	return err
}

// maxPushTold is how many messages of an enrolment are known again. Tokens change
// with a restored backup or a new system: a phone has a few in its life.
const maxPushTold = 64

// pushTold are the fingerprints of what a phone has told, the latest last, with p
// among them. A message that another one has followed since is replayed: a phone
// makes no such step back, as every restore or new system gives it new values,
// and a signed message has no nonce that would show its age. Where the push
// service has called the token on record dead there is nothing to protect, and
// nothing is refused.
func (t *tx) pushTold(ctx context.Context, id mdm.EnrollmentID, p mdm.Push) (told []string, replayed bool, err error) {
	var dead bool
	err = t.QueryRowContext(ctx, `SELECT push_told, EXISTS (SELECT 1 FROM enroll_wakes w WHERE w.enrollment_id = e.id AND w.dead = TRUE)
		FROM enroll_enrollments e WHERE e.id = $1`, id).Scan(document{&told}, &dead)
	if err != nil {
		return nil, false, err
	}
	sum := sha256.New()
	for _, part := range []string{p.Topic, p.Token.Reveal(), p.Magic.Reveal(), p.UnlockToken.Reveal()} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	this := hex.EncodeToString(sum.Sum(nil)[:16])
	at := slices.Index(told, this)
	if at >= 0 && at < len(told)-1 && !dead {
		return told, true, nil
	}
	if at >= 0 {
		told = slices.Delete(told, at, at+1)
	}
	told = append(told, this)
	return told[max(0, len(told)-maxPushTold):], false, nil
}

// pushOnRecord is the token of an enrolment, zero before the first.
func (t *tx) pushOnRecord(ctx context.Context, id mdm.EnrollmentID) (mdm.Push, error) {
	var p mdm.Push
	var token []byte
	err := t.QueryRowContext(ctx, `SELECT push_topic, push_token, push_updated_at FROM enroll_enrollments WHERE id = $1`, id).
		Scan(&p.Topic, &token, stamp{&p.UpdatedAt})
	if err != nil {
		return p, err
	}
	p.Token, err = t.db.openPush(id, "push_token", token)
	return p, err
}
