package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

var (
	// ErrNotSallyport says that a file is no database of ours.
	ErrNotSallyport = errors.New("not a Sallyport database")
	// ErrNewerSchema says that a newer release has migrated the database.
	ErrNewerSchema = errors.New("database of a newer Sallyport")
	// ErrWrongKey says that the key-encryption key does not belong to the database.
	ErrWrongKey = errors.New("wrong key-encryption key")
	// ErrInUse says that another process has the database open.
	ErrInUse = errors.New("database is in use")
	// ErrDamaged says that a database fails SQLite's own checks.
	ErrDamaged = errors.New("database is damaged")
	// ErrUnreachable says that PostgreSQL cannot be reached, or lets us not in.
	ErrUnreachable = errors.New("database cannot be reached")
	// ErrEmpty says that there is nothing in a database that should hold a fleet.
	ErrEmpty = errors.New("database is empty")
	// ErrOwnTools says that something is done with PostgreSQL's own tools.
	ErrOwnTools = errors.New("PostgreSQL has tools of its own for this")
)

// Options says which database to open, and who is told about commits.
type Options struct {
	Path string // the SQLite file; made with mode 0600 at first start, its directory must exist
	// Database is the URL of a PostgreSQL database, which takes the place of
	// the file; it may hold a password.
	Database string
	// MustExist refuses an empty PostgreSQL database: ErrEmpty.
	MustExist      bool
	MaxConnections int // to PostgreSQL, beside one that listens and one for locks; 0 means 10, fewer than 4 are made 4

	Sealer *secret.Sealer // opens and seals the secret columns; required
	Now    func() time.Time

	// OnCommit is called after a commit that wrote events, with the unit of
	// work's name, in the committing goroutine: it must not block.
	OnCommit func(unit string)
	// OnNotify is called when another process on the same database may have
	// written events. It must not block.
	OnNotify func()
	// Hook is called around the commit of every write transaction. Tests kill
	// the process or cancel the context in it.
	Hook func(unit string, phase Phase)
}

func (o Options) withDefaults() (Options, error) {
	if o.Path == "" && o.Database == "" {
		return o, errors.New("no path")
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = defaultConnections
	}
	o.MaxConnections = max(o.MaxConnections, minConnections)
	if o.Sealer == nil {
		return o, errors.New("no sealer")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnCommit == nil {
		o.OnCommit = func(string) {}
	}
	if o.Hook == nil {
		o.Hook = func(string, Phase) {}
	}
	return o, nil
}

// DB is an open database. Its rooms' stores are cheap views of it.
type DB struct {
	writer  *sql.DB // SQLite: one connection, write transactions queue here, not at the file's lock
	reader  reader  // PostgreSQL: the same pool
	engine  engine
	options Options
	passed  passed // see Outbox.Pass
}

// Open opens the database, makes it if there is none, brings its schema up to
// date, and checks that the sealer's key is the one it was made with. Of several
// processes that open an empty database at once one prepares it, and the others wait.
// Refusals: ErrNotSallyport, ErrNewerSchema, ErrWrongKey, ErrUnreachable.
func Open(ctx context.Context, options Options) (*DB, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db, err := connect(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := db.Alone(ctx, "prepare", db.prepare); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open database %s: %w", db.engine.name(), err)
	}
	return db, nil
}

func connect(ctx context.Context, options Options) (*DB, error) {
	if options.Database != "" {
		pool, e, err := openPostgres(ctx, options)
		if err != nil {
			return nil, err
		}
		return &DB{writer: pool, reader: reader{pool}, engine: e, options: options}, nil
	}
	if err := removeLeftovers(options.Path); err != nil {
		return nil, err
	}
	writer, readers, err := openSQLite(ctx, options.Path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", options.Path, err)
	}
	e := &sqliteFile{path: options.Path, writer: writer, reader: readers}
	return &DB{writer: writer, reader: reader{readers}, engine: e, options: options}, nil
}

func (db *DB) prepare(ctx context.Context) error {
	if err := db.engine.recognise(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, db.writer, db.engine); err != nil {
		return err
	}
	return db.checkKey(ctx)
}

// Close waits for running transactions and closes the database.
func (db *DB) Close() error { return db.engine.close() }

// Ping reads one row: the database answers.
func (db *DB) Ping(ctx context.Context) error {
	var settings int
	if err := db.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM app_settings`).Scan(&settings); err != nil {
		return fmt.Errorf("ping database: %w", err)
	}
	return nil
}

// TryWrite begins a unit of work that writes, and takes it back: whether the database
// lets us, and nothing of it remains. It tells nothing of the room on the disk, which
// an engine asks for at the commit.
func (db *DB) TryWrite(ctx context.Context) error {
	return db.write(ctx, "try a write", func(t *tx) error {
		_, err := t.ExecContext(ctx, `UPDATE app_settings SET value = value`)
		return unchanged(err)
	})
}

func (db *DB) now() time.Time { return whole(db.options.Now()) }

func refuseForeignFile(reason string) error {
	return refusal.New(ErrNotSallyport, "", reason, "name a file that sallyport serve or sallyport backup has made")
}

func refuseDamaged(finding string) error {
	return refusal.New(ErrDamaged, "", "the file fails SQLite's own checks: "+finding, "take another backup")
}
