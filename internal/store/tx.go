package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"sallyport/internal/audit"
)

// Phase says where a write transaction stands when Options.Hook is called.
type Phase string

const (
	BeforeCommit Phase = "before_commit" // everything is decided, nothing is durable
	AfterCommit  Phase = "after_commit"  // durable; nobody has been told
)

const (
	busyPause   = 2 * time.Millisecond // after the first failure; doubled with each try, up to maxPause
	maxPause    = 100 * time.Millisecond
	busyRetries = 12
	busyLimit   = 3 * busyTimeout // an engine may have waited for a lock each time
)

// errUnchanged ends a unit of work that found nothing to write: it is rolled
// back, and its caller gets no error.
var errUnchanged = errors.New("nothing to write")

// unchanged ends a unit of work that only looked something up.
func unchanged(err error) error {
	if err != nil {
		return err
	}
	return errUnchanged
}

// tx is one transaction of one unit of work. It never leaves the package.
type tx struct {
	session
	db     *DB
	last   []deferred
	events []event
	// ordered says that nobody else can write events any more.
	ordered bool
}

// deferred is a statement that was put off.
type deferred struct {
	query string
	args  []any
}

// values are the arguments as database/sql would hand them to a driver.
func (s deferred) values() ([]any, error) {
	list := make([]any, len(s.args))
	for i, arg := range s.args {
		v, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		list[i] = v
	}
	return list, nil
}

// later puts a statement off until everything else of the unit is done: those
// leave together with the commit, which costs PostgreSQL one exchange less for
// each. It is for statements whose outcome decides about nothing; one that fails
// fails the unit, with an error that write returns.
func (t *tx) later(query string, args ...any) {
	t.last = append(t.last, deferred{query, args})
}

// write runs one named unit of work: all of it is durable when write returns
// nil, and none of it otherwise. fn may run more than once: while somebody else
// is in the way; when a row that it did not see turned out to be there; and after
// a connection was lost before the commit was sent.
func (db *DB) write(ctx context.Context, unit string, fn func(*tx) error) error {
	pause, began := busyPause, time.Now()
	for try := 0; ; try++ {
		sent, err := db.writeOnce(ctx, unit, fn)
		if err == nil {
			return nil
		}
		again := isBusy(err) || postgresLost(err) && !sent || isUnique(err) && try == 0
		if !again || try == busyRetries || time.Since(began) > busyLimit || ctx.Err() != nil {
			return fmt.Errorf("%s: %w", unit, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", unit, ctx.Err())
		case <-time.After(pause/2 + rand.N(pause)): // two that met must not meet again
		}
		pause = min(2*pause, maxPause)
	}
}

// writeOnce says whether the commit was sent.
func (db *DB) writeOnce(ctx context.Context, unit string, fn func(*tx) error) (sent bool, err error) {
	u, err := db.engine.begin(ctx)
	if err != nil {
		return false, err
	}
	defer u.rollback() // also when fn or the hook panics
	t := &tx{session: u, db: db}
	if err := fn(t); err != nil {
		if errors.Is(err, errUnchanged) {
			return false, nil
		}
		return false, err
	}
	t.writeEvents()
	db.options.Hook(unit, BeforeCommit)
	if sent, err := u.commit(ctx, t.last); err != nil {
		if ctx.Err() != nil { // database/sql may have rolled back first and then names only that
			return sent, ctx.Err()
		}
		return sent, err
	}
	db.options.Hook(unit, AfterCommit)
	if len(t.events) > 0 {
		db.options.OnCommit(unit)
	}
	return true, nil
}

// reader is a pool that asks once more where a connection turns out to be dead:
// a server that comes back finds many of them, and a question can be repeated.
type reader struct{ *sql.DB }

func (r reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	for try := 0; ; try++ {
		rows, err := r.DB.QueryContext(ctx, query, args...)
		if !postgresLost(err) || try == busyRetries {
			return rows, err
		}
	}
}

func (r reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	for try := 0; ; try++ {
		row := r.DB.QueryRowContext(ctx, query, args...)
		if !postgresLost(row.Err()) || try == busyRetries {
			return row
		}
	}
}

// read runs fn on one consistent state of the database. fn may run more than once.
func (db *DB) read(ctx context.Context, unit string, fn func(*tx) error) error {
	for try := 0; ; try++ {
		err := db.readOnce(ctx, fn)
		if err == nil {
			return nil
		}
		if !postgresLost(err) || try == busyRetries {
			return fmt.Errorf("%s: %w", unit, err)
		}
	}
}

func (db *DB) readOnce(ctx context.Context, fn func(*tx) error) error {
	raw, err := db.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: db.engine.snapshot()})
	if err != nil {
		return err
	}
	defer func() { _ = raw.Rollback() }()
	return fn(&tx{session: raw, db: db})
}

// audit appends the entries to the trail, in this transaction.
func (t *tx) audit(ctx context.Context, entries ...audit.Entry) error {
	for _, e := range entries {
		if e.At.IsZero() {
			e.At = t.db.now()
		}
		_, err := t.ExecContext(ctx, `INSERT INTO audit_entries
			(at, actor, action, target, outcome, request_id, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			micros(e.At), e.Actor, e.Action, e.Target, e.Outcome, e.RequestID, document{e.Detail})
		if err != nil {
			return fmt.Errorf("audit %s: %w", e.Action, err)
		}
	}
	return nil
}

// change runs a statement and says how many rows it touched.
func (t *tx) change(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := t.ExecContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// scanner is a row: *sql.Row or the current one of *sql.Rows.
type scanner interface{ Scan(dest ...any) error }

// collect reads every row with scan. It returns an empty slice, not nil, when
// there is none: lists marshal as [].
func collect[T any](rows *sql.Rows, err error, scan func(scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	list := []T{}
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, rows.Err()
}

// orNotFound turns "no row" into the room's own sentinel.
func orNotFound(err, sentinel error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return sentinel
	}
	return err
}
