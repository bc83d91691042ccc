package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/compliance"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// watchAhead: what is due later than that lies ahead because of a clock which was
// set right since.
const watchAhead = 25 * time.Hour

// sinceLook is the time from the last look to $2, an hour at most, and nothing
// where the clock went back; countOn adds it.
const (
	hour      = `3600000000` // microseconds
	sinceLook = `CASE WHEN compliance_spells.at > $2 THEN 0 WHEN $2 - compliance_spells.at > ` + hour + ` THEN ` + hour + ` ELSE $2 - compliance_spells.at END`
	countOn   = `watched = compliance_spells.watched + CASE WHEN compliance_spells.running > 0 THEN ` + sinceLook + ` ELSE 0 END,
		reported = compliance_spells.reported + CASE WHEN compliance_spells.running = 2 THEN ` + sinceLook + ` ELSE 0 END,
		at = $2, running = $3`
)

// watch begins, counts on, pauses or ends the spell of an enrolment, as its new
// verdict says. A phone that complies, and did before, has none.
func (t *tx) watch(ctx context.Context, before, after compliance.Verdict) error {
	id, at, how := after.EnrollmentID, micros(after.At), after.Watching()
	switch how {
	case compliance.WatchOver:
		if before.State == compliance.Compliant || before.At.IsZero() {
			return nil
		}
		return t.endWatch(ctx, id)
	case compliance.WatchPaused:
		if before.State == compliance.Compliant || before.At.IsZero() {
			return nil
		}
		_, err := t.ExecContext(ctx, `UPDATE compliance_spells SET `+countOn+` WHERE enrollment_id = $1`, id, at, how)
		return err
	}
	spell, err := newID()
	if err != nil {
		return err
	}
	// Another policy may ask for something sooner.
	_, err = t.ExecContext(ctx, `INSERT INTO compliance_spells (enrollment_id, at, running, id, started_at, watched, reported, next_at, user_at, admins_at, retire_at)
		VALUES ($1, $2, $3, $4, $2, 0, 0, $2, 0, 0, 0)
		ON CONFLICT (enrollment_id) DO UPDATE SET `+countOn+`,
			next_at = CASE WHEN compliance_spells.running = 0 OR $5 THEN $2 ELSE compliance_spells.next_at END`,
		id, at, how, spell, before.Policy != after.Policy)
	return err
}

func (t *tx) endWatch(ctx context.Context, id mdm.EnrollmentID) error {
	n, err := t.change(ctx, `DELETE FROM compliance_spells WHERE enrollment_id = $1`, id)
	if err != nil || n == 0 {
		return err
	}
	_, err = t.ExecContext(ctx, `DELETE FROM compliance_notices WHERE enrollment_id = $1`, id)
	return err
}

// Watched is how long an enrolment was watched.
func (s *Compliance) Watched(ctx context.Context, id mdm.EnrollmentID) (compliance.Watched, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT watched, at, running FROM compliance_spells WHERE enrollment_id = $1`, id)
	list, err := collect(rows, err, func(row scanner) (compliance.Watched, error) {
		var w watched
		err := row.Scan(&w.total, stamp{&w.at}, &w.running)
		return w.said(), err
	})
	if err != nil || len(list) == 0 {
		return compliance.Watched{}, err
	}
	return list[0], nil
}

// watched is what a spell says to an evaluation.
type watched struct {
	total, running int64
	at             time.Time
}

func (w watched) said() compliance.Watched {
	return compliance.Watched{Total: time.Duration(w.total) * time.Microsecond, At: w.at, Paused: w.running == int64(compliance.WatchPaused)}
}

// Spell returns the spell of an enrolment.
func (s *Compliance) Spell(ctx context.Context, id mdm.EnrollmentID) (compliance.Spell, error) {
	p := compliance.Spell{EnrollmentID: id}
	var total, reported int64
	err := s.db.reader.QueryRowContext(ctx, `SELECT id, started_at, watched, reported, running, user_at, admins_at, retire_at
		FROM compliance_spells WHERE enrollment_id = $1`, id).Scan(&p.ID, stamp{&p.StartedAt}, &total, &reported, &p.Running,
		stamp{&p.UserAt}, stamp{&p.AdminsAt}, stamp{&p.RetireAt})
	if err != nil {
		return compliance.Spell{}, fmt.Errorf("load spell of %s: %w", id, orNotFound(err, compliance.ErrNotFound))
	}
	p.Watched, p.Reported = time.Duration(total)*time.Microsecond, time.Duration(reported)*time.Microsecond
	return p, nil
}

// aheadSpells is asked where nothing is due: a clock that was set right leaves them.
const (
	dueSpells   = `SELECT enrollment_id FROM compliance_spells WHERE next_at <= $1 ORDER BY next_at, enrollment_id LIMIT $2`
	aheadSpells = `SELECT enrollment_id FROM compliance_spells WHERE next_at > $1 ORDER BY next_at, enrollment_id LIMIT $2`
)

// DueSpells returns those to be looked at.
func (s *Compliance) DueSpells(ctx context.Context, now time.Time, limit int) ([]mdm.EnrollmentID, error) {
	rows, err := s.db.reader.QueryContext(ctx, dueSpells, micros(now), pageLimit(limit))
	list, err := collect(rows, err, scanEnrollmentID)
	if err == nil && len(list) == 0 {
		rows, err = s.db.reader.QueryContext(ctx, aheadSpells, micros(now.Add(watchAhead)), pageLimit(limit))
		list, err = collect(rows, err, scanEnrollmentID)
	}
	if err != nil {
		return nil, fmt.Errorf("list due spells: %w", err)
	}
	return list, nil
}

// SaveSpell notes what was done in a spell.
func (s *Compliance) SaveSpell(ctx context.Context, p compliance.Spell, next time.Time, notices []compliance.Notice, entries []audit.Entry) error {
	return s.db.write(ctx, "save spell", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE compliance_spells SET next_at = $3, user_at = $4, admins_at = $5, retire_at = $6
			WHERE enrollment_id = $1 AND id = $2`, p.EnrollmentID, p.ID, micros(next), micros(p.UserAt), micros(p.AdminsAt), micros(p.RetireAt))
		if err != nil {
			return err
		}
		if n == 0 {
			return errUnchanged
		}
		for _, notice := range notices {
			_, err := t.ExecContext(ctx, `INSERT INTO compliance_notices (id, enrollment_id, notice, attempts, next_at)
				VALUES ($1, $2, $3, 0, $4) ON CONFLICT (id) DO NOTHING`, notice.Key, notice.EnrollmentID, document{notice}, micros(notice.At))
			if err != nil {
				return err
			}
		}
		return t.audit(ctx, entries...)
	})
}

// DueNotices returns those to be delivered.
func (s *Compliance) DueNotices(ctx context.Context, now time.Time, limit int) ([]compliance.Notice, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT notice FROM compliance_notices
		WHERE next_at <= $1 OR next_at > $2 ORDER BY next_at, id LIMIT $3`, micros(now), micros(now.Add(watchAhead)), pageLimit(limit))
	list, err := collect(rows, err, func(row scanner) (compliance.Notice, error) {
		var n compliance.Notice
		err := row.Scan(document{&n})
		return n, err
	})
	if err != nil {
		return nil, fmt.Errorf("list due notices: %w", err)
	}
	return list, nil
}

// NoticeTaken forgets a notice.
func (s *Compliance) NoticeTaken(ctx context.Context, key string) error {
	return s.db.write(ctx, "forget notice", func(t *tx) error {
		_, err := t.ExecContext(ctx, `DELETE FROM compliance_notices WHERE id = $1`, key)
		return err
	})
}

// NoticeFailed has a notice come again later.
func (s *Compliance) NoticeFailed(ctx context.Context, key string, now time.Time) error {
	return s.db.write(ctx, "postpone notice", func(t *tx) error {
		var attempts int
		err := t.QueryRowContext(ctx, `UPDATE compliance_notices SET attempts = attempts + 1 WHERE id = $1 RETURNING attempts`, key).Scan(&attempts)
		if err != nil {
			return unchanged(orNotFound(err, nil))
		}
		pause := min(time.Minute<<min(attempts-1, 10), time.Hour)
		_, err = t.ExecContext(ctx, `UPDATE compliance_notices SET next_at = $2 WHERE id = $1`, key, micros(now.Add(pause)))
		return err
	})
}
