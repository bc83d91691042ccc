package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

func testAndroid(t *testing.T, make Maker) {
	t.Run("enterprise", testAndroidEnterprise(make))
	t.Run("another key", testAndroidAccount(make))
	t.Run("tickets", testAndroidTickets(make))
	t.Run("tokens to be deleted", testAndroidTokens(make))
	t.Run("admission", testAndroidAdmission(make))
	t.Run("admission refused", testAndroidRefused(make))
	t.Run("admission at once", testAndroidRace(make))
	t.Run("another user's phone", testAndroidHeld(make))
	t.Run("the same phone again", testAndroidAgain(make))
	t.Run("reports", testAndroidReports(make))
	t.Run("policies", testAndroidPolicies(make))
	t.Run("what a policy brought", testAndroidConfirmed(make))
	t.Run("operations", testAndroidOperations(make))
	t.Run("missing phones", testAndroidMissing(make))
	t.Run("schemas", testAndroidSchemas(make))
	t.Run("companion app", testAndroidCompanion(make))
	t.Run("keys", testAndroidKeys(make))
	t.Run("certificates of Samsung's plugin", testKnoxIssued(make))
}

func (w *world) signup(project string) enroll.AndroidEnterprise {
	return enroll.AndroidEnterprise{
		Project: project, Topic: "projects/" + project + "/topics/t", Account: secret.New("key of " + project), Signup: "signupUrls/" + project, StateHash: secret.Hash("state of " + project),
		StateUntil: stored(w.now().Add(time.Hour)), Secret: secret.New("notified"), CreatedAt: stored(w.now()),
	}
}

func testAndroidEnterprise(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books := w.DB.Android()
		_, err := books.AndroidEnterprise(w.ctx)
		w.is(err, enroll.ErrNotFound)
		w.ok(books.BeginSignup(w.ctx, w.signup("first"), w.entry("android.signup", "")))
		second := w.signup("second")
		w.ok(books.BeginSignup(w.ctx, second, w.entry("android.signup", "")))
		got, err := books.AndroidEnterprise(w.ctx)
		w.ok(err)
		w.same(got, second)
		if strings.Contains(w.Dump(t), "key of second") || strings.Contains(w.Dump(t), "notified") {
			t.Error("a secret lies open")
		}

		finish := func(state string, at time.Time) error {
			return books.FinishSignup(w.ctx, secret.Hash(state), "enterprises/E", at, w.entry("android.signup", "enterprises/E"))
		}
		w.is(finish("state of first", w.now()), enroll.ErrConflict)
		w.is(finish("state of second", w.now().Add(time.Hour)), enroll.ErrConflict)
		done := w.later()
		w.ok(finish("state of second", done))
		w.is(finish("state of second", done), enroll.ErrConflict)
		second.Signup, second.StateHash, second.StateUntil = "", nil, time.Time{}
		second.Name, second.FinishedAt = "enterprises/E", stored(done)
		got, err = books.AndroidEnterprise(w.ctx)
		w.ok(err)
		w.same(got, second)
		w.unchangedBy(func() {
			w.is(books.BeginSignup(w.ctx, w.signup("third"), w.entry("android.signup", "")), enroll.ErrConflict)
		})
		w.audited("android.signup", 3)
	}
}

func testAndroidAccount(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books := w.DB.Android()
		replace := func(project string) error {
			another := enroll.AndroidEnterprise{Project: project, Topic: "another topic", Account: secret.New("another")}
			return books.ReplaceAccount(w.ctx, another, w.entry("android.account", ""))
		}
		w.is(replace("p"), enroll.ErrNotFound)
		w.ok(books.BeginSignup(w.ctx, w.signup("p"), w.entry("android.signup", "")))
		w.is(replace("p"), enroll.ErrNotFound)
		w.ok(books.FinishSignup(w.ctx, secret.Hash("state of p"), "enterprises/E", w.now(), w.entry("android.signup", "")))
		w.unchangedBy(func() { w.is(replace("q"), enroll.ErrConflict) })
		w.ok(books.AndroidSetUp(w.ctx, w.later()))
		got, err := books.AndroidEnterprise(w.ctx)
		w.ok(err)
		w.same(got.SetUpAt, stored(w.now()))
		w.ok(replace("p"))
		got, err = books.AndroidEnterprise(w.ctx)
		w.ok(err)
		w.same([]string{got.Account.Reveal(), got.Secret.Reveal(), got.Name, got.Topic}, []string{"another", "notified", "enterprises/E", "another topic"})
		w.same(got.SetUpAt, time.Time{})
		w.audited("android.account", 1)
	}
}

// ticketFor makes a ticket of that name.
func (w *world) ticketFor(i enroll.Invitation, name string) enroll.AndroidTicket {
	w.t.Helper()
	ticket := enroll.AndroidTicket{
		Hash: secret.Hash(name), InvitationID: i.ID, Ownership: i.Ownership, Token: "enterprises/E/enrollmentTokens/" + name,
		CreatedAt: stored(w.now()), ExpiresAt: stored(w.now().Add(time.Hour)), Due: stored(w.now().Add(time.Hour)),
	}
	w.ok(w.DB.Android().CreateTicket(w.ctx, ticket, w.entry("android.token", string(i.ID))))
	return ticket
}

func (w *world) ticket(name string) enroll.AndroidTicket {
	w.t.Helper()
	got, err := w.DB.Android().TicketByHash(w.ctx, secret.Hash(name))
	w.ok(err)
	return got
}

func testAndroidTickets(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books, i := w.DB.Android(), w.invitation(w.user("alice@example.test"))
		_, err := books.TicketByHash(w.ctx, secret.Hash("none"))
		w.is(err, enroll.ErrNotFound)
		_, err = books.NewestTicket(w.ctx, i.ID)
		w.is(err, enroll.ErrNotFound)

		first := w.ticketFor(i, "first")
		w.same(w.ticket("first"), first)
		pressed := w.later()
		second := w.ticketFor(i, "second")
		first.VoidAt, first.Due = stored(pressed), stored(pressed)
		w.same([]any{w.ticket("first"), w.ticket("second")}, []any{first, second})
		other := w.ticketFor(w.invitation(w.user("bob@example.test")), "bob's")
		w.same(w.ticket("second"), second)
		newest, err := books.NewestTicket(w.ctx, i.ID)
		w.ok(err)
		w.same(newest, second)

		// A used one stands for the invitation for ever.
		w.admitAndroid("first", "phone", "U1")
		newest, err = books.NewestTicket(w.ctx, i.ID)
		w.ok(err)
		w.same(newest.Hash, first.Hash)
		refused := func(i enroll.Invitation, at time.Time) {
			t.Helper()
			w.unchangedBy(func() {
				w.is(books.CreateTicket(w.ctx, enroll.AndroidTicket{Hash: secret.Hash(newID()), InvitationID: i.ID, CreatedAt: at}, w.entry("android.token", "")), enroll.ErrConflict)
			})
		}
		refused(i, w.now())
		refused(enroll.Invitation{ID: "unknown"}, w.now())
		refused(enroll.Invitation{ID: other.InvitationID}, w.now().Add(2*time.Hour))
		w.ok(w.DB.Invitations().RevokeInvitation(w.ctx, other.InvitationID, w.entry("invitation.revoke", "")))
		refused(enroll.Invitation{ID: other.InvitationID}, w.now())
		w.audited("android.token", 3)
	}
}

func testAndroidTokens(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books, i := w.DB.Android(), w.invitation(w.user("alice@example.test"))
		due := func(at time.Time) []string {
			t.Helper()
			list, err := books.DueTickets(w.ctx, at, 10)
			w.ok(err)
			names := []string{}
			for _, ticket := range list {
				_, name, _ := strings.Cut(ticket.Token, "Tokens/")
				names = append(names, fmt.Sprint(name, ticket.Attempts))
			}
			return names
		}
		w.ticketFor(i, "first")
		w.same(due(w.now()), []string{})
		w.later()
		w.ticketFor(i, "second")
		w.same(due(w.now()), []string{"first0"})
		w.same(due(w.now().Add(2*time.Hour)), []string{"first0", "second0"})
		w.later()
		w.admitAndroid("second", "phone", "U1")
		w.same(due(w.now()), []string{"first0", "second0"})
		w.ok(books.TicketTried(w.ctx, secret.Hash("first"), w.now().Add(time.Minute)))
		w.same(due(w.now()), []string{"second0"})
		w.ok(books.TicketTried(w.ctx, secret.Hash("second"), time.Time{}))
		w.same(due(w.now().Add(time.Hour)), []string{"first1"})
	}
}

// androidRequest is a phone that came with a ticket.
func (w *world) androidRequest(ticket, name, udid string) enroll.AndroidAdmission {
	w.t.Helper()
	known := w.ticket(ticket)
	i, err := w.DB.Invitations().InvitationByID(w.ctx, known.InvitationID)
	w.ok(err)
	d, e := w.request(directory.User{ID: i.UserID}, udid)
	d.Platform, e.Platform, e.CertificateHash, e.Topic, e.PollOnly = mdm.Android, mdm.Android, "", "", false
	e.InvitationID = string(i.ID)
	return enroll.AndroidAdmission{
		Ticket: known.Hash, Device: d, Enrollment: e, Entry: w.entry("enrollment.enroll", string(e.ID)),
		Phone:  enroll.AndroidPhone{EnrollmentID: e.ID, Name: "enterprises/E/devices/" + name, Mode: android.WorkProfile, ReportedAt: w.now()},
		Report: mdm.Report{Device: &mdm.DeviceFacts{At: w.now(), OSVersion: "16", Product: "Pixel 8"}, Policy: &mdm.PolicyFacts{At: w.now()}},
	}
}

func (w *world) admitAndroid(ticket, name, udid string) mdm.Enrollment {
	w.t.Helper()
	e, err := w.DB.Android().AdmitAndroid(w.ctx, w.androidRequest(ticket, name, udid))
	w.ok(err)
	return e
}

func (w *world) android(id mdm.EnrollmentID) enroll.AndroidPhone {
	w.t.Helper()
	p, err := w.DB.Android().AndroidPhoneOf(w.ctx, id)
	w.ok(err)
	return p
}

func testAndroidAdmission(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books, alice := w.DB.Android(), w.user("alice@example.test")
		i := w.invitation(alice)
		w.ticketFor(i, "t")
		challenge := w.challenge(certs.Grant{Rule: certs.RuleMDMIdentity, UserID: string(alice.ID), InvitationID: string(i.ID)})
		at := w.later()
		a := w.androidRequest("t", "D", "u1")
		var e mdm.Enrollment
		w.same(w.newEvents(func() {
			var err error
			e, err = books.AdmitAndroid(w.ctx, a)
			w.ok(err)
		}), []string{"enrolled " + string(a.Enrollment.ID)})
		w.same([]any{e.State, e.UDID, e.EnrolledAt, e.Platform, e.CertificateHash}, []any{mdm.Enrolled, "U1", stored(at), mdm.Android, ""})
		w.same(w.android(e.ID), enroll.AndroidPhone{EnrollmentID: e.ID, Name: a.Phone.Name, Mode: android.WorkProfile, ReportedAt: stored(at), Due: stored(at)})
		byName, err := books.AndroidPhone(w.ctx, a.Phone.Name)
		w.ok(err)
		w.same(byName.EnrollmentID, e.ID)
		used := w.ticket("t")
		w.same([]any{used.UsedAt, used.EnrollmentID}, []any{stored(at), e.ID})
		i, err = w.DB.Invitations().InvitationByID(w.ctx, i.ID)
		w.ok(err)
		w.same([]any{i.State, i.UsedAt}, []any{enroll.InvitationUsed, stored(at)})
		if _, err := w.issueTo(challenge.Hash, claim("t")); err == nil {
			t.Error("the invitation let a second phone in")
		}
		row := w.device(e.DeviceID)
		w.same([]any{row.Enrollment.ID, row.Report.Device.OSVersion}, []any{e.ID, "16"})

		// The same word again, under whatever ID.
		again := w.androidRequest("t", "D", "u1")
		w.unchangedBy(func() {
			same, err := books.AdmitAndroid(w.ctx, again)
			w.ok(err)
			w.same(same.ID, e.ID)
		})
		// No certificate leads to it.
		_, err = w.DB.Enrollments().EnrollmentByCertificate(w.ctx, "")
		w.is(err, enroll.ErrNotFound)
		_, _, err = w.DB.Enrollments().Pinned(w.ctx, "")
		w.is(err, enroll.ErrNotFound)
		_, _, err = w.DB.Plans().PinnedPlan(w.ctx, "")
		w.is(err, enroll.ErrNotFound)
		w.audited("enrollment.enroll", 1)
	}
}

func testAndroidRefused(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books := w.DB.Android()
		i := w.invitation(w.user("alice@example.test"))
		w.ticketFor(i, "t")
		e := w.admitAndroid("t", "D", "U1")
		bobs := w.invitation(w.user("bob@example.test"))
		w.ticketFor(bobs, "bob's")
		tests := []struct {
			name   string
			change func(*enroll.AndroidAdmission)
			want   error
		}{
			{"unknown ticket", func(a *enroll.AndroidAdmission) { a.Ticket = secret.Hash("none") }, enroll.ErrNotFound},
			{"ticket of another phone", func(a *enroll.AndroidAdmission) { a.Ticket = secret.Hash("t") }, enroll.ErrConflict},
			{"phone of somebody else", func(a *enroll.AndroidAdmission) { a.Phone.Name = "enterprises/E/devices/D" }, enroll.ErrConflict},
			{"unknown user", func(a *enroll.AndroidAdmission) { a.Enrollment.UserID = "nobody" }, enroll.ErrNotFound},
		}
		for _, tt := range tests {
			a := w.androidRequest("bob's", "D2", "U2")
			tt.change(&a)
			w.unchangedBy(func() {
				if _, err := books.AdmitAndroid(w.ctx, a); err == nil {
					t.Errorf("%s: admitted", tt.name)
				} else {
					w.is(err, tt.want)
				}
			})
		}
		w.ok(w.DB.Invitations().RevokeInvitation(w.ctx, bobs.ID, w.entry("invitation.revoke", "")))
		_, err := books.AdmitAndroid(w.ctx, w.androidRequest("bob's", "D2", "U2"))
		w.is(err, enroll.ErrConflict)
		w.same(w.android(e.ID).Name, "enterprises/E/devices/D")
	}
}

// testAndroidRace: Google tells of a new phone several times at once.
func testAndroidRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		w.ticketFor(w.invitation(w.user("alice@example.test")), "t")
		requests := []enroll.AndroidAdmission{}
		for range 4 {
			requests = append(requests, w.androidRequest("t", "D", "U1"))
		}
		requests = append(requests, w.androidRequest("t", "D2", "U2"))
		ids := [5]mdm.EnrollmentID{}
		errs := together(len(requests), func(i int) error {
			e, err := w.DB.Android().AdmitAndroid(w.ctx, requests[i])
			ids[i] = e.ID
			return err
		})
		if failed := count(errs, func(err error) bool { return err != nil }); failed != 1 && failed != 4 {
			t.Fatalf("%v", errs)
		}
		for i, err := range errs[:4] {
			if err == nil && ids[i] != ids[0] {
				t.Errorf("one phone got enrolments %v", ids)
			}
		}
		w.audited("enrollment.enroll", 1)
	}
}

func testAndroidHeld(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		w.ticketFor(w.invitation(w.user("alice@example.test")), "t")
		e := w.admitAndroid("t", "D", "U1")
		w.later()
		w.ticketFor(w.invitation(w.user("mallory@example.test")), "m")
		a := w.androidRequest("m", "D2", "U9")
		a.Previous = []string{"enterprises/E/devices/never seen", "enterprises/E/devices/D"}
		held, err := w.DB.Android().AdmitAndroid(w.ctx, a)
		w.ok(err)
		w.same([]any{held.State, held.DeviceID, held.UDID}, []any{mdm.Held, e.DeviceID, "U1"})
		w.same(w.enrollment(e.ID).State, mdm.Enrolled)
		w.audited("enrollment.hold", 1)
		w.ok(w.DB.Held().AdmitHeld(w.ctx, held.ID, w.later(), w.entry("enrollment.admit", "")))
		w.same([]any{w.enrollment(held.ID).State, w.enrollment(e.ID).State}, []any{mdm.Enrolled, mdm.Replaced})
	}
}

func testAndroidAgain(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		w.ticketFor(w.invitation(alice), "t")
		first := w.admitAndroid("t", "D", "U1")
		w.ok(w.DB.Android().SavePolicy(w.ctx, w.android(first.ID), time.Time{}))
		w.later()
		w.ticketFor(w.invitation(alice), "t2")
		at := w.later()
		second := w.admitAndroid("t2", "D2", "U1")
		w.same([]any{w.enrollment(first.ID).State, second.State, second.DeviceID}, []any{mdm.Replaced, mdm.Enrolled, first.DeviceID})
		w.same(w.android(first.ID).Due, stored(at)) // its policy is to be taken back

		// Under the name of an enrolment that has ended, too.
		w.ok(w.DB.Enrollments().End(w.ctx, second.ID, mdm.CheckedOut, w.later(), w.entry("enrollment.check_out", "")))
		w.ticketFor(w.invitation(alice), "t3")
		third := w.admitAndroid("t3", "D2", "U1")
		p, err := w.DB.Android().AndroidPhone(w.ctx, "enterprises/E/devices/D2")
		w.ok(err)
		w.same(p.EnrollmentID, third.ID)
	}
}
