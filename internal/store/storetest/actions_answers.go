package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

func testActAnswers(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		reported, moved := "reported "+string(e.ID), "action "+string(e.ID)
		a := w.ordered(e.ID, mdm.ActionCommand)
		c := w.sent(a)
		a.State, a.CommandID, a.SentAt = mdm.ActionSent, c.ID, c.SentAt
		w.same(w.action(a.ID), a)

		w.same(w.newEvents(func() { w.answers(c, mdm.StatusNotNow) }), []string{reported})
		a.State, a.CommandID, a.SentAt = mdm.ActionPending, "", time.Time{}
		w.same(w.action(a.ID), a)
		w.unchangedBy(func() { w.answers(c, mdm.StatusNotNow) })

		c = w.sent(a)
		result := mdm.Contact{At: w.later(), Status: mdm.StatusAcknowledged, CommandID: c.ID, Result: secret.New("canary-answer")}
		w.same(w.newEvents(func() { w.contact(e.ID, result) }), []string{moved, reported})
		a.State, a.CommandID, a.SentAt, a.DoneAt = mdm.ActionAcknowledged, c.ID, c.SentAt, stored(w.now())
		a.Result = result.Result
		w.same(w.action(a.ID), a)
		w.audited("action.acknowledge", 1)
		if strings.Contains(w.Dump(t), "canary") {
			t.Error("a phone's answer is stored in the clear")
		}
		w.unchangedBy(func() {
			result.At = w.later()
			w.contact(e.ID, result)
			w.is(w.DB.Plans().SaveCommand(w.ctx, w.carrier(a), nil), enroll.ErrConflict)
		})

		b := w.ordered(e.ID, mdm.ActionLock)
		c = w.sent(b)
		w.contact(e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusError, CommandID: c.ID, Errors: []mdm.ErrorItem{{Code: 7, Domain: "D", Description: "No"}}})
		b.State, b.CommandID, b.SentAt, b.DoneAt, b.Error = mdm.ActionFailed, c.ID, c.SentAt, stored(w.now()), "No (D 7)"
		w.same(w.action(b.ID), b)
		w.audited("action.fail", 1)
		w.same(w.plan(e.ID).Commands[0].ActionID, b.ID)
		w.same(w.plan(e.ID).Actions, []mdm.Action{})

		other := w.enrolled(w.user("bob@example.test"), "U2") // whose command cannot carry alice's act
		foreign := w.carrier(w.ordered(e.ID, mdm.ActionRename))
		foreign.EnrollmentID = other.ID
		w.unchangedBy(func() { w.is(w.DB.Plans().SaveCommand(w.ctx, foreign, nil), enroll.ErrConflict) })
	}
}

func testOldCarrier(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		a := w.ordered(e.ID, mdm.ActionLock)
		first := w.sent(a)
		second := w.sent(a)
		w.answers(first, mdm.StatusNotNow)
		w.same(w.action(a.ID).State, mdm.ActionSent) // the second one is out
		w.answers(first, mdm.StatusError)
		w.same(w.action(a.ID).State, mdm.ActionSent)
		third := w.sent(a)
		w.idle(e.ID)
		w.answers(second, mdm.StatusAcknowledged) // what is done is done
		w.same(w.action(a.ID).State, mdm.ActionAcknowledged)
		w.answers(third, mdm.StatusError)
		w.same(w.action(a.ID).State, mdm.ActionAcknowledged)
		w.audited("action.acknowledge", 1)

		// A phone did what an admin took back between its NotNow and now.
		b := w.ordered(e.ID, mdm.ActionLock)
		c := w.sent(b)
		w.answers(c, mdm.StatusNotNow)
		w.ok(w.cancel(b))
		w.answers(c, mdm.StatusAcknowledged)
		w.same(w.action(b.ID).State, mdm.ActionAcknowledged)
	}
}

func testActRepeated(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		a := w.ordered(e.ID, mdm.ActionWipe)
		c, derived := w.sent(a), w.command(e.ID, "SecurityInfo", "")
		states := func() map[mdm.CommandID]mdm.CommandState {
			m := map[mdm.CommandID]mdm.CommandState{}
			for _, c := range w.plan(e.ID).Commands {
				m[c.ID] = c.State
			}
			return m
		}
		w.idle(e.ID)
		w.same(states(), map[mdm.CommandID]mdm.CommandState{c.ID: mdm.Sent, derived.ID: mdm.Superseded})
		w.same(w.plan(e.ID).Actions[0].CommandID, c.ID)
		w.unchangedBy(func() { w.ok(w.DB.Plans().SaveCommand(w.ctx, c, nil)) })
		w.answers(c, mdm.StatusNotNow)
		w.same(w.action(a.ID).State, mdm.ActionPending)
		w.ok(w.DB.Plans().SaveCommand(w.ctx, c, nil)) // the same once more
		w.same(states(), map[mdm.CommandID]mdm.CommandState{c.ID: mdm.Sent, derived.ID: mdm.Superseded})
		w.same(w.action(a.ID).State, mdm.ActionSent)

		_, err := w.DB.Actions().ExpireActions(w.ctx, a.ExpiresAt, 10)
		w.ok(err)
		w.idle(e.ID) // nothing stays Sent for an act that is over
		w.same(states(), map[mdm.CommandID]mdm.CommandState{c.ID: mdm.Superseded, derived.ID: mdm.Superseded})
		w.is(w.DB.Plans().SaveCommand(w.ctx, c, nil), enroll.ErrConflict)
		w.answers(c, mdm.StatusAcknowledged) // late
		w.same(w.action(a.ID).State, mdm.ActionAcknowledged)
		w.same(w.enrollment(e.ID).State, mdm.Retired)
	}
}

func testWipe(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		identity := w.issue(w.challenge(identityGrant(w.invitation(u))))
		d, request := w.request(u, "U1")
		request.CertificateHash, request.PollOnly = identity.SHA256, false
		e, err := w.DB.Enrollments().Admit(w.ctx, d, request, w.entry("enrollment.authenticate", ""))
		w.ok(err)
		w.ok(w.DB.Enrollments().Activate(w.ctx, e.ID, w.push(), w.now(), w.entry("enrollment.enroll", "")))
		mail, open := w.issue(w.challenge(mailGrant(u, e.ID))), w.challenge(mailGrant(u, e.ID))
		bystander := w.enrolled(u, "U2")
		kept := w.issue(w.challenge(mailGrant(u, bystander.ID)))
		w.wake(w.now())

		wipe, lock := w.ordered(e.ID, mdm.ActionWipe), w.ordered(e.ID, mdm.ActionLock)
		c := w.sent(wipe)
		events := w.newEvents(func() { w.answers(c, mdm.StatusAcknowledged) })
		w.same(events, []string{"action " + string(e.ID), "action " + string(e.ID), "ended " + string(e.ID), "reported " + string(e.ID)})
		got := w.enrollment(e.ID)
		w.same([]any{got.State, got.EndedAt, got.Withheld}, []any{mdm.Retired, stored(w.now()), mdm.WithholdEverything})
		w.same(w.action(lock.ID).State, mdm.ActionCancelled)
		for sha, revoked := range map[string]bool{identity.SHA256: true, mail.SHA256: true, kept.SHA256: false} {
			cert, err := w.DB.Certificates().CertificateByHash(w.ctx, sha)
			w.ok(err)
			w.same(!cert.RevokedAt.IsZero(), revoked)
		}
		if _, err := w.issueTo(open.Hash, claim("t")); err == nil {
			t.Error("a wiped phone got a certificate")
		}
		w.same(w.due(w.now().Add(time.Hour)), []enroll.Wakeup{})
		w.unchangedBy(func() { w.answers(c, mdm.StatusAcknowledged) })
		w.is(w.DB.Enrollments().Activate(w.ctx, e.ID, w.push(), w.now(), w.entry("enrollment.enroll", "")), enroll.ErrConflict)
		w.same(w.enrollment(bystander.ID).State, mdm.Enrolled)
	}
}

func testActsAtEnd(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		tests := []struct {
			name  string
			end   mdm.EnrollmentState
			send  bool // before the end
			kind  mdm.ActionKind
			state mdm.EnrollmentState
			act   mdm.ActionState
		}{
			{"checked out", mdm.CheckedOut, false, mdm.ActionLock, mdm.CheckedOut, mdm.ActionCancelled},
			{"checked out, sent", mdm.CheckedOut, true, mdm.ActionLock, mdm.CheckedOut, mdm.ActionFailed},
			{"checked out as asked", mdm.CheckedOut, true, mdm.ActionRetire, mdm.Retired, mdm.ActionAcknowledged},
			{"checked out before it was asked", mdm.CheckedOut, false, mdm.ActionRetire, mdm.Retired, mdm.ActionAcknowledged},
			{"a wipe is not taken back by it", mdm.CheckedOut, false, mdm.ActionWipe, mdm.CheckedOut, mdm.ActionFailed},
			{"a wipe sent", mdm.Replaced, true, mdm.ActionWipe, mdm.Replaced, mdm.ActionFailed},
			{"a selective wipe", mdm.CheckedOut, false, mdm.ActionSelectiveWipe, mdm.CheckedOut, mdm.ActionFailed},
			{"retired by another way", mdm.Replaced, false, mdm.ActionRetire, mdm.Replaced, mdm.ActionFailed},
			{"policies", mdm.CheckedOut, false, mdm.ActionRemovePolicies, mdm.CheckedOut, mdm.ActionCancelled},
			{"retired by force", mdm.Retired, false, mdm.ActionRetire, mdm.Retired, mdm.ActionAcknowledged},
		}
		w := newWorld(t, make)
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				u := w.user(fmt.Sprintf("user%d@example.test", i))
				e := w.enrolled(u, fmt.Sprint("U", i))
				mail := w.issue(w.challenge(mailGrant(u, e.ID)))
				a := w.ordered(e.ID, tt.kind)
				if tt.send {
					w.sent(a)
				}
				w.ok(w.DB.Enrollments().End(w.ctx, e.ID, tt.end, w.later(), w.entry("enrollment.end", "")))
				got := w.action(a.ID)
				w.same([]any{w.enrollment(e.ID).State, got.State}, []any{tt.state, tt.act})
				if got.State == mdm.ActionFailed {
					w.same([]any{got.Error, got.DoneAt, w.enrollment(e.ID).Withheld}, []any{"the enrolment ended", stored(w.now()), tt.kind.Withholds()})
				}
				cert, err := w.DB.Certificates().CertificateByHash(w.ctx, mail.SHA256)
				w.ok(err)
				w.same(cert.RevokedAt.IsZero(), false)
			})
		}
	}
}
