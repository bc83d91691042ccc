package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/mdm"
)

func testRenewals(t *testing.T, make Maker) {
	t.Run("expiring", testExpiring(make))
	t.Run("untold", testUntold(make))
	t.Run("save", testSaveRenewals(make))
	t.Run("done", testRenewalDone(make))
	t.Run("pin", testPin(make))
	t.Run("pinned late", testPinLate(make))
	t.Run("rights", testPinRights(make))
	t.Run("rights go", testRightsGo(make))
	t.Run("pin refusals", testPinRefusals(make))
	t.Run("64 pins at once", testPinRace(make))
	t.Run("a pin against the end", testPinAgainstEnd(make))
	t.Run("two successors at once", testPinSuccessors(make))
	t.Run("endings", testEndings(make))
	t.Run("predecessors", testPredecessors(make))
	t.Run("a clock that was set back", testSetBack(make))
	t.Run("predecessors 16 times at once", testPredecessorsRace(make))
}

// until is an identity for an enrolment that ends then.
func (w *world) until(end time.Time, g certs.Grant) certs.Certificate {
	w.t.Helper()
	return w.issue(w.challenge(g), func(c *certs.Certificate) { c.NotAfter = stored(end) })
}

// successorGrant is what the enrolment profile carries when it is sent again.
func successorGrant(e mdm.Enrollment) certs.Grant {
	return certs.Grant{Rule: certs.RuleMDMIdentity, CommonName: "phone", UserID: string(e.UserID), EnrollmentID: string(e.ID), AccessRights: e.AccessRights}
}

func (w *world) successor(e mdm.Enrollment) certs.Certificate {
	w.t.Helper()
	w.later()
	return w.issue(w.challenge(successorGrant(e)))
}

func identityOf(e mdm.EnrollmentID, c certs.Certificate) enroll.Identity {
	return enroll.Identity{EnrollmentID: e, Rule: string(c.Rule), Profile: c.Profile, SHA256: c.SHA256, NotBefore: c.NotBefore, NotAfter: c.NotAfter}
}

func renewalOf(e mdm.EnrollmentID, c certs.Certificate, due time.Time, why mdm.RenewalReason) enroll.IdentityRenewal {
	return enroll.IdentityRenewal{EnrollmentID: e, Renewal: mdm.Renewal{Rule: string(c.Rule), Profile: c.Profile, Certificate: c.SHA256, DueAt: stored(due), Reason: why}}
}

func (w *world) saveRenewals(list ...enroll.IdentityRenewal) {
	w.t.Helper()
	w.ok(w.DB.Renewals().SaveRenewals(w.ctx, list, w.entry("identity.due", "")))
}

func (w *world) expiring(before time.Time) []enroll.Identity {
	w.t.Helper()
	list, err := w.DB.Renewals().ExpiringIdentities(w.ctx, before, nil, 0)
	w.ok(err)
	return list
}

func testExpiring(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		day := func(n int) time.Time { return stored(start).AddDate(0, 0, n) }
		e, identity := w.withIdentity(u, "U1") // for a year
		mail := func(end time.Time, id mdm.EnrollmentID, profile string) certs.Certificate {
			g := mailGrant(u, id)
			g.Profile = profile
			return w.until(end, g)
		}
		w.same(w.expiring(day(500)), []enroll.Identity{identityOf(e.ID, identity)})
		lost := mail(day(20), e.ID, "a")
		w.later()
		a, b := mail(day(5), e.ID, "a"), mail(day(10), e.ID, "b") // whether the phone has got the newer one is not known
		revoked := mail(day(11), e.ID, "c")
		w.revoke(revoked, certs.ReasonKeyCompromise)
		early, _ := w.withIdentity(u, "U2")
		mail(day(12), early.ID, "a")
		w.ok(w.DB.Enrollments().End(w.ctx, early.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		mail(day(13), w.admitted(u, "U3").ID, "a")
		mail(day(14), "", "") // by hand
		w.until(day(15), successorGrant(e))

		all := []enroll.Identity{identityOf(e.ID, a), identityOf(e.ID, b), identityOf(e.ID, lost), identityOf(e.ID, identity)}
		w.same(w.expiring(day(500)), all)
		w.same(w.retirePredecessors(e.ID, a), 1)
		all = []enroll.Identity{all[0], all[1], all[3]}
		w.same(w.expiring(day(500)), all)
		w.same(w.expiring(identity.NotAfter), all[:2]) // that one ends then, not before
		w.same(w.expiring(day(5)), all[:0])
		page, err := w.DB.Renewals().ExpiringIdentities(w.ctx, day(500), nil, 2)
		w.ok(err)
		w.same(page, all[:2])
		page, err = w.DB.Renewals().ExpiringIdentities(w.ctx, day(500), &page[1], 2)
		w.ok(err)
		w.same(page, all[2:])

		// Two that end together are told apart by their hash.
		other, _ := w.withIdentity(u, "U4")
		pair := []certs.Certificate{mail(day(30), other.ID, "a"), mail(day(30), other.ID, "b")}
		slices.SortFunc(pair, func(x, y certs.Certificate) int { return strings.Compare(x.SHA256, y.SHA256) })
		first := identityOf(other.ID, pair[0])
		page, err = w.DB.Renewals().ExpiringIdentities(w.ctx, day(31), &first, 0)
		w.ok(err)
		w.same(page, []enroll.Identity{identityOf(other.ID, pair[1])})

		// What waits is left out, and so it fills no page.
		w.saveRenewals(renewalOf(e.ID, b, day(1), mdm.RenewalExpiry), renewalOf(e.ID, identity, day(1), mdm.RenewalTrust))
		page, err = w.DB.Renewals().ExpiringIdentities(w.ctx, day(500), nil, 1)
		w.ok(err)
		w.same(page, all[:1])
		// The successor was issued, and never used: the pinned one is due again.
		w.until(day(700), successorGrant(e))
		if list := w.expiring(day(500)); !slices.Contains(list, all[2]) {
			t.Errorf("%v lacks the pinned identity", list)
		}
	}
}

func testUntold(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		a, first := w.withIdentity(u, "U1")
		b, second := w.withIdentity(u, "U2")
		w.enrolled(u, "U3") // its identity is not on record
		ended, _ := w.withIdentity(u, "U4")
		w.ok(w.DB.Enrollments().End(w.ctx, ended.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		w.mailIdentity(u, a.ID, "a")
		d, early := w.request(u, "U6")
		early.CertificateHash = w.issue(w.challenge(identityGrant(w.invitation(u)))).SHA256
		_, err := w.DB.Enrollments().Admit(w.ctx, d, early, w.entry("device.admit", ""))
		w.ok(err)
		d, held := w.request(w.user("bob@example.test"), "U1")
		held.CertificateHash = w.issue(w.challenge(identityGrant(w.invitation(u)))).SHA256
		held, err = w.DB.Enrollments().Admit(w.ctx, d, held, w.entry("device.admit", ""))
		w.ok(err)
		w.same(held.State, mdm.Held)
		root := w.later()
		c, third := w.withIdentity(u, "U5") // made as the root was
		untold := func(since time.Time, waiting bool, after mdm.EnrollmentID, limit int) []enroll.Identity {
			list, err := w.DB.Renewals().UntoldIdentities(w.ctx, since, waiting, after, limit)
			w.ok(err)
			return list
		}
		all := []enroll.Identity{identityOf(a.ID, first), identityOf(b.ID, second)}
		w.same(untold(root, false, "", 0), all)
		w.same(untold(root.Add(time.Second), false, b.ID, 0), []enroll.Identity{identityOf(c.ID, third)})
		w.same(untold(root, false, "", 1), all[:1])
		w.same(untold(root, false, a.ID, 1), all[1:])
		w.saveRenewals(renewalOf(a.ID, first, root, mdm.RenewalTrust))
		w.same(untold(root, false, "", 1), all[1:])
		w.same(untold(root, true, "", 0), all)

		// As phones, waiting or not, each with its user.
		phones := func(after mdm.EnrollmentID, limit int) []enroll.UntoldPhone {
			list, err := w.DB.Renewals().UntoldPhones(w.ctx, root, after, limit)
			w.ok(err)
			return list
		}
		phoneOf := func(e mdm.Enrollment) enroll.UntoldPhone {
			row, err := w.DB.Devices().DeviceByID(w.ctx, e.DeviceID)
			w.ok(err)
			return enroll.UntoldPhone{EnrollmentID: e.ID, Device: row.Device, UPN: row.UPN, LastSeenAt: row.Enrollment.LastSeenAt}
		}
		w.same(phones("", 0), []enroll.UntoldPhone{phoneOf(a), phoneOf(b)})
		w.same(phones("", 1), []enroll.UntoldPhone{phoneOf(a)})
		w.same(phones(a.ID, 1), []enroll.UntoldPhone{phoneOf(b)})
		w.same(phones(b.ID, 1), []enroll.UntoldPhone{})

		// Its own signature brings no profile: the phone knows no more than before.
		renewed := w.renewed(second)
		w.pin(b, renewed)
		w.same(untold(root, true, a.ID, 0), []enroll.Identity{identityOf(b.ID, renewed)})
		w.pin(a, w.successor(a))
		w.same(untold(root, true, "", 0), []enroll.Identity{identityOf(b.ID, renewed)})
	}
}

func testSaveRenewals(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		a, first := w.withIdentity(u, "U1")
		b, second := w.withIdentity(u, "U2")
		ended, its := w.withIdentity(u, "U3")
		w.ok(w.DB.Enrollments().End(w.ctx, ended.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		mail := w.mailIdentity(u, a.ID, "org.example.mail")
		soon, late := stored(w.later()).Add(time.Minute), stored(w.now()).Add(time.Hour)
		due := []enroll.IdentityRenewal{
			renewalOf(a.ID, mail, late, mdm.RenewalExpiry), renewalOf(a.ID, first, soon, mdm.RenewalTrust),
			renewalOf(b.ID, second, late, mdm.RenewalRights), renewalOf(ended.ID, its, soon, mdm.RenewalExpiry),
			renewalOf("unknown", its, soon, mdm.RenewalExpiry),
			renewalOf(a.ID, mail, soon, mdm.RenewalTrust), // waits already
		}
		w.same(w.enrollment(a.ID).Renewals, []mdm.Renewal(nil))
		w.same(w.newEvents(func() { w.saveRenewals(due...) }), []string{})
		w.audited("identity.due", 1)
		want := []mdm.Renewal{due[0].Renewal, due[1].Renewal}
		w.same(w.enrollment(a.ID).Renewals, want)
		w.same(w.enrollment(ended.ID).Renewals, []mdm.Renewal(nil))
		w.same(w.dueIDs(soon.Add(-time.Microsecond)), []mdm.EnrollmentID{})
		w.same(w.dueIDs(soon), []mdm.EnrollmentID{a.ID})
		w.same(len(w.dueIDs(late)), 2)

		// Whoever reads an enrolment reads what it waits for.
		byCertificate, err := w.DB.Enrollments().EnrollmentByCertificate(w.ctx, first.SHA256)
		w.ok(err)
		pinned, _, err := w.DB.Enrollments().Pinned(w.ctx, first.SHA256)
		w.ok(err)
		planned, _, err := w.DB.Plans().PinnedPlan(w.ctx, first.SHA256)
		w.ok(err)
		row, err := w.DB.Devices().DeviceByID(w.ctx, a.DeviceID)
		w.ok(err)
		for _, e := range []mdm.Enrollment{byCertificate, pinned, planned.Enrollment, w.plan(a.ID).Enrollment, row.Enrollment} {
			w.same(e.Renewals, want)
		}
		w.unchangedBy(func() { w.saveRenewals(due[3:]...) }) // nothing is left of these
		w.unchangedBy(func() { w.saveRenewals() })

		// What is overdue is due now.
		c, third := w.withIdentity(u, "U6")
		w.saveRenewals(renewalOf(c.ID, third, time.Time{}, mdm.RenewalExpiry))
		w.same(w.dueIDs(w.now()), []mdm.EnrollmentID{c.ID})
	}
}

func testRenewalDone(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, identity := w.withIdentity(u, "U1")
		a, b := w.mailIdentity(u, e.ID, "a"), w.mailIdentity(u, e.ID, "b")
		due := []enroll.IdentityRenewal{renewalOf(e.ID, a, start, mdm.RenewalExpiry), renewalOf(e.ID, b, start, mdm.RenewalExpiry), renewalOf(e.ID, identity, start, mdm.RenewalTrust)}
		w.saveRenewals(due...)
		w.mailIdentity(u, e.ID, "b")
		w.same(w.enrollment(e.ID).Renewals, []mdm.Renewal{due[0].Renewal, due[2].Renewal})
		w.mailIdentity(u, e.ID, "c")
		w.renewed(identity)
		w.same(w.enrollment(e.ID).Renewals, []mdm.Renewal{due[0].Renewal})
		w.mailIdentity(u, e.ID, "a")
		w.same(w.enrollment(e.ID).Renewals, []mdm.Renewal(nil))
	}
}
