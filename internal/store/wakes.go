package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/enroll"
	"sallyport/mdm"
)

// Wakes keeps which phones are to be woken.
type Wakes struct{ db *DB }

var (
	_ enroll.WakeStore = (*Wakes)(nil)
	_ enroll.PushStore = (*Enrollments)(nil)
)

// Wakes returns the store of wake-ups.
func (db *DB) Wakes() *Wakes { return &Wakes{db} }

// What is asked all the time, however many phones there are: both follow a
// partial index in its order (TestQueryPlans).
const (
	dueWakes = `SELECT w.enrollment_id, w.due, w.attempts, e.push_topic, e.push_token, e.push_magic, e.push_updated_at
		FROM enroll_wakes w JOIN enroll_enrollments e ON e.id = w.enrollment_id
		WHERE w.due <> 0 AND w.due <= $1 AND w.dead = FALSE ORDER BY w.due, w.enrollment_id LIMIT $2`
	quietWakes = `SELECT w.enrollment_id, w.pushed_at, e.last_seen_at
		FROM enroll_wakes w JOIN enroll_enrollments e ON e.id = w.enrollment_id
		WHERE w.due = 0 AND w.dead = FALSE AND w.quiet_since < $1
		ORDER BY w.quiet_since, w.enrollment_id LIMIT $2`
)

// makeReachable gives an active enrolment its row, unless push can never reach
// it. t.end takes the row away.
func (t *tx) makeReachable(ctx context.Context, id mdm.EnrollmentID) error {
	_, err := t.ExecContext(ctx, `INSERT INTO enroll_wakes
			(enrollment_id, topic, due, attempts, pushed_at, error, dead, token_changed, quiet_since)
		SELECT id, push_topic, 0, 0, 0, '', FALSE, push_updated_at, last_seen_at FROM enroll_enrollments
		WHERE id = $1 AND state IN `+activeStates+` AND poll_only = FALSE AND push_updated_at <> 0
		ON CONFLICT (enrollment_id) DO NOTHING`, id)
	return err
}

// RequestWake makes enrolments due.
func (s *Wakes) RequestWake(ctx context.Context, ids []mdm.EnrollmentID, at time.Time) (int, error) {
	due := 0
	err := s.db.write(ctx, "request wake-ups", func(t *tx) error {
		due = 0
		if ids == nil {
			n, err := t.makeDue(ctx, at, ``)
			due = n
			return err
		}
		for _, id := range ids {
			n, err := t.makeDue(ctx, at, ` AND enrollment_id = $2`, id)
			if err != nil {
				return err
			}
			due += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return due, nil
}

// makeDue makes rows due that are not, or later. What is due by then already may
// be under way, and may reach its phone before there is what it is to be woken
// for: a microsecond more makes it outlive that (SaveWake).
func (t *tx) makeDue(ctx context.Context, at time.Time, condition string, args ...any) (int, error) {
	args = append([]any{micros(at)}, args...)
	again, err := t.change(ctx, `UPDATE enroll_wakes SET due = due + 1
		WHERE due <> 0 AND due <= $1 AND dead = FALSE`+condition, args...)
	if err != nil {
		return 0, err
	}
	n, err := t.change(ctx, `UPDATE enroll_wakes SET due = $1
		WHERE (due = 0 OR due - 1 > $1) AND dead = FALSE`+condition, args...)
	return int(again + n), err
}

// silentAtOnce bounds one transaction of RequestSilent.
const silentAtOnce = 500

// RequestSilent makes enrolments due that were neither seen nor pushed since
// then. It goes on until limit are due or none is left, in one transaction for
// some of them: phones wait for none of it.
func (s *Wakes) RequestSilent(ctx context.Context, since, at time.Time, limit int) (int, error) {
	limit = pageLimit(limit)
	due := 0
	for more := true; more && due < limit; {
		var n int
		err := s.db.write(ctx, "request wake-ups of silent phones", func(t *tx) (err error) {
			n, more, err = t.makeSilentDue(ctx, since, at, min(silentAtOnce, limit-due))
			return err
		})
		if err != nil {
			return due, err
		}
		due += n
	}
	return due, nil
}

// makeSilentDue looks at some of those that seem to be silent: they are, or
// their row learns when they last were not.
func (t *tx) makeSilentDue(ctx context.Context, since, at time.Time, some int) (due int, more bool, err error) {
	type quiet struct {
		id           mdm.EnrollmentID
		pushed, seen time.Time
	}
	rows, err := t.QueryContext(ctx, quietWakes, micros(since), some)
	list, err := collect(rows, err, func(row scanner) (quiet, error) {
		var q quiet
		err := row.Scan(&q.id, stamp{&q.pushed}, stamp{&q.seen})
		return q, err
	})
	if err != nil || len(list) == 0 {
		return 0, false, unchanged(err)
	}
	for _, q := range list {
		last := latest(q.pushed, q.seen)
		silent := last.Before(since) || last.After(at.Add(longStep)) // of a clock that was set right since
		if silent {
			due++
			_, err = t.ExecContext(ctx, `UPDATE enroll_wakes SET due = $2 WHERE enrollment_id = $1`, q.id, micros(at))
		} else {
			_, err = t.ExecContext(ctx, `UPDATE enroll_wakes SET quiet_since = $2 WHERE enrollment_id = $1`, q.id, micros(last))
		}
		if err != nil {
			return 0, false, err
		}
	}
	return due, len(list) == some, nil
}

// DueWakes returns what is due, the longest due first.
func (s *Wakes) DueWakes(ctx context.Context, now time.Time, limit int) ([]enroll.Wakeup, error) {
	rows, err := s.db.reader.QueryContext(ctx, dueWakes, micros(now), pageLimit(limit))
	list, err := collect(rows, err, func(row scanner) (enroll.Wakeup, error) {
		var w enroll.Wakeup
		var token, magic []byte
		err := row.Scan(&w.EnrollmentID, stamp{&w.Due}, &w.Attempts, &w.Push.Topic, &token, &magic, stamp{&w.Push.UpdatedAt})
		if err != nil {
			return w, err
		}
		return w, s.db.openPushes(w.EnrollmentID, sealedPush{"push_token", token, &w.Push.Token}, sealedPush{"push_magic", magic, &w.Push.Magic})
	})
	if err != nil {
		return nil, fmt.Errorf("list due wake-ups: %w", err)
	}
	return list, nil
}

// SaveWake notes what became of a wake-up. A token that changed later than what
// w holds was written, or a request that came meanwhile, leave nothing to note.
func (s *Wakes) SaveWake(ctx context.Context, w enroll.Wakeup, r enroll.WakeResult) error {
	return s.db.write(ctx, "save wake-up", func(t *tx) error {
		succeeded := r.Error == "" && !r.Dead
		next := micros(r.Next)
		if r.Dead {
			next = 0
		}
		n, err := t.change(ctx, `UPDATE enroll_wakes SET due = $4, error = $5, dead = $6,
				attempts = CASE WHEN $7 THEN 0 ELSE attempts + 1 END,
				pushed_at = CASE WHEN $7 THEN $8 ELSE pushed_at END
			WHERE enrollment_id = $1 AND due = $2 AND token_changed <= $3`,
			w.EnrollmentID, micros(w.Due), micros(w.Push.UpdatedAt), next, mdm.PhoneText(r.Error), r.Dead, succeeded, micros(r.At))
		if err == nil && n == 0 {
			return errUnchanged
		}
		return err
	})
}

// PushState counts what push can do for the active enrolments of a topic. Android
// phones are not among them: Google wakes those.
func (s *Wakes) PushState(ctx context.Context, topic string) (enroll.PushState, error) {
	var p enroll.PushState
	err := s.db.read(ctx, "count push states", func(t *tx) error {
		err := t.QueryRowContext(ctx, `SELECT
			COUNT(*), COUNT(CASE WHEN poll_only = TRUE THEN 1 END)
			FROM enroll_enrollments WHERE state IN `+activeStates+` AND platform = $1`, mdm.Apple).Scan(&p.Active, &p.PollOnly)
		if err != nil {
			return err
		}
		return t.QueryRowContext(ctx, `SELECT
				COUNT(CASE WHEN topic = $1 AND dead = FALSE THEN 1 END), COUNT(CASE WHEN topic <> $1 THEN 1 END),
				COUNT(CASE WHEN dead = TRUE THEN 1 END), COUNT(CASE WHEN due <> 0 THEN 1 END), COALESCE(MAX(pushed_at), 0)
			FROM enroll_wakes`, topic).Scan(&p.Reachable, &p.OtherTopic, &p.Dead, &p.Due, stamp{&p.LastPushAt})
	})
	if err != nil {
		return enroll.PushState{}, err
	}
	return p, nil
}
