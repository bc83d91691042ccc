package store

import (
	"context"
	"database/sql"
	"io"
)

// engine is what SQLite and PostgreSQL do differently. Everything else in this
// package is one text for both: $1 placeholders, ON CONFLICT, RETURNING,
// microseconds as BIGINT. docs/adr/0004 says why the two can be trusted alike.
type engine interface {
	// name is what a person calls the database, without a secret in it.
	name() string
	// begin opens a unit of work. Under both engines units behave as if one had
	// followed another.
	begin(ctx context.Context) (unit, error)
	// snapshot is how several reads see one state of the database.
	snapshot() sql.IsolationLevel
	// recognise refuses a database that is another program's, before anything
	// is written to it, and marks an empty one as ours where there is a mark.
	recognise(ctx context.Context) error
	// migrations is the directory of the schema, dialect goose's word for the engine.
	migrations() (dir string, dialect string)
	// beforeEvents runs once in a unit that is about to write events, and after
	// it nothing but those and the commit: whoever sees an event's ID must see
	// every smaller one, and other processes are told once it is there.
	beforeEvents(t *tx)
	// turn lets units of work that name the same key pass one by one, from here
	// to their end. It makes nothing right that was wrong: it keeps those apart
	// that would lock the same rows in different orders.
	turn(ctx context.Context, t *tx, key string) error
	// alone runs fn unless another process is in there under the same name, and
	// says whether it did.
	alone(ctx context.Context, name string, fn func(context.Context) error) (ran bool, err error)
	// stopped runs fn unless a server is on the database, and says whether it did.
	stopped(ctx context.Context, fn func(context.Context) error) (ran bool, err error)
	// rewrite makes tables anew on the disk, so that nothing is left there of values
	// that were replaced.
	rewrite(ctx context.Context, tables []string) error
	backup(ctx context.Context, w io.Writer) error
	close() error
}

// session is what runs statements: a unit of work, or a transaction that reads.
type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// unit is the transaction of one unit of work.
type unit interface {
	session
	// commit runs the statements that were put off, and commits: all or nothing.
	// sent says whether an error leaves it open what became of the commit.
	commit(ctx context.Context, last []deferred) (sent bool, err error)
	// rollback ends a unit that was not committed. After a commit it does nothing
	// but to give the connection back. It must be called.
	rollback()
}

// Errors are told apart by code, never by text: texts change between releases
// and with the server's language.

// isUnique reports that a row with the same key exists.
func isUnique(err error) bool {
	c := sqliteCode(err)
	return c == sqliteUnique || c == sqlitePrimaryKey || postgresCode(err) == postgresUnique
}

// isForeignKey reports that a row which is referred to does not exist.
func isForeignKey(err error) bool {
	return sqliteCode(err) == sqliteForeignKey || postgresCode(err) == postgresForeignKey
}

// isBusy reports that somebody else's transaction was in the way: nothing was
// written and the same unit of work may be tried again.
func isBusy(err error) bool { return sqliteCode(err)&0xff == sqliteBusy || postgresInTheWay(err) }

// Temporary reports whether an error of a store passes by itself: the same act
// may be tried again. Nothing was written, but for one case: where the
// connection to PostgreSQL broke during a commit nobody knows, as nobody knows
// whether an answer reached a phone. Units of work bear being done twice.
func Temporary(err error) bool { return isBusy(err) || postgresAway(err) }
