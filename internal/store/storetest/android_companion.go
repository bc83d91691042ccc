package storetest

import (
	"slices"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/mdm"
)

func testAndroidCompanion(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books, e := w.DB.Android(), w.androidPhone("alice@example.test")
		companion := func() string {
			have, err := w.DB.Plans().LoadPlan(w.ctx, e.ID)
			w.ok(err)
			facts, err := w.DB.Plans().Facts(w.ctx, "", 10)
			w.ok(err)
			w.same(facts[0].Have.Companion, have.Companion)
			return have.Companion
		}
		_, err := books.AndroidCompanion(w.ctx)
		w.is(err, enroll.ErrNotFound)
		w.is(books.RemoveAndroidCompanion(w.ctx, w.now(), w.entry("android.companion.remove", "")), enroll.ErrNotFound)
		w.same(companion(), "")

		set := func(name string) enroll.AndroidCompanion {
			c := enroll.AndroidCompanion{Package: name, SetAt: stored(w.later())}
			w.ok(books.SetAndroidCompanion(w.ctx, c, w.entry("android.companion.set", name)))
			return c
		}
		first := set("com.example.agent")
		got, err := books.AndroidCompanion(w.ctx)
		w.ok(err)
		w.same(got, first)
		w.same([]any{companion(), w.duePolicies(w.now())}, []any{"com.example.agent", []mdm.EnrollmentID{e.ID}})
		w.unchangedBy(func() { set("com.example.agent") })
		second := set("com.example.other")
		if got, err = books.AndroidCompanion(w.ctx); got != second {
			t.Errorf("got %+v, %v", got, err)
		}
		w.ok(books.SavePolicy(w.ctx, w.android(e.ID), time.Time{}))
		w.ok(books.RemoveAndroidCompanion(w.ctx, w.later(), w.entry("android.companion.remove", "")))
		w.same([]any{companion(), w.duePolicies(w.now())}, []any{"", []mdm.EnrollmentID{e.ID}})
		w.audited("android.companion.set", 2)
		w.audited("android.companion.remove", 1)
	}
}

func testAndroidKeys(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books, u := w.DB.Android(), w.user("alice@example.test")
		e, other := w.androidPhone("alice@example.test"), w.androidPhone("bob@example.test")
		const alias, profile = "sallyport-mail", "p1"
		tell := func(k enroll.AndroidKey) error {
			k.Alias, k.At = alias, w.later()
			if k.Profile == "" {
				k.Profile = profile
			}
			return books.SaveAndroidKey(w.ctx, e.ID, k, w.entry("android.key", string(e.ID)))
		}
		has := func(c certs.Certificate) error { return tell(enroll.AndroidKey{SHA256: c.SHA256}) }
		w.is(books.SaveAndroidKey(w.ctx, mdm.EnrollmentID(newID()), enroll.AndroidKey{}, w.entry("android.key", "")), enroll.ErrNotFound)

		// Only what this phone was given for this account, and is good, is taken.
		revoked := w.mailIdentity(u, e.ID, profile)
		w.revoke(revoked, certs.ReasonUnspecified)
		w.unchangedBy(func() {
			w.is(tell(enroll.AndroidKey{SHA256: "ab"}), enroll.ErrConflict)
			w.is(has(revoked), enroll.ErrConflict)
		})
		w.is(has(w.mailIdentity(u, other.ID, profile)), enroll.ErrConflict)
		w.is(has(w.mailIdentity(u, e.ID, "p2")), enroll.ErrConflict)
		grant := mailGrant(u, e.ID)
		grant.Profile = profile
		w.is(has(w.until(w.now(), grant)), enroll.ErrConflict) // it ends at once

		// A failure is kept, once.
		w.same(w.newEvents(func() { w.ok(tell(enroll.AndroidKey{Failure: "no key store"})) }), []string{"reported " + string(e.ID)})
		failed := stored(w.now())
		w.same(w.reported(e.ID).Key(alias), mdm.KeyOnFile{Alias: alias, Profile: profile, Failure: "no key store", FailedAt: failed})
		w.unchangedBy(func() { w.ok(tell(enroll.AndroidKey{Failure: "no key store"})) })

		first := w.mailIdentity(u, e.ID, profile)
		w.ok(has(first))
		r := w.reported(e.ID)
		w.same(r.Key(alias), mdm.KeyOnFile{Alias: alias, Profile: profile, SHA256: first.SHA256, NotAfter: first.NotAfter, At: stored(w.now())})
		w.same(r.Certificates.Items, []mdm.CertificateOnFile{{CommonName: alias, Identity: true, SHA256: first.SHA256, NotAfter: first.NotAfter}})
		w.unchangedBy(func() { w.ok(has(first)) })
		// Google's report of the phone says nothing of keys, and takes none away.
		w.reportsAndroid(e.ID, w.later(), mdm.Report{Device: &mdm.DeviceFacts{At: w.now()}})
		w.same(w.reported(e.ID).Key(alias).SHA256, first.SHA256)

		// Its successor takes its place when it is told of, and not before.
		w.saveRenewals(renewalOf(e.ID, first, w.now(), mdm.RenewalExpiry))
		w.same(w.duePolicies(w.now()), []mdm.EnrollmentID{e.ID})
		w.later()
		second := w.mailIdentity(u, e.ID, profile)
		w.same(w.certificate(first.SHA256).RevokedAt, time.Time{})
		w.ok(has(second))
		w.same([]any{w.certificate(first.SHA256).Reason, w.certificate(second.SHA256).RevokedAt, w.reported(e.ID).Key(alias).SHA256},
			[]any{certs.ReasonSuperseded, time.Time{}, second.SHA256})
		w.ok(tell(enroll.AndroidKey{Failure: "no network"}))
		w.same(w.reported(e.ID).Key(alias).SHA256, second.SHA256)

		// A key that is gone is worth nothing; one that nobody wants is forgotten.
		w.ok(books.SavePolicy(w.ctx, w.android(e.ID), time.Time{}))
		w.ok(tell(enroll.AndroidKey{Gone: true}))
		r = w.reported(e.ID)
		w.same([]any{r.Key(alias), len(r.Certificates.Items), w.certificate(second.SHA256).Reason, w.duePolicies(w.now())},
			[]any{mdm.KeyOnFile{Alias: alias, Profile: profile, At: stored(w.now())}, 0, certs.ReasonCessationOfOperation, []mdm.EnrollmentID{e.ID}})
		w.unchangedBy(func() { w.ok(tell(enroll.AndroidKey{Gone: true})) })
		w.later()
		w.ok(has(w.mailIdentity(u, e.ID, profile)))
		w.ok(tell(enroll.AndroidKey{Gone: true, Forget: true}))
		w.same(w.reported(e.ID).Keys.Items, []mdm.KeyOnFile{})
		// Another account's key under the same alias is none of the old one's.
		w.ok(tell(enroll.AndroidKey{Failure: "no key store"}))
		w.ok(tell(enroll.AndroidKey{Failure: "no key store", Profile: "p3"}))
		w.same(w.reported(e.ID).Key(alias).Profile, "p3")

		w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.Retired, w.later(), w.entry("enrollment.retire", "")))
		w.unchangedBy(func() { w.is(tell(enroll.AndroidKey{Failure: "late"}), enroll.ErrConflict) })
	}
}

// testKnoxIssued: what Samsung's plugin was given is told, since it tells nobody.
func testKnoxIssued(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books, u := w.DB.Android(), w.user("alice@example.test")
		e := w.androidPhone("alice@example.test")
		issued := func() (c certs.Certificate, told bool) {
			w.later()
			events := w.newEvents(func() { c = w.mailIdentity(u, e.ID, "p1") })
			return c, slices.Contains(events, "identity "+string(e.ID))
		}
		newest := func() (string, error) { return books.NewestMailIdentity(w.ctx, e.ID, "p1") }
		_, err := newest()
		w.is(err, enroll.ErrNotFound)
		_, told := issued()
		w.same(told, false)
		set := func(name string) {
			w.ok(books.SetAndroidCompanion(w.ctx, enroll.AndroidCompanion{Package: name, SetAt: w.later()}, w.entry("android.companion.set", name)))
		}
		set("com.example.agent")
		_, told = issued()
		w.same(told, false)
		set("com.samsung.android.knox.kpu")
		older, told := issued()
		w.same(told, true)
		newer, _ := issued()
		w.mailIdentity(u, e.ID, "p2")
		got, err := newest()
		w.ok(err)
		w.same(got, newer.SHA256)
		w.revoke(newer, certs.ReasonUnspecified)
		got, err = newest()
		w.ok(err)
		w.same(got, older.SHA256)
	}
}
