package storetest

import (
	"testing"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
)

func testInvitations(t *testing.T, make Maker) {
	t.Run("create and find", func(t *testing.T) {
		w := newWorld(t, make)
		i := w.invitation(w.user("alice@example.test"))
		byCode, err := w.DB.Invitations().InvitationByCode(w.ctx, i.CodeHash)
		w.ok(err)
		w.same(byCode, i)
		byID, err := w.DB.Invitations().InvitationByID(w.ctx, i.ID)
		w.ok(err)
		w.same(byID, i)
		_, err = w.DB.Invitations().InvitationByCode(w.ctx, []byte("unknown"))
		w.is(err, enroll.ErrNotFound)
		_, err = w.DB.Invitations().InvitationByID(w.ctx, "unknown")
		w.is(err, enroll.ErrNotFound)
	})
	t.Run("without a PIN", func(t *testing.T) {
		w := newWorld(t, make)
		i := w.invitation(w.user("alice@example.test"))
		i.ID, i.CodeHash, i.PINHash = enroll.InvitationID(newID()), []byte("code"), nil
		w.ok(w.DB.Invitations().CreateInvitations(w.ctx, []enroll.Invitation{i}, nil))
		got, err := w.DB.Invitations().InvitationByID(w.ctx, i.ID)
		w.ok(err)
		w.same(got, i)
	})
	t.Run("all or none", func(t *testing.T) {
		w := newWorld(t, make)
		first := w.invitation(w.user("alice@example.test"))
		next := first
		next.ID, next.CodeHash = enroll.InvitationID(newID()), []byte("next")
		stranger := next
		stranger.ID, stranger.CodeHash, stranger.UserID = enroll.InvitationID(newID()), []byte("stranger"), "nobody"
		entries := []audit.Entry{w.entry("invitation.create", "")}
		w.unchangedBy(func() {
			w.is(w.DB.Invitations().CreateInvitations(w.ctx, []enroll.Invitation{next, first}, entries), enroll.ErrConflict)
			w.is(w.DB.Invitations().CreateInvitations(w.ctx, []enroll.Invitation{next, stranger}, entries), enroll.ErrNotFound)
		})
	})
	t.Run("list", testInvitationPages(make))
	t.Run("revoke", testInvitationRevoke(make))
}

func testInvitationPages(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		none, err := w.DB.Invitations().ListInvitations(w.ctx, "", directory.Page{})
		w.ok(err)
		w.same(none, []enroll.Invitation{})
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		newest := []enroll.Invitation{}
		for range 5 {
			newest = append([]enroll.Invitation{w.invitation(alice)}, newest...)
			w.invitation(bob)
		}
		list, err := w.DB.Invitations().ListInvitations(w.ctx, alice.ID, directory.Page{})
		w.ok(err)
		w.same(list, newest)
		page, err := w.DB.Invitations().ListInvitations(w.ctx, alice.ID, directory.Page{After: string(newest[1].ID), Limit: 2})
		w.ok(err)
		w.same(page, newest[2:4])
		all, err := w.DB.Invitations().ListInvitations(w.ctx, "", directory.Page{})
		w.ok(err)
		w.same(len(all), 10)
	}
}

func testInvitationRevoke(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		i := w.invitation(u)
		open := w.challenge(identityGrant(i))
		revoke := w.DB.Invitations().RevokeInvitation
		w.unchangedBy(func() { w.is(revoke(w.ctx, "unknown", w.entry("invitation.revoke", "")), enroll.ErrNotFound) })
		w.ok(revoke(w.ctx, i.ID, w.entry("invitation.revoke", string(i.ID))))
		w.audited("invitation.revoke", 1)
		got, err := w.DB.Invitations().InvitationByCode(w.ctx, i.CodeHash)
		w.ok(err)
		w.same(got.State, enroll.InvitationRevoked)
		_, err = w.issueTo(open.Hash, claim("t"))
		w.is(err, certs.ErrChallengeInvalid)
		w.unchangedBy(func() { w.is(revoke(w.ctx, i.ID, w.entry("invitation.revoke", "")), enroll.ErrConflict) })
		// A used one cannot be revoked.
		used := w.invitation(u)
		w.issue(w.challenge(identityGrant(used)))
		w.is(revoke(w.ctx, used.ID, w.entry("invitation.revoke", "")), enroll.ErrConflict)
	}
}
