package work

import "sync"

// Wake tells every waiting consumer that there may be something to do: the
// store calls Notify after each commit that wrote to the outbox. It carries no
// data; the tables are the truth. The zero Wake is ready for use.
type Wake struct {
	mu   sync.Mutex
	next chan struct{}
}

// Notify wakes everyone who is waiting now. It never blocks.
func (w *Wake) Notify() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next != nil {
		close(w.next)
		w.next = nil
	}
}

// Wait returns a channel that the next Notify closes. Take it before looking
// for work: a Notify that comes while you look is then not lost.
func (w *Wake) Wait() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.next == nil {
		w.next = make(chan struct{})
	}
	return w.next
}
