package store

import (
	"context"
	"fmt"

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
	for _, c := range []struct {
		column string
		sealed []byte
		to     *secret.Value
	}{{"push_token", token, &p.Token}, {"push_magic", magic, &p.Magic}, {"unlock_token", unlock, &p.UnlockToken}} {
		if *c.to, err = s.db.openPush(id, c.column, c.sealed); err != nil {
			return mdm.Push{}, fmt.Errorf("load push data of %s: %w", id, err)
		}
	}
	return p, nil
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
func (t *tx) savePush(ctx context.Context, id mdm.EnrollmentID, p mdm.Push) error {
	token, err := t.db.sealPush(id, "push_token", p.Token)
	if err != nil {
		return err
	}
	magic, err := t.db.sealPush(id, "push_magic", p.Magic)
	if err != nil {
		return err
	}
	unlock, err := t.db.sealPush(id, "unlock_token", p.UnlockToken)
	if err != nil {
		return err
	}
	if p.UpdatedAt.IsZero() {
		p.UpdatedAt = t.db.now()
	}
	_, err = t.ExecContext(ctx, `UPDATE enroll_enrollments SET push_topic = $2, push_token = $3, push_magic = $4,
		unlock_token = COALESCE($5, unlock_token), push_updated_at = $6 WHERE id = $1`,
		id, p.Topic, token, magic, unlock, micros(p.UpdatedAt))
	return err
}
