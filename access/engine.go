package access

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"sallyport/compliance"
	"sallyport/mdm"
)

// Verdicts says how an enrolment stands. *compliance.Service is one.
type Verdicts interface {
	// Current returns the verdict in force; compliance.ErrNotFound when no such
	// enrolment is on record.
	Current(ctx context.Context, id mdm.EnrollmentID) (compliance.Verdict, error)
}

// Outbox is what one follower among several reads, each with a cursor of its own.
// internal/store implements it.
type Outbox interface {
	// After returns at most limit events whose ID is larger, oldest first. Events
	// appear in the order of their ID.
	After(ctx context.Context, id int64, limit int) ([]mdm.Event, error)
}

// patience is how long an answer waits for storage: it is given within 300 ms
// whatever storage does.
const patience = 250 * time.Millisecond

// pardon is how long nobody waits for a storage that did not answer in time.
const pardon = time.Second

// Engine decides from memory. Load fills its Set, and Follow keeps it up to date;
// Flush writes down what it met and whom it turned away. While storage is out of
// reach, people on record keep what was last known of them until MaxStale is over.
type Engine struct {
	Source   Source
	Events   Outbox
	Register Register
	Verdicts Verdicts
	// MaxStale is for how long the Set counts that storage has not confirmed; 0: ask
	// storage before every decision.
	MaxStale time.Duration
	// Commits counts what this process has committed to the outbox: a decision waits
	// for what was committed before it was asked. nil: nothing is waited for.
	Commits func() uint64
	// Why is the address of a device's reason page; nil: there are none.
	Why func(DeviceID) string
	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means none

	set    Set
	loaded atomic.Bool
	base   time.Time     // on the monotonic clock, from which the times below count
	turn   chan struct{} // held by whoever reads the outbox
	cursor int64         // the newest event that the Set holds; the turn guards it
	lapsed time.Time     // up to here, it was looked whose certificates have ended; likewise

	read      atomic.Uint64 // of Commits, what the Set holds
	confirmed atomic.Int64  // when storage was last seen to hold nothing newer
	anchor    atomic.Int64  // by how much the wall clock was ahead of the monotonic one then
	mute      atomic.Int64  // until when nobody waits for storage
	behind    atomic.Bool   // somebody waited for the Set in vain, and it has not caught up since

	memos   memos
	records records
	counts  counts
}

// Decide says whether a mail client may read a mailbox, and why. The errors are
// ErrInvalid for a client that cannot be asked about, and ErrUnavailable as long as
// nothing was loaded: trouble never lets anybody in.
func (e *Engine) Decide(ctx context.Context, c Client) (Decision, error) {
	a := e.ask(ctx)
	defer a.end()
	if d, ok := a.repeated(&c); ok {
		return d, nil
	}
	if err := e.ready(c); err != nil {
		return Decision{}, err
	}
	return a.decide(c), nil
}

// DecideMany answers in the order of the clients. All of them share the time of
// one: what storage does not answer of in time is told to ask again. One client
// that cannot be asked about refuses all.
func (e *Engine) DecideMany(ctx context.Context, clients []Client) ([]Decision, error) {
	if err := e.ready(clients...); err != nil {
		return nil, err
	}
	a := e.ask(ctx)
	defer a.end()
	list := make([]Decision, len(clients))
	for i, c := range clients {
		list[i] = a.decide(c)
	}
	return list, nil
}

// Explain decides for an admin: nothing is noted, and nobody met.
func (e *Engine) Explain(ctx context.Context, c Client) (Inputs, Decision, []TraceLine, error) {
	if err := e.ready(c); err != nil {
		return Inputs{}, Decision{}, nil, err
	}
	a := e.ask(ctx)
	defer a.end()
	if !a.current() {
		trouble := reasonStale()
		line := TraceLine{Step: StepUnavailable, Outcome: OutcomeApplies, Fact: trouble.Fact}
		return Inputs{At: a.clock(), Client: c}, a.refuse(trouble), []TraceLine{line}, nil
	}
	g := e.set.grounds(c.User)
	in, _ := a.inputs(&g, c, false)
	d, trace := in.Explain()
	return in, a.bound(d), trace, nil
}

// now is the wall clock's time for what is written down.
func (e *Engine) now() time.Time {
	now := time.Now
	if e.Now != nil {
		now = e.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}

// elapsed counts on the monotonic clock, which nobody sets.
func (e *Engine) elapsed() time.Duration { return time.Since(e.base) }

// clock is the time by which a decision is made. The wall clock may be set back
// while storage is away: what expires then does so all the same.
func (e *Engine) clock(now time.Time, elapsed time.Duration) time.Time {
	if least := e.steady(elapsed); now.Before(least) {
		return least
	}
	return now
}

// steady is the wall clock's time as it was when storage last confirmed the Set,
// counted on from there by a clock that nobody sets.
func (e *Engine) steady(elapsed time.Duration) time.Time {
	return time.Unix(0, e.anchor.Load()).Add(elapsed).UTC().Truncate(time.Microsecond)
}

// left is how long the Set counts without another word from storage.
func (e *Engine) left(elapsed time.Duration) time.Duration {
	return time.Duration(e.confirmed.Load()) + e.MaxStale - elapsed
}
