package work

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// slice is for how long a step handles events before it moves the cursor: what a
// server that is killed does again. Were it a whole step's, one that is killed time
// and again, before it has done so much, would never get any further.
const slice = 50 * time.Millisecond

// Queue is what Drain empties: one consumer's view of an outbox.
type Queue[E any] struct {
	// Pending returns at most limit events that are not done, oldest first.
	Pending func(ctx context.Context, limit int) ([]E, error)
	// Handle acts on one event, and says whether anything came of it. It must be
	// idempotent.
	Handle func(ctx context.Context, event E) (did bool, err error)
	// Done moves the consumer's cursor past the event and all before it.
	Done func(ctx context.Context, event E) error
	// Pass is Done where nothing came of any of them: it may forget that, since
	// nothing would come of them again.
	Pass func(ctx context.Context, event E) error
}

// Drain makes a Step that handles up to limit events in order, fewer where they take
// long, and moves the cursor once for all of them. It stops at the first that fails
// and starts there again: order is kept and no event is lost, at the price that an
// event which can never be handled holds up its consumer, loudly.
func Drain[E any](limit int, q Queue[E]) func(ctx context.Context) (more bool, err error) {
	return func(ctx context.Context) (bool, error) {
		events, err := q.Pending(ctx, limit)
		if err != nil {
			return false, fmt.Errorf("read pending events: %w", err)
		}
		handled, did, err := q.handle(ctx, events)
		if handled > 0 {
			move := q.Pass
			if did {
				move = q.Done
			}
			if failed := move(ctx, events[handled-1]); failed != nil {
				err = errors.Join(err, fmt.Errorf("mark events as done: %w", failed))
			}
		}
		return err == nil && (len(events) == limit || handled < len(events)), err
	}
}

// handle says how many events were handled within a slice, at least one, and whether
// anything came of them.
func (q *Queue[E]) handle(ctx context.Context, events []E) (handled int, did bool, err error) {
	began := time.Now()
	for _, event := range events {
		if handled > 0 && time.Since(began) > slice {
			break
		}
		some, err := q.Handle(ctx, event)
		if err != nil {
			return handled, did, fmt.Errorf("handle event: %w", err)
		}
		handled++
		did = did || some
	}
	return handled, did, nil
}
