package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/audit"
	"sallyport/mdm"
)

// Phase says where a write transaction stands when Options.Hook is called.
type Phase string

const (
	BeforeCommit Phase = "before_commit" // everything is written, nothing is durable
	AfterCommit  Phase = "after_commit"  // durable; nobody has been told
)

const (
	busyRetries = 3
	busyPause   = 50 * time.Millisecond // doubled with each try; the driver has waited busyTimeout before
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
	*sql.Tx
	db     *DB
	events int
}

// write runs one named unit of work: all of it is durable when write returns
// nil, and none of it otherwise. fn may run more than once.
func (db *DB) write(ctx context.Context, unit string, fn func(*tx) error) error {
	pause := busyPause
	for try := 0; ; try++ {
		err := db.writeOnce(ctx, unit, fn)
		if err == nil {
			return nil
		}
		if !isBusy(err) || try == busyRetries {
			return fmt.Errorf("%s: %w", unit, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", unit, ctx.Err())
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func (db *DB) writeOnce(ctx context.Context, unit string, fn func(*tx) error) error {
	raw, err := db.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	// After a commit this does nothing; it also runs when fn or the hook panics.
	defer func() { _ = raw.Rollback() }()
	t := &tx{Tx: raw, db: db}
	if err := fn(t); err != nil {
		if errors.Is(err, errUnchanged) {
			return nil
		}
		return err
	}
	db.options.Hook(unit, BeforeCommit)
	if err := raw.Commit(); err != nil {
		if ctx.Err() != nil { // database/sql may have rolled back first and then names only that
			return ctx.Err()
		}
		return err
	}
	db.options.Hook(unit, AfterCommit)
	if t.events > 0 {
		db.options.OnCommit(unit)
	}
	return nil
}

// read runs fn on one consistent state of the database.
func (db *DB) read(ctx context.Context, unit string, fn func(*tx) error) error {
	raw, err := db.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("%s: %w", unit, err)
	}
	defer func() { _ = raw.Rollback() }()
	if err := fn(&tx{Tx: raw, db: db}); err != nil {
		return fmt.Errorf("%s: %w", unit, err)
	}
	return nil
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

// emit writes an outbox row, in this transaction; consumers are woken after
// its commit.
func (t *tx) emit(ctx context.Context, kind mdm.EventKind, id mdm.EnrollmentID, at time.Time) error {
	_, err := t.ExecContext(ctx, `INSERT INTO work_outbox (kind, enrollment_id, at) VALUES ($1, $2, $3)`,
		kind, id, micros(at))
	if err != nil {
		return fmt.Errorf("emit %s: %w", kind, err)
	}
	t.events++
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
