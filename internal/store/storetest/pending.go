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
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// next is a command that is not on record yet.
func (w *world) next(e mdm.EnrollmentID) mdm.Command {
	return mdm.Command{ID: mdm.CommandID(uuid.NewString()), EnrollmentID: e, RequestType: "SecurityInfo", State: mdm.Sent, SentAt: stored(w.now())}
}

func testPendingIdle(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		save := func(pending *mdm.Contact) []time.Time {
			w.ok(w.DB.Plans().SaveCommand(w.ctx, w.next(e.ID), pending))
			now := w.plan(e.ID).Enrollment
			return []time.Time{now.IdleAt, now.LastSeenAt}
		}
		idle := func(at time.Time) *mdm.Contact { return &mdm.Contact{At: at, Status: mdm.StatusIdle} }
		at := stored(w.later())
		w.same(save(idle(at)), []time.Time{at, at})
		w.same(save(nil), []time.Time{at, at})
		w.same(save(idle(at.Add(-time.Hour))), []time.Time{at, at})
		// Nothing of it where the command is refused.
		refused := w.carrier(w.ordered(e.ID, mdm.ActionLock))
		refused.ActionID = "unknown"
		w.unchangedBy(func() { w.is(w.DB.Plans().SaveCommand(w.ctx, refused, idle(w.later())), enroll.ErrConflict) })
	}
}

func testPendingResult(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		asked := w.command(e.ID, "SecurityInfo", "")
		present := true
		facts := &mdm.SecurityFacts{At: stored(w.later()), PasscodePresent: &present}
		result := mdm.Contact{At: w.now(), Status: mdm.StatusAcknowledged, CommandID: asked.ID, Report: mdm.Report{Security: facts}}
		c := w.next(e.ID)
		events := w.newEvents(func() { w.ok(w.DB.Plans().SaveCommand(w.ctx, c, &result)) })
		w.same(events, []string{"reported " + string(e.ID)})
		asked.State, asked.DoneAt = mdm.Acknowledged, stored(w.now())
		have := w.plan(e.ID)
		w.same(have.Commands, []mdm.Command{c, asked})
		w.same(have.Report, mdm.Report{Security: facts})
		w.same(have.Enrollment.LastSeenAt, stored(w.now()))
	}
}

func testBadPending(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, other := w.enrolled(u, "U1"), w.enrolled(u, "U2")
		done, open, foreign := w.command(e.ID, "SecurityInfo", ""), w.command(e.ID, "ProfileList", ""), w.command(other.ID, "SecurityInfo", "")
		result := mdm.Contact{At: w.later(), Status: mdm.StatusAcknowledged, CommandID: done.ID}
		w.contact(e.ID, result)
		w.unchangedBy(func() {
			save := func(c mdm.Command) error {
				result.At = w.later()
				return w.DB.Plans().SaveCommand(w.ctx, c, &result)
			}
			result.Report = mdm.Report{Security: &mdm.SecurityFacts{At: w.now()}}
			w.is(save(w.next(e.ID)), enroll.ErrHeard)
			result.Status = mdm.StatusError
			w.is(save(w.next(e.ID)), enroll.ErrHeard)
			for _, id := range []mdm.CommandID{foreign.ID, "unknown", ""} {
				result.CommandID = id
				w.is(save(w.next(e.ID)), enroll.ErrNotFound)
			}
			result.CommandID = open.ID
			w.is(save(open), enroll.ErrConflict) // a result does not survive its command
			if result.Status = "Nonsense"; save(w.next(e.ID)) == nil {
				t.Error("a status that is none was taken")
			}
		})
	}
}

func testPendingRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		asked := w.command(e.ID, "SecurityInfo", "")
		result := mdm.Contact{At: w.later(), Status: mdm.StatusAcknowledged, CommandID: asked.ID}
		events := w.newEvents(func() {
			errs := together(32, func(int) error { return w.DB.Plans().SaveCommand(w.ctx, w.next(e.ID), &result) })
			w.same(count(errs, func(err error) bool { return err == nil }), 1)
			w.same(count(errs, func(err error) bool { return errors.Is(err, enroll.ErrHeard) }), 31)
		})
		w.same(events, []string{"reported " + string(e.ID)})
		w.same(len(w.plan(e.ID).Commands), 2)
	}
}

// twin is one of two phones that say the same at the same time. What the one
// says goes on record by itself, what the other says with the next command.
type twin struct {
	e        mdm.Enrollment
	commands []mdm.CommandID // oldest first
}

// testPendingTwins: it makes no difference which way a contact went on record.
func testPendingTwins(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		rapid.Check(t, func(rt *rapid.T) {
			before := len(w.events())
			plain, pending := &twin{e: w.enrolled(u, uuid.NewString())}, &twin{e: w.enrolled(u, uuid.NewString())}
			for range rapid.IntRange(1, 30).Draw(rt, "contacts") {
				c, nth := drawContact(rt, w, len(plain.commands))
				command := w.next("")
				if command.RequestType = rapid.SampledFrom([]string{"SecurityInfo", "InstallProfile"}).Draw(rt, "type"); command.RequestType == "InstallProfile" {
					command.Subject = "p"
				}
				plain.say(rt, w, c, nth, command, false)
				pending.say(rt, w, c, nth, command, true)
				if diff := cmp.Diff(plain.rows(w), pending.rows(w)); diff != "" {
					rt.Fatalf("after %s (-before it +with it):\n%s", c.Status, diff)
				}
			}
			var kinds [2][]string
			for _, line := range w.events()[before:] {
				for i, p := range []*twin{plain, pending} {
					if kind, ok := strings.CutSuffix(line, " "+string(p.e.ID)); ok {
						kinds[i] = append(kinds[i], kind)
					}
				}
			}
			if diff := cmp.Diff(kinds[0], kinds[1]); diff != "" {
				rt.Fatalf("events (-before it +with it):\n%s", diff)
			}
			w.doneEvents(rt)
		})
	}
}

// drawContact makes one, and says of which command it is.
func drawContact(rt *rapid.T, w *world, commands int) (mdm.Contact, int) {
	c := mdm.Contact{At: w.later(), Status: mdm.StatusIdle}
	if commands == 0 || rapid.IntRange(0, 3).Draw(rt, "idle") == 0 {
		return c, 0
	}
	c.Status = rapid.SampledFrom([]mdm.Status{mdm.StatusAcknowledged, mdm.StatusError, mdm.StatusFormatError, mdm.StatusNotNow}).Draw(rt, "status")
	if c.Status == mdm.StatusError {
		c.Errors = []mdm.ErrorItem{{Code: 1, Domain: "d", Description: rapid.SampledFrom([]string{"no", "\x00"}).Draw(rt, "words")}}
	}
	switch rapid.IntRange(0, 2).Draw(rt, "facts") {
	case 0:
		c.Report.Security = &mdm.SecurityFacts{At: c.At}
	case 1:
		c.Report.Device = &mdm.DeviceFacts{At: c.At, EASDeviceID: rapid.SampledFrom([]string{"", "ABC"}).Draw(rt, "eas")}
	}
	return c, rapid.IntRange(0, commands-1).Draw(rt, "command")
}

// say has a contact, and the command that answers it, put on record. An Idle
// may wait only where nothing is unanswered; a result that came before brings
// no command.
func (p *twin) say(rt *rapid.T, w *world, c mdm.Contact, nth int, command mdm.Command, pending bool) {
	have := w.plan(p.e.ID)
	heard := false
	if c.Status == mdm.StatusIdle {
		pending = pending && !slices.ContainsFunc(have.Commands, func(old mdm.Command) bool { return old.State == mdm.Sent })
	} else {
		c.CommandID = p.commands[nth]
		answer, err := c.Answer()
		if err != nil {
			rt.Fatal(err)
		}
		i := slices.IndexFunc(have.Commands, func(old mdm.Command) bool { return old.ID == c.CommandID })
		pending = pending && i >= 0 // as the service does: of an old one it knows nothing
		heard = i >= 0 && !have.Commands[i].Takes(answer.State)
	}
	command.ID, command.EnrollmentID = mdm.CommandID(uuid.NewString()), p.e.ID
	var err error
	if pending {
		err = w.DB.Plans().SaveCommand(w.ctx, command, &c)
		if heard != errors.Is(err, enroll.ErrHeard) {
			rt.Fatalf("heard before: %v, got %v", heard, err)
		}
	} else if err = w.DB.Plans().SaveContact(w.ctx, p.e.ID, c); err == nil && !heard {
		err = w.DB.Plans().SaveCommand(w.ctx, command, nil)
	}
	if heard {
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	p.commands = append(p.commands, command.ID)
}

// rows is everything on record, without what tells twins apart.
func (p *twin) rows(w *world) string {
	have := w.plan(p.e.ID)
	commands, err := w.DB.Plans().ListCommands(w.ctx, p.e.DeviceID, directory.Page{Limit: 1000})
	w.ok(err)
	row, err := w.DB.Devices().DeviceByID(w.ctx, p.e.DeviceID)
	w.ok(err)
	e := have.Enrollment
	lines := []string{fmt.Sprint(e.State, e.LastSeenAt, e.IdleAt, row.ChangedAt), fmt.Sprintf("%+v", reported(have.Report))}
	for i, list := range [][]mdm.Command{have.Commands, commands} {
		for _, c := range list {
			c.ID, c.EnrollmentID = mdm.CommandID(fmt.Sprint(slices.Index(p.commands, c.ID))), ""
			lines = append(lines, fmt.Sprintf("%d %+v", i, c))
		}
	}
	return strings.Join(lines, "\n")
}

func reported(r mdm.Report) []any {
	list := []any{}
	if r.Security != nil {
		list = append(list, *r.Security)
	}
	if r.Device != nil {
		list = append(list, *r.Device)
	}
	return list
}
