package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

const ticketColumns = `hash, invitation_id, ownership, token, created_at, expires_at, void_at, used_at, enrollment_id, due, attempts`

func scanTicket(row scanner) (enroll.AndroidTicket, error) {
	var t enroll.AndroidTicket
	err := row.Scan(&t.Hash, textOf(&t.InvitationID), textOf(&t.Ownership), &t.Token, stamp{&t.CreatedAt}, stamp{&t.ExpiresAt},
		stamp{&t.VoidAt}, stamp{&t.UsedAt}, textOf(&t.EnrollmentID), stamp{&t.Due}, &t.Attempts)
	return t, err
}

// CreateTicket inserts a ticket; it is the only one of its invitation from then on.
func (s *Android) CreateTicket(ctx context.Context, ticket enroll.AndroidTicket, entry audit.Entry) error {
	return s.db.write(ctx, "create android ticket", func(t *tx) error {
		var open int
		err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM enroll_invitations i JOIN directory_users u ON u.id = i.user_id AND u.removed_at = 0
			WHERE i.id = $1 AND i.state = 'open' AND i.expires_at > $2`, ticket.InvitationID, micros(ticket.CreatedAt)).Scan(&open)
		if err == nil && open == 0 {
			err = fmt.Errorf("invitation is not open: %w", enroll.ErrConflict)
		}
		if err != nil {
			return err
		}
		if err := t.voidTickets(ctx, ticket.InvitationID, ticket.CreatedAt); err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `INSERT INTO enroll_android_tickets (seq, `+ticketColumns+`)
			VALUES ((SELECT COALESCE(MAX(seq), 0) + 1 FROM enroll_android_tickets WHERE invitation_id = $2), $1, $2, $3, $4, $5, $6, 0, 0, '', $6, 0)`,
			ticket.Hash, ticket.InvitationID, ticket.Ownership, ticket.Token, micros(ticket.CreatedAt), micros(ticket.ExpiresAt))
		if err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// voidTickets ends those of an invitation that were not used: their tokens are to
// be deleted at once.
func (t *tx) voidTickets(ctx context.Context, id enroll.InvitationID, now time.Time) error {
	_, err := t.ExecContext(ctx, `UPDATE enroll_android_tickets SET void_at = $2, due = CASE WHEN due > $2 THEN $2 ELSE due END
		WHERE invitation_id = $1 AND void_at = 0 AND used_at = 0`, id, micros(now))
	return err
}

// TicketByHash finds a ticket in any state.
func (s *Android) TicketByHash(ctx context.Context, hash []byte) (enroll.AndroidTicket, error) {
	return s.ticket(ctx, `hash = $1`, hash)
}

// NewestTicket is the one that was used, or else the newest.
func (s *Android) NewestTicket(ctx context.Context, id enroll.InvitationID) (enroll.AndroidTicket, error) {
	return s.ticket(ctx, `invitation_id = $1 ORDER BY CASE WHEN used_at = 0 THEN 1 ELSE 0 END, seq DESC LIMIT 1`, id)
}

func (s *Android) ticket(ctx context.Context, condition string, arg any) (enroll.AndroidTicket, error) {
	t, err := scanTicket(s.db.reader.QueryRowContext(ctx, `SELECT `+ticketColumns+` FROM enroll_android_tickets WHERE `+condition, arg))
	if err != nil {
		return enroll.AndroidTicket{}, fmt.Errorf("load android ticket: %w", orNotFound(err, enroll.ErrNotFound))
	}
	return t, nil
}

func (t *tx) ticket(ctx context.Context, hash []byte) (enroll.AndroidTicket, error) {
	ticket, err := scanTicket(t.QueryRowContext(ctx, `SELECT `+ticketColumns+` FROM enroll_android_tickets WHERE hash = $1`, hash))
	return ticket, orNotFound(err, enroll.ErrNotFound)
}

// useTicket gives a ticket, and the invitation behind it, to an enrolment. A
// token may have been used while it was open, and be told of later.
func (t *tx) useTicket(ctx context.Context, ticket enroll.AndroidTicket, id mdm.EnrollmentID, now time.Time) error {
	n, err := t.change(ctx, `UPDATE enroll_invitations SET state = 'used', used_at = $2 WHERE id = $1 AND state = 'open'`, ticket.InvitationID, micros(now))
	if err == nil && n == 0 {
		err = fmt.Errorf("invitation is not open: %w", enroll.ErrConflict)
	}
	if err != nil {
		return err
	}
	if err := t.voidChallenges(ctx, now, `invitation_id = $2`, ticket.InvitationID); err != nil {
		return err
	}
	n, err = t.change(ctx, `UPDATE enroll_android_tickets SET used_at = $2, enrollment_id = $3, due = $2 WHERE hash = $1 AND used_at = 0`,
		ticket.Hash, micros(now), id)
	if err == nil && n == 0 {
		err = fmt.Errorf("ticket was used: %w", enroll.ErrConflict)
	}
	if err != nil {
		return err
	}
	return t.voidTickets(ctx, ticket.InvitationID, now)
}

// dueTickets follows a partial index in its order (TestQueryPlans).
const dueTickets = `SELECT ` + ticketColumns + ` FROM enroll_android_tickets WHERE due <> 0 AND due <= $1 ORDER BY due LIMIT $2`

// DueTickets returns those whose tokens are to be deleted.
func (s *Android) DueTickets(ctx context.Context, now time.Time, limit int) ([]enroll.AndroidTicket, error) {
	rows, err := s.db.reader.QueryContext(ctx, dueTickets, micros(now), pageLimit(limit))
	list, err := collect(rows, err, scanTicket)
	if err != nil {
		return nil, fmt.Errorf("list due android tickets: %w", err)
	}
	return list, nil
}

// TicketTried notes an attempt to delete a token.
func (s *Android) TicketTried(ctx context.Context, hash []byte, next time.Time) error {
	return s.db.write(ctx, "note android ticket", func(t *tx) error {
		_, err := t.ExecContext(ctx, `UPDATE enroll_android_tickets SET due = $2, attempts = attempts + 1 WHERE hash = $1`, hash, micros(next))
		return err
	})
}
