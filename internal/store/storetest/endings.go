package storetest

import (
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

func testEndings(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		now := w.now()
		e, identity := w.withIdentity(u, "U1") // for a year
		count := func(at time.Time, want enroll.IdentityEndings) {
			t.Helper()
			got, err := w.DB.Renewals().CountEndings(w.ctx, at)
			w.ok(err)
			if got != want {
				t.Errorf("at %s: %+v, want %+v", at, got, want)
			}
		}
		mail := func(in time.Duration, profile string) certs.Certificate {
			g := mailGrant(u, e.ID)
			g.Profile = profile
			return w.until(now.Add(in), g)
		}
		const day = 24 * time.Hour
		count(now, enroll.IdentityEndings{})
		mail(31*day, "a")
		count(now, enroll.IdentityEndings{})
		soon := mail(20*day, "b")
		mail(6*day, "c")
		count(now, enroll.IdentityEndings{Within30: 2, Within7: 1})
		w.saveRenewals(renewalOf(e.ID, soon, now, mdm.RenewalExpiry))
		count(now, enroll.IdentityEndings{Within30: 2, Within7: 1, Waiting: 1})
		// A newer one takes its place once the phone lists it.
		w.later()
		w.same(w.retirePredecessors(e.ID, mail(300*day, "c")), 1)
		count(now, enroll.IdentityEndings{Within30: 1, Waiting: 1})
		// What has expired is not about to.
		count(identity.NotAfter.Add(-day), enroll.IdentityEndings{Within30: 1, Within7: 1, Waiting: 1})
		byHand(w, u, now)
		w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.Retired, now, w.entry("enrollment.end", string(e.ID))))
		count(now, enroll.IdentityEndings{ByHand30: 1})
	}
}

// byHand has two certificates end that belong to no enrolment, one of them renewed.
func byHand(w *world, u directory.User, now time.Time) {
	w.until(now.Add(12*24*time.Hour), mailGrant(u, ""))
	w.renewed(w.until(now.Add(5*24*time.Hour), mailGrant(u, "")))
}
