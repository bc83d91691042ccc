package storetest

import (
	"testing"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

func testAccess(t *testing.T, make Maker) {
	t.Run("logins", testLogins(make))
	t.Run("bound phones", testBoundPhones(make))
}

// set is the decision set as it is loaded from the database.
func (w *world) set() *access.Set {
	w.t.Helper()
	set := &access.Set{}
	entries, err := w.DB.Access().Entries(w.ctx, "", 1000)
	w.ok(err)
	for _, e := range entries {
		set.Put(e)
	}
	return set
}

func testLogins(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := directory.User{UPN: "alice@example.test", Email: "A.Liddell@mail.test", Username: "alice", DomainName: "CORP", CreatedAt: start, UpdatedAt: start}
		twin := directory.User{UPN: "alice@other.test", Email: "alice@other.test", Username: "Alice", CreatedAt: start, UpdatedAt: start}
		nameless := directory.User{UPN: "system@example.test", Email: "system@example.test", CreatedAt: start, UpdatedAt: start}
		_, err := w.DB.Users().SaveUsers(w.ctx, []directory.User{alice, twin, nameless}, nil)
		w.ok(err)
		set := w.set()
		tests := []struct {
			login string
			want  []string
		}{
			{"ALICE@example.test", []string{alice.UPN}},
			{"a.liddell@MAIL.test", []string{alice.UPN}},
			{`corp\ALICE`, []string{alice.UPN}},
			{"alice", []string{alice.UPN, twin.UPN}},
			{`other\alice`, nil},
			{`\alice`, nil},
			{"nobody", nil},
			{"", nil},
			{"%", nil},
		}
		for _, tt := range tests {
			var got, inMemory []string
			users, err := w.DB.Access().UsersByLogin(w.ctx, tt.login)
			w.ok(err)
			for _, u := range users {
				got = append(got, u.UPN)
			}
			for _, e := range set.Find(tt.login) {
				inMemory = append(inMemory, e.Person.UPN)
			}
			w.same(got, tt.want)
			w.same(inMemory, tt.want)
			if users == nil {
				t.Errorf("%q: nil instead of an empty list", tt.login)
			}
		}
	}
}

// A decision is judged by the phones that told the DeviceId: active ones first,
// then the newest; and what an admin ordered counts from its commit.
func testBoundPhones(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		bind := func(u directory.User, udid string) mdm.EnrollmentID {
			e := w.enrolled(u, udid)
			w.reports(e.ID, "ApplDEVICE")
			return e.ID
		}
		older, newer, ended, newestEnded := bind(alice, "U1"), bind(alice, "U2"), bind(alice, "U3"), bind(alice, "U4")
		bind(bob, "U5")
		w.enrolled(alice, "U6") // has not reported
		for _, id := range []mdm.EnrollmentID{ended, newestEnded} {
			w.ok(w.DB.Enrollments().End(w.ctx, id, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		}
		w.ok(w.DB.Plans().Advance(w.ctx, older, mdm.Enrolled, mdm.Configured))
		w.ordered(newer, mdm.ActionSelectiveWipe)
		type phone struct {
			ID       mdm.EnrollmentID
			State    mdm.EnrollmentState
			Withheld mdm.Withholding
		}
		bound := func(deviceID string) (list []phone) {
			in := w.set().Inputs(access.Client{User: alice.UPN, DeviceID: deviceID}, w.now())
			for _, p := range in.Phones {
				list = append(list, phone{p.EnrollmentID, p.State, p.Withheld})
			}
			return list
		}
		w.same(bound("appldevice"), []phone{{newer, mdm.Enrolled, mdm.WithholdEverything}, {older, mdm.Configured, ""},
			{newestEnded, mdm.CheckedOut, ""}, {ended, mdm.CheckedOut, ""}})
		w.same(bound("unknown"), []phone(nil))
	}
}
