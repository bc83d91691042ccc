package storetest

import (
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/mdm"
)

func (w *world) devices(f enroll.DeviceFilter) []mdm.DeviceID {
	w.t.Helper()
	rows, err := w.DB.Devices().ListDevices(w.ctx, f)
	w.ok(err)
	ids := []mdm.DeviceID{}
	for _, r := range rows {
		ids = append(ids, r.Device.ID)
	}
	return ids
}

func (w *world) reports(e mdm.EnrollmentID, easDeviceID string) {
	w.t.Helper()
	c := w.command(e, "DeviceInformation", "")
	w.contact(e, mdm.Contact{At: w.later(), Status: mdm.StatusAcknowledged, CommandID: c.ID,
		Report: mdm.Report{Device: &mdm.DeviceFacts{At: w.now(), EASDeviceID: easDeviceID}}})
}

func testDevices(t *testing.T, make Maker) {
	t.Run("rows", testDeviceRow(make))
	t.Run("filters", testDeviceFilters(make))
}

func testDeviceRow(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		_, err := w.DB.Devices().DeviceByID(w.ctx, "unknown")
		w.is(err, enroll.ErrNotFound)
		none, err := w.DB.Devices().ListDevices(w.ctx, enroll.DeviceFilter{})
		w.ok(err)
		w.same(none, []enroll.DeviceRow{})

		u := w.user("Alice@example.test")
		old := w.enrolled(u, "U1")
		w.ok(w.DB.Enrollments().End(w.ctx, old.ID, mdm.CheckedOut, w.later(), w.entry("device.checkout", "")))
		w.later()
		e := w.enrolled(u, "U1")
		row, err := w.DB.Devices().DeviceByID(w.ctx, e.DeviceID)
		w.ok(err)
		w.same(row, enroll.DeviceRow{
			Device: mdm.Device{ID: e.DeviceID, Platform: mdm.Apple, UDID: "U1", Serial: "SU1", Product: "iPhone15,4",
				Model: "iPhone 15", Name: "Phone", CreatedAt: stored(start)},
			Enrollment: e, UPN: "Alice@example.test", ChangedAt: e.EnrolledAt,
		})

		// ChangedAt is the last of report, state and verdict; a contact without news is none.
		changed := func() time.Time {
			row, err := w.DB.Devices().DeviceByID(w.ctx, e.DeviceID)
			w.ok(err)
			return row.ChangedAt
		}
		w.contact(e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusIdle})
		w.same(changed(), e.EnrolledAt)
		w.reports(e.ID, "EAS")
		w.same(changed(), stored(w.now()))
		v := w.verdict(e.ID, compliance.Compliant)
		w.same(changed(), v.At)
		row, err = w.DB.Devices().DeviceByID(w.ctx, e.DeviceID)
		w.ok(err)
		w.same([]string{row.Verdict, row.Report.Device.EASDeviceID}, []string{"compliant", "EAS"})
		again := v
		again.At = stored(w.later())
		w.ok(w.DB.Compliance().SaveVerdict(w.ctx, v, again, w.entry("compliance.verdict", "")))
		w.same(changed(), v.At)
		w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.CheckedOut, w.later(), w.entry("device.checkout", "")))
		w.same(changed(), stored(w.now()))
	}
}

func testDeviceFilters(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		first := w.enrolled(alice, "U1")
		w.later()
		second := w.enrolled(alice, "U2")
		w.later()
		third := w.enrolled(bob, "U3")
		w.reports(second.ID, "ApplABC")
		w.verdict(third.ID, compliance.NotCompliant)

		all := []mdm.DeviceID{first.DeviceID, second.DeviceID, third.DeviceID}
		tests := []struct {
			name   string
			filter enroll.DeviceFilter
			want   []mdm.DeviceID
		}{
			{"all in the order of ID", enroll.DeviceFilter{}, all},
			{"user", enroll.DeviceFilter{UPN: "ALICE@example.test"}, all[:2]},
			{"unknown user", enroll.DeviceFilter{UPN: "nobody@example.test"}, all[:0]},
			{"EAS DeviceId", enroll.DeviceFilter{EASDeviceID: "applabc"}, all[1:2]},
			{"state", enroll.DeviceFilter{State: "not_compliant"}, all[2:]},
			{"together", enroll.DeviceFilter{UPN: alice.UPN, State: "not_compliant"}, all[:0]},
			{"changed since", enroll.DeviceFilter{ChangedSince: second.EnrolledAt}, all[1:]},
			{"changed since, by report or verdict", enroll.DeviceFilter{ChangedSince: third.EnrolledAt.Add(time.Microsecond)}, all[1:]},
			{"changed since now", enroll.DeviceFilter{ChangedSince: w.now().Add(time.Second)}, all[:0]},
			{"first page", enroll.DeviceFilter{Limit: 2}, all[:2]},
			{"second page", enroll.DeviceFilter{Limit: 2, After: all[1]}, all[2:]},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) { w.same(w.devices(tt.filter), append([]mdm.DeviceID{}, tt.want...)) })
		}
		w.ok(w.DB.Users().RemoveUser(w.ctx, bob.ID, w.later(), w.entry("user.remove", "")))
		w.same(w.devices(enroll.DeviceFilter{UPN: bob.UPN}), []mdm.DeviceID{})
		w.same(w.devices(enroll.DeviceFilter{ChangedSince: w.now()}), all[2:])
	}
}
