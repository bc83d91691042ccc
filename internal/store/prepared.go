package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
)

// maxPrepared bounds the statements that a connection keeps. We have some two
// hundred texts; only listings and the writing of many events make more.
const maxPrepared = 256

// preparing makes connections that parse each statement once: SQLite's driver
// parses a text anew whenever it is run, which takes longer than to run most of
// ours. On PostgreSQL pgx does the same by itself. SQLite prepares a statement
// again on its own when the schema has changed
// (https://www.sqlite.org/c3ref/prepare.html).
type preparing struct{ driver.Connector }

func (p preparing) Connect(ctx context.Context) (driver.Conn, error) {
	raw, err := p.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := raw.(connection)
	if !ok {
		_ = raw.Close()
		return nil, fmt.Errorf("connection of type %T lacks what database/sql may ask of it", raw)
	}
	return &preparedConn{connection: conn, known: map[string]*prepared{}}, nil
}

// connection is everything that SQLite's driver offers to database/sql.
type connection interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// preparedConn is used by one goroutine at a time, as every driver.Conn is.
type preparedConn struct {
	connection
	known map[string]*prepared
}

type prepared struct {
	statement
	busy bool // rows of it are being read
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// free returns the statement for a text; nil when it must be run without one.
func (c *preparedConn) free(ctx context.Context, query string) (*prepared, error) {
	if p, ok := c.known[query]; ok {
		if p.busy {
			return nil, nil
		}
		return p, nil
	}
	if len(c.known) >= maxPrepared {
		return nil, nil
	}
	raw, err := c.PrepareContext(ctx, unnamed(query))
	if err != nil {
		return nil, err
	}
	s, ok := raw.(statement)
	if !ok {
		return nil, raw.Close()
	}
	p := &prepared{statement: s}
	c.known[query] = p
	return p, nil
}

// unnamed writes ? for $1, $2 and so on where they stand in this order and each
// once: they mean the same, but of a $1 the driver reads the name at every run.
func unnamed(query string) string {
	text := make([]byte, 0, len(query))
	next, quote := 1, false
	for i := 0; i < len(query); i++ {
		text = append(text, query[i])
		if query[i] == '\'' {
			quote = !quote
		}
		if query[i] != '$' || quote {
			continue
		}
		rest, ok := strings.CutPrefix(query[i+1:], strconv.Itoa(next))
		if !ok || rest != "" && rest[0] >= '0' && rest[0] <= '9' {
			return query
		}
		text[len(text)-1] = '?'
		i, next = len(query)-len(rest)-1, next+1
	}
	return string(text)
}

func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	p, err := c.free(ctx, query)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return c.connection.QueryContext(ctx, query, args)
	}
	rows, err := p.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	p.busy = true
	return &preparedRows{Rows: rows, of: p}, nil
}

func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	p, err := c.free(ctx, query)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return c.connection.ExecContext(ctx, query, args)
	}
	return p.ExecContext(ctx, args)
}

func (c *preparedConn) Close() error {
	for query, p := range c.known {
		_ = p.Close() // the connection goes, and everything of it
		delete(c.known, query)
	}
	return c.connection.Close()
}

// preparedRows give their statement free when they are closed.
type preparedRows struct {
	driver.Rows
	of *prepared
}

func (r *preparedRows) Close() error {
	r.of.busy = false
	return r.Rows.Close()
}
