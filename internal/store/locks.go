package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"sync"
	"time"
)

// lockPatience bounds a statement about a lock: others wait for the connection.
const lockPatience = 10 * time.Second

// locks are the advisory locks of this process, all on one connection of their
// own. Steps of background work hold a lock while they ask the pool for
// connections: if the locks came from the same pool, as many steps as it has
// connections would wait for each other for ever.
//
// Locks end with the process, or with that connection. In that case another
// process may begin while a step of ours is still at work, which is why steps
// must bear that, as they bear being run twice.
type locks struct {
	db *sql.DB // of one connection

	mu   sync.Mutex
	conn *sql.Conn
	held map[string]*sql.Conn // by name, and on which connection
}

func newLocks(db *sql.DB) *locks {
	db.SetMaxOpenConns(1)
	return &locks{db: db, held: map[string]*sql.Conn{}}
}

// take returns what gives the lock of that name back, or nil where it is taken.
func (l *locks) take(ctx context.Context, name string) (release func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ours := l.held[name]; ours {
		return nil, nil
	}
	// A statement that is given up takes its connection along, and every lock.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockPatience)
	defer cancel()
	if l.conn == nil {
		if l.conn, err = l.db.Conn(ctx); err != nil {
			return nil, fmt.Errorf("connect for locks: %w", err)
		}
	}
	var mine bool
	if err := l.conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock(`+aloneKey+`)`, name).Scan(&mine); err != nil {
		l.drop()
		return nil, fmt.Errorf("take lock %q: %w", name, err)
	}
	if !mine {
		return nil, nil
	}
	l.held[name] = l.conn
	return func() { l.release(name) }, nil
}

func (l *locks) release(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	on := l.held[name]
	delete(l.held, name)
	if on != l.conn { // the lock went with its connection
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	if _, err := l.conn.ExecContext(ctx, `SELECT pg_advisory_unlock(`+aloneKey+`)`, name); err != nil {
		l.drop() // else the lock would live as long as the connection
	}
}

// drop ends the connection; the next lock makes another one.
func (l *locks) drop() {
	_ = l.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = l.conn.Close()
	l.conn = nil
}

func (l *locks) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil {
		l.drop()
	}
	return l.db.Close()
}
