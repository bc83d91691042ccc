package enroll

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/logkey"
	"sallyport/mdm/android"
)

const (
	operationsPerStep = 100
	listEvery         = time.Hour
	operationPatience = 15 * time.Minute // until Google is asked what it should have told by itself
)

// Sweeper is the safety net under Google's notifications, which may be lost: it
// asks for every device and every command that is open. Its methods are steps for
// internal/work, and run one at a time.
type Sweeper struct {
	Androids *Androids

	list      listing // the list that is under way
	lists     rest
	operation string // the last one that was asked for
	asks      rest
}

// rest is how long a sweep lies still that is done, or that Google did not let
// through. The zero rest is over.
type rest struct {
	until    time.Time
	failures int
}

// over: a moment further ahead than any rest is that of a clock that was set back.
func (r *rest) over(now time.Time) bool {
	left := r.until.Sub(now)
	return left <= 0 || left > lastPause
}

func (r *rest) done(now time.Time, every time.Duration) { *r = rest{until: now.Add(every)} }

func (r *rest) failed(now time.Time, err error) {
	*r = rest{until: now.Add(androidBackOff(r.failures, err)), failures: r.failures + 1}
}

// Phones looks at one page of devices, from listEvery to listEvery at all of them.
// What is on record is compared to a list that came to its end. Where Google
// does not answer, the list begins anew after a pause.
func (w *Sweeper) Phones(ctx context.Context) (more bool, err error) {
	a := w.Androids
	if !w.lists.over(a.now()) {
		return false, nil
	}
	more, err = w.phones(ctx)
	if err != nil && ctx.Err() == nil && googles(err) {
		w.list = listing{}
		w.lists.failed(a.now(), err)
		a.log().WarnContext(ctx, "devices at Google were not listed", "again_at", w.lists.until, logkey.Error, err)
		return false, nil
	}
	if err == nil && !more {
		w.lists.done(a.now(), listEvery)
	}
	return more, err
}

func (w *Sweeper) phones(ctx context.Context) (more bool, err error) {
	a := w.Androids
	e, api, err := a.enterprise(ctx)
	if errors.Is(err, ErrNoAndroid) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if w.list.page == "" { // what the program makes of a template may have changed since it was started last
		if err := a.request(ctx, nil); err != nil {
			return false, err
		}
		w.list = listing{began: a.now(), names: map[string]bool{}}
	}
	phones, next, err := api.Devices(ctx, e.Name, w.list.page)
	if err != nil {
		return false, fmt.Errorf("list devices at Google: %w", err)
	}
	for _, p := range phones {
		w.list.names[p.Name] = true
		err := a.Met(ctx, p)
		if err != nil && !errors.Is(err, android.ErrUnknownPhone) {
			return false, err
		}
	}
	if w.list.page = next; next != "" {
		return true, nil
	}
	return false, a.compare(ctx, api, w.list)
}

// Operations asks what became of commands that nobody has told of.
func (w *Sweeper) Operations(ctx context.Context) (more bool, err error) {
	a := w.Androids
	if !w.asks.over(a.now()) {
		return false, nil
	}
	more, err = w.operations(ctx)
	switch {
	case err == nil:
		w.asks = rest{}
	case ctx.Err() == nil && googles(err):
		w.asks.failed(a.now(), err)
		a.log().WarnContext(ctx, "nobody said what became of commands", "again_at", w.asks.until, logkey.Error, err)
		return false, nil
	}
	return more, err
}

func (w *Sweeper) operations(ctx context.Context) (more bool, err error) {
	a := w.Androids
	open, err := a.Operations.OpenOperations(ctx, w.operation, operationsPerStep)
	if err != nil {
		return false, fmt.Errorf("list open operations: %w", err)
	}
	if len(open) == 0 {
		w.operation = ""
		return false, nil
	}
	_, api, err := a.enterprise(ctx)
	if err != nil {
		return false, err
	}
	for _, o := range open {
		w.operation = o.Name
		if a.now().Sub(o.CreatedAt) < operationPatience {
			continue
		}
		outcome, err := api.Operation(ctx, o.Name)
		if gone(err) {
			outcome, err = android.Outcome{Operation: o.Name, Done: true, Failed: true, Error: "Google does not know any more what became of it"}, nil
		}
		if err != nil {
			return false, fmt.Errorf("ask for operation: %w", err)
		}
		if outcome.Operation = o.Name; !outcome.Done {
			continue
		}
		if err := a.Done(ctx, outcome); err != nil {
			a.log().WarnContext(ctx, "outcome of a command was not noted", logkey.Error, err)
		}
	}
	return len(open) == operationsPerStep, nil
}
