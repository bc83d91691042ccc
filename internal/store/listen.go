package store

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	listenPause    = 100 * time.Millisecond // after a lost connection, doubled up to listenMaxPause
	listenMaxPause = 5 * time.Second
	listenCheck    = time.Minute // a connection that says nothing is asked whether it is alive
)

// listener waits on a connection of its own for the notifications of other
// processes. They only wake: whoever misses one looks at the table somewhat
// later. So trouble here is no error, and ends in another try.
type listener struct {
	config *pgx.ConnConfig
	node   string
	notify func()
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func listen(config *pgx.ConnConfig, node string, notify func()) *listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &listener{config: config.Copy(), node: node, notify: notify, cancel: cancel}
	l.done.Go(func() { l.run(ctx) })
	return l
}

func (l *listener) close() {
	l.cancel()
	l.done.Wait()
}

func (l *listener) run(ctx context.Context) {
	pause := listenPause
	for ctx.Err() == nil {
		if heard := l.session(ctx); heard {
			pause = listenPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, listenMaxPause)
	}
}

// session listens until the connection breaks, and says whether there was one.
func (l *listener) session(ctx context.Context) (heard bool) {
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return false
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, `LISTEN `+eventsChannel); err != nil {
		return false
	}
	// Shared with every other server: while one of them is there, nothing is done
	// that wants them all stopped (postgres.stopped).
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock_shared(`+aloneKey+`)`, servingLock); err != nil {
		return false
	}
	l.notify() // for what came while nobody listened
	for {
		if err := l.next(ctx, conn); err != nil {
			return true
		}
	}
}

// next waits for one notification. After a while without any it asks the
// server for a sign of life instead: a connection may be dead without a word.
func (l *listener) next(ctx context.Context, conn *pgx.Conn) error {
	quiet, cancel := context.WithTimeout(ctx, listenCheck)
	defer cancel()
	n, err := conn.WaitForNotification(quiet)
	switch {
	case err == nil && n.Payload != l.node:
		l.notify()
	case err != nil && quiet.Err() != nil && ctx.Err() == nil:
		check, cancel := context.WithTimeout(ctx, listenMaxPause)
		defer cancel()
		return conn.Ping(check)
	}
	return err
}
