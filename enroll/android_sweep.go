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
	operationPatience = 15 * time.Minute // until Google is asked what it should have told by itself
)

// Sweeper is the safety net under Google's notifications, which may be lost: it
// asks for every device and every command that is open. Its methods are steps for
// internal/work, and run one at a time.
type Sweeper struct {
	Androids *Androids

	page      string // of the list that is under way
	operation string // the last one that was asked for
}

// Phones looks at one page of devices.
func (w *Sweeper) Phones(ctx context.Context) (more bool, err error) {
	a := w.Androids
	e, api, err := a.enterprise(ctx)
	if errors.Is(err, ErrNoAndroid) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if w.page == "" { // what the program makes of a template may have changed since it was started last
		if err := a.request(ctx, nil); err != nil {
			return false, err
		}
	}
	phones, next, err := api.Devices(ctx, e.Name, w.page)
	if err != nil {
		w.page = ""
		return false, fmt.Errorf("list devices at Google: %w", err)
	}
	for _, p := range phones {
		err := a.Met(ctx, p)
		if err != nil && !errors.Is(err, android.ErrUnknownPhone) {
			return false, err
		}
	}
	w.page = next
	return next != "", nil
}

// Operations asks what became of commands that nobody has told of.
func (w *Sweeper) Operations(ctx context.Context) (more bool, err error) {
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
