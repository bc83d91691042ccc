package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/certs"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

func testPeople(t *testing.T, make Maker) {
	t.Run("all of one", testEntry(make))
	t.Run("phones that ended", testEndedPhones(make))
	t.Run("logins", testEntryLogins(make))
	t.Run("pages", testEntryPages(make))
	t.Run("by ID", testEntriesOf(make))
	t.Run("owners", testOwners(make))
	t.Run("certificates that end", testLapsed(make))
	t.Run("newest event", testLastEvent(make))
	t.Run("whom time concerns", testTimed(make))
}

func (w *world) entryOf(u directory.User) access.Entry {
	w.t.Helper()
	list, err := w.DB.Access().EntriesOf(w.ctx, []directory.UserID{u.ID})
	w.ok(err)
	if len(list) != 1 {
		w.t.Fatalf("%d entries of %s", len(list), u.UPN)
	}
	return list[0]
}

// tells has the phone report what it is.
func (w *world) tells(e mdm.EnrollmentID, facts mdm.DeviceFacts) {
	w.t.Helper()
	c := w.command(e, "DeviceInformation", "")
	present := true
	w.contact(e, mdm.Contact{At: w.later(), Status: mdm.StatusAcknowledged, CommandID: c.ID,
		Report: mdm.Report{Device: &facts, Security: &mdm.SecurityFacts{At: w.now(), PasscodePresent: &present}}})
}

func testEntry(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("Alice@example.test", "sales", "staff")
		older, newer, begun := w.enrolled(alice, "U1"), w.enrolled(alice, "U2"), w.admitted(alice, "U3")
		mallory := w.user("mallory@example.test")
		w.claims(mallory, "U1") // held: nobody's phone
		w.tells(newer.ID, mdm.DeviceFacts{At: w.now(), Name: `"os_version":"1"`, Product: "iPhone15,4", OSVersion: "26.1", EASDeviceID: "ApplC39"})
		verdict := w.verdict(newer.ID, compliance.NotCompliant)
		verdict.Findings = append(verdict.Findings, compliance.Finding{Rule: compliance.RuleMailProfile, State: compliance.Met, Fact: "installed", Since: verdict.At})
		stale, err := w.DB.Compliance().Verdict(w.ctx, newer.ID)
		w.ok(err)
		w.ok(w.DB.Compliance().SaveVerdict(w.ctx, stale, verdict, w.entry("compliance.verdict", "")))
		w.ordered(older.ID, mdm.ActionSelectiveWipe)
		good := []string{w.mailIdentity(alice, newer.ID, "p").SHA256, w.mailIdentity(alice, newer.ID, "q").SHA256}
		w.revoke(w.mailIdentity(alice, newer.ID, "r"), certs.ReasonSuperseded)
		slices.Sort(good)
		first, second := w.meet(alice, "ApplC39"), w.meet(alice, "androidc1")
		off := &access.Note{By: "ann", At: stored(w.now()), Reason: "on leave"}
		w.ok(w.DB.Access().SetMail(w.ctx, alice.ID, off, w.entry("mail.off", "")))
		words := []access.Personal{
			{UserID: alice.ID, Kind: access.PersonalBlock, Note: *off},
			{UserID: alice.ID, Key: "applc39", Kind: access.PersonalExempt, Note: *off, ExpiresAt: stored(w.now().Add(time.Hour))},
		}
		w.ok(w.DB.Access().SavePersonal(w.ctx, words, nil))

		verdict.Findings = verdict.Findings[1:] // the passcode is fine
		want := access.Entry{
			Person:   access.Person{ID: alice.ID, UPN: alice.UPN, Groups: []string{"sales", "staff"}, MailOff: off},
			Logins:   []string{"alice@example.test", "alice"},
			Devices:  []access.Device{first, second},
			Personal: words,
			Phones: []access.Phone{
				{EnrollmentID: newer.ID, State: mdm.Enrolled, Platform: mdm.Apple, Ownership: mdm.Corporate, Product: "iPhone15,4",
					OSVersion: "26.1", EASKey: "applc39", Certificates: good, Verdict: verdict},
				{EnrollmentID: older.ID, State: mdm.Enrolled, Withheld: mdm.WithholdEverything, Platform: mdm.Apple, Ownership: mdm.Corporate},
				{EnrollmentID: begun.ID, State: mdm.Authenticated, Platform: mdm.Apple, Ownership: mdm.Corporate},
			},
		}
		w.same(w.entryOf(alice), want)
		w.same(w.entryOf(mallory).Phones, []access.Phone(nil))

		// What is on record holds until the certificates end.
		w.mu.Lock()
		w.clock = start.AddDate(1, 0, 1)
		w.mu.Unlock()
		w.same(w.entryOf(alice).Phones[0].Certificates, []string(nil))
	}
}

func testEndedPhones(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		named, bound, forgotten, active := w.enrolled(alice, "U1"), w.enrolled(alice, "U2"), w.enrolled(alice, "U3"), w.enrolled(alice, "U4")
		w.reports(named.ID, "APPL1")
		d := w.meet(alice, "other")
		w.ok(w.DB.Access().Bind(w.ctx, d.ID, bound.ID, access.ProofConfirmed, w.entry("device.bind", "")))
		for _, id := range []mdm.EnrollmentID{named.ID, bound.ID, forgotten.ID} {
			w.ok(w.DB.Enrollments().End(w.ctx, id, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		}
		var got []mdm.EnrollmentID
		for _, p := range w.entryOf(alice).Phones {
			got = append(got, p.EnrollmentID)
		}
		w.same(got, []mdm.EnrollmentID{active.ID, bound.ID, named.ID})
	}
}

func testEntryLogins(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		saved, err := w.DB.Users().SaveUsers(w.ctx, []directory.User{
			{UPN: "Alice@example.test", Email: "A.Liddell@mail.test", Username: "Alice", DomainName: "CORP", CreatedAt: start, UpdatedAt: start},
			{UPN: "system@example.test", Email: "system@example.test", CreatedAt: start, UpdatedAt: start},
		}, nil)
		w.ok(err)
		w.same(w.entryOf(saved[0]).Logins, []string{"alice@example.test", "a.liddell@mail.test", "alice", `corp\alice`})
		w.same(w.entryOf(saved[1]).Logins, []string{"system@example.test"})
	}
}

func testEntryPages(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		none, err := w.DB.Access().Entries(w.ctx, "", 10)
		w.ok(err)
		w.same(none, []access.Entry{})
		var users []directory.User
		for i := range 5 {
			u := w.user(fmt.Sprintf("u%d@example.test", i))
			w.tells(w.enrolled(u, fmt.Sprint("U", i)).ID, mdm.DeviceFacts{At: w.now(), OSVersion: fmt.Sprint(i), EASDeviceID: fmt.Sprint("APPL", i)})
			w.meet(u, fmt.Sprint("appl", i))
			users = append(users, u)
		}
		w.ok(w.DB.Users().RemoveUser(w.ctx, users[1].ID, w.now(), w.entry("user.remove", "")))
		want := []access.Entry{}
		for _, i := range []int{0, 2, 3, 4} {
			want = append(want, w.entryOf(users[i]))
		}
		got := []access.Entry{}
		for after, pages := directory.UserID(""), 0; ; pages++ {
			page, err := w.DB.Access().Entries(w.ctx, after, 3)
			w.ok(err)
			if len(page) == 0 {
				w.same(pages, 2)
				break
			}
			got = append(got, page...)
			after = page[len(page)-1].Person.ID
		}
		w.same(got, want)
		w.same(len(got[3].Devices)+len(got[3].Phones), 2)
	}
}

func testEntriesOf(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob, gone := w.user("alice@example.test"), w.user("bob@example.test"), w.user("gone@example.test")
		w.ok(w.DB.Users().RemoveUser(w.ctx, gone.ID, w.now(), w.entry("user.remove", "")))
		for _, ids := range [][]directory.UserID{nil, {"unknown"}, {gone.ID}} {
			list, err := w.DB.Access().EntriesOf(w.ctx, ids)
			w.ok(err)
			w.same(list, []access.Entry{})
		}
		many := []directory.UserID{bob.ID}
		for len(many) < 1200 {
			many = append(many, directory.UserID(newID()))
		}
		list, err := w.DB.Access().EntriesOf(w.ctx, append(many, alice.ID, gone.ID))
		w.ok(err)
		w.same(len(list), 2)
		for _, e := range list {
			w.same(e, w.entryOf(directory.User{ID: e.Person.ID}))
		}
	}
}

func testOwners(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		one, two := w.enrolled(alice, "U1"), w.enrolled(bob, "U2")
		owners, err := w.DB.Access().Owners(w.ctx, []mdm.EnrollmentID{one.ID, "unknown", two.ID})
		w.ok(err)
		w.same(owners, map[mdm.EnrollmentID]directory.UserID{one.ID: alice.ID, two.ID: bob.ID})
		none, err := w.DB.Access().Owners(w.ctx, nil)
		w.ok(err)
		w.same(none, map[mdm.EnrollmentID]directory.UserID{})
	}
}

func testLapsed(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		e := w.enrolled(alice, "U1")
		c := w.mailIdentity(alice, e.ID, "a")
		w.revoke(w.mailIdentity(bob, w.enrolled(bob, "U2").ID, "a"), certs.ReasonSuperseded)
		w.withIdentity(bob, "U3") // none of mail
		w.same(w.entryOf(alice).Phones[0].Certificates, []string{c.SHA256})
		lapsed := func(from, until time.Time, want ...directory.UserID) {
			t.Helper()
			list, err := w.DB.Access().Lapsed(w.ctx, from, until)
			w.ok(err)
			w.same(append([]directory.UserID{}, list...), append([]directory.UserID{}, want...))
		}
		long := 100 * 365 * 24 * time.Hour
		lapsed(w.now(), c.NotAfter.Add(-time.Microsecond))
		lapsed(w.now(), c.NotAfter, alice.ID)
		lapsed(c.NotAfter, c.NotAfter.Add(long))
		lapsed(c.NotAfter, w.now())
		c2 := w.mailIdentity(alice, e.ID, "b")
		lapsed(w.now(), c2.NotAfter.Add(long), alice.ID) // each once
	}
}

func testLastEvent(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		none, err := w.DB.Access().LastEvent(w.ctx)
		w.ok(err)
		w.same(none, int64(0))
		w.enrolled(w.user("alice@example.test"), "U1")
		last, err := w.DB.Access().LastEvent(w.ctx)
		w.ok(err)
		events, err := w.DB.Outbox().Pending(w.ctx, "a", 10)
		w.ok(err)
		w.same(last, events[len(events)-1].ID)
		// A certificate by which a mail client may prove itself is told.
		bob := w.user("bob@example.test")
		e := w.enrolled(bob, "U2")
		told := w.told(func() { w.mailIdentity(bob, e.ID, "p") })
		w.same(told, []string{"access " + string(bob.ID)})
	}
}

func testTimed(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob, carol := w.user("alice@example.test", "sales"), w.user("bob@example.test"), w.user("carol@example.test")
		hour := func(n int) time.Time { return stored(start.Add(time.Duration(n) * time.Hour)) }
		word := func(u directory.User, expires time.Time) access.Personal {
			return access.Personal{UserID: u.ID, Key: "k", Kind: access.PersonalExempt, ExpiresAt: expires}
		}
		w.ok(w.DB.Access().SavePersonal(w.ctx, []access.Personal{word(alice, hour(2)), word(bob, hour(4)), word(carol, time.Time{})}, nil))
		starting := func(name string, at time.Time, whom directory.Audience) {
			p := accessPolicy(name, fmt.Sprint(name, at))
			p.Spec.StartsAt, p.Spec.Assign = at, whom
			_, _, err := w.DB.Access().SavePolicy(w.ctx, p, w.entry("access.apply", ""))
			w.ok(err)
		}
		starting("group", hour(10), directory.Audience{Groups: []string{"SALES"}})
		starting("user", hour(12), directory.Audience{Users: []string{"BOB@example.test"}})
		starting("all", hour(14), directory.Audience{Everyone: true})
		tests := []struct {
			from, until int
			limit       int
			want        []directory.UserID
		}{
			{0, 2, 0, []directory.UserID{}},
			{2, 3, 0, []directory.UserID{alice.ID}},
			{0, 5, 0, []directory.UserID{alice.ID, bob.ID}},
			{0, 5, 1, []directory.UserID{alice.ID}},
			{3, 10, 0, []directory.UserID{bob.ID}},
			{5, 11, 0, []directory.UserID{alice.ID}},
			{5, 13, 0, []directory.UserID{alice.ID, bob.ID}},
			{14, 15, 0, []directory.UserID{alice.ID, bob.ID, carol.ID}},
			{15, 99, 0, []directory.UserID{}},
		}
		for _, tt := range tests {
			got, err := w.DB.Access().Timed(w.ctx, hour(tt.from), hour(tt.until), tt.limit)
			w.ok(err)
			w.same(got, tt.want)
		}
	}
}
