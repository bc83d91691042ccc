package storetest

import (
	"strings"
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// takeover enrols alice's phone and lets mallory come with its UDID.
func (w *world) takeover(udid string) (alices, mallorys mdm.Enrollment) {
	w.t.Helper()
	alices = w.enrolled(w.user("alice@example.test"), udid)
	return alices, w.claims(w.user("mallory@example.test"), udid)
}

// claims admits a phone of u that names a UDID which somebody else has.
func (w *world) claims(u directory.User, udid string) mdm.Enrollment {
	w.t.Helper()
	w.later()
	d, e := w.request(u, udid)
	d.Name, d.Serial = "mine now", "mine too"
	held, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("enrollment.authenticate", string(e.ID)))
	w.ok(err)
	return held
}

// rowsOf are the lines of the dump that name the enrolment or its device but not another.
func (w *world) rowsOf(e mdm.Enrollment, but mdm.EnrollmentID) []string {
	w.t.Helper()
	var rows []string
	for _, line := range strings.Split(w.Dump(w.t), "\n") {
		named := strings.Contains(line, string(e.ID)) || strings.Contains(line, string(e.DeviceID))
		if named && (but == "" || !strings.Contains(line, string(but))) {
			rows = append(rows, line)
		}
	}
	return rows
}

func (w *world) listHeld(page directory.Page) []enroll.HeldRow {
	w.t.Helper()
	rows, err := w.DB.Held().ListHeld(w.ctx, page)
	w.ok(err)
	return rows
}

func (w *world) device(id mdm.DeviceID) enroll.DeviceRow {
	w.t.Helper()
	row, err := w.DB.Devices().DeviceByID(w.ctx, id)
	w.ok(err)
	return row
}

func testHeld(t *testing.T, make Maker) {
	t.Run("a takeover changes nothing", testTakeover(make))
	t.Run("the second one to be active", testLateHold(make))
	t.Run("overtaken by itself", testOvertakenHold(make))
	t.Run("nobody holds it", testNotHeld(make))
	t.Run("evading an act", testEvade(make))
	t.Run("evading an act, in between", testEvadeBetween(make))
	t.Run("admit", testAdmitHeld(make))
	t.Run("admit without a token", testAdmitEarly(make))
	t.Run("refuse", testRefuseHeld(make))
	t.Run("admitted or refused at once", testHeldRace(make))
	t.Run("ownership", testOwnership(make))
	t.Run("no wipe of what became personal", testNoWipeOfPersonal(make))
	t.Run("a wipe on its way through Google", testWipeAtGoogle(make))
	t.Run("label", testLabel(make))
}

func testTakeover(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, mallory := w.user("alice@example.test"), w.user("mallory@example.test")
		victim := w.enrolled(alice, "U1")
		w.reports(victim.ID, "ApplVICTIM")
		w.command(victim.ID, "InstallProfile", "p")
		w.ordered(victim.ID, mdm.ActionLock)
		before := w.rowsOf(victim, "")
		events := len(w.events())

		held := w.claims(mallory, "u1")
		w.same([]any{held.State, held.DeviceID, held.UserID}, []any{mdm.Held, victim.DeviceID, mallory.ID})
		w.ok(w.DB.Enrollments().Activate(w.ctx, held.ID, w.push(), w.later(), w.entry("enrollment.enroll", "")))
		w.ok(w.DB.Enrollments().Activate(w.ctx, held.ID, w.push(), w.later(), w.entry("enrollment.enroll", "")))
		w.idle(held.ID)
		w.same(w.rowsOf(victim, held.ID), before)
		w.same(len(w.events()), events)
		w.same(w.enrollment(held.ID).State, mdm.Held)
		w.audited("enrollment.authenticate", 0)
		w.audited("enrollment.enroll", 0)
		entries, err := w.DB.Audit().List(w.ctx, audit.Filter{Action: "enrollment.hold"})
		w.ok(err)
		w.same([]any{len(entries), entries[0].Outcome, entries[0].Target}, []any{1, audit.Refused, string(held.ID)})

		// Nobody takes it for the phone that it claims to be.
		w.same(w.device(victim.DeviceID).Enrollment.ID, victim.ID)
		w.same(w.device(victim.DeviceID).Device.Name, "Phone")
		w.same(w.devices(enroll.DeviceFilter{UPN: mallory.UPN}), []mdm.DeviceID{})
		w.is(w.DB.Actions().CreateAction(w.ctx, w.act(held.ID, mdm.ActionLock), w.entry("action.order", "")), enroll.ErrConflict)
		if w.DB.Plans().Advance(w.ctx, held.ID, mdm.Held, mdm.Enrolled) == nil {
			t.Error("a held enrolment was advanced")
		}
		w.unchangedBy(func() { // the same certificate again
			d, e := w.request(mallory, "U1")
			e.CertificateHash = held.CertificateHash
			again, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("enrollment.authenticate", ""))
			w.ok(err)
			w.same(again.ID, held.ID)
		})
		challenge := w.challenge(mailGrant(mallory, held.ID))
		if _, err := w.issueTo(challenge.Hash, claim("t")); err == nil {
			t.Error("a held enrolment got a certificate")
		}
		w.same(w.listHeld(directory.Page{}), []enroll.HeldRow{{Enrollment: w.enrollment(held.ID), Device: w.device(victim.DeviceID).Device,
			UPN: mallory.UPN, HolderUPN: alice.UPN}})
	}
}

func testLateHold(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		early := w.admitted(w.user("mallory@example.test"), "U1") // before anyone holds the device
		victim := w.enrolled(w.user("alice@example.test"), "U1")
		w.later()
		w.same(w.newEvents(func() {
			w.ok(w.DB.Enrollments().Activate(w.ctx, early.ID, w.push(), w.now(), w.entry("enrollment.enroll", "")))
		}), []string{})
		w.same([]any{w.enrollment(early.ID).State, w.enrollment(victim.ID).State}, []any{mdm.Held, mdm.Enrolled})
		w.audited("enrollment.hold", 1)
		_, err := w.DB.Enrollments().Push(w.ctx, early.ID)
		w.ok(err)
		w.ok(w.DB.Held().AdmitHeld(w.ctx, early.ID, w.later(), w.entry("enrollment.admit", "")))
		w.same([]any{w.enrollment(early.ID).State, w.enrollment(victim.ID).State}, []any{mdm.Enrolled, mdm.Replaced})
	}
}

// testOvertakenHold: who was held and came again when nobody held the device any
// more waits for no admin: to admit the old one would end the new one.
func testOvertakenHold(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alices, mallorys := w.takeover("U1")
		mallory := w.user("mallory@example.test")
		others := w.claims(w.user("bob@example.test"), "U1")
		w.ok(w.DB.Enrollments().End(w.ctx, alices.ID, mdm.CheckedOut, w.later(), w.entry("enrollment.check_out", "")))
		w.later()
		again := w.enrolled(mallory, "U1")
		w.same([]any{w.enrollment(mallorys.ID).State, w.enrollment(others.ID).State}, []any{mdm.Replaced, mdm.Held})
		w.is(w.DB.Held().AdmitHeld(w.ctx, mallorys.ID, w.now(), w.entry("enrollment.admit", "")), enroll.ErrConflict)
		w.same(w.enrollment(again.ID).State, mdm.Enrolled)
	}
}

func testNotHeld(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		w.enrolled(alice, "U1")
		// A removed user holds no phone.
		w.ok(w.DB.Users().RemoveUser(w.ctx, alice.ID, w.now(), w.entry("user.remove", "")))
		again := w.user("alice@example.test")
		w.same(w.enrolled(again, "U1").State, mdm.Enrolled)
		// Nor does one who has checked out, or was retired.
		for udid, state := range map[string]mdm.EnrollmentState{"U2": mdm.CheckedOut, "U3": mdm.Retired} {
			left := w.enrolled(bob, udid)
			w.ok(w.DB.Enrollments().End(w.ctx, left.ID, state, w.now(), w.entry("enrollment.end", "")))
			w.same(w.enrolled(again, udid).State, mdm.Enrolled)
		}
		w.same(w.listHeld(directory.Page{}), []enroll.HeldRow{})
	}
}

func testAdmitHeld(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		victim, held := w.takeover("U1")
		w.ok(w.DB.Enrollments().Activate(w.ctx, held.ID, w.push(), w.later(), w.entry("enrollment.enroll", "")))
		admit := func(id mdm.EnrollmentID) error {
			return w.DB.Held().AdmitHeld(w.ctx, id, w.later(), w.entry("enrollment.admit", ""))
		}
		w.unchangedBy(func() {
			w.is(admit("unknown"), enroll.ErrNotFound)
			w.is(admit(victim.ID), enroll.ErrConflict)
		})
		events := w.newEvents(func() { w.ok(admit(held.ID)) })
		w.same(events, []string{"enrolled " + string(held.ID), "ended " + string(victim.ID)})
		got := w.enrollment(held.ID)
		w.same([]any{got.State, got.EnrolledAt, w.enrollment(victim.ID).State}, []any{mdm.Enrolled, stored(w.now()), mdm.Replaced})
		row := w.device(victim.DeviceID)
		w.same([]string{row.Device.Name, row.Device.Serial, row.Device.Model, string(row.Enrollment.ID)},
			[]string{"mine now", "mine too", "iPhone 15", string(held.ID)})
		w.audited("enrollment.admit", 1)
		w.unchangedBy(func() { w.is(admit(held.ID), enroll.ErrConflict) })
		w.same(w.listHeld(directory.Page{}), []enroll.HeldRow{})
	}
}

func testAdmitEarly(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		victim, held := w.takeover("U1")
		events := w.newEvents(func() { w.ok(w.DB.Held().AdmitHeld(w.ctx, held.ID, w.later(), w.entry("enrollment.admit", ""))) })
		w.same(events, []string{"ended " + string(victim.ID)})
		w.same(w.enrollment(held.ID).State, mdm.Authenticated)
		w.ok(w.DB.Enrollments().Activate(w.ctx, held.ID, w.push(), w.later(), w.entry("enrollment.enroll", "")))
		w.same(w.enrollment(held.ID).State, mdm.Enrolled)

		// Whose user was removed is not let in.
		carol := w.user("carol@example.test")
		third := w.claims(carol, "U1")
		w.ok(w.DB.Users().RemoveUser(w.ctx, carol.ID, w.now(), w.entry("user.remove", "")))
		w.unchangedBy(func() {
			w.is(w.DB.Held().AdmitHeld(w.ctx, third.ID, w.now(), w.entry("enrollment.admit", "")), enroll.ErrConflict)
		})
		w.same(w.listHeld(directory.Page{})[0].UPN, "")
	}
}

func testRefuseHeld(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		victim := w.enrolled(w.user("alice@example.test"), "U1")
		mallory := w.user("mallory@example.test")
		identity := w.issue(w.challenge(identityGrant(w.invitation(mallory))))
		d, e := w.request(mallory, "U1")
		e.CertificateHash = identity.SHA256
		held, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("enrollment.authenticate", ""))
		w.ok(err)
		second := w.claims(mallory, "U1")
		rows := w.listHeld(directory.Page{Limit: 1})
		w.same([]any{len(rows), rows[0].Enrollment.ID}, []any{1, held.ID})
		w.same(w.listHeld(directory.Page{After: string(held.ID)})[0].Enrollment.ID, second.ID)

		refuse := func(id mdm.EnrollmentID) error {
			return w.DB.Held().RefuseHeld(w.ctx, id, w.later(), w.entry("enrollment.refuse", ""))
		}
		w.unchangedBy(func() {
			w.is(refuse("unknown"), enroll.ErrNotFound)
			w.is(refuse(victim.ID), enroll.ErrConflict)
		})
		before := w.rowsOf(victim, held.ID)
		w.ok(refuse(held.ID))
		w.same(w.rowsOf(victim, held.ID), before)
		got := w.enrollment(held.ID)
		w.same([]any{got.State, got.EndedAt}, []any{mdm.Refused, stored(w.now())})
		cert, err := w.DB.Certificates().CertificateByHash(w.ctx, identity.SHA256)
		w.ok(err)
		w.same(cert.RevokedAt, stored(w.now()))
		w.unchangedBy(func() { w.is(refuse(held.ID), enroll.ErrConflict) })
		w.is(w.DB.Enrollments().Activate(w.ctx, held.ID, w.push(), w.now(), w.entry("enrollment.enroll", "")), enroll.ErrConflict)

		// A device whose holder has left shows that rather than who was refused.
		w.ok(w.DB.Enrollments().End(w.ctx, victim.ID, mdm.CheckedOut, w.later(), w.entry("enrollment.check_out", "")))
		w.same(w.device(victim.DeviceID).Enrollment.ID, victim.ID)
		w.same(w.listHeld(directory.Page{})[0].HolderUPN, "")
	}
}

func testHeldRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		_, held := w.takeover("U1")
		errs := together(16, func(i int) error {
			if i%2 == 0 {
				return w.DB.Held().AdmitHeld(w.ctx, held.ID, w.now(), w.entry("enrollment.decide", ""))
			}
			return w.DB.Held().RefuseHeld(w.ctx, held.ID, w.now(), w.entry("enrollment.decide", ""))
		})
		if count(errs, isNil) != 1 || count(errs, isConflict) != 15 {
			t.Fatalf("%v", errs)
		}
		w.audited("enrollment.decide", 1)
	}
}

func testOwnership(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		set := func(id mdm.EnrollmentID, o mdm.Ownership) error {
			return w.DB.Held().SetOwnership(w.ctx, id, o, w.entry("enrollment.ownership", ""))
		}
		w.unchangedBy(func() {
			w.is(set("unknown", mdm.Personal), enroll.ErrNotFound)
			w.ok(set(e.ID, mdm.Corporate))
			w.is(set(e.ID, "nobody's"), enroll.ErrConflict)
		})
		w.later()
		w.ok(set(e.ID, mdm.Personal))
		w.same(w.enrollment(e.ID).Ownership, mdm.Personal)
		w.same(w.device(e.DeviceID).ChangedAt, stored(w.now()))
		w.unchangedBy(func() {
			w.ok(set(e.ID, mdm.Personal))
			w.is(set(e.ID, mdm.Corporate), enroll.ErrConflict)
		})
		w.audited("enrollment.ownership", 1)
	}
}

// testNoWipeOfPersonal: the change of ownership and the command that erases are
// decided by two requests at once, and the later one knows of the earlier.
func testNoWipeOfPersonal(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		wipe := w.ordered(e.ID, mdm.ActionWipe)
		w.ok(w.DB.Held().SetOwnership(w.ctx, e.ID, mdm.Personal, w.entry("enrollment.ownership", "")))
		c := mdm.Command{ID: mdm.CommandID(newID()), EnrollmentID: e.ID, RequestType: "EraseDevice", ActionID: wipe.ID, SentAt: w.now()}
		w.unchangedBy(func() { w.is(w.DB.Plans().SaveCommand(w.ctx, c, nil), enroll.ErrConflict) })
	}
}

// testWipeAtGoogle: what was handed to Google reaches the phone whatever our
// record says by then.
func testWipeAtGoogle(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		w.ticketFor(w.invitation(w.user("alice@example.test")), "t")
		e := w.admitAndroid("t", "D", "u1")
		set := func() error {
			return w.DB.Held().SetOwnership(w.ctx, e.ID, mdm.Personal, w.entry("device.ownership", ""))
		}
		c := w.sent(w.ordered(e.ID, mdm.ActionWipe))
		w.unchangedBy(func() { w.is(set(), enroll.ErrConflict) })
		w.answers(c, mdm.StatusError)
		w.ok(w.DB.Android().SavePolicy(w.ctx, w.android(e.ID), time.Time{}))
		w.ok(set())
		// Its policy may have the phone reset itself as a whole: that ends now.
		w.same(w.duePolicies(w.now()), []mdm.EnrollmentID{e.ID})
	}
}

func testLabel(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		w.unchangedBy(func() {
			w.is(w.DB.Held().SetLabel(w.ctx, "unknown", "x", w.entry("device.rename", "")), enroll.ErrNotFound)
		})
		w.later()
		w.ok(w.DB.Held().SetLabel(w.ctx, e.DeviceID, "Reception", w.entry("device.rename", "")))
		row := w.device(e.DeviceID)
		w.same([]any{row.Device.Label, row.Device.Name, row.ChangedAt}, []any{"Reception", "Phone", stored(w.now())})
		w.enrolled(w.user("alice@example.test"), "U1") // enrolling again keeps what an admin calls it
		w.same(w.device(e.DeviceID).Device.Label, "Reception")
		w.same(w.device(e.DeviceID).ChangedAt.Before(w.now().Add(time.Second)), true)
	}
}
