package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"sallyport/enroll"
	"sallyport/mdm"
)

// phone is what SaveContact should have made of everything so far.
type phone struct {
	id       mdm.EnrollmentID
	lastSeen time.Time
	idle     time.Time
	commands []mdm.Command // oldest first
	acts     []mdm.Action  // oldest first; none that ends the enrolment
	security *mdm.SecurityFacts
	events   int
}

// testContactMachine lets phones say anything in any order and compares the
// database with a model after every word.
func testContactMachine(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		rapid.Check(t, func(rt *rapid.T) {
			e := w.enrolled(u, uuid.NewString())
			p := &phone{id: e.ID, lastSeen: e.LastSeenAt, idle: e.IdleAt}
			rt.Repeat(map[string]func(*rapid.T){
				"send":   func(rt *rapid.T) { p.send(rt, w) },
				"idle":   func(rt *rapid.T) { p.sayIdle(rt, w) },
				"answer": func(rt *rapid.T) { p.answer(rt, w) },
				"order":  func(rt *rapid.T) { p.order(rt, w) },
				"carry":  func(rt *rapid.T) { p.carry(rt, w) },
				"repeat": func(rt *rapid.T) { p.repeat(rt, w) },
				"cancel": func(rt *rapid.T) { p.cancel(rt, w) },
				"expire": func(rt *rapid.T) { p.expire(rt, w) },
				"foreign": func(rt *rapid.T) {
					err := w.DB.Plans().SaveContact(w.ctx, p.id, mdm.Contact{At: w.later(), Status: mdm.StatusAcknowledged, CommandID: mdm.CommandID(uuid.NewString())})
					if !errors.Is(err, enroll.ErrNotFound) {
						rt.Fatalf("got %v, want ErrNotFound", err)
					}
				},
				"": func(rt *rapid.T) { p.check(rt, w) },
			})
			w.doneEvents(rt)
		})
	}
}

// doneEvents makes room for the next phone's: Pending reads 1000 at most.
func (w *world) doneEvents(rt *rapid.T) {
	list, err := w.DB.Outbox().Pending(w.ctx, "never done", 1000)
	if err != nil {
		rt.Fatal(err)
	}
	if len(list) == 0 {
		return
	}
	if err := w.DB.Outbox().Done(w.ctx, "never done", list[len(list)-1].ID); err != nil {
		rt.Fatal(err)
	}
}

func (p *phone) send(rt *rapid.T, w *world) {
	c := mdm.Command{ID: mdm.CommandID(uuid.NewString()), EnrollmentID: p.id, State: mdm.Sent, SentAt: stored(w.later()),
		RequestType: rapid.SampledFrom([]string{"SecurityInfo", "InstallProfile"}).Draw(rt, "type")}
	if c.RequestType == "InstallProfile" {
		c.Subject = rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "subject")
	}
	if err := w.DB.Plans().SaveCommand(w.ctx, c, nil); err != nil {
		rt.Fatal(err)
	}
	p.commands = append(p.commands, c)
}

func (p *phone) sayIdle(rt *rapid.T, w *world) {
	at := w.later()
	if err := w.DB.Plans().SaveContact(w.ctx, p.id, mdm.Contact{At: at, Status: mdm.StatusIdle}); err != nil {
		rt.Fatal(err)
	}
	changed := false
	for i, c := range p.commands {
		if c.State == mdm.Sent && !p.carries(c) {
			p.commands[i].State, p.commands[i].DoneAt = mdm.Superseded, stored(at)
			changed = true
		}
	}
	if changed {
		p.events++
	}
	p.lastSeen, p.idle = stored(at), stored(at)
}

func (p *phone) answer(rt *rapid.T, w *world) {
	if len(p.commands) == 0 {
		rt.Skip("nothing was sent")
	}
	c := &p.commands[rapid.IntRange(0, len(p.commands)-1).Draw(rt, "command")]
	contact := mdm.Contact{At: w.later(), CommandID: c.ID,
		Status: rapid.SampledFrom([]mdm.Status{mdm.StatusAcknowledged, mdm.StatusError, mdm.StatusFormatError, mdm.StatusNotNow}).Draw(rt, "status")}
	if rapid.Bool().Draw(rt, "facts") {
		present := rapid.Bool().Draw(rt, "passcode")
		contact.Report.Security = &mdm.SecurityFacts{At: stored(contact.At), PasscodePresent: &present}
	}
	if err := w.DB.Plans().SaveContact(w.ctx, p.id, contact); err != nil {
		rt.Fatal(err)
	}
	state, reason := mdm.Acknowledged, ""
	switch contact.Status {
	case mdm.StatusError, mdm.StatusFormatError:
		state, reason = mdm.Failed, string(contact.Status)
	case mdm.StatusNotNow:
		state = mdm.NotNow
	}
	if c.State == mdm.Acknowledged || c.State == mdm.Failed || c.State == state {
		return // twice: nothing of it counts
	}
	c.State, c.Error, c.DoneAt = state, reason, stored(contact.At)
	p.lastSeen = stored(contact.At)
	p.events++
	if contact.Report.Security != nil {
		p.security = contact.Report.Security
	}
	p.moveAct(*c)
}

func (p *phone) check(rt *rapid.T, w *world) {
	have, err := w.DB.Plans().LoadPlan(w.ctx, p.id)
	if err != nil {
		rt.Fatal(err)
	}
	want := enroll.Have{Enrollment: have.Enrollment, User: have.User, Report: mdm.Report{Security: p.security}, Commands: p.newest(), Actions: p.open()}
	want.Enrollment.LastSeenAt, want.Enrollment.IdleAt, want.Enrollment.Withheld = p.lastSeen, p.idle, p.withheld()
	if diff := cmp.Diff(want, have, equalSecrets); diff != "" {
		rt.Fatalf("unexpected (-want +got):\n%s", diff)
	}
	got := 0
	for _, line := range w.events() {
		if strings.HasSuffix(line, " "+string(p.id)) && !strings.HasPrefix(line, string(mdm.EventEnrolled)) {
			got++
		}
	}
	if got != p.events {
		rt.Fatalf("%d events, want %d", got, p.events)
	}
}

// newest are the last 5 of each request type and subject, newest first.
func (p *phone) newest() []mdm.Command {
	seen := map[string]int{}
	list := []mdm.Command{}
	for _, c := range slices.Backward(p.commands) {
		pair := fmt.Sprint(c.RequestType, " ", c.Subject)
		if seen[pair]++; seen[pair] <= 5 {
			list = append(list, c)
		}
	}
	return list
}
