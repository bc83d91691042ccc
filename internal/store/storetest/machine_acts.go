package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sallyport/enroll"
	"sallyport/mdm"
)

// What an admin does to the phone of the state machine, and the model of it. It
// is written after the contract and knows nothing of how the store does it.

// order asks for an act; of most kinds only one may be open.
func (p *phone) order(rt *rapid.T, w *world) {
	a := w.act(p.id, rapid.SampledFrom([]mdm.ActionKind{mdm.ActionLock, mdm.ActionQuery, mdm.ActionSelectiveWipe,
		mdm.ActionRemovePolicies, mdm.ActionResend}).Draw(rt, "kind"))
	a.ExpiresAt = a.RequestedAt.Add(time.Duration(rapid.IntRange(5, 20).Draw(rt, "patience")) * time.Second)
	open := slices.ContainsFunc(p.acts, func(b mdm.Action) bool { return b.Kind == a.Kind && b.State.Open() })
	err := w.DB.Actions().CreateAction(w.ctx, a, w.entry("action.order", ""))
	if open && a.Kind != mdm.ActionQuery {
		if !errors.Is(err, enroll.ErrConflict) {
			rt.Fatalf("a second %s: %v", a.Kind, err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	p.acts = append(p.acts, a)
	p.events++
}

func (p *phone) someAct(rt *rapid.T) *mdm.Action {
	if len(p.acts) == 0 {
		rt.Skip("nothing was ordered")
	}
	return &p.acts[rapid.IntRange(0, len(p.acts)-1).Draw(rt, "act")]
}

// carry sends a new command for an act.
func (p *phone) carry(rt *rapid.T, w *world) {
	a := p.someAct(rt)
	c := mdm.Command{ID: mdm.CommandID(uuid.NewString()), EnrollmentID: p.id, RequestType: string(a.Kind), State: mdm.Sent,
		ActionID: a.ID, SentAt: stored(w.later())}
	err := w.DB.Plans().SaveCommand(w.ctx, c, nil)
	if a.State != mdm.ActionPending && a.State != mdm.ActionSent {
		if !errors.Is(err, enroll.ErrConflict) {
			rt.Fatalf("sent for an act that is %s: %v", a.State, err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	a.State, a.CommandID, a.SentAt = mdm.ActionSent, c.ID, c.SentAt
	p.commands = append(p.commands, c)
}

// repeat sends the last command of an act once more.
func (p *phone) repeat(rt *rapid.T, w *world) {
	a := p.someAct(rt)
	if a.State != mdm.ActionSent {
		rt.Skip("not sent")
	}
	i := p.indexOf(a.CommandID)
	before := p.commands[i]
	before.SentAt = stored(w.later()) // the row keeps when it was sent first
	if err := w.DB.Plans().SaveCommand(w.ctx, before, nil); err != nil {
		rt.Fatal(err)
	}
}

func (p *phone) cancel(rt *rapid.T, w *world) {
	a := p.someAct(rt)
	at := w.later()
	err := w.DB.Actions().MoveAction(w.ctx, a.ID, cancelled(at), w.entry("action.cancel", ""))
	if a.State != mdm.ActionPending {
		if !errors.Is(err, enroll.ErrConflict) {
			rt.Fatalf("cancelled though %s: %v", a.State, err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	a.State, a.DoneAt = mdm.ActionCancelled, stored(at)
	p.events++
}

func (p *phone) expire(rt *rapid.T, w *world) {
	at := w.later()
	want := 0
	for i := range p.acts {
		if a := &p.acts[i]; a.State.Open() && !a.ExpiresAt.After(stored(at)) {
			if a.State == mdm.ActionUnapproved {
				a.State = mdm.ActionCancelled
			} else {
				a.State = mdm.ActionExpired
			}
			a.DoneAt = stored(at)
			p.events++
			want++
		}
	}
	got, err := w.DB.Actions().ExpireActions(w.ctx, at, 1000)
	if err != nil || got < want { // those of the phones before are still there
		rt.Fatalf("%d expired, want %d: %v", got, want, err)
	}
}

// moveAct says what an answered command makes of its act.
func (p *phone) moveAct(c mdm.Command) {
	i := slices.IndexFunc(p.acts, func(a mdm.Action) bool { return a.ID == c.ActionID })
	if i < 0 {
		return
	}
	a := &p.acts[i]
	last := a.CommandID == c.ID
	switch {
	case c.State == mdm.NotNow && last && a.State == mdm.ActionSent:
		a.State, a.CommandID, a.SentAt = mdm.ActionPending, "", time.Time{}
	case c.State == mdm.Failed && last && (a.State == mdm.ActionSent || a.State == mdm.ActionExpired):
		a.State, a.DoneAt, a.Error = mdm.ActionFailed, c.DoneAt, c.Error
		p.events++
	case c.State == mdm.Acknowledged && a.State != mdm.ActionAcknowledged:
		a.State, a.CommandID, a.DoneAt, a.Error = mdm.ActionAcknowledged, c.ID, c.DoneAt, ""
		p.events++
	}
}

// carries reports whether an act is Sent with that very command.
func (p *phone) carries(c mdm.Command) bool {
	return slices.ContainsFunc(p.acts, func(a mdm.Action) bool { return a.State == mdm.ActionSent && a.CommandID == c.ID })
}

func (p *phone) indexOf(id mdm.CommandID) int {
	return slices.IndexFunc(p.commands, func(c mdm.Command) bool { return c.ID == id })
}

// open are the acts that a plan sees.
func (p *phone) open() []mdm.Action {
	list := []mdm.Action{}
	for _, a := range p.acts {
		if a.State == mdm.ActionPending || a.State == mdm.ActionSent {
			list = append(list, a)
		}
	}
	return list
}

// withheld is the most that any act withholds: an open one, or one that has come
// to its end uncancelled and is newer than the newest resend.
func (p *phone) withheld() mdm.Withholding {
	resent := -1
	for i, a := range p.acts {
		if a.Kind == mdm.ActionResend {
			resent = i
		}
	}
	most := mdm.WithholdNothing
	for i, a := range p.acts {
		open := a.State == mdm.ActionPending || a.State == mdm.ActionSent
		done := a.State == mdm.ActionAcknowledged || a.State == mdm.ActionFailed || a.State == mdm.ActionExpired
		counts := open || done && i > resent
		if w := a.Kind.Withholds(); counts && (w == mdm.WithholdEverything || most == mdm.WithholdNothing) {
			most = w
		}
	}
	return most
}
