package work

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// Lanes are for a step whose work is for several others: what takes long for one of
// them holds up nobody else. Each has one piece of work under way at a time. They
// belong to one goroutine, which waits for all before it returns.
type Lanes struct {
	all   sync.WaitGroup
	ended chan struct{}

	mu      sync.Mutex
	busy    map[string]bool
	trouble error
}

// NewLanes makes them.
func NewLanes() *Lanes { return &Lanes{ended: make(chan struct{}, 1), busy: map[string]bool{}} }

// Start begins a piece of work, unless the lane has one under way. A panic is an error.
func (l *Lanes) Start(lane string, do func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[lane] {
		return
	}
	l.busy[lane] = true
	l.all.Go(func() {
		err := guarded(do)
		l.mu.Lock()
		delete(l.busy, lane)
		l.trouble = errors.Join(l.trouble, err)
		l.mu.Unlock()
		select {
		case l.ended <- struct{}{}:
		default: // one who looks sees this end, too
		}
	})
}

func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// Busy reports whether a lane has work under way.
func (l *Lanes) Busy(lane string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy[lane]
}

// Idle reports whether none has.
func (l *Lanes) Idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.busy) == 0
}

// Ended receives when work has ended since the last time.
func (l *Lanes) Ended() <-chan struct{} { return l.ended }

// Err is what went wrong so far.
func (l *Lanes) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trouble
}

// Wait returns when all has ended, with what went wrong.
func (l *Lanes) Wait() error {
	l.all.Wait()
	return l.Err()
}
