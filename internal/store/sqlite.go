package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
)

const (
	// applicationID marks our files in SQLite's header ("SPLY",
	// https://www.sqlite.org/pragma.html#pragma_application_id).
	applicationID = 0x53504c59

	busyTimeout = 5 * time.Second
	readers     = 8

	fileHeader = "SQLite format 3\x00"
)

// SQLite's result codes (https://www.sqlite.org/rescode.html).
const (
	sqliteBusy       = 5    // in the low byte of every extended busy code
	sqlitePrimaryKey = 1555 // SQLITE_CONSTRAINT_PRIMARYKEY
	sqliteUnique     = 2067 // SQLITE_CONSTRAINT_UNIQUE
	sqliteForeignKey = 787  // SQLITE_CONSTRAINT_FOREIGNKEY
)

func sqliteCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// sqliteFile is the engine of a database in one file, which one process serves.
type sqliteFile struct {
	path           string
	writer, reader *sql.DB
}

func (s *sqliteFile) name() string { return s.path }

// begin: the writer is one connection, and its transactions begin IMMEDIATE.
func (s *sqliteFile) begin(ctx context.Context) (unit, error) {
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return nil, err
	}
	u := &sqliteUnit{Conn: conn, open: true}
	if _, err := u.ExecContext(ctx, `begin immediate`); err != nil { // which may wait for another process, for busyTimeout
		u.rollback()
		return nil, err
	}
	return u, nil
}

// sqliteUnit is a transaction on the writer's connection. It begins and ends by
// prepared statements: for a sql.Tx the driver parses both anew each time.
//
// The end of the context is looked at before each statement, and interrupts none:
// for each that it might, driver and database/sql start goroutines that wait for it.
// A poll took 6 % longer with them, and the statements of units are short: the
// longest is the first, which waits for another process for busyTimeout at most.
type sqliteUnit struct {
	*sql.Conn
	open bool
}

func (u *sqliteUnit) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return u.Conn.ExecContext(context.WithoutCancel(ctx), query, args...)
}

func (u *sqliteUnit) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return u.Conn.QueryContext(context.WithoutCancel(ctx), query, args...)
}

func (u *sqliteUnit) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if ctx.Err() == nil {
		ctx = context.WithoutCancel(ctx)
	}
	return u.Conn.QueryRowContext(ctx, query, args...)
}

func (u *sqliteUnit) commit(ctx context.Context, last []deferred) (sent bool, err error) {
	for _, s := range last {
		if _, err := u.ExecContext(ctx, s.query, s.args...); err != nil {
			return false, err
		}
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	// Nothing interrupts it: nobody would know what became of it.
	if _, err := u.ExecContext(context.WithoutCancel(ctx), `commit`); err != nil {
		return true, err
	}
	u.open = false
	return true, nil
}

// rollback gives the connection back; for good where it may still be in the
// transaction. Some errors of SQLite have ended that before
// (https://www.sqlite.org/lang_transaction.html), and then it says that there is none.
func (u *sqliteUnit) rollback() {
	if u.open {
		if _, err := u.ExecContext(context.Background(), `rollback`); err != nil {
			_ = u.Raw(func(any) error { return driver.ErrBadConn })
		}
	}
	_ = u.Close()
}

func (s *sqliteFile) snapshot() sql.IsolationLevel { return sql.LevelDefault }

func (s *sqliteFile) recognise(ctx context.Context) error { return mark(ctx, s.writer) }

func (s *sqliteFile) migrations() (string, string) { return "migrations/sqlite", "sqlite3" }

// beforeEvents has nothing to do: there is one writer.
func (s *sqliteFile) beforeEvents(*tx) {}

// turn has nothing to do: there is one writer.
func (s *sqliteFile) turn(context.Context, *tx, string) error { return nil }

// alone: a second server is kept away by the lock of the data directory.
func (s *sqliteFile) alone(ctx context.Context, _ string, fn func(context.Context) error) (bool, error) {
	return true, fn(ctx)
}

// stopped: whoever holds the lock of the data directory knows that no server runs.
func (s *sqliteFile) stopped(ctx context.Context, fn func(context.Context) error) (bool, error) {
	return true, fn(ctx)
}

// rewrite makes the whole file anew, and empties the log.
func (s *sqliteFile) rewrite(ctx context.Context, _ []string) error {
	for _, statement := range []string{`VACUUM`, `PRAGMA wal_checkpoint(TRUNCATE)`} {
		if _, err := s.writer.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("rewrite %s: %w", s.path, err)
		}
	}
	return nil
}

func (s *sqliteFile) backup(ctx context.Context, w io.Writer) error {
	return backupFile(ctx, s.path, w)
}

func (s *sqliteFile) close() error { return errors.Join(s.reader.Close(), s.writer.Close()) }

// openSQLite opens the pools. The writer has one connection whose
// transactions begin IMMEDIATE: a transaction that first reads and then writes
// can then not fail for having read an old state. The readers cannot write.
func openSQLite(ctx context.Context, path string) (writer, reader *sql.DB, err error) {
	if err := makeFile(path); err != nil {
		return nil, nil, err
	}
	if err := probe(ctx, path); err != nil {
		return nil, nil, err
	}
	writer, err = pool(path, url.Values{"_txlock": {"immediate"}}, 1)
	if err != nil {
		return nil, nil, err
	}
	reader, err = pool(path, url.Values{"_query_only": {"1"}}, readers)
	if err != nil {
		return nil, nil, errors.Join(err, writer.Close())
	}
	// The writer goes first: it is the one that may turn a new file into WAL mode.
	if err := writer.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(err, writer.Close(), reader.Close())
	}
	return writer, reader, nil
}

// pool prepares connections to path; more adds to the usual parameters,
// replaces them, or with nil takes one away. synchronous=FULL syncs the log at every
// commit: what was answered to a phone survives a power cut.
func pool(path string, more url.Values, size int) (*sql.DB, error) {
	dsn, err := dataSource(path, more)
	if err != nil {
		return nil, err
	}
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(preparing{connector})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

func dataSource(path string, more url.Values) (string, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	query := url.Values{
		"_busy_timeout": {fmt.Sprint(busyTimeout.Milliseconds())},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"},
		"_foreign_keys": {"1"},
		"_defensive":    {"1"},
		"_dqs":          {"0"},
		"_pragma":       {"trusted_schema(0)"},
	}
	for key, values := range more {
		if values == nil {
			query.Del(key)
			continue
		}
		query[key] = values
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: query.Encode()}).String(), nil
}

// makeFile creates path for its owner alone before SQLite would create it for
// everyone; the log and the shared index take over its mode. A file that is
// there must be SQLite's.
func makeFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	header := make([]byte, len(fileHeader))
	switch n, err := io.ReadFull(f, header); {
	case err == io.EOF && n == 0:
		return nil // new
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case string(header) != fileHeader:
		return refuseForeignFile("the file is not an SQLite database")
	}
	return nil
}

// probe refuses a file that is not ours before anything is written to it:
// entering WAL mode already would be.
func probe(ctx context.Context, path string) error {
	db, err := pool(path, url.Values{"_journal_mode": nil, "_query_only": {"1"}}, 1)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = identify(ctx, db)
	return err
}

// identify says whether the database is marked as ours. One that is not must
// be empty: new, or left by a crash in its first moments.
func identify(ctx context.Context, db *sql.DB) (ours bool, err error) {
	var id, tables int64
	if err := db.QueryRowContext(ctx, `PRAGMA application_id`).Scan(&id); err != nil {
		return false, err
	}
	if id == applicationID {
		return true, nil
	}
	if err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_master`).Scan(&tables); err != nil {
		return false, err
	}
	if id != 0 || tables != 0 {
		return false, refuseForeignFile("the file is another program's SQLite database")
	}
	return false, nil
}

// mark makes an empty database ours.
func mark(ctx context.Context, db *sql.DB) error {
	ours, err := identify(ctx, db)
	if err != nil || ours {
		return err
	}
	_, err = db.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID))
	return err
}
