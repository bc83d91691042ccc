package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

func (w *world) pin(e mdm.Enrollment, to certs.Certificate) mdm.Enrollment {
	w.t.Helper()
	e, err := w.DB.Renewals().PinSuccessor(w.ctx, e.ID, e.CertificateHash, to.SHA256, w.now(), w.entry("identity.pin", string(e.ID)))
	w.ok(err)
	return e
}

func testPin(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, old := w.withIdentity(u, "U1")
		lost := w.successor(e) // on its way
		w.later()
		successor := w.successor(e)

		// Never used: it finds the enrolment, which is pinned to the old one.
		found, row, err := w.DB.Enrollments().Pinned(w.ctx, successor.SHA256)
		w.ok(err)
		w.same(found, e)
		w.same(row, successor)
		_, _, err = w.DB.Plans().PinnedPlan(w.ctx, successor.SHA256)
		w.is(err, enroll.ErrNotFound)
		_, err = w.DB.Enrollments().EnrollmentByCertificate(w.ctx, successor.SHA256)
		w.is(err, enroll.ErrNotFound)

		now := w.later()
		want := e
		want.CertificateHash = successor.SHA256
		events := w.newEvents(func() { w.same(w.pin(e, successor), want) })
		w.same(events, []string{"identity " + string(e.ID)})
		w.audited("identity.pin", 1)
		w.same(w.enrollment(e.ID), want)
		w.unchangedBy(func() { w.same(w.pin(e, successor), want) }) // again
		w.unchangedBy(func() { w.same(w.pin(want, successor), want) })

		// The old one is revoked, and finds the enrolment still.
		old.RevokedAt, old.Reason = stored(now), certs.ReasonSuperseded
		found, row, err = w.DB.Enrollments().Pinned(w.ctx, old.SHA256)
		w.ok(err)
		w.same(found, want)
		w.same(row, old)
		list, err := w.DB.Certificates().Certificates(w.ctx, string(e.ID), certs.RuleMDMIdentity)
		w.ok(err)
		lost.RevokedAt, lost.Reason = stored(now), certs.ReasonSuperseded
		w.same(list, []certs.Certificate{successor, lost, old})

		// A certificate of another rule, and one of nobody, find none.
		for _, c := range []certs.Certificate{w.mailIdentity(u, e.ID, "a"), w.issue(w.challenge(identityGrant(w.invitation(u))))} {
			_, _, err = w.DB.Enrollments().Pinned(w.ctx, c.SHA256)
			w.is(err, enroll.ErrNotFound)
		}
		// It admits no phone a second time, whether it is pinned or not.
		d, again := w.request(u, "U9")
		again.CertificateHash = old.SHA256
		w.unchangedBy(func() {
			_, err = w.DB.Enrollments().Admit(w.ctx, d, again, w.entry("device.admit", ""))
			w.is(err, enroll.ErrConflict)
		})
	}
}

// testPinLate: the successor was found missing and asked for again, just before it
// came. What was asked for another reason is still wanted.
func testPinLate(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		for _, why := range []mdm.RenewalReason{mdm.RenewalExpiry, mdm.RenewalRights} {
			e, old := w.withIdentity(u, "U "+string(why))
			successor, mail := w.successor(e), w.mailIdentity(u, e.ID, "a")
			late := []enroll.IdentityRenewal{renewalOf(e.ID, mail, start, mdm.RenewalExpiry), renewalOf(e.ID, old, start, why)}
			w.saveRenewals(late...)
			want := []mdm.Renewal{late[0].Renewal}
			if why != mdm.RenewalExpiry {
				want = append(want, late[1].Renewal)
			}
			w.same(w.pin(e, successor).Renewals, want)
		}
	}
}

func testPinRights(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		for i, tt := range []struct{ asked, want int }{{7999, 7999}, {7999 &^ 8, 7999 &^ 8}, {8191, 7999}, {0, 7999}} {
			e, _ := w.withIdentity(u, fmt.Sprint("U", i))
			g := successorGrant(e)
			g.AccessRights = tt.asked
			w.later()
			w.same(w.pin(e, w.issue(w.challenge(g))).AccessRights, tt.want)
		}
	}
}

func testPinRefusals(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, first := w.withIdentity(u, "U1")
		unused, second := w.successor(e), w.successor(e)
		w.pin(e, second)
		third, revoked := w.successor(e), w.revoke(w.successor(e), certs.ReasonKeyCompromise)
		mail := w.mailIdentity(u, e.ID, "")
		other, _ := w.withIdentity(u, "U2")
		another := w.successor(other)
		ended, its := w.withIdentity(u, "U3")
		late := w.successor(ended)
		w.ok(w.DB.Enrollments().End(w.ctx, ended.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		admitted := w.admitted(u, "U4")
		early := w.successor(admitted)
		stolen, lost := w.withIdentity(u, "U5")
		thiefs := w.successor(stolen)
		w.revoke(lost, certs.ReasonKeyCompromise)

		for _, tt := range []struct {
			name     string
			id       mdm.EnrollmentID
			from, to string
			now      time.Time
			want     error
		}{
			{"unknown enrolment", "unknown", second.SHA256, third.SHA256, w.now(), enroll.ErrNotFound},
			{"pinned to another", e.ID, first.SHA256, third.SHA256, w.now(), enroll.ErrConflict},
			{"replaced", e.ID, second.SHA256, first.SHA256, w.now(), enroll.ErrConflict},
			{"older than the pinned one", e.ID, second.SHA256, unused.SHA256, w.now(), enroll.ErrConflict},
			{"revoked", e.ID, second.SHA256, revoked.SHA256, w.now(), enroll.ErrConflict},
			{"expired", e.ID, second.SHA256, third.SHA256, third.NotAfter, enroll.ErrConflict},
			{"another rule", e.ID, second.SHA256, mail.SHA256, w.now(), enroll.ErrConflict},
			{"another enrolment's", e.ID, second.SHA256, another.SHA256, w.now(), enroll.ErrConflict},
			{"unknown certificate", e.ID, second.SHA256, "unknown", w.now(), enroll.ErrConflict},
			{"ended", ended.ID, its.SHA256, late.SHA256, w.now(), enroll.ErrConflict},
			{"follows a revoked one", stolen.ID, lost.SHA256, thiefs.SHA256, w.now(), enroll.ErrConflict},
			{"not active yet", admitted.ID, admitted.CertificateHash, early.SHA256, w.now(), enroll.ErrConflict},
		} {
			w.unchangedBy(func() {
				got, err := w.DB.Renewals().PinSuccessor(w.ctx, tt.id, tt.from, tt.to, tt.now, w.entry("identity.pin", ""))
				if !errors.Is(err, tt.want) || got.ID != "" {
					t.Errorf("%s: got %v, %v", tt.name, got.ID, err)
				}
			})
		}
	}
}

func testPinRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e, old := w.withIdentity(w.user("alice@example.test"), "U1")
		successor := w.successor(e)
		before := len(w.events())
		for _, err := range together(crowd, func(int) error {
			got, err := w.DB.Renewals().PinSuccessor(w.ctx, e.ID, e.CertificateHash, successor.SHA256, w.now(), w.entry("identity.pin", ""))
			if err == nil && got.CertificateHash != successor.SHA256 {
				err = errors.New("returned the old pin")
			}
			return err
		}) {
			w.ok(err)
		}
		w.same(w.events()[before:], []string{"identity " + string(e.ID)})
		w.audited("identity.pin", 1)
		w.same(w.certificate(old.SHA256).Reason, certs.ReasonSuperseded)
	}
}

// testPinAgainstEnd: whichever comes first, an enrolment that is retired leaves no
// certificate that is good.
func testPinAgainstEnd(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		for i := range 8 {
			e, old := w.withIdentity(u, fmt.Sprint("U", i))
			successor := w.successor(e)
			errs := together(2, func(i int) error {
				if i == 0 {
					return w.DB.Enrollments().End(w.ctx, e.ID, mdm.Retired, w.now(), w.entry("device.retire", ""))
				}
				_, err := w.DB.Renewals().PinSuccessor(w.ctx, e.ID, old.SHA256, successor.SHA256, w.now(), w.entry("identity.pin", ""))
				return err
			})
			w.ok(errs[0])
			pinned := old
			if errs[1] == nil {
				pinned = successor
			} else {
				w.is(errs[1], enroll.ErrConflict)
			}
			got := w.enrollment(e.ID)
			w.same([]any{got.State, got.CertificateHash}, []any{mdm.Retired, pinned.SHA256})
			for _, c := range []certs.Certificate{old, successor} {
				if w.certificate(c.SHA256).RevokedAt.IsZero() {
					t.Error("a certificate of a retired enrolment is good")
				}
			}
		}
	}
}

// testPinSuccessors: two servers are shown one successor each.
func testPinSuccessors(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		for i := range 8 {
			e, old := w.withIdentity(u, fmt.Sprint("U", i))
			successors := []certs.Certificate{w.successor(e), w.successor(e)}
			errs := together(2, func(i int) error {
				_, err := w.DB.Renewals().PinSuccessor(w.ctx, e.ID, old.SHA256, successors[i].SHA256, w.now(), w.entry("identity.pin", ""))
				return err
			})
			won := slices.Index(errs, nil)
			if won < 0 || !errors.Is(errs[1-won], enroll.ErrConflict) {
				t.Fatalf("got %v", errs)
			}
			w.same(w.enrollment(e.ID).CertificateHash, successors[won].SHA256)
		}
	}
}

func (w *world) retirePredecessors(id mdm.EnrollmentID, listed ...certs.Certificate) int {
	w.t.Helper()
	hashes := []string{"of no certificate of ours"}
	for _, c := range listed {
		hashes = append(hashes, c.SHA256)
	}
	n, err := w.DB.Renewals().RetirePredecessors(w.ctx, id, hashes, w.now(), w.entry("identity.retire", string(id)))
	w.ok(err)
	return n
}

// predecessors are mail identities of an enrolment that an update has found, of
// before their profiles were on record, and two generations since.
func predecessors(w *world, u directory.User, e mdm.EnrollmentID) (before certs.Certificate, a, b []certs.Certificate) {
	w.t.Helper()
	before = w.mailIdentity(u, e, "")
	for range 3 {
		w.later()
		a, b = append(a, w.mailIdentity(u, e, "a")), append(b, w.mailIdentity(u, e, "b"))
	}
	return before, a, b
}

func testPredecessors(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, identity := w.withIdentity(u, "U1")
		other, otherIdentity := w.withIdentity(u, "U2")
		before, a, b := predecessors(w, u, e.ID)
		foreign := w.mailIdentity(u, other.ID, "a")
		successor := w.successor(e)
		w.unchangedBy(func() {
			w.same(w.retirePredecessors(e.ID), 0)
			w.same(w.retirePredecessors(e.ID, before), 0)                                      // of which there is no newer one
			w.same(w.retirePredecessors(e.ID, a[0], b[0], before), 0)                          // nor of these
			w.same(w.retirePredecessors(e.ID, foreign, identity, successor, otherIdentity), 0) // another's, and of another rule
			w.same(w.retirePredecessors("unknown", a[2]), 0)
		})
		events := w.newEvents(func() { w.same(w.retirePredecessors(e.ID, before, a[1], b[0]), 1) })
		w.same(events, []string{"identity " + string(e.ID)})
		w.audited("identity.retire", 1)
		got := w.certificate(a[0].SHA256)
		w.same([]any{got.RevokedAt, got.Reason}, []any{stored(w.now()), certs.ReasonSuperseded})
		w.unchangedBy(func() { w.same(w.retirePredecessors(e.ID, before, a[1], b[0]), 0) })

		// It is listed beside its successor; and the one whose profile nobody knows is gone.
		w.later()
		due := []enroll.IdentityRenewal{renewalOf(e.ID, a[1], w.now(), mdm.RenewalExpiry), renewalOf(e.ID, b[2], w.now(), mdm.RenewalExpiry)}
		w.saveRenewals(due...)
		w.same(w.retirePredecessors(e.ID, a[1], a[2], b[0]), 2)
		w.same(w.enrollment(e.ID).Renewals, []mdm.Renewal{due[1].Renewal})
		for _, c := range []certs.Certificate{before, a[1]} {
			w.same(w.certificate(c.SHA256).Reason, certs.ReasonSuperseded)
		}
		for _, c := range append(b, a[2], foreign, identity, successor, otherIdentity) {
			if !w.certificate(c.SHA256).RevokedAt.IsZero() {
				t.Error("one was revoked that nothing has replaced")
			}
		}
		w.same(w.mark().Count, int64(3))
	}
}

func testPredecessorsRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, _ := w.withIdentity(u, "U1")
		_, a, b := predecessors(w, u, e.ID)
		counts := [16]int{}
		for _, err := range together(len(counts), func(i int) (err error) {
			counts[i], err = w.DB.Renewals().RetirePredecessors(w.ctx, e.ID, []string{a[2].SHA256, b[2].SHA256}, w.now(), audit.Entry{Action: "identity.retire"})
			return err
		}) {
			w.ok(err)
		}
		slices.Sort(counts[:])
		w.same([]int{counts[0], counts[14], counts[15]}, []int{0, 0, 5})
		w.audited("identity.retire", 1)
	}
}
