package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// Outbox hands events to consumers. Each has a cursor of its own, so an event
// stays pending for one that is slow, new, or was down.
type Outbox struct{ db *DB }

// Outbox returns the outbox.
func (db *DB) Outbox() *Outbox { return &Outbox{db} }

// event is one that a unit of work has yet to write.
type event struct {
	kind mdm.EventKind
	id   mdm.EnrollmentID
	user directory.UserID
	at   time.Time
}

// emit notes an event. It is written at the end of this transaction; consumers
// are woken after its commit.
func (t *tx) emit(kind mdm.EventKind, id mdm.EnrollmentID, at time.Time) {
	t.events = append(t.events, event{kind: kind, id: id, at: at})
}

// emitUser notes an event that is about a user, or about all of them.
func (t *tx) emitUser(kind mdm.EventKind, user directory.UserID, at time.Time) {
	t.events = append(t.events, event{kind: kind, user: user, at: at})
}

// eventsAtOnce bounds the arguments of one statement.
const eventsAtOnce = 100

// writeEvents comes last in a unit of work: from here to the commit nobody else
// can write events, so nothing may come between that waits.
func (t *tx) writeEvents() {
	if len(t.events) == 0 {
		return
	}
	if !t.ordered {
		t.db.engine.beforeEvents(t)
	}
	for some := range slices.Chunk(t.events, eventsAtOnce) {
		var w where
		rows := make([]string, 0, len(some))
		for _, e := range some {
			rows = append(rows, "("+w.bind(e.kind)+", "+w.bind(e.id)+", "+w.bind(e.user)+", "+w.bind(micros(e.at))+")")
		}
		t.later(`INSERT INTO work_outbox (kind, enrollment_id, user_id, at) VALUES `+strings.Join(rows, ", "), w.args...)
	}
}

// orderEvents is for rows that must become visible in the order of their number,
// too, and whose number the unit has to know: from here to the commit it alone
// writes such rows and events. What was put off is done first.
func (t *tx) orderEvents(ctx context.Context) error {
	t.db.engine.beforeEvents(t)
	t.ordered = true
	last := t.last
	t.last = nil
	for _, s := range last {
		if _, err := t.ExecContext(ctx, s.query, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// Pending returns up to limit events that consumer has not done yet, in the
// order of their ID; none without error when there is nothing to do. A
// consumer that is not known yet starts with the oldest event.
func (s *Outbox) Pending(ctx context.Context, consumer string, limit int) ([]mdm.Event, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT id, kind, enrollment_id, user_id, at FROM work_outbox
		WHERE id > COALESCE((SELECT last_id FROM work_cursors WHERE consumer = $1), 0) AND id > $2
		ORDER BY id LIMIT $3`, consumer, s.db.passed.newest(consumer), pageLimit(limit))
	list, err := collect(rows, err, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("load events for %s: %w", consumer, err)
	}
	return list, nil
}

// passAtMost is how many events in a row a consumer passes before that is on record.
const passAtMost = 50

// Pass is Done for events of which nothing came. Most do not concern most consumers,
// and to note each would take a commit of its own: only this process remembers up to
// passAtMost of them. The next one looks at those again, and as little comes of them.
func (s *Outbox) Pass(ctx context.Context, consumer string, id int64) error {
	if s.db.passed.pass(consumer, id) < passAtMost {
		return nil
	}
	return s.Done(ctx, consumer, id)
}

// passed is what consumers passed since their cursors were moved.
type passed struct {
	mu    sync.Mutex
	spans map[string]span
}

type span struct{ first, last int64 }

func (p *passed) newest(consumer string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spans[consumer].last
}

// pass says how far the cursor is behind.
func (p *passed) pass(consumer string, id int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.spans[consumer]
	if at.first == 0 {
		at.first = id
	}
	at.last = max(at.last, id)
	if p.spans == nil {
		p.spans = map[string]span{}
	}
	p.spans[consumer] = at
	return at.last - at.first
}

// moved: what comes before the cursor need not be remembered.
func (p *passed) moved(consumer string, id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spans[consumer].last <= id {
		delete(p.spans, consumer)
	}
}

// Done moves the consumer's cursor to id: that event and all before it are
// done. A cursor never moves back.
func (s *Outbox) Done(ctx context.Context, consumer string, id int64) error {
	if err := s.move(ctx, consumer, id); err != nil {
		return err
	}
	s.db.passed.moved(consumer, id)
	return nil
}

func (s *Outbox) move(ctx context.Context, consumer string, id int64) error {
	return s.db.write(ctx, "move outbox cursor", func(t *tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO work_cursors (consumer, last_id) VALUES ($1, $2)
			ON CONFLICT (consumer) DO UPDATE SET last_id = excluded.last_id
			WHERE work_cursors.last_id < excluded.last_id`, consumer, id)
		return err
	})
}

// Prune drops up to limit of the oldest events, if they are from before that moment and
// each of those consumers has a cursor beyond them: none while one has no cursor yet.
// The newest event that all have done stays: its ID is the place of those who follow.
func (s *Outbox) Prune(ctx context.Context, before time.Time, limit int, consumers ...string) (int, error) {
	pruned := 0
	err := s.db.write(ctx, "prune outbox", func(t *tx) error {
		var w where
		names := make([]string, 0, len(consumers))
		for _, name := range consumers {
			names = append(names, w.bind(name))
		}
		var known int
		var done int64
		err := t.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(MIN(last_id), 0) FROM work_cursors
			WHERE consumer IN (`+strings.Join(names, ", ")+`)`, w.args...).Scan(&known, &done)
		if err != nil || known < len(consumers) {
			return unchanged(err)
		}
		n, err := t.change(ctx, `DELETE FROM work_outbox WHERE at < $1
			AND id IN (SELECT id FROM work_outbox WHERE id < $2 ORDER BY id LIMIT $3)`, micros(before), done, pageLimit(limit))
		pruned = int(n)
		return err
	})
	return pruned, err
}

// After returns up to limit events that follow the one of that ID, in the order of
// their ID: for whoever keeps a cursor of their own, in memory.
func (s *Outbox) After(ctx context.Context, after int64, limit int) ([]mdm.Event, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT id, kind, enrollment_id, user_id, at FROM work_outbox
		WHERE id > $1 ORDER BY id LIMIT $2`, after, pageLimit(limit))
	list, err := collect(rows, err, scanEvent)
	if err != nil {
		return nil, fmt.Errorf("load events after %d: %w", after, err)
	}
	return list, nil
}

func scanEvent(row scanner) (mdm.Event, error) {
	var e mdm.Event
	err := row.Scan(&e.ID, &e.Kind, &e.EnrollmentID, &e.UserID, stamp{&e.At})
	return e, err
}
