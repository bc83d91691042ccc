package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

// Android keeps what ties phones to Google's Android Management API.
type Android struct{ db *DB }

var (
	_ enroll.AndroidEnterpriseStore = (*Android)(nil)
	_ enroll.AndroidTicketStore     = (*Android)(nil)
	_ enroll.AndroidPhoneStore      = (*Android)(nil)
	_ enroll.AndroidPolicyStore     = (*Android)(nil)
	_ enroll.AndroidOperationStore  = (*Android)(nil)
	_ enroll.AndroidListStore       = (*Android)(nil)
	_ enroll.AndroidSchemaStore     = (*Android)(nil)
)

// Android returns the store of Android phones.
func (db *DB) Android() *Android { return &Android{db} }

const (
	enterprisesTable = "enroll_android_enterprises"
	theEnterprise    = "google" // the ID of the one row
)

// AndroidEnterprise returns what ties us to Google.
func (s *Android) AndroidEnterprise(ctx context.Context) (enroll.AndroidEnterprise, error) {
	var e enroll.AndroidEnterprise
	var account, key []byte
	err := s.db.reader.QueryRowContext(ctx, `SELECT project, topic, account, signup, state_hash, state_until, name, secret, created_at, finished_at, set_up_at, notified_at
		FROM enroll_android_enterprises WHERE id = $1`, theEnterprise).Scan(&e.Project, &e.Topic, &account, &e.Signup, &e.StateHash, stamp{&e.StateUntil},
		&e.Name, &key, stamp{&e.CreatedAt}, stamp{&e.FinishedAt}, stamp{&e.SetUpAt}, stamp{&e.NotifiedAt})
	if err != nil {
		return enroll.AndroidEnterprise{}, fmt.Errorf("load android enterprise: %w", orNotFound(err, enroll.ErrNotFound))
	}
	if e.Account, err = s.db.openEnterprise("account", account); err != nil {
		return enroll.AndroidEnterprise{}, err
	}
	e.Secret, err = s.db.openEnterprise("secret", key)
	return e, err
}

func (db *DB) openEnterprise(column string, sealed []byte) (secret.Value, error) {
	plain, err := db.options.Sealer.Open(enterprisesTable, theEnterprise, column, sealed)
	if err != nil {
		return secret.Value{}, fmt.Errorf("open %s of the android enterprise: %w", column, err)
	}
	return secret.New(string(plain)), nil
}

func (db *DB) sealEnterprise(column string, v secret.Value) ([]byte, error) {
	sealed, err := db.options.Sealer.Seal(enterprisesTable, theEnterprise, column, []byte(v.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("seal %s of the android enterprise: %w", column, err)
	}
	return sealed, nil
}

// BeginSignup takes the place of a sign-up that was never finished.
func (s *Android) BeginSignup(ctx context.Context, e enroll.AndroidEnterprise, entry audit.Entry) error {
	account, err := s.db.sealEnterprise("account", e.Account)
	if err != nil {
		return err
	}
	key, err := s.db.sealEnterprise("secret", e.Secret)
	if err != nil {
		return err
	}
	return s.db.write(ctx, "begin android sign-up", func(t *tx) error {
		n, err := t.change(ctx, `INSERT INTO enroll_android_enterprises
				(id, project, topic, account, signup, state_hash, state_until, name, secret, created_at, finished_at, set_up_at)
			VALUES ($1, $2, $9, $3, $4, $5, $6, '', $7, $8, 0, 0)
			ON CONFLICT (id) DO UPDATE SET project = excluded.project, topic = excluded.topic, account = excluded.account, signup = excluded.signup,
				state_hash = excluded.state_hash, state_until = excluded.state_until, secret = excluded.secret, created_at = excluded.created_at
			WHERE enroll_android_enterprises.name = ''`,
			theEnterprise, e.Project, account, e.Signup, e.StateHash, micros(e.StateUntil), key, micros(e.CreatedAt), e.Topic)
		if err == nil && n == 0 {
			err = fmt.Errorf("there is an enterprise: %w", enroll.ErrConflict)
		}
		if err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// FinishSignup names the enterprise.
func (s *Android) FinishSignup(ctx context.Context, stateHash []byte, name string, at time.Time, entry audit.Entry) error {
	return s.db.write(ctx, "finish android sign-up", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE enroll_android_enterprises SET name = $3, signup = '', state_hash = NULL, state_until = 0, finished_at = $4
			WHERE id = $1 AND state_hash = $2 AND name = '' AND state_until > $4`, theEnterprise, stateHash, name, micros(at))
		if err == nil && n == 0 {
			err = fmt.Errorf("no such sign-up is under way: %w", enroll.ErrConflict)
		}
		if err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// ReplaceAccount puts another key in place.
func (s *Android) ReplaceAccount(ctx context.Context, e enroll.AndroidEnterprise, entry audit.Entry) error {
	sealed, err := s.db.sealEnterprise("account", e.Account)
	if err != nil {
		return err
	}
	return s.db.write(ctx, "replace service account", func(t *tx) error {
		var had string
		err := t.QueryRowContext(ctx, `SELECT project FROM enroll_android_enterprises WHERE id = $1 AND name <> ''`, theEnterprise).Scan(&had)
		switch {
		case err != nil:
			return orNotFound(err, enroll.ErrNotFound)
		case had != e.Project:
			return fmt.Errorf("the enterprise is of another project: %w", enroll.ErrConflict)
		}
		if _, err := t.ExecContext(ctx, `UPDATE enroll_android_enterprises SET account = $2, topic = $3, set_up_at = 0 WHERE id = $1`,
			theEnterprise, sealed, e.Topic); err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// NoteNotified notes that Google told of something.
func (s *Android) NoteNotified(ctx context.Context, at time.Time) error {
	return s.db.write(ctx, "note android notification", func(t *tx) error {
		_, err := t.ExecContext(ctx, `UPDATE enroll_android_enterprises SET notified_at = $2 WHERE id = $1 AND notified_at < $2`, theEnterprise, micros(at))
		return err
	})
}

// AndroidSetUp notes when Google took what we set up.
func (s *Android) AndroidSetUp(ctx context.Context, at time.Time) error {
	return s.db.write(ctx, "note android set-up", func(t *tx) error {
		_, err := t.ExecContext(ctx, `UPDATE enroll_android_enterprises SET set_up_at = $2 WHERE id = $1`, theEnterprise, micros(at))
		return err
	})
}
