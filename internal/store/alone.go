package store

import (
	"context"
	"time"
)

// aloneEvery is how often somebody who waits looks whether it is their turn.
const aloneEvery = 50 * time.Millisecond

// Alone runs fn while no other process on this database runs anything under the
// same name; it waits for its turn. For what a fleet of servers does once, such
// as the first start.
func (db *DB) Alone(ctx context.Context, name string, fn func(context.Context) error) error {
	for {
		ran, err := db.engine.alone(ctx, name, fn)
		if ran || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(aloneEvery):
		}
	}
}

// Shared makes a step of background work that one process at a time does: where
// another is at it, this one has nothing to do. All of them are woken by every
// event, so one that comes while the other is about to finish is not lost: the
// wake-up makes that one look again. When a process dies, the next wake-up or
// period of another takes over.
//
// The lock ends with its connection, and the work does not: for a moment two may
// be at it. Steps are idempotent, as their contract says, and events are
// delivered at least once; this keeps the second delivery rare, not impossible.
func (db *DB) Shared(name string, step func(context.Context) (bool, error)) func(context.Context) (bool, error) {
	return func(ctx context.Context) (more bool, err error) {
		_, err = db.engine.alone(ctx, "step "+name, func(ctx context.Context) (err error) {
			more, err = step(ctx)
			return err
		})
		return more, err
	}
}
