package app

import (
	"context"
	"fmt"
	"time"

	"sallyport/access"
	"sallyport/mdm"
)

// StopDatabase closes the database under a server that runs on.
func (a *App) StopDatabase() error { return a.db.Close() }

// PushOf is what is sealed of an enrolment's push data.
func (a *App) PushOf(ctx context.Context, id string) (mdm.Push, error) {
	return a.db.Enrollments().Push(ctx, mdm.EnrollmentID(id))
}

// NextPush is when an enrolment is due to be woken; zero when it is not.
func (a *App) NextPush(ctx context.Context, id string) (time.Time, error) {
	due, err := a.db.Wakes().DueWakes(ctx, a.now().AddDate(1, 0, 0), 1000)
	for _, w := range due {
		if w.EnrollmentID == mdm.EnrollmentID(id) {
			return w.Due, nil
		}
	}
	return time.Time{}, err
}

// Handled reports whether every event has been handled: what follows from the
// requests that were answered before is then true.
func (a *App) Handled(ctx context.Context) (bool, error) {
	done, err := a.drained(ctx)
	if !done || err != nil {
		return false, err
	}
	if run, err := a.rooms.compliance.Progress(ctx); err != nil || run.Open() {
		return false, err
	}
	if done, err := a.drained(ctx); !done || err != nil { // the run has written events of its own
		return false, err
	}
	// A question waits for what was committed before it, but no longer than an answer may take.
	more, err := a.rooms.access.Follow(ctx)
	return !more, err
}

// drained looks at the consumers of the outbox; others read the feed of decisions.
func (a *App) drained(ctx context.Context) (bool, error) {
	for _, name := range []string{complianceEvents, wakeEvents, androidEvents, access.Consumer} {
		left, err := a.db.Outbox().Pending(ctx, name, 1)
		if err != nil || len(left) > 0 {
			return false, err
		}
	}
	return true, nil
}

// Pass does what only time makes necessary, now that a test has moved the clock:
// whatever the work behind the requests is about to do, it is done on return.
func (a *App) Pass(ctx context.Context) error {
	for _, c := range a.periodic() {
		own := c.Name == serverCertificate || c.Name == ownCertificates // a test's clients know the old ones
		for more := !own; more; {
			var err error
			if more, err = c.Step(ctx); err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
		}
	}
	a.rooms.push.wake.Notify()
	return nil
}

// KeepCertificates has the server renew none of its own certificates from now on,
// until release is called: what it signs bears the time of the machine, and a
// certificate from a test's future is not valid then. On SQLite a server looks at
// them once a day, and there is nothing to do.
func (a *App) KeepCertificates(ctx context.Context) (release func(), err error) {
	if !a.postgres {
		return func() {}, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	held, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- a.db.Alone(ctx, ownCertificates, func(ctx context.Context) error {
			close(held)
			<-ctx.Done()
			return nil
		})
	}()
	select {
	case <-held:
		return func() { cancel(); <-ended }, nil
	case err := <-ended:
		cancel()
		return nil, err
	}
}

// MailsByHand takes mails from the work behind the requests, before Run: they are
// written and sent when step is called, and not meanwhile, so that a test can count
// them. began is false until what happens is told to anybody.
func (a *App) MailsByHand() (step func(ctx context.Context) (began bool, err error)) {
	real := a.rooms.mails
	idle := *real
	idle.sender, idle.forget = nil, func(context.Context) error { return nil }
	a.rooms.mails = &idle
	return func(ctx context.Context) (bool, error) {
		for _, c := range real.consumers() {
			for more := true; more; {
				var err error
				if more, err = c.Step(ctx); err != nil {
					return false, fmt.Errorf("%s: %w", c.Name, err)
				}
			}
		}
		_, began, err := a.db.Mails().NoticeCursor(ctx)
		return began, err
	}
}
