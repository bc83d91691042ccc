package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/compliance"
)

func testFeed(t *testing.T, make Maker) {
	t.Run("publish", testPublish(make))
	t.Run("published by another before", testPublishStale(make))
	t.Run("many at once", testPublishMany(make))
	t.Run("the same 16 times at once", testPublishRace(make))
	t.Run("a reader misses nothing", testFeedReader(make))
	t.Run("snapshot", testSnapshot(make))
	t.Run("newest words", testNewest(make))
	t.Run("prune", testPrune(make))
	t.Run("prune what is gone", testPruneGone(make))
	t.Run("devices that are removed", testRemovedClients(make))
}

// change is news of d.
func (w *world) change(d access.DeviceRow, e access.Effect) access.Change {
	at := stored(w.now())
	return access.Change{At: at, DeviceID: d.ID, UserID: d.UserID, User: d.UPN, Key: d.Key, Spellings: d.Spellings, Before: d.Effect,
		EnrollmentID: "e", Compliance: compliance.NotCompliant, Decision: access.Decision{Effect: e, Step: access.StepConditionsFailed,
			Reasons: []access.Reason{{Rule: "passcode", Fact: "none", Since: at, Fix: "set one"}}, ValidUntil: at.Add(time.Minute), Why: "https://x.test/why/1"}}
}

func (w *world) publish(list ...access.Change) []access.Change {
	w.t.Helper()
	told, err := w.DB.Access().Publish(w.ctx, list)
	w.ok(err)
	return told
}

func (w *world) changes(after int64) []access.Change {
	w.t.Helper()
	list, err := w.DB.Access().Changes(w.ctx, after, 1000)
	w.ok(err)
	return list
}

func (w *world) snapshot() ([]access.Change, int64) {
	w.t.Helper()
	list, newest, err := w.DB.Access().Snapshot(w.ctx, "", 1000)
	w.ok(err)
	return list, newest
}

// clients are n mail clients of users of their own.
func (w *world) clients(n int) []access.DeviceRow {
	w.t.Helper()
	list := make([]access.DeviceRow, n)
	for i := range list {
		u := w.user(fmt.Sprintf("u%d@example.test", i))
		list[i] = w.client(w.meet(u, fmt.Sprint("APPL", i)).ID)
	}
	return list
}

func testPublish(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		w.unchangedBy(func() { w.same(w.publish(), []access.Change{}) })
		w.same(w.changes(0), []access.Change{})
		d := w.clients(2)
		first := []access.Change{w.change(d[1], access.Allow), w.change(d[0], access.Block)}
		var told []access.Change
		events := w.told(func() { told = w.publish(first...) })
		w.same(events, []string{"decision " + string(d[0].UserID), "decision " + string(d[1].UserID)})
		if len(told) != 2 || told[0].Seq <= 0 || told[1].Seq <= told[0].Seq {
			t.Fatalf("published %+v", told)
		}
		first[1].Seq, first[0].Seq = told[0].Seq, told[1].Seq
		w.same(told, []access.Change{first[1], first[0]})
		w.same(w.changes(0), told)
		w.same(w.changes(told[0].Seq), told[1:])
		limited, err := w.DB.Access().Changes(w.ctx, 0, 1)
		w.ok(err)
		w.same(limited, told[:1])

		d[0].Effect, d[0].Step, d[0].SinceAt = access.Block, access.StepConditionsFailed, stored(start)
		w.same(w.client(d[0].ID), d[0])
		// The same effect on other grounds is news, too, but it began before.
		w.later()
		same := w.change(d[0], access.Block)
		same.Decision.Step = access.StepMailOff
		w.same(len(w.publish(same)), 1)
		d[0].Step = access.StepMailOff
		w.same(w.client(d[0].ID), d[0])
		w.publish(w.change(d[0], access.Allow))
		d[0].Effect, d[0].Step, d[0].SinceAt = access.Allow, access.StepConditionsFailed, stored(w.now())
		w.same(w.client(d[0].ID), d[0])
		w.same(len(w.changes(0)), 4)
	}
}

func testPublishStale(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		d := w.clients(2)
		w.publish(w.change(d[0], access.Allow))
		stale, fresh, unknown := w.change(d[0], access.Block), w.change(d[1], access.Quarantine), w.change(access.DeviceRow{}, access.Block)
		unknown.DeviceID = access.DeviceID(newID())
		second := fresh
		second.Decision.Effect = access.Allow // one device twice: the first counts
		told := w.publish(stale, unknown, fresh, second)
		if len(told) != 1 || told[0].DeviceID != d[1].ID || told[0].Decision.Effect != access.Quarantine {
			t.Fatalf("published %+v", told)
		}
		w.unchangedBy(func() { w.same(w.publish(stale, fresh, unknown), []access.Change{}) })
	}
}

func testPublishMany(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		var list []access.Change
		for i := range 250 {
			list = append(list, w.change(access.DeviceRow{Device: w.meet(alice, fmt.Sprint("APPL", i)), UPN: alice.UPN}, access.Block))
		}
		told := w.publish(list...)
		for i := range told {
			if i > 0 && told[i].Seq <= told[i-1].Seq || told[i].DeviceID != list[i].DeviceID {
				t.Fatalf("row %d: %+v", i, told[i])
			}
		}
		w.same(w.changes(0), told)
		w.same(len(told), 250)
	}
}

func testPublishRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		d := w.clients(3)
		var written atomic.Int32
		for _, err := range together(16, func(i int) error {
			told, err := w.DB.Access().Publish(w.ctx, []access.Change{w.change(d[i%3], access.Block), w.change(d[(i+1)%3], access.Block)})
			written.Add(int32(len(told)))
			return err
		}) {
			w.ok(err)
		}
		w.same([]int{int(written.Load()), len(w.changes(0))}, []int{3, 3})
	}
}

// testFeedReader has writers at once, and a reader that is as fast as it can be.
func testFeedReader(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		const writers, each = 4, 12
		d := w.clients(writers)
		var all sync.WaitGroup
		var left atomic.Int32
		left.Store(writers)
		for i := range writers {
			all.Go(func() {
				defer left.Add(-1)
				row := d[i]
				for n := range each {
					effect := []access.Effect{access.Allow, access.Block}[n%2]
					if told, err := w.DB.Access().Publish(w.ctx, []access.Change{w.change(row, effect)}); err != nil || len(told) != 1 {
						t.Errorf("published %d, %v", len(told), err)
					}
					row.Effect = effect
				}
			})
		}
		after, seen := int64(0), 0
		for done := false; !done; {
			done = left.Load() == 0
			for _, c := range w.changes(after) {
				after = c.Seq
				seen++
			}
		}
		all.Wait()
		w.same(seen, writers*each)
	}
}

func testSnapshot(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		none, newest := w.snapshot()
		w.same([]any{none, newest}, []any{[]access.Change{}, int64(0)})
		d := w.clients(3)
		for _, r := range d {
			w.publish(w.change(r, access.Allow))
		}
		d[1].Effect = access.Allow
		last := w.publish(w.change(d[1], access.Block))[0]
		list, newest := w.snapshot()
		w.same(newest, last.Seq)
		w.same(list[1], last)
		w.same(len(list), 3)
		page, _, err := w.DB.Access().Snapshot(w.ctx, list[0].DeviceID, 1)
		w.ok(err)
		w.same(page, list[1:2])
		w.same(w.changes(newest), []access.Change{})
	}
}

func testNewest(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		d := w.clients(3)
		w.publish(w.change(d[0], access.Allow), w.change(d[1], access.Block))
		d[0].Effect = access.Allow
		last := w.publish(w.change(d[0], access.Block))[0]
		got, err := w.DB.Access().Newest(w.ctx, []access.DeviceID{d[0].ID, d[2].ID, "unknown"})
		w.ok(err)
		w.same(got, map[access.DeviceID]access.Change{d[0].ID: last})
		got, err = w.DB.Access().Newest(w.ctx, nil)
		w.ok(err)
		w.same(got, map[access.DeviceID]access.Change{})
	}
}

func testPrune(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		d := w.clients(2)
		for i, e := range []access.Effect{access.Allow, access.Block, access.Allow} {
			w.publish(w.change(d[0], e))
			d[0].Effect = e
			if i == 0 {
				w.publish(w.change(d[1], access.Block))
			}
			w.later()
		}
		all := w.changes(0)
		prune := func(at time.Time) int64 {
			t.Helper()
			n, err := w.DB.Access().Prune(w.ctx, at)
			w.ok(err)
			return n
		}
		month := 30 * 24 * time.Hour
		// The first row was followed after one second, the second after two.
		w.unchangedBy(func() { w.same(prune(start.Add(month)), int64(0)) })
		w.same(prune(start.Add(month+time.Second)), int64(1))
		_, err := w.DB.Access().Changes(w.ctx, 0, 10)
		w.is(err, access.ErrGone)
		w.same(w.changes(all[0].Seq), all[1:])
		w.same(prune(start.Add(100*month)), int64(1))
		_, err = w.DB.Access().Changes(w.ctx, all[1].Seq, 10)
		w.is(err, access.ErrGone)
		list, newest := w.snapshot()
		w.same(list, []access.Change{all[3], all[1]})
		w.same(newest, all[3].Seq)
		w.same(w.changes(newest), []access.Change{})
		w.unchangedBy(func() { w.same(prune(start.Add(100*month)), int64(0)) })
	}
}

func testRemovedClients(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		d := w.clients(3)
		alice := d[1].UserID
		w.ok(w.DB.Access().SavePersonal(w.ctx, []access.Personal{{UserID: d[0].UserID, Key: d[0].Key, Kind: access.PersonalBlock},
			{UserID: alice, Kind: access.PersonalBlock}}, nil))
		w.ok(w.DB.Access().SetMail(w.ctx, alice, &access.Note{By: "ann"}, w.entry("mail", "")))
		published := w.publish(w.change(d[0], access.Allow))[0]
		remove := func() error { return w.DB.Access().RemoveDevice(w.ctx, d[0].ID, w.entry("device.remove", "")) }
		told := w.told(func() { w.ok(remove()) })
		w.same(told, []string{"access " + string(d[0].UserID), "decision " + string(d[0].UserID)})
		w.unchangedBy(func() { w.is(remove(), access.ErrNotFound) })
		w.audited("device.remove", 1)
		gone := w.changes(published.Seq)[0]
		if !gone.Removed || gone.DeviceID != d[0].ID || gone.Key != d[0].Key || gone.Before != access.Allow || gone.Decision.Effect != access.Block || len(gone.Decision.Reasons) != 1 {
			t.Errorf("got %+v", gone)
		}
		_, err := w.DB.Access().Device(w.ctx, d[0].ID)
		w.is(err, access.ErrNotFound)
		u, err := w.DB.Users().UserByID(w.ctx, d[0].UserID)
		w.ok(err)
		w.same(len(w.entryOf(u).Personal), 1)

		// A publisher that forgets a device says so in the same way.
		removed := w.change(d[2], access.Block)
		removed.Removed = true
		w.same(len(w.publish(removed)), 1)
		_, err = w.DB.Access().Device(w.ctx, d[2].ID)
		w.is(err, access.ErrNotFound)

		// A user takes all of it along, and comes back as somebody else.
		events := w.told(func() { w.ok(w.DB.Users().RemoveUser(w.ctx, alice, w.now(), w.entry("user.remove", ""))) })
		w.same(events, []string{"access " + string(alice), "decision " + string(alice)})
		list, newest := w.snapshot()
		w.same(len(list), 3)
		w.same(list[1].Seq, newest)
		if c := list[1]; !c.Removed || c.User != d[1].UPN || c.Decision.Step != access.StepUser {
			t.Errorf("got %+v", c)
		}
		rows, err := w.DB.Access().Devices(w.ctx, access.DeviceFilter{})
		w.ok(err)
		w.same(rows, []access.DeviceRow{})
		again := w.entryOf(w.user(d[1].UPN))
		w.same([]any{again.Person.MailOff == nil, len(again.Personal)}, []any{true, 0})
	}
}
