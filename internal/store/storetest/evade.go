package storetest

import (
	"fmt"
	"testing"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// comes lets a phone authenticate under an invitation.
func (w *world) comes(i enroll.Invitation, udid string, o mdm.Ownership) mdm.Enrollment {
	w.t.Helper()
	w.later()
	d, e := w.request(directory.User{ID: i.UserID}, udid)
	e.InvitationID, e.Ownership = string(i.ID), o
	e, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("enrollment.authenticate", string(e.ID)))
	w.ok(err)
	return e
}

func (w *world) activates(e mdm.Enrollment) mdm.EnrollmentState {
	w.t.Helper()
	w.ok(w.DB.Enrollments().Activate(w.ctx, e.ID, w.push(), w.later(), w.entry("enrollment.enroll", "")))
	return w.enrollment(e.ID).State
}

func (w *world) invited(u directory.User) enroll.Invitation {
	w.t.Helper()
	w.later()
	return w.invitation(u)
}

// testEvade: an act that takes the mail from a phone is not shaken off by
// un-enrolling and coming again under an invitation from before.
func testEvade(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		const corporate, personal = mdm.Corporate, mdm.Personal
		tests := []struct {
			name      string
			kind      mdm.ActionKind
			do        string // see step; lift: done and then resent; unapproved
			end       mdm.EnrollmentState
			fresh     bool // comes with an invitation from after the act
			ownership mdm.Ownership
			held      bool
		}{
			{"a wipe on its way", mdm.ActionWipe, "", mdm.CheckedOut, false, personal, true},
			{"a wipe on its way, still enrolled", mdm.ActionWipe, "", "", false, corporate, true},
			{"a wipe sent", mdm.ActionWipe, "send", mdm.CheckedOut, false, personal, true},
			{"a wipe failed", mdm.ActionWipe, "fail", mdm.CheckedOut, false, corporate, true},
			{"a wipe expired", mdm.ActionWipe, "expire", mdm.CheckedOut, false, corporate, true},
			{"a selective wipe on its way", mdm.ActionSelectiveWipe, "", mdm.CheckedOut, false, corporate, true},
			{"a selective wipe done", mdm.ActionSelectiveWipe, "done", mdm.CheckedOut, false, corporate, true},
			{"a selective wipe begun", mdm.ActionSelectiveWipe, "begin", mdm.CheckedOut, false, corporate, true},
			{"retired as asked", mdm.ActionRetire, "", mdm.CheckedOut, false, corporate, true},
			{"taken back", mdm.ActionWipe, "cancel", mdm.CheckedOut, false, personal, false},
			{"never approved", mdm.ActionWipe, "unapproved", mdm.CheckedOut, false, personal, false},
			{"lifted", mdm.ActionSelectiveWipe, "lift", mdm.CheckedOut, false, personal, false},
			{"policies alone", mdm.ActionRemovePolicies, "", mdm.CheckedOut, false, personal, false},
			{"a lock", mdm.ActionLock, "", mdm.CheckedOut, false, personal, false},
			{"nothing but un-enrolled", "", "", mdm.CheckedOut, false, personal, false},
			{"enrolled anew", "", "", "", false, personal, false},
			{"fresh consent", mdm.ActionWipe, "", mdm.CheckedOut, true, corporate, false},
			{"fresh consent, still enrolled", mdm.ActionWipe, "send", "", true, corporate, false},
			{"fresh consent, to personal", mdm.ActionWipe, "", mdm.CheckedOut, true, personal, true},
			{"fresh consent, to personal, still enrolled", mdm.ActionWipe, "send", "", true, personal, true},
			{"fresh consent after it was retired", mdm.ActionRetire, "", mdm.CheckedOut, true, personal, false},
			{"fresh consent after a selective wipe", mdm.ActionSelectiveWipe, "done", mdm.CheckedOut, true, personal, false},
		}
		w := newWorld(t, make)
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				udid := fmt.Sprint("U", i)
				alice := w.user(fmt.Sprintf("alice%d@example.test", i))
				first, invitation := w.invited(alice), w.invited(alice)
				e := w.comes(first, udid, corporate)
				w.same(w.activates(e), mdm.Enrolled)
				var act mdm.Action
				if tt.kind != "" {
					act = w.evadable(e, tt.kind, tt.do)
				}
				if tt.fresh {
					invitation = w.invited(alice)
				}
				if tt.end != "" {
					w.ok(w.DB.Enrollments().End(w.ctx, e.ID, tt.end, w.later(), w.entry("enrollment.end", "")))
				}
				before := w.rowsOf(w.enrollment(e.ID), "")
				again := w.comes(invitation, udid, tt.ownership)
				if !tt.held {
					w.same([]any{again.State, w.activates(again)}, []any{mdm.Authenticated, mdm.Enrolled})
					return
				}
				w.same(again.State, mdm.Held)
				w.same(w.activates(again), mdm.Held)
				w.same(w.rowsOf(e, again.ID), before)
				rows := w.listHeld(directory.Page{})
				got := rows[len(rows)-1]
				act = w.action(act.ID)
				w.same([]any{got.Enrollment.ID, got.HolderUPN, got.Act}, []any{again.ID, "", mdm.Action{ID: act.ID, EnrollmentID: e.ID,
					Kind: tt.kind, State: act.State, RequestedBy: act.RequestedBy, RequestedAt: act.RequestedAt}})
				entries, err := w.DB.Audit().List(w.ctx, audit.Filter{Action: "enrollment.hold", Target: string(again.ID)})
				w.ok(err)
				w.same([]any{len(entries), entries[0].Detail["act"]}, []any{1, string(act.ID)})
			})
		}
	}
}

// evadable orders an act and brings it to where the test wants it.
func (w *world) evadable(e mdm.Enrollment, kind mdm.ActionKind, do string) mdm.Action {
	w.t.Helper()
	if do == "unapproved" {
		a := w.act(e.ID, kind)
		a.State = mdm.ActionUnapproved
		w.ok(w.DB.Actions().CreateAction(w.ctx, a, w.entry("action.order", "")))
		return a
	}
	a := w.ordered(e.ID, kind)
	if do == "lift" {
		w.step(a, "done")
		w.ordered(e.ID, mdm.ActionResend)
		return a
	}
	w.step(a, do)
	return a
}

// testEvadeBetween: the act is ordered between the two messages of the new
// enrolment; and who was let in by an admin is not held for the same act again.
func testEvadeBetween(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		spare, second := w.invited(alice), w.invited(alice)
		e := w.comes(w.invited(alice), "U1", mdm.Corporate)
		w.activates(e)
		again, third := w.comes(spare, "U1", mdm.Personal), w.comes(second, "U1", mdm.Personal)
		w.same([]any{again.State, third.State}, []any{mdm.Authenticated, mdm.Authenticated})
		wipe := w.ordered(e.ID, mdm.ActionWipe)
		w.same(w.activates(again), mdm.Held)
		w.same([]any{w.enrollment(e.ID).State, w.action(wipe.ID).State}, []any{mdm.Enrolled, mdm.ActionPending})
		w.same(w.listHeld(directory.Page{})[0].Act.ID, wipe.ID)

		w.ok(w.DB.Held().AdmitHeld(w.ctx, again.ID, w.later(), w.entry("enrollment.admit", "")))
		w.same([]any{w.enrollment(again.ID).State, w.enrollment(e.ID).State, w.action(wipe.ID).State},
			[]any{mdm.Enrolled, mdm.Replaced, mdm.ActionFailed})

		// One that had sent no token yet is admitted before it is activated.
		held := w.comes(spare, "U1", mdm.Personal)
		w.same(held.State, mdm.Held)
		w.ok(w.DB.Held().AdmitHeld(w.ctx, held.ID, w.later(), w.entry("enrollment.admit", "")))
		w.same(w.activates(held), mdm.Enrolled)
		retire := w.ordered(held.ID, mdm.ActionRetire) // what was ordered since counts anew
		w.same(w.comes(spare, "U1", mdm.Personal).State, mdm.Held)
		w.same(w.listHeld(directory.Page{})[0].Act.ID, retire.ID)

		// Whose invitation nobody knows has nobody's consent; and another user is
		// held for both reasons.
		mallory := w.user("mallory@example.test")
		w.same(w.claims(mallory, "U1").State, mdm.Held)
		rows := w.listHeld(directory.Page{})
		last := rows[len(rows)-1]
		w.same([]any{last.UPN, last.HolderUPN, last.Act.ID}, []any{mallory.UPN, alice.UPN, retire.ID})
	}
}
