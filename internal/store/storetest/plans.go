package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/mdm"
	"sallyport/templates"
)

// command saves one and returns it as it should be stored.
func (w *world) command(e mdm.EnrollmentID, requestType, subject string) mdm.Command {
	w.t.Helper()
	c := mdm.Command{ID: mdm.CommandID(uuid.NewString()), EnrollmentID: e, RequestType: requestType, Subject: subject,
		Revision: "R", State: mdm.Sent, SentAt: stored(w.later())}
	w.ok(w.DB.Plans().SaveCommand(w.ctx, c, nil))
	return c
}

func (w *world) plan(e mdm.EnrollmentID) enroll.Have {
	w.t.Helper()
	have, err := w.DB.Plans().LoadPlan(w.ctx, e)
	w.ok(err)
	return have
}

func testPlans(t *testing.T, make Maker) {
	t.Run("load", func(t *testing.T) {
		w := newWorld(t, make)
		_, err := w.DB.Plans().LoadPlan(w.ctx, "unknown")
		w.is(err, enroll.ErrNotFound)
		_, _, err = w.DB.Plans().PinnedPlan(w.ctx, "unknown")
		w.is(err, enroll.ErrNotFound)
		u := w.user("alice@example.test")
		e, other := w.enrolled(u, "U1"), w.enrolled(u, "U2")
		w.same(w.plan(e.ID), enroll.Have{Enrollment: e, User: u, Commands: []mdm.Command{}, Actions: []mdm.Action{}})

		want := []mdm.Command{}
		for i := range 8 {
			a := w.command(e.ID, "InstallProfile", "profile a")
			b := w.command(e.ID, "InstallProfile", "profile b")
			w.command(other.ID, "InstallProfile", "profile a")
			if i >= 3 {
				want = append(want, a, b)
			}
		}
		once := w.command(e.ID, "SecurityInfo", "")
		want = append(want, once)
		slices.Reverse(want)
		w.same(w.plan(e.ID).Commands, want)
		pinned, unrecorded, err := w.DB.Plans().PinnedPlan(w.ctx, e.CertificateHash)
		w.ok(err)
		w.same(pinned, w.plan(e.ID))
		w.same(unrecorded, certs.Certificate{})
	})
	t.Run("a user, and a catalog, that change", func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e := w.enrolled(u, "U1")
		seen := map[enroll.Catalog]bool{w.plan(e.ID).Catalog: true}
		for i, source := range []string{"one", "two", "one"} {
			_, _, err := w.DB.Templates().SaveRevision(w.ctx, template("mail", source), templates.AnyRevision, w.entry("template.apply", ""))
			w.ok(err)
			_, _, err = w.DB.Templates().SaveSecurityPolicy(w.ctx, securityPolicy("baseline", source), i, w.entry("security_policy.apply", ""))
			w.ok(err)
			at := w.plan(e.ID).Catalog
			if seen[at] {
				t.Errorf("%+v stands for two states", at)
			}
			seen[at] = true
			w.same(w.plan(e.ID).Catalog, at)
		}
		w.same(w.plan(e.ID).User, u)
		w.ok(w.DB.Users().RemoveUser(w.ctx, u.ID, w.later(), w.entry("user.remove", string(u.ID))))
		w.same(w.plan(e.ID).User, directory.User{})
	})
	t.Run("an idle noted with the command", testPendingIdle(make))
	t.Run("a result noted with the command", testPendingResult(make))
	t.Run("a result twice, a foreign one, nonsense, with the command", testBadPending(make))
	t.Run("the same result 32 times at once, with a command", testPendingRace(make))
	t.Run("contacts with the command and before it", testPendingTwins(make))
	t.Run("save", func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		c := w.command(e.ID, "SecurityInfo", "")
		w.unchangedBy(func() {
			w.is(w.DB.Plans().SaveCommand(w.ctx, c, nil), enroll.ErrConflict)
			c.ID, c.EnrollmentID = "new", "unknown"
			w.is(w.DB.Plans().SaveCommand(w.ctx, c, nil), enroll.ErrNotFound)
		})
	})
	t.Run("advance", func(t *testing.T) {
		w := newWorld(t, make)
		advance := w.DB.Plans().Advance
		e := w.enrolled(w.user("alice@example.test"), "U1")
		w.later()
		w.ok(advance(w.ctx, e.ID, mdm.Enrolled, mdm.Configured))
		got, err := w.DB.Enrollments().EnrollmentByID(w.ctx, e.ID)
		w.ok(err)
		w.same(got.State, mdm.Configured)
		row, err := w.DB.Devices().DeviceByID(w.ctx, e.DeviceID)
		w.ok(err)
		w.same(row.ChangedAt, stored(w.now()))
		w.unchangedBy(func() {
			w.is(advance(w.ctx, e.ID, mdm.Enrolled, mdm.Configured), enroll.ErrConflict)
			w.is(advance(w.ctx, "unknown", mdm.Enrolled, mdm.Configured), enroll.ErrConflict)
			if advance(w.ctx, e.ID, mdm.Configured, mdm.CheckedOut) == nil {
				t.Error("an enrolment was ended without its event")
			}
		})
		// Of several at once one wins.
		e = w.enrolled(w.user("bob@example.test"), "U2")
		errs := together(16, func(int) error { return advance(w.ctx, e.ID, mdm.Enrolled, mdm.Configured) })
		w.same(count(errs, func(err error) bool { return err == nil }), 1)
	})
	t.Run("a hundred commands", func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		for i := range 50 {
			w.command(e.ID, "DeviceInformation", "")
			w.command(e.ID, "InstallProfile", fmt.Sprint(i%2))
		}
		w.same(len(w.plan(e.ID).Commands), 15)
	})
}
