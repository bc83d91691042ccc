package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sallyport/compliance"
	"sallyport/mdm"
)

var (
	_ compliance.RunStore   = (*Compliance)(nil)
	_ compliance.WatchStore = (*Compliance)(nil)
)

// allPhones names the one run that there is.
const allPhones = "all"

const runQuery = `SELECT event_id, reason, began, position, wrapped, done, total, started_at, finished_at FROM compliance_runs WHERE name = $1`

func scanRun(row scanner) (compliance.Run, error) {
	var r compliance.Run
	err := row.Scan(&r.Event, &r.Reason, &r.Began, &r.Position, &r.Wrapped, &r.Done, &r.Total, stamp{&r.StartedAt}, stamp{&r.FinishedAt})
	return r, err
}

// Run returns the run that is under way, or was last.
func (s *Compliance) Run(ctx context.Context) (compliance.Run, error) {
	r, err := scanRun(s.db.reader.QueryRowContext(ctx, runQuery, allPhones))
	if errors.Is(err, sql.ErrNoRows) {
		return compliance.Run{}, nil
	}
	if err != nil {
		return compliance.Run{}, fmt.Errorf("load run: %w", err)
	}
	return r, nil
}

// RequestRun begins a run, or has the one that is under way go round once more.
func (s *Compliance) RequestRun(ctx context.Context, event mdm.Event, now time.Time) error {
	return s.db.write(ctx, "request run", func(t *tx) error {
		before, err := scanRun(t.QueryRowContext(ctx, runQuery, allPhones))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if err == nil && event.ID <= before.Event {
			return errUnchanged
		}
		began := mdm.EnrollmentID("")
		if before.Open() {
			began = before.Position
		}
		var total int
		if err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM enroll_enrollments WHERE state IN `+activeStates).Scan(&total); err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `INSERT INTO compliance_runs (name, event_id, reason, began, position, wrapped, done, total, started_at, finished_at)
			VALUES ($1, $2, $3, $4, $4, FALSE, 0, $5, $6, 0)
			ON CONFLICT (name) DO UPDATE SET event_id = excluded.event_id, reason = excluded.reason, began = excluded.began,
				position = excluded.position, wrapped = FALSE, done = 0, total = excluded.total, started_at = excluded.started_at, finished_at = 0`,
			allPhones, event.ID, event.Kind, began, total, micros(now))
		return err
	})
}

// SaveRun moves the run on, if it still stands where before says.
func (s *Compliance) SaveRun(ctx context.Context, before, after compliance.Run) error {
	return s.db.write(ctx, "save run", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE compliance_runs SET position = $2, wrapped = $3, done = $4, finished_at = $5
			WHERE name = $1 AND event_id = $6 AND position = $7 AND wrapped = $8 AND finished_at = 0`,
			allPhones, after.Position, after.Wrapped, after.Done, micros(after.FinishedAt), before.Event, before.Position, before.Wrapped)
		if err == nil && n == 0 {
			err = compliance.ErrStale
		}
		return err
	})
}

// SaveVerdicts saves many verdicts in one transaction. The text of what was
// stored and what takes its place is made before it begins: others wait for it.
func (s *Compliance) SaveVerdicts(ctx context.Context, changes []compliance.Change) ([]mdm.EnrollmentID, error) {
	rows := make([]verdictRow, len(changes))
	for i, c := range changes {
		var err error
		if rows[i], err = rowOf(c.Before, c.After, c.Kept, c.Entry); err != nil {
			return nil, fmt.Errorf("save verdicts: %w", err)
		}
	}
	var stale []mdm.EnrollmentID
	err := s.db.write(ctx, "save verdicts", func(t *tx) error {
		stale = nil
		for _, r := range rows {
			switch err := t.saveVerdict(ctx, r); {
			case errors.Is(err, compliance.ErrStale):
				stale = append(stale, r.after.EnrollmentID)
			case err != nil:
				return err
			}
		}
		return nil
	})
	return stale, err
}
