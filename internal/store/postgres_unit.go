package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// beginUnit opens a transaction of a unit of work. See docs/adr/0004: a unit that
// reads, judges and writes is right by itself; what it costs is a retry where two
// of them meet.
const beginUnit = `begin isolation level serializable`

// postgresUnit is one on a connection of its own. It talks to the server as seldom
// as it can: each exchange costs both sides more than most of our statements do.
// It begins with the first statement whose outcome decides about others; what was
// put off leaves together with the commit, and where nothing came before that,
// with the beginning, too.
type postgresUnit struct {
	*sql.Conn
	begun bool
	err   error // why it could not begin
}

func (p *postgres) begin(ctx context.Context) (unit, error) {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &postgresUnit{Conn: conn}, nil
}

func (u *postgresUnit) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := u.start(ctx); err != nil {
		return nil, err
	}
	return u.Conn.ExecContext(ctx, query, args...)
}

func (u *postgresUnit) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := u.start(ctx); err != nil {
		return nil, err
	}
	return u.Conn.QueryContext(ctx, query, args...)
}

func (u *postgresUnit) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	_ = u.start(ctx) // where it fails the connection is closed, which is what the row then says
	return u.Conn.QueryRowContext(ctx, query, args...)
}

// start begins the transaction. No statement must run without: where that fails
// the connection is given back.
func (u *postgresUnit) start(ctx context.Context) error {
	if u.begun || u.err != nil {
		return u.err
	}
	if _, err := u.Conn.ExecContext(ctx, beginUnit); err != nil {
		u.err = err
		return errors.Join(err, u.giveBack())
	}
	u.begun = true
	return nil
}

// commit sends what was put off and the commit in one go. The server stops at the
// first of them that fails, and then nothing is committed.
func (u *postgresUnit) commit(ctx context.Context, last []deferred) (sent bool, err error) {
	if u.err != nil {
		return false, u.err
	}
	var batch pgx.Batch
	if !u.begun {
		batch.Queue(beginUnit)
	}
	for _, s := range last {
		args, err := s.values()
		if err != nil {
			return false, err
		}
		batch.Queue(s.query, args...)
	}
	batch.Queue(`commit`)
	u.begun = true
	err = u.Raw(func(c any) error { return sendAll(ctx, c.(*stdlib.Conn).Conn(), &batch) })
	if pgconn.SafeToRetry(err) {
		return false, errors.Join(err, driver.ErrBadConn)
	}
	var announcing pgx.ErrPreprocessingBatch // statements are new to this connection: first they are announced
	return !errors.As(err, &announcing), err
}

// sendAll runs a batch that ends with a commit.
func sendAll(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	results := conn.SendBatch(ctx, batch)
	var tag pgconn.CommandTag
	var err error
	for range batch.Len() {
		if tag, err = results.Exec(); err != nil {
			break
		}
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err == nil && tag.String() != "COMMIT" {
		return fmt.Errorf("the commit ended with %s", tag)
	}
	return err
}

// rollback ends what was not committed, and gives the connection back.
func (u *postgresUnit) rollback() {
	if u.err != nil {
		return
	}
	_ = u.Raw(func(c any) error {
		conn := c.(*stdlib.Conn).Conn()
		if !u.begun || conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), rollbackLimit)
		defer cancel()
		if _, err := conn.Exec(ctx, `rollback`); err != nil {
			return driver.ErrBadConn
		}
		return nil
	})
	_ = u.giveBack()
}

// rollbackLimit bounds how long a connection is waited for whose server hangs.
const rollbackLimit = 5 * time.Second

func (u *postgresUnit) giveBack() error { return u.Conn.Close() }
