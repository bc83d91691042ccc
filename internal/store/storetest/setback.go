package storetest

import (
	"testing"
	"time"

	"sallyport/certs"
)

// testSetBack: which certificate follows which is decided by nobody's clock. A phone
// that was given a successor while ours was behind is that phone all the same.
func testSetBack(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		for name, back := range map[string]time.Duration{"by a day": 24 * time.Hour, "not even on": 0} {
			w := newWorld(t, make)
			u := w.user("alice@example.test")
			e, identity := w.withIdentity(u, "U1")
			mail := w.mailIdentity(u, e.ID, "a")
			w.clock = w.clock.Add(-back)
			successor := w.issue(w.challenge(successorGrant(e)))
			newer := w.mailIdentity(u, e.ID, "a")

			list, err := w.DB.Certificates().Certificates(w.ctx, string(e.ID), certs.RuleMDMIdentity)
			w.ok(err)
			w.same(list, []certs.Certificate{successor, identity})
			e, err = w.DB.Renewals().PinSuccessor(w.ctx, e.ID, identity.SHA256, successor.SHA256, w.now(), w.entry("identity.pin", ""))
			if err != nil {
				t.Fatalf("%s: the phone's new identity is refused: %v", name, err)
			}
			w.same(w.certificate(identity.SHA256).Reason, certs.ReasonSuperseded)

			_, err = w.issueRenewal(mail, claim(newID()))
			w.is(err, certs.ErrChallengeInvalid)
			n, err := w.DB.Renewals().RetirePredecessors(w.ctx, e.ID, []string{mail.SHA256, newer.SHA256}, w.now(), w.entry("identity.retire", ""))
			w.ok(err)
			w.same([]any{n, w.certificate(newer.SHA256).RevokedAt}, []any{1, time.Time{}})
			w.renewed(newer)
		}
	}
}
