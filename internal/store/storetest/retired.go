package storetest

import (
	"slices"
	"testing"

	"sallyport/certs"
	"sallyport/mdm"
)

// testRevokeUnder: what hangs under a retired issuer is revoked, nothing else is, and
// whoever had something of it is looked at anew.
func testRevokeUnder(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		first, identity := w.withIdentity(u, "U1")
		second, another := w.withIdentity(u, "U2")
		ended, before := w.withIdentity(u, "U3")
		w.ok(w.DB.Enrollments().End(w.ctx, ended.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		before = w.certificate(before.SHA256)
		mail, loose := w.mailIdentity(u, first.ID, ""), w.mailIdentity(u, "", "")
		store := w.DB.Certificates()
		count := func(issuer string, want int) {
			t.Helper()
			n, err := store.CountPinned(w.ctx, issuer, w.now())
			w.ok(err)
			w.same(n, want)
		}
		count(issuerID, 2)
		count("another", 0)
		revoke := func(issuer string, want int) {
			t.Helper()
			n, err := store.RevokeUnder(w.ctx, issuer, w.now(), w.entry("certificate.revoke", issuer))
			w.ok(err)
			w.same(n, want)
		}
		w.unchangedBy(func() { revoke("another", 0) })
		now := w.later()
		events := w.newEvents(func() { revoke(issuerID, 4) })
		slices.Sort(events)
		w.same(slices.Compact(events), sorted("identity "+string(first.ID), "identity "+string(second.ID)))
		for _, c := range []certs.Certificate{identity, another, mail, loose} {
			c.RevokedAt, c.Reason = stored(now), certs.ReasonCessationOfOperation
			w.same(w.certificate(c.SHA256), c)
		}
		w.same(w.certificate(before.SHA256), before)
		w.audited("certificate.revoke", 1)
		w.later()
		w.unchangedBy(func() { revoke(issuerID, 0) })
		count(issuerID, 0)

		// What has expired is refused for that.
		last := w.mailIdentity(u, "", "")
		n, err := store.RevokeUnder(w.ctx, issuerID, last.NotAfter, w.entry("certificate.revoke", issuerID))
		w.ok(err)
		w.same(n, 0)
	}
}

func sorted(list ...string) []string {
	slices.Sort(list)
	return list
}
