package storetest

import (
	"testing"

	"sallyport/certs"
	"sallyport/mdm"
)

// testRevokedWithEnrollment: what was issued for an enrolment ends with it, in
// whichever way that ends, and nothing of the one that took its place.
func testRevokedWithEnrollment(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		revoked := func(reason certs.RevocationReason, list ...certs.Certificate) {
			t.Helper()
			for _, c := range list {
				got := w.certificate(c.SHA256)
				w.same([]any{got.Rule, got.RevokedAt, got.Reason}, []any{c.Rule, stored(w.now()), reason})
			}
		}
		valid := func(list ...certs.Certificate) {
			t.Helper()
			for _, c := range list {
				w.same(w.certificate(c.SHA256), c)
			}
		}

		first, itsIdentity := w.withIdentity(u, "U1")
		itsMail := w.mailIdentity(u, first.ID, "a")
		elsewhere, otherIdentity := w.withIdentity(u, "U2")
		otherMail := w.mailIdentity(u, elsewhere.ID, "a")
		byHand := w.issue(w.challenge(certs.Grant{Rule: certs.RuleMailIdentity, CommonName: u.UPN, Mail: u.Email, UserID: string(u.ID), RequestedBy: "admin"}))

		// The same phone enrols again.
		w.later()
		second, identity := w.withIdentity(u, "U1")
		w.same(w.enrollment(first.ID).State, mdm.Replaced)
		revoked(certs.ReasonSuperseded, itsIdentity, itsMail)
		valid(identity, otherIdentity, otherMail, byHand)

		// It says all of it once more, with the identity that it has.
		mail := w.mailIdentity(u, second.ID, "a")
		w.later()
		d, e := w.request(u, "U1")
		e.CertificateHash = identity.SHA256
		again, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("device.admit", "U1"))
		w.ok(err)
		w.same(again.ID, second.ID)
		w.ok(w.DB.Enrollments().Activate(w.ctx, again.ID, w.pushed("U1"), w.now(), w.entry("device.enrol", "U1")))
		valid(identity, mail, otherIdentity, otherMail, byHand)

		// The user removes the management profile.
		w.later()
		w.ok(w.DB.Enrollments().End(w.ctx, second.ID, mdm.CheckedOut, w.now(), w.entry("enrollment.check_out", "")))
		revoked(certs.ReasonCessationOfOperation, identity, mail)
		w.unchangedBy(func() {
			w.ok(w.DB.Enrollments().End(w.ctx, second.ID, mdm.CheckedOut, w.now(), w.entry("enrollment.check_out", "")))
		})
		valid(otherIdentity, otherMail, byHand)
	}
}
