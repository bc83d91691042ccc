package storetest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

// act is one that an admin orders now.
func (w *world) act(e mdm.EnrollmentID, kind mdm.ActionKind) mdm.Action {
	now := stored(w.later())
	return mdm.Action{ID: mdm.ActionID(newID()), EnrollmentID: e, Kind: kind, State: mdm.ActionPending, RequestedBy: "admin",
		Parameters:  mdm.ActionParameters{Message: "canary-message", Raw: []byte("canary-raw")},
		RequestedAt: now, ExpiresAt: now.Add(24 * time.Hour)}
}

func (w *world) ordered(e mdm.EnrollmentID, kind mdm.ActionKind) mdm.Action {
	w.t.Helper()
	a := w.act(e, kind)
	w.ok(w.DB.Actions().CreateAction(w.ctx, a, w.entry("action.order", string(a.ID))))
	return a
}

// carrier is a command that carries out an act.
func (w *world) carrier(a mdm.Action) mdm.Command {
	return mdm.Command{ID: mdm.CommandID(uuid.NewString()), EnrollmentID: a.EnrollmentID, RequestType: string(a.Kind),
		State: mdm.Sent, ActionID: a.ID, SentAt: stored(w.later())}
}

func (w *world) sent(a mdm.Action) mdm.Command {
	w.t.Helper()
	c := w.carrier(a)
	w.ok(w.DB.Plans().SaveCommand(w.ctx, c, nil))
	return c
}

func (w *world) answers(c mdm.Command, status mdm.Status) {
	w.t.Helper()
	w.contact(c.EnrollmentID, mdm.Contact{At: w.later(), Status: status, CommandID: c.ID})
}

func (w *world) idle(e mdm.EnrollmentID) {
	w.t.Helper()
	w.contact(e, mdm.Contact{At: w.later(), Status: mdm.StatusIdle})
}

func (w *world) action(id mdm.ActionID) mdm.Action {
	w.t.Helper()
	a, err := w.DB.Actions().ActionByID(w.ctx, id)
	w.ok(err)
	return a
}

func (w *world) enrollment(id mdm.EnrollmentID) mdm.Enrollment {
	w.t.Helper()
	e, err := w.DB.Enrollments().EnrollmentByID(w.ctx, id)
	w.ok(err)
	return e
}

func cancelled(at time.Time) enroll.ActionMove {
	return enroll.ActionMove{From: []mdm.ActionState{mdm.ActionUnapproved, mdm.ActionPending}, To: mdm.ActionCancelled, By: "admin", At: at}
}

func (w *world) cancel(a mdm.Action) error {
	return w.DB.Actions().MoveAction(w.ctx, a.ID, cancelled(w.now()), w.entry("action.cancel", string(a.ID)))
}

func isNil(err error) bool { return err == nil }

func isConflict(err error) bool { return errors.Is(err, enroll.ErrConflict) }

func testActions(t *testing.T, make Maker) {
	t.Run("create and list", testOrder(make))
	t.Run("one of a kind", testOrderConflicts(make))
	t.Run("approve and cancel", testApprove(make))
	t.Run("so many of a kind", testOrderBound(make))
	t.Run("what is withheld", testWithheld(make))
	t.Run("answers", testActAnswers(make))
	t.Run("answers to an old command", testOldCarrier(make))
	t.Run("repeated until answered", testActRepeated(make))
	t.Run("an acknowledged wipe", testWipe(make))
	t.Run("ends", testActsAtEnd(make))
	t.Run("expire", testExpire(make))
	t.Run("cancelled or sent, 200 times", testCancelRace(make))
	t.Run("32 answers at once", testAnswerRace(make))
	t.Run("16 orders at once", testOrderRace(make))
	t.Run("commands", testListCommands(make))
}

func testOrder(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		old := w.enrolled(u, "U1")
		first := w.ordered(old.ID, mdm.ActionQuery)
		w.same(w.action(first.ID), first)
		e, other := w.enrolled(u, "U1"), w.enrolled(u, "U2")
		var second mdm.Action
		w.same(w.newEvents(func() { second = w.ordered(e.ID, mdm.ActionLock) }), []string{"action " + string(e.ID)})
		w.ordered(other.ID, mdm.ActionLock)
		w.audited("action.order", 3)
		if strings.Contains(w.Dump(t), "canary") {
			t.Error("what an admin told a phone is stored in the clear")
		}
		w.same(w.plan(e.ID).Actions, []mdm.Action{second})

		first.State, first.DoneAt = mdm.ActionCancelled, stored(e.EnrolledAt) // its enrolment was replaced
		list := func(after mdm.ActionID, limit int) []mdm.Action {
			list, err := w.DB.Actions().ListActions(w.ctx, e.DeviceID, directory.Page{After: string(after), Limit: limit})
			w.ok(err)
			return list
		}
		w.same(list("", 0), []mdm.Action{second, first})
		w.same(list("", 1), []mdm.Action{second})
		w.same(list(second.ID, 10), []mdm.Action{first})
		w.same(list(first.ID, 10), []mdm.Action{})
		_, err := w.DB.Actions().ActionByID(w.ctx, "unknown")
		w.is(err, enroll.ErrNotFound)
	}
}

// testOrderBound: a script that goes on asking comes to an end; what an admin must
// be able to order does not depend on it.
func testOrderBound(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		for range 99 {
			w.ordered(e.ID, mdm.ActionQuery)
		}
		command := w.ordered(e.ID, mdm.ActionCommand)
		for _, kind := range []mdm.ActionKind{mdm.ActionQuery, mdm.ActionCommand} {
			w.unchangedBy(func() {
				w.is(w.DB.Actions().CreateAction(w.ctx, w.act(e.ID, kind), w.entry("action.order", "")), enroll.ErrConflict)
			})
		}
		w.ordered(e.ID, mdm.ActionWipe)
		carrier := w.carrier(command)
		w.ok(w.DB.Plans().SaveCommand(w.ctx, carrier, nil))
		w.ok(w.DB.Plans().SaveContact(w.ctx, e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusAcknowledged, CommandID: carrier.ID, Result: secret.New("answer")}))
		w.ordered(e.ID, mdm.ActionLock)

		list, err := w.DB.Actions().ListActions(w.ctx, e.DeviceID, directory.Page{Limit: 1000})
		w.ok(err)
		for _, a := range list {
			if !a.Result.IsZero() {
				t.Errorf("the list holds the result of act %s", a.ID)
			}
		}
		w.same(w.action(command.ID).Result.Reveal(), "answer")
	}
}

func testOrderConflicts(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, early := w.enrolled(u, "U1"), w.admitted(u, "U2")
		create := func(e mdm.EnrollmentID, kind mdm.ActionKind) error {
			return w.DB.Actions().CreateAction(w.ctx, w.act(e, kind), w.entry("action.order", ""))
		}
		lock := w.ordered(e.ID, mdm.ActionLock)
		w.unchangedBy(func() {
			w.is(create("unknown", mdm.ActionLock), enroll.ErrNotFound)
			w.is(create(early.ID, mdm.ActionLock), enroll.ErrConflict)
			w.is(create(e.ID, mdm.ActionLock), enroll.ErrConflict)
			same := w.act(e.ID, mdm.ActionRetire)
			same.ID = lock.ID
			w.is(w.DB.Actions().CreateAction(w.ctx, same, w.entry("action.order", "")), enroll.ErrConflict)
			same = w.act(e.ID, mdm.ActionRetire)
			same.State = mdm.ActionSent
			if w.DB.Actions().CreateAction(w.ctx, same, w.entry("action.order", "")) == nil {
				t.Error("an act began as sent")
			}
		})
		for _, kind := range []mdm.ActionKind{mdm.ActionQuery, mdm.ActionQuery, mdm.ActionCommand, mdm.ActionCommand, mdm.ActionRename} {
			w.ok(create(e.ID, kind))
		}
		c := w.sent(lock)
		w.is(create(e.ID, mdm.ActionLock), enroll.ErrConflict) // sent is open, too
		w.answers(c, mdm.StatusAcknowledged)
		w.ok(create(e.ID, mdm.ActionLock))
		w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.CheckedOut, w.now(), w.entry("enrollment.check_out", "")))
		w.is(create(e.ID, mdm.ActionRename), enroll.ErrConflict)
	}
}

func testApprove(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		a := w.act(e.ID, mdm.ActionWipe)
		a.State = mdm.ActionUnapproved
		w.ok(w.DB.Actions().CreateAction(w.ctx, a, w.entry("action.order", "")))
		w.same(w.enrollment(e.ID).Withheld, mdm.WithholdNothing)
		w.same(w.plan(e.ID).Actions, []mdm.Action{})
		w.unchangedBy(func() {
			w.is(w.DB.Plans().SaveCommand(w.ctx, w.carrier(a), nil), enroll.ErrConflict)
			w.is(w.DB.Actions().MoveAction(w.ctx, "unknown", cancelled(w.now()), w.entry("action.cancel", "")), enroll.ErrNotFound)
		})
		approve := enroll.ActionMove{From: []mdm.ActionState{mdm.ActionUnapproved}, To: mdm.ActionPending, By: "other", At: w.later()}
		events := w.newEvents(func() { w.ok(w.DB.Actions().MoveAction(w.ctx, a.ID, approve, w.entry("action.approve", ""))) })
		w.same(events, []string{"action " + string(e.ID)})
		a.State, a.ApprovedBy = mdm.ActionPending, "other"
		w.same(w.action(a.ID), a)
		w.same(w.enrollment(e.ID).Withheld, mdm.WithholdEverything)
		w.unchangedBy(func() {
			w.is(w.DB.Actions().MoveAction(w.ctx, a.ID, approve, w.entry("action.approve", "")), enroll.ErrConflict)
		})

		events = w.newEvents(func() { w.later(); w.ok(w.cancel(a)) })
		w.same(events, []string{"action " + string(e.ID)})
		a.State, a.DoneAt = mdm.ActionCancelled, stored(w.now())
		w.same(w.action(a.ID), a)
		w.same(w.enrollment(e.ID).Withheld, mdm.WithholdNothing)
		w.unchangedBy(func() { w.is(w.cancel(a), enroll.ErrConflict) })
		w.audited("action.cancel", 1)

		// An act of several commands ends by MoveAction; so does one that is forced.
		retire := w.ordered(e.ID, mdm.ActionRetire)
		force := enroll.ActionMove{From: []mdm.ActionState{mdm.ActionPending, mdm.ActionSent}, To: mdm.ActionAcknowledged, By: "admin", At: w.later()}
		events = w.newEvents(func() { w.ok(w.DB.Actions().MoveAction(w.ctx, retire.ID, force, w.entry("action.force", ""))) })
		w.same(events, []string{"action " + string(e.ID), "ended " + string(e.ID)})
		w.same(w.enrollment(e.ID).State, mdm.Retired)
	}
}

func testWithheld(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		const nothing, policies, everything = mdm.WithholdNothing, mdm.WithholdPolicies, mdm.WithholdEverything
		type step struct {
			kind mdm.ActionKind
			do   string // "", cancel, send, fail, done, expire
			want mdm.Withholding
		}
		tests := []struct {
			name  string
			steps []step
		}{
			{"nothing", []step{{mdm.ActionLock, "", nothing}, {mdm.ActionQuery, "done", nothing}}},
			{"policies", []step{{mdm.ActionRemovePolicies, "", policies}, {mdm.ActionRemovePolicies, "cancel", nothing}}},
			{"the most counts", []step{{mdm.ActionSelectiveWipe, "", everything}, {mdm.ActionRemovePolicies, "", everything}, {mdm.ActionSelectiveWipe, "cancel", policies}}},
			{"another act needs it", []step{{mdm.ActionWipe, "", everything}, {mdm.ActionRetire, "", everything}, {mdm.ActionWipe, "cancel", everything}, {mdm.ActionRetire, "cancel", nothing}}},
			{"done stays", []step{{mdm.ActionSelectiveWipe, "", everything}, {mdm.ActionSelectiveWipe, "done", everything}, {mdm.ActionWipe, "", everything}, {mdm.ActionWipe, "cancel", everything}}},
			{"failed stays", []step{{mdm.ActionWipe, "", everything}, {mdm.ActionWipe, "fail", everything}}},
			{"never sent and expired", []step{{mdm.ActionWipe, "", everything}, {mdm.ActionWipe, "expire", everything}, {mdm.ActionResend, "", nothing}}},
			{"sent and expired", []step{{mdm.ActionWipe, "", everything}, {mdm.ActionWipe, "send", everything}, {mdm.ActionWipe, "expire", everything}}},
			{"begun in several commands and expired", []step{{mdm.ActionSelectiveWipe, "", everything}, {mdm.ActionSelectiveWipe, "begin", everything}, {mdm.ActionSelectiveWipe, "expire", everything}}},
			{"resend", []step{{mdm.ActionSelectiveWipe, "", everything}, {mdm.ActionSelectiveWipe, "done", everything}, {mdm.ActionResend, "", nothing}, {mdm.ActionResend, "done", nothing}, {mdm.ActionRemovePolicies, "", policies}}},
			{"resend opens nothing that an open act shuts", []step{{mdm.ActionWipe, "", everything}, {mdm.ActionResend, "", everything}, {mdm.ActionWipe, "cancel", nothing}}},
		}
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				e := w.enrolled(u, fmt.Sprint("U", i))
				acts := map[mdm.ActionKind]mdm.Action{}
				for _, s := range tt.steps {
					if _, there := acts[s.kind]; !there {
						acts[s.kind] = w.ordered(e.ID, s.kind)
					}
					w.step(acts[s.kind], s.do)
					if got := w.enrollment(e.ID).Withheld; got != s.want {
						t.Fatalf("after %s %s: %q is withheld, want %q", s.kind, s.do, got, s.want)
					}
				}
			})
		}
	}
}

// step does one thing with an act.
func (w *world) step(a mdm.Action, do string) {
	w.t.Helper()
	switch do {
	case "cancel":
		w.ok(w.cancel(a))
	case "send":
		w.sent(a)
	case "begin":
		move := enroll.ActionMove{From: []mdm.ActionState{mdm.ActionPending}, To: mdm.ActionSent, At: w.now()}
		w.ok(w.DB.Actions().MoveAction(w.ctx, a.ID, move, w.entry("action.send", "")))
	case "fail":
		w.answers(w.sent(a), mdm.StatusError)
	case "done":
		move := enroll.ActionMove{From: []mdm.ActionState{mdm.ActionPending}, To: mdm.ActionAcknowledged, At: w.now()}
		w.ok(w.DB.Actions().MoveAction(w.ctx, a.ID, move, w.entry("action.acknowledge", "")))
	case "expire":
		_, err := w.DB.Actions().ExpireActions(w.ctx, a.ExpiresAt, 100)
		w.ok(err)
	}
}

func testExpire(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		expire := func(now time.Time, limit, want int) {
			t.Helper()
			n, err := w.DB.Actions().ExpireActions(w.ctx, now, limit)
			w.ok(err)
			w.same(n, want)
		}
		w.unchangedBy(func() { expire(w.now(), 10, 0) })
		unapproved := w.act(e.ID, mdm.ActionRetire)
		unapproved.State = mdm.ActionUnapproved
		w.ok(w.DB.Actions().CreateAction(w.ctx, unapproved, w.entry("action.order", "")))
		pending, sent, done := w.ordered(e.ID, mdm.ActionWipe), w.ordered(e.ID, mdm.ActionLock), w.ordered(e.ID, mdm.ActionRename)
		w.sent(sent)
		w.answers(w.sent(done), mdm.StatusAcknowledged)
		w.unchangedBy(func() { expire(unapproved.ExpiresAt.Add(-time.Microsecond), 10, 0) })
		late := done.ExpiresAt.Add(time.Hour)
		events := w.newEvents(func() { expire(late, 2, 2) })
		w.same(events, []string{"action " + string(e.ID), "action " + string(e.ID)})
		expire(late, 10, 1)
		expire(late, 10, 0)
		for id, want := range map[mdm.ActionID]mdm.ActionState{
			unapproved.ID: mdm.ActionCancelled, pending.ID: mdm.ActionExpired, sent.ID: mdm.ActionExpired,
		} {
			got := w.action(id)
			w.same([]any{got.State, got.DoneAt, got.Error}, []any{want, stored(late), ""})
		}
		w.same(w.action(done.ID).State, mdm.ActionAcknowledged)
		w.audited("action.expire", 2)
		w.audited("action.cancel", 1)
	}
}

// testCancelRace: an act that an admin takes back is not sent, and one that was
// sent is not taken back.
func testCancelRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		wins := [2]int{}
		for range 200 {
			a := w.ordered(e.ID, mdm.ActionLock)
			c := w.carrier(a)
			errs := together(2, func(i int) error {
				if i == 0 {
					return w.cancel(a)
				}
				return w.DB.Plans().SaveCommand(w.ctx, c, nil)
			})
			if count(errs, isNil) != 1 || count(errs, isConflict) != 1 {
				t.Fatalf("cancelled: %v, sent: %v", errs[0], errs[1])
			}
			rows := w.plan(e.ID).Commands
			onRecord := len(rows) > 0 && rows[0].ID == c.ID
			state := w.action(a.ID).State
			if errs[0] == nil && (state != mdm.ActionCancelled || onRecord) || errs[1] == nil && (state != mdm.ActionSent || !onRecord) {
				t.Fatalf("act is %s, its command on record: %v", state, onRecord)
			}
			if errs[1] == nil {
				wins[1]++
				w.answers(c, mdm.StatusAcknowledged)
			} else {
				wins[0]++
			}
		}
		t.Logf("cancelled %d, sent %d", wins[0], wins[1])
	}
}

func testAnswerRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		c := w.sent(w.ordered(e.ID, mdm.ActionWipe))
		at := w.later()
		events := w.newEvents(func() {
			for _, err := range together(32, func(int) error {
				return w.DB.Plans().SaveContact(w.ctx, e.ID, mdm.Contact{At: at, Status: mdm.StatusAcknowledged, CommandID: c.ID})
			}) {
				w.ok(err)
			}
		})
		w.same(events, []string{"action " + string(e.ID), "ended " + string(e.ID), "reported " + string(e.ID)})
		w.audited("action.acknowledge", 1)
	}
}

func testOrderRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		errs := together(16, func(int) error {
			return w.DB.Actions().CreateAction(w.ctx, w.act(e.ID, mdm.ActionWipe), w.entry("action.order", ""))
		})
		if count(errs, isNil) != 1 || count(errs, isConflict) != 15 {
			t.Fatalf("%v", errs)
		}
	}
}

func testListCommands(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		old := w.enrolled(u, "U1")
		want := []mdm.Command{w.command(old.ID, "SecurityInfo", "")}
		e, other := w.enrolled(u, "U1"), w.enrolled(u, "U2")
		for range 8 { // more than a plan reads
			want = append([]mdm.Command{w.command(e.ID, "SecurityInfo", "")}, want...)
			w.command(other.ID, "SecurityInfo", "")
		}
		list := func(after mdm.CommandID, limit int) []mdm.Command {
			list, err := w.DB.Plans().ListCommands(w.ctx, e.DeviceID, directory.Page{After: string(after), Limit: limit})
			w.ok(err)
			return list
		}
		w.same(list("", 0), want)
		w.same(list("", 3), want[:3])
		w.same(list(want[2].ID, 4), want[3:7])
		w.same(list(want[8].ID, 4), []mdm.Command{})
		w.same(list("unknown", 4), []mdm.Command{})
	}
}
