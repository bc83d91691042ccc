package storetest

import (
	"testing"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

func testAccess(t *testing.T, make Maker) {
	t.Run("logins", testLogins(make))
	t.Run("bindings", testBindings(make))
}

func testLogins(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := directory.User{UPN: "alice@example.test", Email: "A.Liddell@mail.test", Username: "alice", DomainName: "CORP", CreatedAt: start, UpdatedAt: start}
		twin := directory.User{UPN: "alice@other.test", Email: "alice@other.test", Username: "Alice", CreatedAt: start, UpdatedAt: start}
		nameless := directory.User{UPN: "system@example.test", Email: "system@example.test", CreatedAt: start, UpdatedAt: start}
		_, err := w.DB.Users().SaveUsers(w.ctx, []directory.User{alice, twin, nameless}, nil)
		w.ok(err)
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
			users, err := w.DB.Access().UsersByLogin(w.ctx, tt.login)
			w.ok(err)
			var got []string
			for _, u := range users {
				got = append(got, u.UPN)
			}
			w.same(got, tt.want)
			if users == nil {
				t.Errorf("%q: nil instead of an empty list", tt.login)
			}
		}
	}
}

func testBindings(make Maker) func(*testing.T) {
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
		got, err := w.DB.Access().Bindings(w.ctx, alice.ID, "appldevice")
		w.ok(err)
		want := []access.Binding{}
		for _, b := range []struct {
			id    mdm.EnrollmentID
			state mdm.EnrollmentState
		}{{newer, mdm.Enrolled}, {older, mdm.Configured}, {newestEnded, mdm.CheckedOut}, {ended, mdm.CheckedOut}} {
			want = append(want, access.Binding{EnrollmentID: b.id, UserID: alice.ID, EASDeviceID: "appldevice", State: b.state})
		}
		w.same(got, want)
		w.ordered(newer, mdm.ActionSelectiveWipe) // its commit is enough
		want[0].Withheld = mdm.WithholdEverything
		got, err = w.DB.Access().Bindings(w.ctx, alice.ID, "appldevice")
		w.ok(err)
		w.same(got, want)
		for _, device := range []string{"", "unknown"} {
			none, err := w.DB.Access().Bindings(w.ctx, alice.ID, device)
			w.ok(err)
			w.same(none, []access.Binding{})
		}
	}
}
