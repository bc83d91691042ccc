package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// Users keeps the directory.
type Users struct{ db *DB }

var _ directory.Store = (*Users)(nil)

// Users returns the directory's store.
func (db *DB) Users() *Users { return &Users{db} }

const userColumns = `id, upn, email, username, domain_name, display_name, first_name, middle_name, last_name,
	group_names, shared_mailbox, created_at, updated_at`

func scanUser(row scanner) (directory.User, error) {
	var u directory.User
	err := row.Scan(userFields(&u)...)
	return u, err
}

func userFields(u *directory.User) []any {
	return []any{&u.ID, &u.UPN, &u.Email, &u.Username, &u.DomainName, &u.DisplayName, &u.FirstName, &u.MiddleName,
		&u.LastName, document{&u.Groups}, &u.SharedMailbox, stamp{&u.CreatedAt}, stamp{&u.UpdatedAt}}
}

// SaveUsers inserts or updates by UPN, all or none.
func (s *Users) SaveUsers(ctx context.Context, users []directory.User, entries []audit.Entry) ([]directory.User, error) {
	var stored []directory.User
	err := s.db.write(ctx, "save users", func(t *tx) error {
		stored = make([]directory.User, 0, len(users))
		if err := t.lendEmails(ctx, users); err != nil {
			return err
		}
		for _, u := range users {
			u, err := t.saveUser(ctx, u)
			if err != nil {
				return err
			}
			stored = append(stored, u)
		}
		return t.audit(ctx, entries...)
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// lendEmails frees the addresses of everyone who is about to be saved, so that
// two users may exchange theirs in one import. An ID is no address, so it can
// stand in for one until saveUser sets the right one.
func (t *tx) lendEmails(ctx context.Context, users []directory.User) error {
	if len(users) < 2 {
		return nil
	}
	for _, u := range users {
		_, err := t.ExecContext(ctx, `UPDATE directory_users SET email_key = id WHERE upn_key = $1 AND removed_at = 0`, fold(u.UPN))
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) saveUser(ctx context.Context, u directory.User) (directory.User, error) {
	if u.ID == "" {
		id, err := newID()
		if err != nil {
			return u, err
		}
		u.ID = directory.UserID(id)
	}
	stored, err := scanUser(t.QueryRowContext(ctx, `INSERT INTO directory_users (id, upn, upn_key, email, email_key,
			username, username_key, domain_name, down_level_key, display_name, first_name, middle_name, last_name,
			group_names, shared_mailbox, created_at, updated_at, removed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, 0)
		ON CONFLICT (upn_key) WHERE removed_at = 0 DO UPDATE SET
			upn = excluded.upn, email = excluded.email, email_key = excluded.email_key,
			username = excluded.username, username_key = excluded.username_key,
			domain_name = excluded.domain_name, down_level_key = excluded.down_level_key,
			display_name = excluded.display_name, first_name = excluded.first_name,
			middle_name = excluded.middle_name, last_name = excluded.last_name,
			group_names = excluded.group_names, shared_mailbox = excluded.shared_mailbox, updated_at = excluded.updated_at
		RETURNING `+userColumns,
		u.ID, u.UPN, fold(u.UPN), u.Email, fold(u.Email), u.Username, fold(u.Username), u.DomainName, downLevelKey(u),
		u.DisplayName, u.FirstName, u.MiddleName, u.LastName, document{u.Groups}, u.SharedMailbox, micros(u.CreatedAt), micros(u.UpdatedAt)))
	if isUnique(err) {
		return u, refusal.New(directory.ErrConflict, "email", fmt.Sprintf("%s: the address %s belongs to another user", u.UPN, u.Email),
			"give each user an address of their own, or remove the other user first")
	}
	if err != nil {
		return u, err
	}
	if err := t.saveMemberships(ctx, stored); err != nil {
		return stored, err
	}
	t.emitUser(mdm.EventAccess, stored.ID, stored.UpdatedAt)
	return stored, t.emitUserChanged(ctx, stored.ID, stored.UpdatedAt)
}

// emitUserChanged tells each phone's consumers of its user's new data; a new
// user has no phones.
func (t *tx) emitUserChanged(ctx context.Context, id directory.UserID, at time.Time) error {
	rows, err := t.QueryContext(ctx, `SELECT id FROM enroll_enrollments WHERE user_id = $1 AND state IN `+activeStates+` ORDER BY id`, id)
	enrollments, err := collect(rows, err, scanEnrollmentID)
	if err != nil {
		return err
	}
	for _, enrollment := range enrollments {
		t.emit(mdm.EventUserChanged, enrollment, at)
	}
	return nil
}

func (t *tx) saveMemberships(ctx context.Context, u directory.User) error {
	if _, err := t.ExecContext(ctx, `DELETE FROM directory_memberships WHERE user_id = $1`, u.ID); err != nil {
		return err
	}
	for _, group := range u.Groups {
		_, err := t.ExecContext(ctx, `INSERT INTO directory_memberships (group_key, user_id) VALUES ($1, $2)
			ON CONFLICT (group_key, user_id) DO NOTHING`, fold(group), u.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

func downLevelKey(u directory.User) string {
	if u.DomainName == "" || u.Username == "" {
		return ""
	}
	return fold(u.DomainName + `\` + u.Username)
}

// UserByID finds a user who was not removed.
func (s *Users) UserByID(ctx context.Context, id directory.UserID) (directory.User, error) {
	return s.one(ctx, string(id), `id = $1`, id)
}

// UserByUPN finds a user who was not removed.
func (s *Users) UserByUPN(ctx context.Context, upn string) (directory.User, error) {
	return s.one(ctx, upn, `upn_key = $1`, fold(upn))
}

func (s *Users) one(ctx context.Context, name, condition string, arg any) (directory.User, error) {
	u, err := scanUser(s.db.reader.QueryRowContext(ctx,
		`SELECT `+userColumns+` FROM directory_users WHERE removed_at = 0 AND `+condition, arg))
	if err != nil {
		return directory.User{}, fmt.Errorf("load user %s: %w", name, orNotFound(err, directory.ErrNotFound))
	}
	return u, nil
}

// ListUsers returns users in the order of their UPN.
func (s *Users) ListUsers(ctx context.Context, group string, page directory.Page) ([]directory.User, error) {
	var w where
	w.add("removed_at = 0")
	if page.After != "" {
		w.add("upn_key > ?", fold(page.After))
	}
	if group != "" {
		w.add("id IN (SELECT user_id FROM directory_memberships WHERE group_key = ?)", fold(group))
	}
	rows, err := s.db.reader.QueryContext(ctx, `SELECT `+userColumns+` FROM directory_users`+w.clause()+
		` ORDER BY upn_key`+w.limit(pageLimit(page.Limit)), w.args...)
	list, err := collect(rows, err, scanUser)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return list, nil
}

// RemoveUser takes a user off the record with everything that was still open.
func (s *Users) RemoveUser(ctx context.Context, id directory.UserID, now time.Time, entry audit.Entry) error {
	return s.db.write(ctx, "remove user", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE directory_users SET removed_at = $2 WHERE id = $1 AND removed_at = 0`, id, micros(now))
		if err != nil {
			return err
		}
		if n == 0 {
			return directory.ErrNotFound
		}
		if _, err := t.ExecContext(ctx, `DELETE FROM directory_memberships WHERE user_id = $1`, id); err != nil {
			return err
		}
		// Nobody needs a removed user's passwords and keys.
		if _, err := t.ExecContext(ctx, `DELETE FROM templates_secrets WHERE user_id = $1`, id); err != nil {
			return err
		}
		if err := t.revokeLeaver(ctx, id, now); err != nil {
			return err
		}
		if err := t.endSMIME(ctx, id, now); err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `UPDATE enroll_invitations SET state = 'revoked' WHERE user_id = $1 AND state = 'open'`, id)
		if err != nil {
			return err
		}
		if err := t.voidChallenges(ctx, now, `user_id = $2`, id); err != nil {
			return err
		}
		if err := t.emitForUser(ctx, id, now); err != nil {
			return err
		}
		t.emitUser(mdm.EventAccess, id, now)
		if err := t.audit(ctx, entry); err != nil {
			return err
		}
		return t.forgetClients(ctx, id)
	})
}

// revokeLeaver tells whoever relies on our CRL that a user has left: our own checks
// know by the user's row. The management identities stay good, so that an admin can
// have the mail removed from phones when they come once more.
func (t *tx) revokeLeaver(ctx context.Context, id directory.UserID, now time.Time) error {
	_, err := t.ExecContext(ctx, `UPDATE certs_certificates SET revoked_at = $2, reason = $3
		WHERE user_id = $1 AND revoked_at = 0 AND rule <> 'mdm-identity'`, id, micros(now), certs.ReasonAffiliationChanged)
	return err
}

// emitForUser marks every enrolment of the user as changed: the device list
// shows no UPN from now on.
func (t *tx) emitForUser(ctx context.Context, id directory.UserID, now time.Time) error {
	rows, err := t.QueryContext(ctx, `UPDATE enroll_enrollments SET state_changed_at = $2 WHERE user_id = $1 RETURNING id`, id, micros(now))
	enrollments, err := collect(rows, err, scanEnrollmentID)
	if err != nil {
		return err
	}
	slices.Sort(enrollments) // RETURNING promises no order; consumers get a stable one
	for _, enrollment := range enrollments {
		t.emit(mdm.EventUserRemoved, enrollment, now)
	}
	return nil
}

func scanEnrollmentID(row scanner) (mdm.EnrollmentID, error) {
	var id mdm.EnrollmentID
	err := row.Scan(&id)
	return id, err
}

// newID makes a row's identifier: UUIDv7, so that newer sorts after older.
func newID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", errors.New("no random identifier: " + err.Error())
	}
	return id.String(), nil
}
