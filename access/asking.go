package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sallyport/compliance"
	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
)

// maxMet bounds the devices of one person that are on record: whoever asks a gate
// has not proved a password yet, and could fill the disk. Further ones are decided
// about as devices that were never seen before.
const maxMet = 100

// asking is one question, or several at once, with the time that storage has for it.
type asking struct {
	e      *Engine
	ctx    context.Context
	began  time.Duration   // on the monotonic clock
	now    time.Duration   // likewise; storage moves it on
	wall   time.Time       // at now
	limit  context.Context // of storage; made when it is needed first
	cancel context.CancelFunc
	sure   bool // that the Set may be asked
}

func (e *Engine) ask(ctx context.Context) *asking {
	a := &asking{e: e, ctx: ctx}
	a.look()
	a.began = a.now
	return a
}

// look reads the clocks: once for a question, and again where time went by.
func (a *asking) look() { a.now, a.wall = a.e.elapsed(), a.e.now() }

func (a *asking) clock() time.Time { return a.e.clock(a.wall, a.now) }

func (a *asking) end() {
	if a.cancel != nil {
		a.cancel()
	}
}

// ready refuses what cannot be answered.
func (e *Engine) ready(clients ...Client) error {
	for i := range clients {
		if err := clients[i].Validate(); err != nil {
			if len(clients) == 1 {
				return err
			}
			return within(err, i)
		}
	}
	if !e.loaded.Load() {
		return fmt.Errorf("%w: the decision set is not loaded", ErrUnavailable)
	}
	return nil
}

// within names the place of the client that was refused.
func within(err error, i int) error {
	var list refusal.List
	for _, r := range refusal.All(err) {
		list.Add(refusal.New(r.Err, fmt.Sprintf("requests[%d].%s", i, r.Field), r.Reason, r.Remedy))
	}
	return fmt.Errorf("access decision: %w", list)
}

// repeated answers a question that was answered before, where nothing has to be
// waited for. What the client says of itself was looked at then.
func (a *asking) repeated(c *Client) (Decision, bool) {
	if e := a.e; !e.loaded.Load() || e.read.Load() < e.commits() || e.left(a.now) <= 0 {
		return Decision{}, false
	}
	return a.remembered(c, a.e.set.grounds(c.User))
}

func (a *asking) remembered(c *Client, g grounds) (Decision, bool) {
	at := a.clock()
	d, met, ok := a.e.memos.find(c, g, at)
	if !ok {
		return Decision{}, false
	}
	a.e.counts.add(d)
	a.e.records.contact(&met, c, d.Effect, at)
	return a.bound(d), true
}

// decide answers one client and notes the answer.
func (a *asking) decide(c Client) Decision {
	if !a.current() {
		return a.refuse(reasonStale())
	}
	g := a.e.set.grounds(c.User)
	if d, ok := a.remembered(&c, g); ok {
		return d
	}
	in, trouble := a.inputs(&g, c, true)
	if trouble != nil {
		return a.refuse(trouble)
	}
	d := in.Decide()
	a.e.counts.add(d)
	met := a.e.note(&in, d)
	if d.Effect == Allow && len(g.more) == 0 {
		a.e.memos.keep(&c, &met, &d, memo{code: g.one, world: g.world, at: in.At, minute: in.At.Unix() / 60})
	}
	if d.Effect != Allow && in.Device.ID != "" && a.e.Why != nil {
		d.Why = a.e.Why(in.Device.ID)
	}
	return a.bound(d)
}

// inputs gathers what the decision rests on. trouble says why that cannot be done.
func (a *asking) inputs(g *grounds, c Client, meet bool) (in Inputs, trouble *Reason) {
	people := g.people()
	in = g.inputs(people, c, a.clock())
	if meet && len(people) == 1 && in.Device.ID == "" && len(people[0].Devices) < maxMet {
		if !a.meet(people[0], &in) {
			return in, reasonUnmet()
		}
	}
	for i := range in.Phones {
		if p := &in.Phones[i]; p.Proof.Counts() && p.State.Active() {
			a.renew(&in, p)
		}
	}
	return in, nil
}

// current sees to it that the Set holds what was committed before the question,
// and that storage has confirmed it lately. Where it is only late with the former,
// it counts all the same: that is what an outage looks like at first.
func (a *asking) current() bool {
	if a.sure {
		return true
	}
	e := a.e
	if wanted := e.commits(); e.read.Load() < wanted && !e.behind.Load() {
		if !a.catchUp(func() bool { return e.read.Load() >= wanted }) {
			e.behind.Store(true)
		}
	}
	a.sure = e.left(a.now) > 0 || a.catchUp(func() bool { return time.Duration(e.confirmed.Load()) >= a.began })
	return a.sure
}

// catchUp reads the outbox until the Set is as wanted.
func (a *asking) catchUp(wanted func() bool) bool {
	ok := false
	a.storage("read events", func(ctx context.Context) (err error) {
		for ok = wanted(); !ok && err == nil; ok = wanted() {
			_, err = a.e.followOnce(ctx, wanted)
		}
		return err
	})
	return ok
}

// storage runs something within the time that there is; false when it failed.
// Once storage has let the time pass, nobody waits for it for a while.
func (a *asking) storage(what string, do func(ctx context.Context) error) bool {
	e := a.e
	defer a.look()
	if time.Duration(e.mute.Load()) > e.elapsed() {
		return false
	}
	if a.limit == nil {
		a.limit, a.cancel = context.WithTimeout(a.ctx, patience-(e.elapsed()-a.began))
	}
	began := e.elapsed()
	err := do(a.limit)
	if err == nil {
		return true
	}
	if e.elapsed()-began >= patience/2 && a.ctx.Err() == nil { // and not at the end of a long list
		e.mute.Store(int64(e.elapsed() + pardon))
	}
	if e.Log != nil {
		e.Log.WarnContext(a.ctx, "decision without storage: "+what, slog.Any(logkey.Error, err))
	}
	return false
}

// meet puts a device on record at its first contact, with the phone that it
// probably is where nothing says so for certain.
func (a *asking) meet(person *Entry, in *Inputs) bool {
	s := Sighting{UserID: person.Person.ID, Key: Canonical(in.Client.DeviceID), Client: in.Client, At: in.At}
	probable := guess(person, in.Client)
	if len(in.Phones) > 0 || probable == nil {
		probable = &Phone{}
	}
	return a.storage("put a device on record", func(ctx context.Context) error {
		d, err := a.e.Register.Meet(ctx, s, probable.EnrollmentID)
		if err != nil {
			return err
		}
		*in = person.Inputs(in.At, in.Client, compactDevice(d), in.World)
		return nil
	})
}

// maxClockStep is how far in the future a verdict may have been made before its
// maker's clock is taken to have been wrong, as in compliance.
const maxClockStep = time.Hour

// renew asks for the verdict of a phone whose last one is over, or that has none.
// Without an answer the last one counts for as long as the Set would: storage that
// can be read and takes nothing, as on a full disk, confirms the Set for ever.
func (a *asking) renew(in *Inputs, p *Phone) {
	before := p.Verdict
	if !before.At.IsZero() && in.At.Before(before.ValidUntil) && !before.At.After(in.At.Add(maxClockStep)) {
		return
	}
	if !a.judge(in, p) && !before.At.IsZero() && a.e.steady(a.now).Sub(before.ValidUntil) >= a.e.MaxStale {
		p.Verdict = unrenewed(&before)
	}
}

// judge reports whether compliance had an answer.
func (a *asking) judge(in *Inputs, p *Phone) bool {
	before := p.Verdict
	return a.storage("renew a verdict", func(ctx context.Context) error {
		v, err := a.e.Verdicts.Current(ctx, p.EnrollmentID)
		if errors.Is(err, compliance.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		v.Findings = telling(v.Findings)
		p.Verdict = v
		a.e.set.Renew(in.People[0].ID, p.EnrollmentID, before, v)
		return nil
	})
}

// bound ends a decision no later than the Set would count: and that by the wall
// clock, even where the decision was made by another.
func (a *asking) bound(d Decision) Decision {
	last := a.wall.Add(min(maxValid, max(a.e.left(a.now), 0))).Truncate(time.Microsecond)
	if d.ValidUntil.After(last) {
		d.ValidUntil = last
	}
	return d
}

// again is how soon a gate asks anew where nothing could be decided.
const again = 10 * time.Second

// refuse is the answer where nothing can be decided: nobody is let in.
func (a *asking) refuse(trouble *Reason) Decision {
	trouble.Since = a.wall
	d := Decision{Effect: Block, Step: StepUnavailable, Reasons: []Reason{*trouble}, ValidUntil: a.wall.Add(again)}
	a.e.counts.add(d)
	return d
}

// ruleUnavailable names what Reasons of StepUnavailable rest on.
const ruleUnavailable = "unavailable"

func reasonStale() *Reason {
	return &Reason{Rule: ruleUnavailable, Fact: "the server cannot reach its database, and what it knows is too old", Fix: "Wait a moment; if mail does not come back, tell your administrator."}
}

func reasonUnmet() *Reason {
	return &Reason{Rule: ruleUnavailable, Fact: "the server does not know this device, and cannot reach its database", Fix: "Wait a moment; if mail does not come, tell your administrator."}
}
