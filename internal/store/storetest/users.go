package storetest

import (
	"fmt"
	"testing"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

func testUsers(t *testing.T, make Maker) {
	t.Run("save and find", func(t *testing.T) {
		w := newWorld(t, make)
		alice := directory.User{UPN: "Alice@Example.test", Email: "A.Liddell@example.test", Username: "alice", DomainName: "CORP",
			DisplayName: "Alice", FirstName: "Alice", MiddleName: "P", LastName: "Liddell", Groups: []string{"Sales", "Staff"},
			SharedMailbox: true, CreatedAt: start, UpdatedAt: start}
		saved, err := w.DB.Users().SaveUsers(w.ctx, []directory.User{alice, person("bob@example.test")},
			[]audit.Entry{w.entry("user.save", "a"), w.entry("user.save", "b")})
		w.ok(err)
		w.audited("user.save", 2)
		if saved[0].ID == "" || saved[0].ID == saved[1].ID {
			t.Fatalf("IDs %q and %q", saved[0].ID, saved[1].ID)
		}
		alice.ID, alice.CreatedAt, alice.UpdatedAt = saved[0].ID, stored(start), stored(start)
		w.same(saved[0], alice)
		byID, err := w.DB.Users().UserByID(w.ctx, alice.ID)
		w.ok(err)
		w.same(byID, alice)
		byUPN, err := w.DB.Users().UserByUPN(w.ctx, "ALICE@example.TEST")
		w.ok(err)
		w.same(byUPN, alice)
		_, err = w.DB.Users().UserByUPN(w.ctx, "nobody@example.test")
		w.is(err, directory.ErrNotFound)
		_, err = w.DB.Users().UserByID(w.ctx, "nobody")
		w.is(err, directory.ErrNotFound)
	})
	t.Run("a change is told for every active enrolment", func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test", "sales")
		active := w.enrolled(alice, "U1")
		w.enrolled(w.user("bob@example.test"), "U2")
		alice.Groups = []string{"staff"}
		got := w.newEvents(func() {
			_, err := w.DB.Users().SaveUsers(w.ctx, []directory.User{alice}, []audit.Entry{w.entry("user.save", "a")})
			w.ok(err)
		})
		w.same(got, []string{"user_changed " + string(active.ID)})
	})
	t.Run("update keeps ID and creation", func(t *testing.T) {
		w := newWorld(t, make)
		old := w.user("alice@example.test", "sales")
		changed := person("ALICE@example.test", "staff")
		changed.CreatedAt, changed.UpdatedAt = w.later(), w.later()
		saved, err := w.DB.Users().SaveUsers(w.ctx, []directory.User{changed}, nil)
		w.ok(err)
		changed.ID, changed.CreatedAt, changed.UpdatedAt = old.ID, old.CreatedAt, stored(changed.UpdatedAt)
		w.same(saved[0], changed)
		for group, want := range map[string]int{"sales": 0, "STAFF": 1} {
			list, err := w.DB.Users().ListUsers(w.ctx, group, directory.Page{})
			w.ok(err)
			w.same(len(list), want)
		}
	})
	t.Run("letters outside ASCII never fold into it", func(t *testing.T) {
		w := newWorld(t, make)
		w.user("kim@example.test")
		w.user("\u212aim@example.test") // Kelvin sign
		_, err := w.DB.Users().UserByUPN(w.ctx, "K\u0130M@example.test")
		w.is(err, directory.ErrNotFound)
		w.user("\u00c4rzte@example.test")
		_, err = w.DB.Users().UserByUPN(w.ctx, "\u00e4rzte@example.test")
		w.ok(err)
	})
	t.Run("an address belongs to one user", testUserConflict(make))
	t.Run("paging and groups", testUserPages(make))
	t.Run("remove", testUserRemove(make))
}

func testUserConflict(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		w.user("alice@example.test")
		thief := person("bob@example.test")
		thief.Email = "Alice@Example.test"
		w.unchangedBy(func() {
			_, err := w.DB.Users().SaveUsers(w.ctx, []directory.User{person("carol@example.test"), thief}, []audit.Entry{w.entry("user.save", "")})
			w.is(err, directory.ErrConflict)
			if all := refusal.All(err); len(all) != 1 || all[0].Field != "email" {
				t.Fatalf("refusals %v name no field", all)
			}
		})
		// Two users may exchange their addresses in one import.
		w.user("bob@example.test")
		a, b := person("alice@example.test"), person("bob@example.test")
		a.Email, b.Email = b.Email, a.Email
		saved, err := w.DB.Users().SaveUsers(w.ctx, []directory.User{a, b}, nil)
		w.ok(err)
		w.same([]string{saved[0].Email, saved[1].Email}, []string{"bob@example.test", "alice@example.test"})
	}
}

func testUserPages(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		none, err := w.DB.Users().ListUsers(w.ctx, "", directory.Page{})
		w.ok(err)
		w.same(none, []directory.User{})
		users := []directory.User{}
		for i := range 120 {
			u := person(fmt.Sprintf("User%03d@example.test", 119-i))
			if i%2 == 0 {
				u.Groups = []string{"Even"}
			}
			users = append(users, u)
		}
		_, err = w.DB.Users().SaveUsers(w.ctx, users, nil)
		w.ok(err)
		seen := []string{}
		for cursor := ""; ; {
			page, err := w.DB.Users().ListUsers(w.ctx, "", directory.Page{After: cursor, Limit: 50})
			w.ok(err)
			for _, u := range page {
				seen = append(seen, u.UPN)
			}
			if len(page) < 50 {
				break
			}
			cursor = page[len(page)-1].UPN
		}
		for i, upn := range seen {
			w.same(upn, fmt.Sprintf("User%03d@example.test", i))
		}
		w.same(len(seen), 120)
		for limit, want := range map[int]int{0: 100, -1: 100, 7: 7, 5000: 120} {
			page, err := w.DB.Users().ListUsers(w.ctx, "", directory.Page{Limit: limit})
			w.ok(err)
			w.same(len(page), want)
		}
		even, err := w.DB.Users().ListUsers(w.ctx, "EVEN", directory.Page{})
		w.ok(err)
		w.same(len(even), 60)
	}
}

func testUserRemove(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u, other := w.user("alice@example.test", "sales"), w.user("bob@example.test")
		open, used := w.invitation(u), w.invitation(u)
		othersInvitation := w.invitation(other)
		c := w.challenge(mailGrant(u, "E"))
		w.issue(w.challenge(identityGrant(used)))
		first, second := w.enrolled(u, "U1"), w.admitted(u, "U2")
		foreign := w.enrolled(other, "U3")

		w.unchangedBy(func() {
			w.is(w.DB.Users().RemoveUser(w.ctx, "nobody", w.now(), w.entry("user.remove", "")), directory.ErrNotFound)
		})
		w.later()
		events := w.newEvents(func() {
			w.ok(w.DB.Users().RemoveUser(w.ctx, u.ID, w.now(), w.entry("user.remove", u.UPN)))
		})
		w.same(events, []string{"user_removed " + string(first.ID), "user_removed " + string(second.ID)})
		w.audited("user.remove", 1)

		_, err := w.DB.Users().UserByID(w.ctx, u.ID)
		w.is(err, directory.ErrNotFound)
		_, err = w.DB.Users().UserByUPN(w.ctx, u.UPN)
		w.is(err, directory.ErrNotFound)
		logins, err := w.DB.Access().UsersByLogin(w.ctx, u.UPN)
		w.ok(err)
		w.same(logins, []directory.User{})
		_, err = w.DB.Invitations().InvitationByCode(w.ctx, open.CodeHash)
		w.is(err, enroll.ErrNotFound)
		_, err = w.issueTo(c.Hash, claim("t"))
		w.is(err, certs.ErrChallengeInvalid)
		states := map[enroll.InvitationID]enroll.InvitationState{}
		list, err := w.DB.Invitations().ListInvitations(w.ctx, "", directory.Page{})
		w.ok(err)
		for _, i := range list {
			states[i.ID] = i.State
		}
		w.same(states, map[enroll.InvitationID]enroll.InvitationState{open.ID: enroll.InvitationRevoked,
			used.ID: enroll.InvitationUsed, othersInvitation.ID: enroll.InvitationOpen})
		row, err := w.DB.Devices().DeviceByID(w.ctx, first.DeviceID)
		w.ok(err)
		w.same(row.UPN, "")
		w.same(row.ChangedAt, stored(w.now()))
		_, err = w.DB.Enrollments().EnrollmentByID(w.ctx, foreign.ID)
		w.ok(err)

		w.is(w.DB.Users().RemoveUser(w.ctx, u.ID, w.now(), w.entry("user.remove", "")), directory.ErrNotFound)
		again := w.user("Alice@example.test")
		if again.ID == u.ID {
			t.Fatal("the removed user came back to life")
		}
	}
}
