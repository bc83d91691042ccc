package work

import (
	"context"
	"fmt"
)

// Queue is what Drain empties: one consumer's view of an outbox.
type Queue[E any] struct {
	// Pending returns at most limit events that are not done, oldest first.
	Pending func(ctx context.Context, limit int) ([]E, error)
	// Handle acts on one event. It must be idempotent.
	Handle func(ctx context.Context, event E) error
	// Done moves the consumer's cursor past the event.
	Done func(ctx context.Context, event E) error
}

// Drain makes a Step that handles up to limit events in order. It stops at the
// first that fails and starts there again: order is kept and no event is lost,
// at the price that an event which can never be handled holds up its consumer,
// loudly.
func Drain[E any](limit int, q Queue[E]) func(ctx context.Context) (more bool, err error) {
	return func(ctx context.Context) (bool, error) {
		events, err := q.Pending(ctx, limit)
		if err != nil {
			return false, fmt.Errorf("read pending events: %w", err)
		}
		for _, event := range events {
			if err := q.Handle(ctx, event); err != nil {
				return false, fmt.Errorf("handle event: %w", err)
			}
			if err := q.Done(ctx, event); err != nil {
				return false, fmt.Errorf("mark event as done: %w", err)
			}
		}
		return len(events) == limit, nil
	}
}
