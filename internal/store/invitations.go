package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
)

// Invitations keeps invitations.
type Invitations struct{ db *DB }

var _ enroll.InvitationStore = (*Invitations)(nil)

// Invitations returns the store of invitations.
func (db *DB) Invitations() *Invitations { return &Invitations{db} }

const invitationQuery = `SELECT i.id, i.code_hash, i.user_id, u.upn, i.ownership, i.pin_hash, i.state,
	i.created_at, i.created_by, i.expires_at, i.used_at
	FROM enroll_invitations i JOIN directory_users u ON u.id = i.user_id`

func scanInvitation(row scanner) (enroll.Invitation, error) {
	var i enroll.Invitation
	err := row.Scan(&i.ID, &i.CodeHash, &i.UserID, &i.UPN, &i.Ownership, &i.PINHash, &i.State,
		stamp{&i.CreatedAt}, &i.CreatedBy, stamp{&i.ExpiresAt}, stamp{&i.UsedAt})
	return i, err
}

// CreateInvitations inserts all or none. A user who is not on record (any
// more) is ErrNotFound; an ID or code that exists is ErrConflict.
func (s *Invitations) CreateInvitations(ctx context.Context, invitations []enroll.Invitation, entries []audit.Entry) error {
	return s.db.write(ctx, "create invitations", func(t *tx) error {
		for _, i := range invitations {
			if err := t.createInvitation(ctx, i); err != nil {
				return fmt.Errorf("invitation %s: %w", i.ID, err)
			}
		}
		return t.audit(ctx, entries...)
	})
}

func (t *tx) createInvitation(ctx context.Context, i enroll.Invitation) error {
	n, err := t.change(ctx, `INSERT INTO enroll_invitations
			(id, code_hash, user_id, ownership, pin_hash, state, created_at, created_by, expires_at, used_at)
		SELECT $1, $2, id, $4, $5, $6, $7, $8, $9, $10 FROM directory_users WHERE id = $3 AND removed_at = 0`,
		i.ID, i.CodeHash, i.UserID, i.Ownership, i.PINHash, i.State,
		micros(i.CreatedAt), i.CreatedBy, micros(i.ExpiresAt), micros(i.UsedAt))
	switch {
	case isUnique(err):
		return enroll.ErrConflict
	case err != nil:
		return err
	case n == 0:
		return fmt.Errorf("user %s: %w", i.UserID, enroll.ErrNotFound)
	}
	return nil
}

// InvitationByCode finds by HMAC, in any state.
func (s *Invitations) InvitationByCode(ctx context.Context, codeHash []byte) (enroll.Invitation, error) {
	return s.one(ctx, `i.code_hash = $1`, codeHash)
}

// InvitationByID finds by ID, in any state.
func (s *Invitations) InvitationByID(ctx context.Context, id enroll.InvitationID) (enroll.Invitation, error) {
	return s.one(ctx, `i.id = $1`, id)
}

func (s *Invitations) one(ctx context.Context, condition string, arg any) (enroll.Invitation, error) {
	i, err := scanInvitation(s.db.reader.QueryRowContext(ctx, invitationQuery+` WHERE u.removed_at = 0 AND `+condition, arg))
	if err != nil {
		return enroll.Invitation{}, fmt.Errorf("load invitation: %w", orNotFound(err, enroll.ErrNotFound))
	}
	return i, nil
}

// ListInvitations returns them newest first, those of removed users too.
func (s *Invitations) ListInvitations(ctx context.Context, user directory.UserID, page directory.Page) ([]enroll.Invitation, error) {
	var w where
	if user != "" {
		w.add("i.user_id = ?", user)
	}
	if page.After != "" {
		w.add("i.id < ?", page.After)
	}
	rows, err := s.db.reader.QueryContext(ctx, invitationQuery+w.clause()+
		` ORDER BY i.id DESC`+w.limit(pageLimit(page.Limit)), w.args...)
	list, err := collect(rows, err, scanInvitation)
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}
	return list, nil
}

// RevokeInvitation turns open into revoked and makes its challenges void.
func (s *Invitations) RevokeInvitation(ctx context.Context, id enroll.InvitationID, entry audit.Entry) error {
	return s.db.write(ctx, "revoke invitation", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE enroll_invitations SET state = 'revoked' WHERE id = $1 AND state = 'open'`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return t.whyNotOpen(ctx, id)
		}
		if err := t.voidChallenges(ctx, s.db.now(), `invitation_id = $2`, id); err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// revokeInvitations revokes all that can be used, and returns them as they were, by UPN.
func (t *tx) revokeInvitations(ctx context.Context, now time.Time) ([]enroll.Invitation, error) {
	rows, err := t.QueryContext(ctx, invitationQuery+` WHERE i.state = 'open' AND i.expires_at > $1 ORDER BY u.upn, i.id`, micros(now))
	open, err := collect(rows, err, scanInvitation)
	if err != nil {
		return nil, err
	}
	_, err = t.ExecContext(ctx, `UPDATE enroll_invitations SET state = 'revoked' WHERE state = 'open' AND expires_at > $1`, micros(now))
	return open, err
}

func (t *tx) whyNotOpen(ctx context.Context, id enroll.InvitationID) error {
	var state enroll.InvitationState
	err := t.QueryRowContext(ctx, `SELECT state FROM enroll_invitations WHERE id = $1`, id).Scan(&state)
	if err != nil {
		return orNotFound(err, enroll.ErrNotFound)
	}
	return fmt.Errorf("invitation is %s: %w", state, enroll.ErrConflict)
}
