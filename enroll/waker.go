package enroll

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"sallyport/internal/logkey"
	"sallyport/internal/work"
	"sallyport/mdm"
	"sallyport/mdm/apple/apns"
)

// Sender wakes one phone. *apns.Client is one.
type Sender interface {
	// Push tells in its result what became of it; it is safe for concurrent use.
	Push(ctx context.Context, p mdm.Push) apns.Result
}

var _ Sender = (*apns.Client)(nil)

// Pace of the wake-ups. Each phone that is woken calls us within seconds, so
// this bounds our own load, too: 100,000 phones take some eight minutes.
const (
	wakesAtOnce    = 16  // pushes under way
	wakesPerStep   = 200 // in one step, and in one burst
	wakesPerSecond = 200

	firstBackOff = 30 * time.Second // doubled with each failure
	longBackOff  = time.Hour

	silentBatch = 500 // phones made due for their silence in one step
)

// Waker wakes phones: those that something has changed for, and those that were
// silent for too long. Which are due stands in the store; nothing is lost by a
// crash, and many reasons make one push. It never changes the state of an
// enrolment: what APNs says of a token is no word about management.
//
// Step, Silent and Handle may run side by side, but each of them not twice.
type Waker struct {
	Wakes  WakeStore
	Sender Sender
	// Topic is the topic of the push certificate, and which certificate that is;
	// empty while there is none that is valid: what is due then waits.
	Topic    func(ctx context.Context) (topic, certificate string)
	Interval time.Duration    // a phone that was neither seen nor pushed for so long is woken for a report; 0: never
	Notify   func()           // called after something became due; may be nil
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil means no log

	pace        pace
	certificate string    // the one that the troubles were had with
	troubles    int       // in a row, of a kind that would befall every push
	resume      time.Time // no push before
}

// Step sends the pushes that are due, as many as the pace allows. more says
// that there are others which may be sent at once.
func (w *Waker) Step(ctx context.Context) (more bool, err error) {
	now := w.now()
	topic, certificate := w.Topic(ctx)
	if certificate != w.certificate {
		w.certificate, w.troubles, w.resume = certificate, 0, time.Time{}
	}
	if certificate == "" || now.Before(w.resume) {
		return false, nil
	}
	limit := w.pace.allow(now)
	if w.troubles > 0 {
		limit = min(limit, 1) // one finds out whether it is over
	}
	if limit == 0 {
		return false, nil
	}
	due, err := w.Wakes.DueWakes(ctx, now, limit)
	if err != nil {
		return false, fmt.Errorf("read due wake-ups: %w", err)
	}
	w.pace.spend(len(due))
	if err := w.send(ctx, due, topic); err != nil {
		return false, err
	}
	return len(due) == limit && !now.Before(w.resume), nil
}

// send pushes a batch. Trouble that would befall all of them ends it early;
// what was not tried stays due.
func (w *Waker) send(ctx context.Context, due []Wakeup, topic string) error {
	var (
		mu      sync.Mutex
		trouble *apns.Result
		answers int
		fault   error
	)
	stopped := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return trouble != nil || fault != nil || ctx.Err() != nil
	}
	work.Each(len(due), wakesAtOnce, func(i int) {
		if stopped() {
			return
		}
		r, save := w.wake(ctx, due[i], topic)
		mu.Lock()
		if r.Everyone() {
			trouble = &r
		} else if r.Status != 0 {
			answers++
		}
		mu.Unlock()
		if ctx.Err() != nil {
			return // our own end is nothing to note of a phone
		}
		if err := w.Wakes.SaveWake(ctx, due[i], save); err != nil {
			mu.Lock()
			fault = fmt.Errorf("save wake-up of %s: %w", due[i].EnrollmentID, err)
			mu.Unlock()
		}
	})
	if fault != nil || ctx.Err() != nil {
		return fault
	}
	w.weather(ctx, trouble, answers)
	return nil
}

// wake pushes one phone, and says what is to be noted of it.
func (w *Waker) wake(ctx context.Context, due Wakeup, topic string) (apns.Result, WakeResult) {
	if due.Push.Topic != topic {
		// APNs would take it and drop it in silence, or disclose the token to
		// another entry's owner: such a phone has to enrol again.
		return apns.Result{Outcome: apns.WrongTopic}, WakeResult{At: w.now(), Error: "OtherTopic"}
	}
	r := w.Sender.Push(ctx, due.Push)
	now := w.now()
	save := WakeResult{At: now, Error: r.Reason}
	switch r.Outcome {
	case apns.Accepted:
		save.Error = ""
	case apns.Dead:
		// A token that came after APNs saw one die is another registration.
		save.Dead = !r.InvalidSince.IsZero() && !due.Push.UpdatedAt.After(r.InvalidSince)
		if !save.Dead {
			save.Next = now.Add(backOff(due.Attempts, r.RetryAfter))
		}
	case apns.Later, apns.BadCertificate:
		failures := due.Attempts
		if r.Everyone() {
			failures = 0 // not this phone's fault: the waker itself holds back
		}
		save.Next = now.Add(backOff(failures, r.RetryAfter))
	case apns.WrongTopic, apns.Refused: // trying again changes nothing
	}
	if r.Outcome != apns.Accepted {
		w.log().WarnContext(ctx, "push failed", slog.String(logkey.Enrollment, string(due.EnrollmentID)),
			slog.String("outcome", string(r.Outcome)), slog.String("reason", save.Error), slog.Int(logkey.Status, r.Status),
			slog.String("apns_id", r.APNSID))
	}
	return r, save
}

// weather learns from a batch whether the push service is to be left alone.
func (w *Waker) weather(ctx context.Context, trouble *apns.Result, answers int) {
	switch {
	case trouble != nil:
		pause := backOff(w.troubles, trouble.RetryAfter)
		w.troubles++
		w.resume = w.now().Add(pause)
		w.log().WarnContext(ctx, "push service takes nothing", slog.String("outcome", string(trouble.Outcome)),
			slog.String("reason", trouble.Reason), slog.Int("failures", w.troubles), slog.Duration("retry_in", pause))
	case answers > 0 && w.troubles > 0:
		w.log().InfoContext(ctx, "push service works again", slog.Int("failures", w.troubles))
		w.troubles = 0
	}
}

// backOff is the time to wait after so many failures before this one: what the
// service asked for, or the doubled time less up to a quarter, so that phones
// do not come back in one wave.
func backOff(failures int, asked time.Duration) time.Duration {
	if asked > 0 {
		return asked
	}
	d := longBackOff
	if failures < 7 {
		d = min(firstBackOff<<max(failures, 0), longBackOff)
	}
	return d - rand.N(d/4).Truncate(time.Millisecond)
}

// Silent makes due what was neither seen nor pushed within the interval.
func (w *Waker) Silent(ctx context.Context) (more bool, err error) {
	if w.Interval <= 0 {
		return false, nil
	}
	now := w.now()
	n, err := w.Wakes.RequestSilent(ctx, now.Add(-w.Interval), now, silentBatch)
	if err != nil {
		return false, fmt.Errorf("wake silent phones: %w", err)
	}
	w.notify(n)
	return n >= silentBatch, nil
}

// Handle is the outbox consumer "wake": what changed what a phone should have,
// makes it due. A phone is also woken for an act that was cancelled or has
// ended, which it may have to undo or report.
func (w *Waker) Handle(ctx context.Context, e mdm.Event) (did bool, err error) {
	var ids []mdm.EnrollmentID
	switch e.Kind {
	case mdm.EventEnrolled, mdm.EventAction, mdm.EventUserChanged, mdm.EventUserRemoved:
		if e.EnrollmentID == "" {
			return false, nil // nil would mean all of them
		}
		ids = []mdm.EnrollmentID{e.EnrollmentID}
	case mdm.EventTemplateChange, mdm.EventPolicyChanged:
		if e.EnrollmentID != "" {
			ids = []mdm.EnrollmentID{e.EnrollmentID}
		}
	case mdm.EventReported, mdm.EventEnded, mdm.EventVerdict, mdm.EventIdentity:
		return false, nil
	default:
		return false, nil
	}
	n, err := w.Wakes.RequestWake(ctx, ids, w.now())
	if err != nil {
		return false, fmt.Errorf("wake phones for %s: %w", e.Kind, err)
	}
	w.notify(n)
	return n > 0, nil
}

func (w *Waker) notify(n int) {
	if n > 0 && w.Notify != nil {
		w.Notify()
	}
}

func (w *Waker) now() time.Time { return moment(w.Now) }

func (w *Waker) log() *slog.Logger { return logger(w.Log) }

// pace is a bucket of wakesPerStep that fills with wakesPerSecond. The zero
// pace is full.
type pace struct {
	spent float64
	at    time.Time
}

func (p *pace) allow(now time.Time) int {
	if passed := now.Sub(p.at); passed > 0 {
		p.spent = max(0, p.spent-passed.Seconds()*wakesPerSecond)
		p.at = now
	}
	return int(wakesPerStep - p.spent)
}

func (p *pace) spend(n int) { p.spent += float64(n) }
