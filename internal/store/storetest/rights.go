package storetest

import (
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/mdm"
)

// testRightsGo: a device that became personal loses rights with its next enrolment
// profile. What was asked for before that, or comes of the phone's own signature,
// takes none of them away, and does not stand for it.
func testRightsGo(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, identity := w.withIdentity(u, "U1")
		g := successorGrant(e)
		w.same(g.AccessRights, 7999)
		onItsWay := w.challenge(g)
		late := stored(w.later()).Add(time.Hour)
		soon := late.Add(-time.Minute)
		w.saveRenewals(renewalOf(e.ID, identity, late, mdm.RenewalExpiry))
		w.ok(w.DB.Held().SetOwnership(w.ctx, e.ID, mdm.Personal, w.entry("device.ownership", "")))

		rights := renewalOf(e.ID, identity, soon, mdm.RenewalRights)
		w.saveRenewals(rights) // the identity is waited for already, and for less
		want := []mdm.Renewal{rights.Renewal}
		w.same(w.enrollment(e.ID).Renewals, want)
		w.same(w.dueIDs(soon), []mdm.EnrollmentID{e.ID})
		w.unchangedBy(func() { w.saveRenewals(rights) })
		w.unchangedBy(func() { w.saveRenewals(renewalOf(e.ID, identity, soon, mdm.RenewalExpiry)) })

		w.later()
		e = w.pin(e, w.issue(onItsWay))
		w.same(e.Renewals, want)
		w.same(e.AccessRights, 7999)
		w.later()
		e = w.pin(e, w.renewed(w.certificate(e.CertificateHash)))
		w.same(e.Renewals, want)
		w.same(e.AccessRights, 7999)

		w.later()
		g.AccessRights = 7999 &^ 8
		e = w.pin(e, w.issue(w.challenge(g)))
		w.same(e.Renewals, []mdm.Renewal(nil))
		w.same(e.AccessRights, 7999&^8)
		w.same(w.certificate(e.CertificateHash).Rule, certs.RuleMDMIdentity)
	}
}
