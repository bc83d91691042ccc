package access

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

const (
	loadPage    = 500              // people read at once
	loadTell    = 10_000           // people after which Load tells how far it is
	followBatch = 200              // events read at once
	followTime  = 10 * time.Second // for one batch: whoever reads it has the turn
	lapseEvery  = time.Minute
)

// Load fills the Set. Until it has returned, nothing is decided.
func (e *Engine) Load(ctx context.Context) error {
	if e.turn == nil {
		e.turn, e.base = make(chan struct{}, 1), time.Now()
	}
	began := e.elapsed()
	commits := e.commits()
	e.lapsed = e.now()
	newest, err := e.Source.LastEvent(ctx)
	if err != nil {
		return fmt.Errorf("load decision set: find newest event: %w", err)
	}
	if err := e.refreshWorld(ctx); err != nil {
		return fmt.Errorf("load decision set: %w", err)
	}
	for after, told := directory.UserID(""), 0; ; {
		page, err := e.Source.Entries(ctx, after, loadPage)
		if err != nil {
			return fmt.Errorf("load decision set: read people: %w", err)
		}
		for _, one := range page {
			e.set.Put(one)
		}
		if people, _ := e.set.Size(); e.Log != nil && people-told >= loadTell {
			told = people
			e.Log.InfoContext(ctx, "loading the decision set", slog.Int("people", people))
		}
		if len(page) < loadPage {
			break
		}
		after = page[len(page)-1].Person.ID
	}
	e.cursor = newest
	e.confirm(began, commits)
	e.loaded.Store(true)
	return nil
}

// Follow is a step of background work: it brings the Set up to date with some of
// the events that it does not hold yet. Every server follows for itself.
func (e *Engine) Follow(ctx context.Context) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, followTime)
	defer cancel()
	if more, err = e.followOnce(ctx, func() bool { return false }); more || err != nil {
		return more, err
	}
	return false, e.lapse(ctx)
}

// lapse reads anew whose certificates have ended since it was looked last.
func (e *Engine) lapse(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	now := e.now()
	if since := now.Sub(e.lapsed); since >= 0 && since < lapseEvery {
		return nil
	}
	users, err := e.Source.Lapsed(ctx, e.lapsed, now)
	if err != nil {
		return fmt.Errorf("find people whose certificates have ended: %w", err)
	}
	if err := e.refresh(ctx, users); err != nil {
		return err
	}
	e.lapsed = now
	return nil
}

// followOnce takes a turn, unless the Set is as wanted by then.
func (e *Engine) followOnce(ctx context.Context, wanted func() bool) (more bool, err error) {
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if wanted() {
		return false, nil
	}
	began, commits := e.elapsed(), e.commits()
	events, err := e.Events.After(ctx, e.cursor, followBatch)
	if err != nil {
		return false, fmt.Errorf("read events: %w", err)
	}
	if err := e.apply(ctx, events); err != nil {
		return false, err
	}
	if n := len(events); n > 0 {
		e.cursor = events[n-1].ID
	}
	if len(events) == followBatch {
		return true, nil
	}
	e.confirm(began, commits)
	return false, nil
}

// confirm notes that the Set held at some moment all that storage did.
func (e *Engine) confirm(at time.Duration, commits uint64) {
	e.anchor.Store(e.now().Add(-e.elapsed()).UnixNano())
	e.confirmed.Store(int64(at))
	e.read.Store(commits)
	e.behind.Store(false)
}

// apply reads anew whatever the events are about: each person once.
func (e *Engine) apply(ctx context.Context, events []mdm.Event) error {
	people, phones, world := map[directory.UserID]bool{}, map[mdm.EnrollmentID]bool{}, false
	for _, event := range events {
		switch {
		case event.Kind == mdm.EventDecision: // what is published rests on the Set, and not the Set on it
		case event.UserID != "":
			people[event.UserID] = true
		case event.EnrollmentID != "":
			phones[event.EnrollmentID] = true
		case event.Kind == mdm.EventAccess:
			world = true
		}
	}
	if world {
		if err := e.refreshWorld(ctx); err != nil {
			return err
		}
	}
	if len(phones) > 0 {
		owners, err := e.Source.Owners(ctx, slices.Collect(maps.Keys(phones)))
		if err != nil {
			return fmt.Errorf("find owners of enrolments: %w", err)
		}
		for _, owner := range owners {
			people[owner] = true
		}
	}
	return e.refresh(ctx, slices.Sorted(maps.Keys(people)))
}

func (e *Engine) refreshWorld(ctx context.Context) error {
	w, err := e.Source.World(ctx)
	if err != nil {
		return fmt.Errorf("read rules and policies: %w", err)
	}
	e.set.SetWorld(w)
	return nil
}

// refresh reads people anew; who is not on record any more leaves the Set.
func (e *Engine) refresh(ctx context.Context, ids []directory.UserID) error {
	if len(ids) == 0 {
		return nil
	}
	entries, err := e.Source.EntriesOf(ctx, ids)
	if err != nil {
		return fmt.Errorf("read people: %w", err)
	}
	found := map[directory.UserID]bool{}
	for _, one := range entries {
		found[one.Person.ID] = true
		e.set.Put(one)
	}
	for _, id := range ids {
		if !found[id] {
			e.set.Remove(id)
		}
	}
	return nil
}

func (e *Engine) commits() uint64 {
	if e.Commits == nil {
		return 0
	}
	return e.Commits()
}
