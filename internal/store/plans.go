package store

import (
	"context"
	"errors"
	"fmt"

	"sallyport/enroll"
	"sallyport/mdm"
)

// Plans keeps what passes between a phone and us.
type Plans struct{ db *DB }

var _ enroll.PlanStore = (*Plans)(nil)

// Plans returns the store of contacts and commands.
func (db *DB) Plans() *Plans { return &Plans{db} }

// recentCommands is how many commands of one request type and subject a plan sees.
const recentCommands = 5

// LoadPlan reads what Plan needs, at one moment.
func (s *Plans) LoadPlan(ctx context.Context, id mdm.EnrollmentID) (enroll.Have, error) {
	var have enroll.Have
	err := s.db.read(ctx, "load plan", func(t *tx) error {
		row := t.QueryRowContext(ctx, `SELECT `+enrollmentColumns+`, e.report FROM enroll_enrollments e WHERE e.id = $1`, id)
		if err := row.Scan(append(enrollmentFields(&have.Enrollment), document{&have.Report})...); err != nil {
			return orNotFound(err, enroll.ErrNotFound)
		}
		rows, err := t.QueryContext(ctx, `SELECT id, enrollment_id, request_type, subject, revision, state, error, sent_at, done_at
			FROM enroll_commands WHERE enrollment_id = $1 AND recent = TRUE ORDER BY seq DESC`, id)
		have.Commands, err = collect(rows, err, scanCommand)
		return err
	})
	if err != nil {
		return enroll.Have{}, err
	}
	return have, nil
}

func scanCommand(row scanner) (mdm.Command, error) {
	var c mdm.Command
	err := row.Scan(&c.ID, &c.EnrollmentID, &c.RequestType, &c.Subject, &c.Revision, &c.State, &c.Error,
		stamp{&c.SentAt}, stamp{&c.DoneAt})
	return c, err
}

// SaveCommand writes a command's row in state Sent. An ID that exists is
// ErrConflict, an unknown enrolment ErrNotFound.
func (s *Plans) SaveCommand(ctx context.Context, c mdm.Command) error {
	return s.db.write(ctx, "save command", func(t *tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO enroll_commands (id, enrollment_id, request_type, subject, revision,
				state, error, sent_at, done_at, recent)
			VALUES ($1, $2, $3, $4, $5, 'sent', '', $6, 0, TRUE)`,
			c.ID, c.EnrollmentID, c.RequestType, c.Subject, c.Revision, micros(c.SentAt))
		switch {
		case isUnique(err):
			return enroll.ErrConflict
		case isForeignKey(err):
			return enroll.ErrNotFound
		case err != nil:
			return err
		}
		_, err = t.ExecContext(ctx, `UPDATE enroll_commands SET recent = FALSE
			WHERE enrollment_id = $1 AND request_type = $2 AND subject = $3 AND recent = TRUE AND seq NOT IN
				(SELECT seq FROM enroll_commands WHERE enrollment_id = $1 AND request_type = $2 AND subject = $3
					AND recent = TRUE ORDER BY seq DESC LIMIT $4)`,
			c.EnrollmentID, c.RequestType, c.Subject, recentCommands)
		return err
	})
}

// Advance turns state from into to, if it still is from. It does not end
// enrolments: End does, with what belongs to it.
func (s *Plans) Advance(ctx context.Context, id mdm.EnrollmentID, from, to mdm.EnrollmentState) error {
	return s.db.write(ctx, "advance enrolment", func(t *tx) error {
		if to.Ended() {
			return errors.New("an enrolment is ended by End")
		}
		n, err := t.change(ctx, `UPDATE enroll_enrollments SET state = $3, state_changed_at = $4 WHERE id = $1 AND state = $2`,
			id, from, to, micros(t.db.now()))
		if err == nil && n == 0 {
			return fmt.Errorf("not %s: %w", from, enroll.ErrConflict)
		}
		return err
	})
}
