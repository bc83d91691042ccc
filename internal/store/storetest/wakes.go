package storetest

import (
	"fmt"
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

// pushed is what the phone with that token sends.
func (w *world) pushed(token string) mdm.Push {
	p := w.push()
	p.Token = secret.New(token)
	return p
}

// reachable enrols a phone that push can reach; its token is its UDID.
func (w *world) reachable(u directory.User, udid string) mdm.Enrollment {
	w.t.Helper()
	d, e := w.request(u, udid)
	e.PollOnly = false
	e, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("enrollment.authenticate", ""))
	w.ok(err)
	w.tokenUpdate(e, udid)
	return w.enrollment(e.ID)
}

func (w *world) tokenUpdate(e mdm.Enrollment, token string) {
	w.t.Helper()
	w.ok(w.DB.Enrollments().Activate(w.ctx, e.ID, w.pushed(token), w.now(), w.entry("enrollment.enroll", "")))
}

// wake requests wake-ups, of everybody when there are no ids, and returns how many.
func (w *world) wake(at time.Time, ids ...mdm.EnrollmentID) int {
	w.t.Helper()
	n, err := w.DB.Wakes().RequestWake(w.ctx, ids, at)
	w.ok(err)
	return n
}

func (w *world) due(now time.Time) []enroll.Wakeup {
	w.t.Helper()
	due, err := w.DB.Wakes().DueWakes(w.ctx, now, 1000)
	w.ok(err)
	return due
}

// dueIDs are the enrolments that are due, in their order.
func (w *world) dueIDs(now time.Time) []mdm.EnrollmentID {
	w.t.Helper()
	ids := []mdm.EnrollmentID{}
	for _, d := range w.due(now) {
		ids = append(ids, d.EnrollmentID)
	}
	return ids
}

func (w *world) woken(d enroll.Wakeup, r enroll.WakeResult) {
	w.t.Helper()
	w.ok(w.DB.Wakes().SaveWake(w.ctx, d, r))
}

func (w *world) pushState(topic string) enroll.PushState {
	w.t.Helper()
	p, err := w.DB.Wakes().PushState(w.ctx, topic)
	w.ok(err)
	return p
}

func testWakes(t *testing.T, make Maker) {
	t.Run("request", testRequestWake(make))
	t.Run("results", testWakeResults(make))
	t.Run("a request during a wake-up", testWakeMeanwhile(make))
	t.Run("a token that changed", testTokenChanged(make))
	t.Run("a token that was replayed", testReplayedToken(make))
	t.Run("silent phones", testSilent(make))
	t.Run("many silent phones", testManySilent(make))
	t.Run("state", testPushState(make))
	t.Run("held and ended", testWakeHeld(make))
	t.Run("16 requests at once", testWakeRace(make))
	t.Run("a report asked for", testRequestReport(make))
}

func testRequestReport(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.reachable(w.user("alice@example.test"), "U1")
		request := func(id mdm.EnrollmentID, at time.Time) { w.ok(w.DB.Enrollments().RequestReport(w.ctx, id, at)) }
		at := w.later()
		events := w.newEvents(func() { request(e.ID, at) })
		w.same(events, []string{})
		w.same(w.plan(e.ID).Report, mdm.Report{AskedAt: stored(at)})
		w.unchangedBy(func() {
			request(e.ID, at)
			request(e.ID, at.Add(-time.Minute))
			request("unknown", at)
		})
		// What the phone tells does not take it away: facts of before it may be among that.
		later := w.later()
		facts := mdm.DeviceFacts{At: later, EASDeviceID: "X"}
		id := w.command(e.ID, "DeviceInformation", "").ID
		w.contact(e.ID, mdm.Contact{At: later, Status: mdm.StatusAcknowledged, CommandID: id, Report: mdm.Report{Device: &facts}})
		w.same(w.plan(e.ID).Report.AskedAt, stored(at))
		request(e.ID, later)
		got := w.plan(e.ID).Report
		w.same([]any{got.AskedAt, got.Device.EASDeviceID}, []any{stored(later), "X"})
	}
}

func testRequestWake(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		a, b := w.reachable(u, "U1"), w.reachable(u, "U2")
		poll, early, ended := w.enrolled(u, "U3"), w.admitted(u, "U4"), w.reachable(u, "U5")
		w.ok(w.DB.Enrollments().End(w.ctx, ended.ID, mdm.CheckedOut, w.now(), w.entry("enrollment.check_out", "")))
		at := w.later()
		w.same(w.dueIDs(at), []mdm.EnrollmentID{})
		w.unchangedBy(func() { w.same(w.wake(at, poll.ID, early.ID, ended.ID, "unknown"), 0) })

		later := at.Add(time.Minute)
		w.same(w.wake(later, b.ID, poll.ID), 1)
		w.same(w.dueIDs(at), []mdm.EnrollmentID{})
		w.same(w.dueIDs(later), []mdm.EnrollmentID{b.ID})
		n, err := w.DB.Wakes().RequestWake(w.ctx, nil, at) // everybody, b earlier than before
		w.ok(err)
		w.same(n, 2)
		w.same(w.dueIDs(at), []mdm.EnrollmentID{a.ID, b.ID})
		w.same(w.wake(later, a.ID), 1) // one that is due earlier stays so
		w.same(len(w.dueIDs(at.Add(time.Microsecond))), 2)
		if n, err := w.DB.Wakes().RequestWake(w.ctx, []mdm.EnrollmentID{}, at); n != 0 || err != nil {
			t.Errorf("nobody became everybody: %d, %v", n, err)
		}

		due := w.due(later)
		w.same([]any{due[0].Push.Topic, due[0].Push.Token.Reveal(), due[0].Push.Magic.Reveal(), due[0].Push.UnlockToken.IsZero(), due[0].Attempts},
			[]any{"com.apple.mgmt.test", "U2", "magic", true, 0}) // b: a was made a microsecond later
		limited, err := w.DB.Wakes().DueWakes(w.ctx, later, 1)
		w.ok(err)
		w.same(len(limited), 1)
	}
}

func testWakeResults(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.reachable(w.user("alice@example.test"), "U1")
		w.wake(w.later())
		again := w.now().Add(time.Minute)
		w.woken(w.due(w.now())[0], enroll.WakeResult{At: w.now(), Next: again, Error: "TooManyRequests"})
		w.same(w.dueIDs(again.Add(-time.Microsecond)), []mdm.EnrollmentID{})
		due := w.due(again)
		w.same([]any{len(due), due[0].Attempts, due[0].Due}, []any{1, 1, stored(again)})
		w.same(w.pushState("com.apple.mgmt.test").LastPushAt, time.Time{})
		w.woken(due[0], enroll.WakeResult{At: again})
		w.same(w.dueIDs(again.Add(time.Hour)), []mdm.EnrollmentID{})
		w.same(w.pushState("com.apple.mgmt.test").LastPushAt, stored(again))
		w.unchangedBy(func() { w.woken(due[0], enroll.WakeResult{At: again, Dead: true, Error: "Unregistered"}) }) // not due any more

		w.wake(again)
		w.same(w.due(again)[0].Attempts, 0)
		w.woken(w.due(again)[0], enroll.WakeResult{At: again, Dead: true, Error: "Unregistered", Next: again})
		w.same(w.wake(again), 0)
		w.same(w.wake(again, e.ID), 0)
		w.same(w.dueIDs(again.Add(time.Hour)), []mdm.EnrollmentID{})
		w.same(w.enrollment(e.ID), e) // the push service's word is none about the phone
	}
}

// testWakeMeanwhile: what is asked while a push is on its way is not lost, even
// if the phone came and went before there was anything for it.
func testWakeMeanwhile(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.reachable(w.user("alice@example.test"), "U1")
		w.wake(w.later())
		due := w.due(w.now())[0]
		w.wake(w.later(), e.ID)
		w.woken(due, enroll.WakeResult{At: w.now()})
		due = w.due(w.now())[0]
		w.woken(due, enroll.WakeResult{At: w.now()})
		w.same(w.dueIDs(w.now()), []mdm.EnrollmentID{})
	}
}

func testTokenChanged(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.reachable(w.user("alice@example.test"), "old")
		w.wake(w.now())
		old := w.due(w.now())[0]
		w.tokenUpdate(e, "new") // in the same microsecond
		w.unchangedBy(func() { w.woken(old, enroll.WakeResult{At: w.now(), Dead: true, Error: "Unregistered"}) })
		due := w.due(w.now())[0]
		w.same(due.Push.Token.Reveal(), "new")
		w.woken(due, enroll.WakeResult{At: w.now(), Dead: true, Error: "Unregistered"})
		w.same(w.pushState("com.apple.mgmt.test").Dead, 1)

		w.later()
		w.tokenUpdate(e, "new") // the same says nothing new
		w.same(w.pushState("com.apple.mgmt.test").Dead, 1)
		w.tokenUpdate(e, "newest")
		w.same(w.pushState("com.apple.mgmt.test").Dead, 0)
		w.same(w.wake(w.now()), 1)

		// The same token again while its wake-up is under way: its result counts.
		due = w.due(w.now())[0]
		w.later()
		w.tokenUpdate(e, "newest")
		w.woken(due, enroll.WakeResult{At: w.now()})
		w.same(w.dueIDs(w.now()), []mdm.EnrollmentID{})
	}
}

// testReplayedToken: a recorded TokenUpdate brings nothing old back.
func testReplayedToken(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.reachable(w.user("alice@example.test"), "first")
		for _, token := range []string{"second", "third"} {
			w.later()
			w.tokenUpdate(e, token)
		}
		w.later()
		w.unchangedBy(func() {
			w.tokenUpdate(e, "first")
			w.tokenUpdate(e, "second")
		})
		old := w.pushed("third")
		old.UnlockToken = secret.New("newer")
		w.ok(w.DB.Enrollments().Activate(w.ctx, e.ID, old, w.now(), w.entry("enrollment.enroll", "")))
		w.unchangedBy(func() { w.tokenUpdate(e, "third") }) // would bring back the older unlock token
		w.wake(w.now())
		due := w.due(w.now())[0]
		w.same(due.Push.Token.Reveal(), "third")

		// Once the push service has called it dead, whatever the phone says may be better.
		w.woken(due, enroll.WakeResult{At: w.now(), Dead: true, Error: "Unregistered"})
		w.later()
		w.tokenUpdate(e, "second")
		w.same(w.pushState("com.apple.mgmt.test").Dead, 0)

		// What is remembered is bounded; the newest is always among it.
		for i := range 100 {
			w.tokenUpdate(e, fmt.Sprint(i))
		}
		w.unchangedBy(func() { w.tokenUpdate(e, "98") })
		got, err := w.DB.Enrollments().Push(w.ctx, e.ID)
		w.ok(err)
		w.same(got.Token.Reveal(), "99")
	}
}

func testSilent(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		silent, seen, pushed := w.reachable(u, "U1"), w.reachable(u, "U2"), w.reachable(u, "U3")
		w.enrolled(u, "U4") // poll-only
		since := w.later()
		request := func(since time.Time, limit int) int {
			t.Helper()
			n, err := w.DB.Wakes().RequestSilent(w.ctx, since, w.now(), limit)
			w.ok(err)
			return n
		}
		w.later()
		w.idle(seen.ID)
		w.wake(w.now(), pushed.ID)
		w.woken(w.due(w.now())[0], enroll.WakeResult{At: w.now()})
		w.same(request(since, 10), 1)
		w.same(w.dueIDs(w.now()), []mdm.EnrollmentID{silent.ID})
		w.unchangedBy(func() { w.same(request(since, 10), 0) })

		// With a longer patience it is as if nobody had looked before.
		w.woken(w.due(w.now())[0], enroll.WakeResult{At: w.now()})
		w.same(request(since, 10), 0)
		w.later()
		w.same(request(w.now(), 1), 1)
		w.same(request(w.now(), 10), 2)
		w.same(len(w.dueIDs(w.now())), 3)

		// A contact that a wrong clock noted a year ahead is none.
		for _, d := range w.due(w.now()) {
			w.woken(d, enroll.WakeResult{At: w.now()})
		}
		w.contact(seen.ID, mdm.Contact{At: w.now().AddDate(1, 0, 0), Status: mdm.StatusIdle})
		w.later()
		w.same(request(w.now(), 10), 3)
	}
}

// testManySilent: those that were seen do not stand in the way of one that was not.
func testManySilent(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		var phones []mdm.Enrollment
		for i := range 40 {
			phones = append(phones, w.reachable(u, fmt.Sprint("U", i)))
		}
		since := w.later()
		for _, e := range phones[:39] {
			w.idle(e.ID)
		}
		n, err := w.DB.Wakes().RequestSilent(w.ctx, since, w.now(), 1) // one at a time
		w.ok(err)
		w.same([]any{n, w.dueIDs(w.now())}, []any{1, []mdm.EnrollmentID{phones[39].ID}})
	}
}

func testPushState(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		w.same(w.pushState("topic"), enroll.PushState{})
		u := w.user("alice@example.test")
		w.androidPhone("anna@example.test") // Google wakes it
		w.same(w.pushState("topic"), enroll.PushState{})
		good, dead := w.reachable(u, "U1"), w.reachable(u, "U2")
		w.enrolled(u, "U3") // poll-only
		w.admitted(u, "U4")
		other := w.reachable(u, "U5")
		p := w.pushed("U5")
		p.Topic = "com.apple.mgmt.other"
		w.ok(w.DB.Enrollments().Activate(w.ctx, other.ID, p, w.now(), w.entry("enrollment.enroll", "")))
		w.wake(w.now(), dead.ID)
		w.woken(w.due(w.now())[0], enroll.WakeResult{At: w.now(), Dead: true, Error: "Unregistered"})
		w.wake(w.now(), good.ID)
		w.same(w.pushState("com.apple.mgmt.test"), enroll.PushState{Active: 4, Reachable: 1, PollOnly: 1, OtherTopic: 1, Dead: 1, Due: 1})
		w.same(w.pushState(""), enroll.PushState{Active: 4, PollOnly: 1, OtherTopic: 3, Dead: 1, Due: 1})
		w.woken(w.due(w.now())[0], enroll.WakeResult{At: w.later()})
		w.same(w.pushState("com.apple.mgmt.test").LastPushAt, stored(w.now()))
	}
}

func testWakeHeld(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		victim := w.reachable(w.user("alice@example.test"), "U1")
		d, e := w.request(w.user("mallory@example.test"), "U1")
		e.PollOnly = false
		held, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("enrollment.authenticate", ""))
		w.ok(err)
		w.tokenUpdate(held, "mallory")
		w.same(w.wake(w.now(), held.ID), 0)
		w.same(w.wake(w.now(), victim.ID), 1)
		w.ok(w.DB.Held().AdmitHeld(w.ctx, held.ID, w.later(), w.entry("enrollment.admit", "")))
		w.same(w.dueIDs(w.now()), []mdm.EnrollmentID{}) // the victim's is gone with its enrolment
		w.same(w.wake(w.now(), held.ID), 1)
		w.same(w.due(w.now())[0].Push.Token.Reveal(), "mallory")
	}
}

func testWakeRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		for i := range 5 {
			w.reachable(u, fmt.Sprint("U", i))
		}
		at := w.later()
		due := [16]int{}
		for _, err := range together(len(due), func(i int) (err error) {
			due[i], err = w.DB.Wakes().RequestWake(w.ctx, nil, at)
			return err
		}) {
			w.ok(err)
		}
		total := 0
		for _, n := range due {
			total += n
		}
		if total < 5 {
			t.Errorf("%d were told of, who are to look for 5", total)
		}
		w.same(len(w.due(at.Add(time.Second))), 5)
	}
}
