package storetest

import (
	"testing"

	"sallyport/certs"
)

// testLeaver: whoever relies on our CRL learns that a user has left. The management
// identities stay, since a phone has to come once more to have its mail removed.
func testLeaver(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		leaver, stays := w.user("alice@example.test"), w.user("bob@example.test")
		e, identity := w.withIdentity(leaver, "U1")
		byHand := func(rule certs.RuleName) certs.Certificate {
			return w.issue(w.challenge(certs.Grant{Rule: rule, CommonName: leaver.UPN, Mail: leaver.Email, UserID: string(leaver.ID), RequestedBy: "admin"}))
		}
		gone := []certs.Certificate{w.mailIdentity(leaver, e.ID, "a"), byHand(certs.RuleMailIdentity), byHand(certs.RuleSMIMESigning)}
		other, _ := w.withIdentity(stays, "U2")
		kept := w.mailIdentity(stays, other.ID, "a")
		superseded := w.revoke(byHand(certs.RuleMailIdentity), certs.ReasonSuperseded)
		before, now := w.mark(), w.later()
		w.ok(w.DB.Users().RemoveUser(w.ctx, leaver.ID, now, w.entry("user.remove", leaver.UPN)))
		for _, c := range gone {
			c.RevokedAt, c.Reason = stored(now), certs.ReasonAffiliationChanged
			w.same(w.certificate(c.SHA256), c)
		}
		for _, c := range []certs.Certificate{identity, kept, superseded} {
			w.same(w.certificate(c.SHA256), c)
		}
		w.same(w.mark().Count-before.Count, int64(len(gone)))
	}
}
