package storetest

import (
	"strings"
	"testing"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

func testEnrollments(t *testing.T, make Maker) {
	t.Run("admit", testAdmit(make))
	t.Run("activate", testActivate(make))
	t.Run("enrol again", testReplace(make))
	t.Run("overtaken", testOvertaken(make))
	t.Run("push data", testPush(make))
	t.Run("end", testEnd(make))
	t.Run("admitted 16 times at once", testAdmitRace(make))
}

func testAdmit(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		_, err := w.DB.Enrollments().EnrollmentByCertificate(w.ctx, "unknown")
		w.is(err, enroll.ErrNotFound)
		_, err = w.DB.Enrollments().EnrollmentByID(w.ctx, "unknown")
		w.is(err, enroll.ErrNotFound)

		d, e := w.request(u, "u-lower")
		admitted, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("device.admit", ""))
		w.ok(err)
		want := e
		want.DeviceID, want.UDID, want.CreatedAt, want.LastSeenAt = d.ID, "U-LOWER", stored(e.CreatedAt), stored(e.LastSeenAt)
		w.same(admitted, want)
		pinned, unrecorded, err := w.DB.Enrollments().Pinned(w.ctx, e.CertificateHash)
		w.ok(err)
		w.same(pinned, want)
		w.same(unrecorded, certs.Certificate{})
		_, _, err = w.DB.Enrollments().Pinned(w.ctx, "unknown")
		w.is(err, enroll.ErrNotFound)
		byCertificate, err := w.DB.Enrollments().EnrollmentByCertificate(w.ctx, e.CertificateHash)
		w.ok(err)
		w.same(byCertificate, want)
		w.audited("device.admit", 1)

		w.unchangedBy(func() { // the same certificate again, whatever it says now
			d2, e2 := w.request(u, "another")
			e2.CertificateHash = e.CertificateHash
			again, err := w.DB.Enrollments().Admit(w.ctx, d2, e2, w.entry("device.admit", ""))
			w.ok(err)
			w.same(again, want)
		})

		d3, e3 := w.request(u, "U-lower") // the same phone under a new certificate
		d3.Serial, d3.Name = "", "New name"
		second, err := w.DB.Enrollments().Admit(w.ctx, d3, e3, w.entry("device.admit", ""))
		w.ok(err)
		w.same(second.DeviceID, d.ID)
		row, err := w.DB.Devices().DeviceByID(w.ctx, d.ID)
		w.ok(err)
		w.same([]string{row.Device.Serial, row.Device.Name, row.Device.UDID}, []string{d.Serial, "New name", "U-LOWER"})

		d4, e4 := w.request(u, "U4")
		e4.UserID = "nobody"
		w.unchangedBy(func() {
			_, err := w.DB.Enrollments().Admit(w.ctx, d4, e4, w.entry("device.admit", ""))
			w.is(err, enroll.ErrNotFound)
		})

		gone := w.user("gone@example.test")
		d5, e5 := w.request(gone, "U5")
		w.ok(w.DB.Users().RemoveUser(w.ctx, gone.ID, w.now(), w.entry("user.remove", "")))
		w.unchangedBy(func() {
			_, err := w.DB.Enrollments().Admit(w.ctx, d5, e5, w.entry("device.admit", ""))
			w.is(err, enroll.ErrNotFound)
		})
	}
}

func testActivate(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		activate := w.DB.Enrollments().Activate
		e := w.admitted(w.user("alice@example.test"), "U1")
		now := w.later()
		w.unchangedBy(func() {
			w.is(activate(w.ctx, "unknown", w.push(), now, w.entry("device.enrol", "")), enroll.ErrNotFound)
		})
		events := w.newEvents(func() { w.ok(activate(w.ctx, e.ID, w.push(), now, w.entry("device.enrol", ""))) })
		w.same(events, []string{"enrolled " + string(e.ID)})
		got, err := w.DB.Enrollments().EnrollmentByID(w.ctx, e.ID)
		w.ok(err)
		e.State, e.EnrolledAt, e.LastSeenAt = mdm.Enrolled, stored(now), stored(now)
		w.same(got, e)

		// A renewed token is no new enrolment.
		events = w.newEvents(func() { w.ok(activate(w.ctx, e.ID, w.push(), w.later(), w.entry("device.enrol", ""))) })
		w.same(events, []string{})
		w.audited("device.enrol", 1)
		got, err = w.DB.Enrollments().EnrollmentByID(w.ctx, e.ID)
		w.ok(err)
		w.same(got, e)

		w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		w.unchangedBy(func() {
			w.is(activate(w.ctx, e.ID, w.push(), w.now(), w.entry("device.enrol", "")), enroll.ErrConflict)
		})
	}
}

func testReplace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		first, other := w.enrolled(u, "U1"), w.enrolled(u, "U2")
		second := w.admitted(u, "U1")
		got, err := w.DB.Enrollments().EnrollmentByID(w.ctx, first.ID)
		w.ok(err)
		w.same(got.State, mdm.Enrolled) // until the new one is active
		now := w.later()
		events := w.newEvents(func() {
			w.ok(w.DB.Enrollments().Activate(w.ctx, second.ID, w.push(), now, w.entry("device.enrol", "")))
		})
		w.same(events, []string{"enrolled " + string(second.ID), "ended " + string(first.ID)})
		got, err = w.DB.Enrollments().EnrollmentByID(w.ctx, first.ID)
		w.ok(err)
		w.same([]any{got.State, got.EndedAt}, []any{mdm.Replaced, stored(now)})
		got, err = w.DB.Enrollments().EnrollmentByID(w.ctx, other.ID)
		w.ok(err)
		w.same(got.State, mdm.Enrolled)
	}
}

// testOvertaken: a phone that begins anew leaves its earlier beginnings behind. A
// TokenUpdate of one of them that arrives late, or is replayed, replaces nothing.
func testOvertaken(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		first, elsewhere := w.admitted(u, "U1"), w.admitted(u, "U2")
		w.later()
		second := w.enrolled(u, "U1")
		w.later()
		later := w.admitted(u, "U1")
		w.same([]any{w.enrollment(first.ID).State, w.enrollment(elsewhere.ID).State}, []any{mdm.Replaced, mdm.Authenticated})
		w.unchangedBy(func() {
			w.is(w.DB.Enrollments().Activate(w.ctx, first.ID, w.push(), w.now(), w.entry("device.enrol", "")), enroll.ErrConflict)
		})
		w.same(w.enrollment(second.ID).State, mdm.Enrolled)
		w.ok(w.DB.Enrollments().Activate(w.ctx, later.ID, w.push(), w.later(), w.entry("device.enrol", "")))
		w.same([]any{w.enrollment(second.ID).State, w.enrollment(later.ID).State}, []any{mdm.Replaced, mdm.Enrolled})
	}
}

func testPush(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.admitted(w.user("alice@example.test"), "U1")
		_, err := w.DB.Enrollments().Push(w.ctx, e.ID)
		w.is(err, enroll.ErrNotFound)
		push := mdm.Push{Topic: "topic", Token: secret.New("canary-token\x00\xff"), Magic: secret.New("canary-magic"),
			UnlockToken: secret.New("canary-unlock"), UpdatedAt: w.now()}
		w.ok(w.DB.Enrollments().Activate(w.ctx, e.ID, push, w.now(), w.entry("device.enrol", "")))
		renewed := mdm.Push{Topic: "topic", Token: secret.New("canary-renewed"), Magic: push.Magic, UpdatedAt: w.later()}
		w.ok(w.DB.Enrollments().Activate(w.ctx, e.ID, renewed, w.now(), w.entry("device.enrol", "")))
		got, err := w.DB.Enrollments().Push(w.ctx, e.ID)
		w.ok(err)
		w.same([]string{got.Topic, got.Token.Reveal(), got.Magic.Reveal(), got.UnlockToken.Reveal(), got.UpdatedAt.String()},
			[]string{"topic", "canary-renewed", "canary-magic", "canary-unlock", stored(w.now()).String()})
		if strings.Contains(w.Dump(t), "canary") {
			t.Fatal("push data is stored in the clear")
		}
	}
}

func testEnd(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		end := w.DB.Enrollments().End
		e := w.enrolled(w.user("alice@example.test"), "U1")
		w.unchangedBy(func() {
			w.is(end(w.ctx, "unknown", mdm.CheckedOut, w.now(), w.entry("device.checkout", "")), enroll.ErrNotFound)
			if err := end(w.ctx, e.ID, mdm.Configured, w.now(), w.entry("device.checkout", "")); err == nil {
				t.Error("ended into a state that is no end")
			}
		})
		now := w.later()
		events := w.newEvents(func() { w.ok(end(w.ctx, e.ID, mdm.CheckedOut, now, w.entry("device.checkout", ""))) })
		w.same(events, []string{"ended " + string(e.ID)})
		w.audited("device.checkout", 1)
		got, err := w.DB.Enrollments().EnrollmentByID(w.ctx, e.ID)
		w.ok(err)
		e.State, e.EndedAt = mdm.CheckedOut, stored(now)
		w.same(got, e)
		w.unchangedBy(func() {
			w.ok(end(w.ctx, e.ID, mdm.CheckedOut, w.later(), w.entry("device.checkout", "")))
			w.ok(end(w.ctx, e.ID, mdm.Replaced, w.later(), w.entry("device.checkout", "")))
		})
	}
}

func testAdmitRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		hash := newID()
		ids := [16]mdm.EnrollmentID{}
		for _, err := range together(len(ids), func(i int) error {
			d, e := w.request(u, "U1")
			e.CertificateHash = hash
			admitted, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("device.admit", ""))
			ids[i] = admitted.ID
			return err
		}) {
			w.ok(err)
		}
		for _, id := range ids {
			w.same(id, ids[0])
		}
		w.audited("device.admit", 1)
	}
}
