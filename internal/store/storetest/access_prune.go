package storetest

import (
	"fmt"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// testDropDenials: old refusals go, and the oldest of those that are too many.
func testDropDenials(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		d := w.meet(alice, "A")
		var list []access.Denial
		deny := func(key string, device access.DeviceID, at time.Time, people ...access.Person) {
			list = append(list, access.Denial{ID: newID(), Key: key, DeviceID: device, Inputs: access.Inputs{People: people}, Count: 1, FirstAt: at, LastAt: at})
		}
		who := access.Person{ID: alice.ID}
		for i := range 5 {
			deny(fmt.Sprint("a", i), d.ID, start.Add(time.Duration(i)*time.Hour), who)
			deny(fmt.Sprint("s", i), "", start.Add(time.Duration(i)*time.Hour))
		}
		deny("unmet", "", start, who) // of a person on record, by a device that is not
		w.ok(w.DB.Access().SaveDenials(w.ctx, list))
		left := func() string {
			t.Helper()
			all, err := w.DB.Access().Denials(w.ctx, "", "", 100)
			w.ok(err)
			keys := ""
			for _, n := range all {
				keys = n.Key + " " + keys
			}
			return keys
		}
		drop := func(before time.Time, perDevice, strangers, limit int) int {
			t.Helper()
			n, err := w.DB.Access().DropDenials(w.ctx, before, perDevice, strangers, limit)
			w.ok(err)
			return n
		}
		w.unchangedBy(func() { w.same(drop(time.Time{}, 5, 5, 100), 0) })
		w.unchangedBy(func() { w.same(drop(start, 5, 5, 100), 0) })
		w.same(drop(start.Add(time.Minute), 100, 100, 2), 2) // the oldest first, no more than asked for
		w.same(drop(start.Add(time.Minute), 100, 100, 100), 1)
		w.same(left(), "a1 s1 a2 s2 a3 s3 a4 s4 ")
		w.same(drop(time.Time{}, 3, 2, 100), 3)
		w.same(left(), "a2 a3 s3 a4 s4 ")
		// One that is repeated is as young as its last time.
		again := list[4]
		again.LastAt = start.Add(24 * time.Hour)
		w.ok(w.DB.Access().SaveDenials(w.ctx, []access.Denial{again}))
		w.same(drop(start.Add(23*time.Hour), 1, 1, 100), 4)
		w.same(left(), "a2 ")
	}
}

// testForgetDevices: what came in vain and comes no more is forgotten, and nothing
// that somebody let in, bound, spoke of, or tells of itself.
func testForgetDevices(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		e := w.enrolled(alice, "U1")
		w.tells(e.ID, mdm.DeviceFacts{At: w.now(), EASDeviceID: "TOLD"})
		var idle []access.Device
		for _, id := range []string{"IDLE1", "IDLE2", "IDLE3"} {
			idle = append(idle, w.meet(alice, id))
		}
		var kept []access.DeviceID
		keep := func(d access.Device) access.Device { kept = append(kept, d.ID); return d }
		keep(w.meet(alice, "told"))
		in := sighting(alice, "IN", w.now())
		keep(w.meet(alice, "IN"))
		in.Effect = access.Allow
		w.ok(w.DB.Access().Seen(w.ctx, []access.Sighting{in}))
		guess, err := w.DB.Access().Meet(w.ctx, sighting(alice, "GUESS", w.now()), e.ID)
		w.ok(err)
		keep(guess)
		bound := keep(w.meet(alice, "BOUND"))
		w.ok(w.DB.Access().Bind(w.ctx, bound.ID, e.ID, access.ProofConfirmed, w.entry("access.bind", "")))
		for _, kind := range []access.PersonalKind{access.PersonalAllow, access.PersonalBlock, access.PersonalExempt} {
			d := keep(w.meet(alice, "WORD "+string(kind)))
			w.ok(w.DB.Access().SavePersonal(w.ctx, []access.Personal{{UserID: alice.ID, Key: d.Key, Kind: kind, ExpiresAt: w.now()}}, []audit.Entry{w.entry("access.word", "")}))
		}
		idleAt := w.now()
		w.mu.Lock()
		w.clock = idleAt.AddDate(0, 0, 91)
		w.mu.Unlock()
		keep(w.meet(alice, "YOUNG"))
		back := idle[2]
		kept = append(kept, back.ID)
		w.ok(w.DB.Access().Seen(w.ctx, []access.Sighting{sighting(alice, "IDLE3", w.now())}))

		forget := func(before time.Time, after access.DeviceID, limit int) (int, access.DeviceID) {
			t.Helper()
			n, next, err := w.DB.Access().ForgetDevices(w.ctx, before, after, limit)
			w.ok(err)
			return n, next
		}
		w.unchangedBy(func() {
			n, next := forget(idleAt.AddDate(0, 0, -1), "", 100)
			w.same([]any{n, next}, []any{0, access.DeviceID("")})
		})
		before := w.now().AddDate(0, 0, -90)
		told := w.told(func() {
			n, next := forget(before, "", 1)
			w.same([]any{n, next}, []any{1, idle[0].ID})
		})
		w.same(told, []string{"access " + string(alice.ID), "decision " + string(alice.ID)})
		n, next := forget(before, idle[0].ID, 100)
		w.same([]any{n, next}, []any{1, access.DeviceID("")})

		list, err := w.DB.Access().Devices(w.ctx, access.DeviceFilter{User: directory.UserID(alice.ID)})
		w.ok(err)
		still := map[access.DeviceID]bool{}
		for _, d := range list {
			still[d.ID] = true
		}
		w.same(len(list), len(kept))
		for _, id := range kept {
			if !still[id] {
				t.Errorf("device %s is gone", id)
			}
		}
		rows, err := w.DB.Access().Changes(w.ctx, 0, 10)
		w.ok(err)
		w.same([]any{len(rows), rows[0].Removed, rows[0].DeviceID, rows[1].DeviceID}, []any{2, true, idle[0].ID, idle[1].ID})
	}
}

// testPruneGone: the last row of a device that was forgotten goes with time, too.
func testPruneGone(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		d := w.clients(2)
		w.publish(w.change(d[0], access.Allow))
		w.publish(w.change(d[1], access.Allow))
		w.ok(w.DB.Access().RemoveDevice(w.ctx, d[0].ID, w.entry("access.remove_device", "")))
		all := w.changes(0)
		month := 30 * 24 * time.Hour
		n, err := w.DB.Access().Prune(w.ctx, w.now().Add(month))
		w.ok(err)
		w.same(n, int64(2))
		list, _ := w.snapshot()
		w.same(list, all[1:2])
		_, err = w.DB.Access().Changes(w.ctx, all[1].Seq, 10)
		w.is(err, access.ErrGone)
		w.same(w.changes(all[2].Seq), []access.Change{})
	}
}
