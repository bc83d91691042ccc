package access

import (
	"context"
	"sync"
	"time"
)

const (
	// feedKept is how many of the newest rows a Feed holds, for the streams that
	// follow it; one that is further behind reads from storage.
	feedKept = 4096
	feedPage = 500
)

// Feed hands out what was published. One reader of the storage, Step, serves all
// who follow: it is woken by commits.
type Feed struct {
	Store ChangeStore
	Until func(*Change) time.Time // how long a row holds that is handed out now; *Engine has it

	mu     sync.Mutex
	known  bool      // the newest row of the start was looked up
	newest int64     // up to here, rows were read
	rows   []Change  // the newest of them, in order; they begin after first
	first  int64     // see rows
	at     time.Time // when storage last said that there is no more, monotonic
	grown  chan struct{}
	over   chan struct{}
}

// Step reads what is new.
func (f *Feed) Step(ctx context.Context) (more bool, err error) {
	after, known := f.position()
	if !known {
		_, newest, err := f.Store.Snapshot(ctx, "", 1)
		if err != nil {
			return false, err
		}
		f.start(newest)
		after = newest
	}
	asked := time.Now()
	rows, err := f.Store.Changes(ctx, after, feedPage)
	if err != nil {
		return false, err
	}
	f.grow(rows, asked)
	return len(rows) == feedPage, nil
}

func (f *Feed) position() (after int64, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest, f.known
}

// start also wakes those who follow already: what came since they looked is
// behind them otherwise.
func (f *Feed) start(newest int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known, f.newest, f.first = true, newest, newest
	f.wake()
}

func (f *Feed) wake() {
	if f.grown != nil {
		close(f.grown)
		f.grown = nil
	}
}

func (f *Feed) grow(rows []Change, asked time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(rows) < feedPage {
		f.at = asked
	}
	if len(rows) == 0 {
		return
	}
	f.rows = append(f.rows, rows...)
	f.newest = rows[len(rows)-1].Seq
	if spare := len(f.rows) - feedKept; spare > 0 {
		f.first = f.rows[spare-1].Seq
		f.rows = append([]Change(nil), f.rows[spare:]...)
	}
	f.wake()
}

// Grown returns a channel that closes with the next row, or sooner. Take it before looking.
func (f *Feed) Grown() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.grown == nil {
		f.grown = make(chan struct{})
	}
	return f.grown
}

// Over returns a channel that closes when End is called.
func (f *Feed) Over() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over == nil {
		f.over = make(chan struct{})
	}
	return f.over
}

// End sends all who follow away. It may be called once.
func (f *Feed) End() {
	over := f.Over()
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-over:
	default:
		close(f.over)
	}
}

// Current reports whether storage has said within that time that there is no more
// than what was read.
func (f *Feed) Current(within time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.at.IsZero() && time.Since(f.at) <= within
}

// After returns rows after the cursor, oldest first, from memory where they are
// there. ErrGone as in ChangeStore.Changes.
func (f *Feed) After(ctx context.Context, after int64, limit int) ([]Change, error) {
	rows, ok := f.held(after, limit)
	if !ok {
		var err error
		if rows, err = f.Store.Changes(ctx, after, limit); err != nil {
			return nil, err
		}
	}
	return f.lasting(rows), nil
}

func (f *Feed) held(after int64, limit int) ([]Change, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.known || after < f.first || after > f.newest {
		return nil, false
	}
	begin := len(f.rows)
	for begin > 0 && f.rows[begin-1].Seq > after {
		begin--
	}
	rows := f.rows[begin:min(len(f.rows), begin+limit)]
	return append([]Change(nil), rows...), true
}

// Newest returns the newest row of each device whose ID is after the cursor, and
// where the feed goes on, as in ChangeStore.Snapshot.
func (f *Feed) Newest(ctx context.Context, after DeviceID, limit int) ([]Change, int64, error) {
	rows, newest, err := f.Store.Snapshot(ctx, after, limit)
	return f.lasting(rows), newest, err
}

// lasting says of each row until when it holds, as it is handed out now.
func (f *Feed) lasting(rows []Change) []Change {
	for i := range rows {
		if !rows[i].Removed {
			rows[i].Decision.ValidUntil = f.Until(&rows[i])
		}
	}
	return rows
}
