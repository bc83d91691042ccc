package storetest

import (
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/mdm"
)

func testAndroidMissing(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books := w.DB.Android()
		live := func(after mdm.EnrollmentID, limit int) []mdm.EnrollmentID {
			t.Helper()
			list, err := books.LivePhones(w.ctx, after, limit)
			w.ok(err)
			ids := []mdm.EnrollmentID{}
			for _, p := range list {
				ids = append(ids, p.EnrollmentID)
			}
			return ids
		}
		w.same(live("", 10), []mdm.EnrollmentID{})
		alice, bob, carol := w.androidPhone("alice@example.test"), w.androidPhone("bob@example.test"), w.androidPhone("carol@example.test")
		w.same(live("", 2), []mdm.EnrollmentID{alice.ID, bob.ID})
		w.same(live(bob.ID, 2), []mdm.EnrollmentID{carol.ID})

		w.is(books.SaveMissing(w.ctx, mdm.EnrollmentID(newID()), w.now()), enroll.ErrNotFound)
		since := stored(w.later())
		w.ok(books.SaveMissing(w.ctx, bob.ID, since))
		w.ok(books.SavePolicy(w.ctx, enroll.AndroidPhone{EnrollmentID: bob.ID, Error: "Google said no"}, time.Time{}))
		have, err := w.DB.Plans().LoadPlan(w.ctx, bob.ID)
		w.ok(err)
		w.same([]any{w.android(bob.ID).MissingSince, w.android(alice.ID).MissingSince, have.MissingSince, have.Trouble}, []any{since, time.Time{}, since, "Google said no"})
		missing := func() int {
			t.Helper()
			state, err := books.AndroidState(w.ctx)
			w.ok(err)
			return state.Missing
		}
		w.same(missing(), 1)
		w.ok(w.DB.Enrollments().End(w.ctx, bob.ID, mdm.CheckedOut, w.later(), w.entry("enrollment.check_out", "")))
		w.same([]any{live("", 10), missing()}, []any{[]mdm.EnrollmentID{alice.ID, carol.ID}, 0})
		w.ok(books.SaveMissing(w.ctx, carol.ID, since))
		w.ok(books.SaveMissing(w.ctx, carol.ID, time.Time{}))
		w.same(missing(), 0)
	}
}
