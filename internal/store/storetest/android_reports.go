package storetest

import (
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/mdm"
	"sallyport/profiles/managedconfig"
)

// androidPhone is an enrolled phone whose policy was looked at.
func (w *world) androidPhone(upn string) mdm.Enrollment {
	w.t.Helper()
	w.ticketFor(w.invitation(w.user(upn)), "ticket of "+upn)
	e := w.admitAndroid("ticket of "+upn, "device of "+upn, upn)
	w.ok(w.DB.Android().SavePolicy(w.ctx, w.android(e.ID), time.Time{}))
	return e
}

func (w *world) reportsAndroid(id mdm.EnrollmentID, at time.Time, r mdm.Report) {
	w.t.Helper()
	w.ok(w.DB.Android().SaveAndroidReport(w.ctx, id, at, r))
}

func (w *world) reported(id mdm.EnrollmentID) mdm.Report {
	w.t.Helper()
	have, err := w.DB.Plans().LoadPlan(w.ctx, id)
	w.ok(err)
	return have.Report
}

func testAndroidReports(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.androidPhone("alice@example.test")
		w.is(w.DB.Android().SaveAndroidReport(w.ctx, mdm.EnrollmentID(newID()), w.now(), mdm.Report{}), enroll.ErrNotFound)
		early, late := w.later(), w.later()
		facts := func(at time.Time, os string) mdm.Report {
			return mdm.Report{Device: &mdm.DeviceFacts{At: at, OSVersion: os}, Policy: &mdm.PolicyFacts{At: at, Name: "d", AppStates: []mdm.AppState{}}}
		}
		w.same(w.newEvents(func() { w.reportsAndroid(e.ID, late, facts(late, "17")) }), []string{"reported " + string(e.ID)})
		r := w.reported(e.ID)
		w.same([]any{r.Device.OSVersion, r.Device.At, r.Policy.At, w.enrollment(e.ID).LastSeenAt, w.android(e.ID).ReportedAt},
			[]any{"17", stored(late), stored(late), stored(late), stored(late)})
		w.unchangedBy(func() { w.reportsAndroid(e.ID, early, facts(early, "16")) })
		w.reportsAndroid(e.ID, late, facts(late, "18")) // of the same moment, it may be another one
		w.same(w.reported(e.ID).Device.OSVersion, "18")
		w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.CheckedOut, w.later(), w.entry("enrollment.check_out", "")))
		w.unchangedBy(func() { w.reportsAndroid(e.ID, w.later(), facts(w.now(), "19")) })
	}
}

func (w *world) duePolicies(at time.Time) []mdm.EnrollmentID {
	w.t.Helper()
	list, err := w.DB.Android().DuePolicies(w.ctx, at, 10)
	w.ok(err)
	ids := []mdm.EnrollmentID{}
	for _, p := range list {
		ids = append(ids, p.EnrollmentID)
	}
	return ids
}

func testAndroidPolicies(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books := w.DB.Android()
		alice, bob := w.androidPhone("alice@example.test").ID, w.androidPhone("bob@example.test").ID
		request := func(want int, at time.Time, ids ...mdm.EnrollmentID) {
			t.Helper()
			n, err := books.RequestPolicies(w.ctx, ids, at)
			w.ok(err)
			w.same(n, want)
		}
		w.same(w.duePolicies(w.now()), []mdm.EnrollmentID{})
		at := w.later()
		request(1, at, bob, mdm.EnrollmentID(newID()))
		w.same(w.duePolicies(at.Add(-time.Microsecond)), []mdm.EnrollmentID{})
		w.same(w.duePolicies(at), []mdm.EnrollmentID{bob})
		request(2, at.Add(-time.Second))
		w.same(w.duePolicies(at), []mdm.EnrollmentID{alice, bob})
		request(2, at.Add(time.Minute))
		request(1, at.Add(-time.Minute), bob)
		w.same(w.duePolicies(at), []mdm.EnrollmentID{bob, alice})

		// Trouble is kept, and tried again later; a wish in between is not lost.
		p := w.android(alice)
		p.Attempts, p.Error, p.Sent = 2, "Google said no", enroll.AndroidPolicy{Name: "d-1", Hash: "h", Version: 3}
		w.ok(books.SavePolicy(w.ctx, p, at.Add(time.Hour)))
		p.Due = stored(at.Add(time.Hour))
		w.same(w.android(alice), p)
		state, err := books.AndroidState(w.ctx)
		w.ok(err)
		w.same(state, enroll.AndroidState{Active: 2, Due: 2, Failing: 1, Errors: map[string]int{"Google said no": 1}, Tokens: 2,
			NewestError: "Google said no", FailedAt: stored(w.now()), ReportedAt: state.ReportedAt})
		request(1, at, alice)
		w.same(w.android(alice).Attempts, 0)
		asked := w.android(alice)
		request(1, at, alice) // whoever gives phones their policies has to look again
		asked.Error = ""
		w.ok(books.SavePolicy(w.ctx, asked, time.Time{}))
		w.same(w.duePolicies(at), []mdm.EnrollmentID{bob})
		w.same(w.duePolicies(at.Add(time.Second)), []mdm.EnrollmentID{bob, alice})
		w.is(books.SavePolicy(w.ctx, enroll.AndroidPhone{EnrollmentID: mdm.EnrollmentID(newID())}, time.Time{}), enroll.ErrNotFound)

		// What is kept is due no more, unless somebody wished for it in between.
		kept := []enroll.AndroidPhone{w.android(alice), w.android(bob)}
		kept[0].Attempts, kept[0].Error = 1, "Google said no"
		w.ok(books.SavePolicy(w.ctx, kept[0], kept[0].Due))
		request(1, at.Add(time.Minute), bob)
		w.ok(books.KeepPolicies(w.ctx, kept))
		w.same(w.duePolicies(at.Add(time.Minute)), []mdm.EnrollmentID{bob})
		kept[0].Attempts, kept[0].Error, kept[0].Due = 0, "", time.Time{}
		w.same(w.android(alice), kept[0])

		// What has ended is looked at once more, and never again.
		ended := w.later()
		w.ok(w.DB.Enrollments().End(w.ctx, bob, mdm.Retired, ended, w.entry("enrollment.retire", "")))
		p = w.android(bob)
		w.same(p.Due, stored(ended))
		w.ok(books.SavePolicy(w.ctx, p, time.Time{}))
		request(0, w.later(), bob)
	}
}

func testAndroidConfirmed(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.androidPhone("alice@example.test")
		says := func(version int64) {
			t.Helper()
			at := w.later()
			w.reportsAndroid(e.ID, at, mdm.Report{Device: &mdm.DeviceFacts{At: at}, Policy: &mdm.PolicyFacts{At: at, Applied: "d-1", Version: version}})
		}
		holds := func() []any {
			t.Helper()
			r := w.reported(e.ID)
			ids := []any{r.Device.EASDeviceID}
			for _, item := range r.Profiles.Items {
				ids = append(ids, item.UUID)
			}
			return ids
		}
		// Google may tell that a version is applied before we know its number.
		says(5)
		w.same(holds(), []any{""})
		p := w.android(e.ID)
		p.Sent = enroll.AndroidPolicy{Name: "d-1", Version: 5, Mail: []enroll.AndroidMail{{Identifier: "i", UUID: "A", Package: "gmail", EASDeviceID: "sply1", Since: 5}}}
		w.same(w.newEvents(func() { w.ok(w.DB.Android().SavePolicy(w.ctx, p, time.Time{})) }), []string{"reported " + string(e.ID)})
		w.same(holds(), []any{"sply1", "A"})
		w.unchangedBy(func() { w.ok(w.DB.Android().SavePolicy(w.ctx, p, time.Time{})) })
		says(4) // it went back, or never was there
		w.same(holds(), []any{"sply1"})
		found, err := w.DB.Devices().ListDevices(w.ctx, enroll.DeviceFilter{EASDeviceID: "SPLY1"})
		w.ok(err)
		w.same(len(found), 1)
	}
}

func testAndroidOperations(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books, e := w.DB.Android(), w.androidPhone("alice@example.test")
		_, err := books.OperationByName(w.ctx, "o1")
		w.is(err, enroll.ErrNotFound)
		command := w.command(e.ID, "LOCK", "").ID
		_, err = books.OperationOf(w.ctx, command)
		w.is(err, enroll.ErrNotFound)
		o := enroll.AndroidOperation{Name: "o1", EnrollmentID: e.ID, CommandID: command, CreatedAt: stored(w.now())}
		w.ok(books.SaveOperation(w.ctx, o))
		w.unchangedBy(func() { w.ok(books.SaveOperation(w.ctx, o)) })
		got, err := books.OperationByName(w.ctx, "o1")
		w.ok(err)
		w.same(got, o)
		got, err = books.OperationOf(w.ctx, command)
		w.ok(err)
		w.same(got, o)
		open, err := books.OpenOperations(w.ctx, "", 10)
		w.ok(err)
		w.same(open, []enroll.AndroidOperation{o})
		open, err = books.OpenOperations(w.ctx, "o1", 10)
		w.ok(err)
		w.same(open, []enroll.AndroidOperation{})
		w.ok(w.DB.Plans().SaveContact(w.ctx, e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusAcknowledged, CommandID: command}))
		open, err = books.OpenOperations(w.ctx, "", 10)
		w.ok(err)
		w.same(open, []enroll.AndroidOperation{})
	}
}

func testAndroidSchemas(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books := w.DB.Android()
		none, err := books.AndroidSchemas(w.ctx)
		w.ok(err)
		w.same(len(none), 0)
		gmail := enroll.AndroidSchema{FetchedAt: stored(w.now()), Schema: managedconfig.Schema{App: managedconfig.GmailPackage, Live: true, Keys: []managedconfig.Key{
			{Name: "a", Type: managedconfig.Choice, Entries: []any{"1", "2"}, Default: "1", Nested: []managedconfig.Key{{Name: "b", Type: managedconfig.Bool}}},
		}}}
		w.ok(books.SaveAndroidSchema(w.ctx, enroll.AndroidSchema{FetchedAt: w.now(), Schema: managedconfig.Schema{App: managedconfig.GmailPackage}}))
		w.ok(books.SaveAndroidSchema(w.ctx, gmail))
		got, err := books.AndroidSchemas(w.ctx)
		w.ok(err)
		w.same(got, map[managedconfig.Package]enroll.AndroidSchema{managedconfig.GmailPackage: gmail})
	}
}
