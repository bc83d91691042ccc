package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"sallyport/internal/refusal"
)

// PostgreSQL's error codes (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	postgresUnique     = "23505"
	postgresForeignKey = "23503"
)

const (
	defaultConnections = 10
	minConnections     = 4                // a consumer holds one while it works, and works with others
	connectionLife     = 30 * time.Minute // so that a fail-over or a new server is noticed by every connection
	connectionIdle     = 5 * time.Minute
)

// sessionSettings hold on every connection, whatever the server's defaults are.
//   - A unit of work waits for another's lock as long as SQLite's would, and one
//     whose process hangs in the middle does not hold up the others for ever.
//   - What was answered to a phone survives a crash of the database.
//   - A scan of a whole table locks the whole table under SERIALIZABLE, and the
//     planner prefers one while a table is small; none of our queries needs it
//     (https://www.postgresql.org/docs/current/transaction-iso.html#XACT-SERIALIZABLE).
//     Where there is no index the scan takes place all the same, at a price that
//     exists on paper only, but would make PostgreSQL compile the query first.
const sessionSettings = `SELECT
	set_config('lock_timeout', '5s', false),
	set_config('idle_in_transaction_session_timeout', '30s', false),
	set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
		ELSE current_setting('synchronous_commit') END, false),
	set_config('enable_seqscan', 'off', false),
	set_config('jit', 'off', false)`

type postgres struct {
	db       *sql.DB
	place    string
	required bool   // an empty database is refused
	node     string // tells our own notifications from those of other processes
	listener *listener
	locks    *locks
}

// openPostgres opens a pool that readers and writers share.
func openPostgres(ctx context.Context, o Options) (*sql.DB, *postgres, error) {
	config, err := pgx.ParseConfig(o.Database)
	if err != nil {
		return nil, nil, refusal.New(ErrUnreachable, "database", "the URL cannot be read", "write it as postgres://USER@HOST/DATABASE; docs/postgresql.md lists what may follow")
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "sallyport"
	}
	node, err := newID()
	if err != nil {
		return nil, nil, err
	}
	prepare := stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, sessionSettings)
		return err
	})
	db := stdlib.OpenDB(*config, prepare)
	db.SetMaxOpenConns(o.MaxConnections)
	db.SetMaxIdleConns(o.MaxConnections)
	db.SetConnMaxLifetime(connectionLife)
	db.SetConnMaxIdleTime(connectionIdle)
	p := &postgres{db: db, locks: newLocks(stdlib.OpenDB(*config, prepare)), place: fmt.Sprintf("%s on %s", config.Database, config.Host), node: node, required: o.MustExist}
	if err := db.PingContext(ctx); err != nil {
		return nil, nil, errors.Join(refuseUnreachable(p.place, err), p.close())
	}
	if o.OnNotify != nil {
		p.listener = listen(config, node, o.OnNotify)
	}
	return db, p, nil
}

// refuseUnreachable says what to do about a database that cannot be opened.
func refuseUnreachable(place string, err error) error {
	reason, remedy := "PostgreSQL does not answer: "+err.Error(), "look whether it runs and accepts connections from this machine: psql with the same URL"
	switch code := postgresCode(err); {
	case code == "3D000":
		reason, remedy = "the database does not exist", "create it: createdb --owner USER --encoding UTF8 --template template0 NAME"
	case strings.HasPrefix(code, "28"):
		reason, remedy = "PostgreSQL refuses the login", "look at the user's name, its password (PGPASSFILE, ?passfile= or PGPASSWORD) and pg_hba.conf"
	case code == "53300":
		reason, remedy = "PostgreSQL has no connection left", "raise its max_connections, or lower database_max_connections of the servers on it"
	}
	return refusal.New(ErrUnreachable, "database", place+": "+reason, remedy)
}

func (p *postgres) name() string { return p.place }

func (p *postgres) snapshot() sql.IsolationLevel { return sql.LevelRepeatableRead }

func (p *postgres) migrations() (string, string) { return "migrations/postgres", "postgres" }

func (p *postgres) recognise(ctx context.Context) error {
	var ours bool
	var tables int
	var encoding string
	err := p.db.QueryRowContext(ctx, `SELECT to_regclass('app_settings') IS NOT NULL AND to_regclass('work_outbox') IS NOT NULL,
		(SELECT COUNT(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')),
		current_setting('server_encoding')`).Scan(&ours, &tables, &encoding)
	switch {
	case err != nil:
		return err
	case encoding != "UTF8":
		return refusal.New(ErrNotSallyport, "database", "its encoding is "+encoding+", and names are written in UTF-8",
			"create another: createdb --encoding UTF8 --template template0 NAME")
	case !ours && tables == 0 && p.required:
		return refusal.New(ErrEmpty, "database", "it is empty, and a server was started on this data directory before",
			"name the database that it had, or restore a dump with pg_restore; to begin anew and enrol every phone again, use an empty data directory")
	case !ours && tables > 0 && !p.unfinished(ctx, tables):
		return refusal.New(ErrNotSallyport, "database", "it holds another program's tables", "create a database that is Sallyport's alone")
	}
	return nil
}

// unfinished: a first start that was killed leaves goose's own table, empty of
// versions of ours.
func (p *postgres) unfinished(ctx context.Context, tables int) bool {
	var versions int
	err := p.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM goose_db_version WHERE version_id > 0`).Scan(&versions)
	return err == nil && tables == 1 && versions == 0
}

const (
	eventsChannel = "sallyport_events"
	eventsLock    = 0x53504c594f555431 // "SPLYOUT1"
)

// beforeEvents makes events commit in the order of their ID: a sequence gives
// IDs when asked, and a transaction that was asked earlier may commit later. The
// lock is held until the commit; NOTIFY takes one of the same reach then anyway.
func (p *postgres) beforeEvents(t *tx) {
	t.later(`SELECT pg_advisory_xact_lock($1), pg_notify($2, $3)`, int64(eventsLock), eventsChannel, p.node)
}

func (p *postgres) turn(ctx context.Context, t *tx, key string) error {
	_, err := t.ExecContext(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('turn ' || $1::text, 0))`, key)
	return err
}

const (
	// aloneKey is the lock of a name, of those on the same schema.
	aloneKey = `hashtextextended('sallyport ' || current_schema() || ' ' || $1::text, 0)`
	// servingLock is the name that every server shares.
	servingLock = "serving"
)

// stopped: servers share a lock as long as they listen.
func (p *postgres) stopped(ctx context.Context, fn func(context.Context) error) (bool, error) {
	return p.alone(ctx, servingLock, fn)
}

// rewrite also gives the space back that old versions of rows are in.
func (p *postgres) rewrite(ctx context.Context, tables []string) error {
	for _, table := range tables {
		if _, err := p.db.ExecContext(ctx, `VACUUM FULL `+table); err != nil {
			return fmt.Errorf("rewrite %s: %w", table, err)
		}
	}
	return nil
}

func (p *postgres) alone(ctx context.Context, name string, fn func(context.Context) error) (bool, error) {
	release, err := p.locks.take(ctx, name)
	if release == nil || err != nil {
		return false, err
	}
	defer release()
	return true, fn(ctx)
}

func (p *postgres) backup(context.Context, io.Writer) error {
	return refusal.New(ErrOwnTools, "", "the database is "+p.place+", and PostgreSQL's own tools back it up",
		"pg_dump --format=custom --file=FILE URL, and keep a copy of DATA/kek in another place; docs/postgresql.md says how to get back")
}

func (p *postgres) close() error {
	if p.listener != nil {
		p.listener.close()
	}
	return errors.Join(p.locks.close(), p.db.Close())
}

func postgresCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// postgresInTheWay: another transaction was first (serialization_failure,
// deadlock_detected, lock_not_available).
func postgresInTheWay(err error) bool {
	return slices.Contains([]string{"40001", "40P01", "55P03"}, postgresCode(err))
}

// postgresAway: the server is gone, starting, stopping, or full.
func postgresAway(err error) bool {
	var connect *pgconn.ConnectError
	return postgresLost(err) || errors.As(err, &connect) ||
		slices.ContainsFunc([]string{"53", "57P03", "25006"}, func(code string) bool { // resources, cannot connect now, a standby
			return strings.HasPrefix(postgresCode(err), code)
		})
}

// postgresLost: a connection that we had is gone. The next may be sound, or be
// another that died with it.
func postgresLost(err error) bool {
	var connect *pgconn.ConnectError
	switch code := postgresCode(err); {
	case errors.As(err, &connect):
		return false
	case code != "": // connection exceptions, shutdown, idle for too long in a transaction
		return strings.HasPrefix(code, "08") || code == "57P01" || code == "57P02" || code == "25P03"
	}
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
