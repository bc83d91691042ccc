package storetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

func testRevocations(t *testing.T, make Maker) {
	t.Run("list", testListCertificates(make))
	t.Run("revoke", testRevoke(make))
	t.Run("mark", testMark(make))
	t.Run("of an issuer", testRevokedBy(make))
	t.Run("rows that do not name the issuer", testUnsaidIssuer(make))
	t.Run("64 at once", testRevokeRace(make))
	t.Run("whose key", testSharedKey(make))
	t.Run("of a lost key", testLostKey(make))
	t.Run("of a lost S/MIME key", testLostSMIMEKey(make))
	t.Run("of a line of renewals", testLostLine(make))
	t.Run("of a line, by way of keys", testLostLineOfKeys(make))
	t.Run("of a line, while it is renewed", testLostLineRace(make))
	t.Run("of a line by an earlier version", testLineLostBefore(make))
	t.Run("of a user who leaves", testLeaver(make))
	t.Run("under a retired issuer", testRevokeUnder(make))
	t.Run("of an enrolment that ends", testRevokedWithEnrollment(make))
}

// mailIdentity issues one for an enrolment, under a challenge that was pushed
// with the profile.
func (w *world) mailIdentity(u directory.User, id mdm.EnrollmentID, profile string) certs.Certificate {
	w.t.Helper()
	g := mailGrant(u, id)
	g.Profile = profile
	return w.issue(w.challenge(g))
}

// withIdentity enrols a phone whose identity is on record.
func (w *world) withIdentity(u directory.User, udid string) (mdm.Enrollment, certs.Certificate) {
	w.t.Helper()
	identity := w.issue(w.challenge(identityGrant(w.invitation(u))))
	d, e := w.request(u, udid)
	e.CertificateHash, e.PollOnly = identity.SHA256, false
	e, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("device.admit", udid))
	w.ok(err)
	w.ok(w.DB.Enrollments().Activate(w.ctx, e.ID, w.pushed(udid), w.now(), w.entry("device.enrol", udid)))
	return w.enrollment(e.ID), w.certificate(identity.SHA256)
}

func (w *world) certificate(sha256 string) certs.Certificate {
	w.t.Helper()
	c, err := w.DB.Certificates().CertificateByHash(w.ctx, sha256)
	w.ok(err)
	return c
}

func (w *world) revoke(c certs.Certificate, reason certs.RevocationReason) certs.Certificate {
	w.t.Helper()
	c, err := w.DB.Certificates().Revoke(w.ctx, c.SHA256, reason, w.now(), w.entry("certificate.revoke", c.SHA256))
	w.ok(err)
	return c
}

func (w *world) mark() certs.RevocationMark {
	w.t.Helper()
	m, err := w.DB.Certificates().RevocationMark(w.ctx)
	w.ok(err)
	return m
}

func testListCertificates(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		e, identity := w.withIdentity(alice, "U1")
		mail, old := w.mailIdentity(alice, e.ID, "org.example.mail"), w.mailIdentity(bob, "E2", "")
		old = w.revoke(old, certs.ReasonUnspecified)
		all := []certs.Certificate{identity, mail, old}
		for i := range all {
			all[i].DER = nil
		}
		bySHA256 := func(list ...int) []certs.Certificate {
			chosen := []certs.Certificate{}
			for _, i := range list {
				chosen = append(chosen, all[i])
			}
			slices.SortFunc(chosen, func(a, b certs.Certificate) int { return strings.Compare(a.SHA256, b.SHA256) })
			return chosen
		}
		end := identity.NotAfter
		for _, tt := range []struct {
			name   string
			filter certs.CertificateFilter
			want   []certs.Certificate
		}{
			{"all", certs.CertificateFilter{}, bySHA256(0, 1, 2)},
			{"user", certs.CertificateFilter{UserID: string(alice.ID)}, bySHA256(0, 1)},
			{"enrolment", certs.CertificateFilter{EnrollmentID: string(e.ID)}, bySHA256(0, 1)},
			{"rule", certs.CertificateFilter{Rule: certs.RuleMailIdentity}, bySHA256(1, 2)},
			{"expiring", certs.CertificateFilter{ExpiringBefore: end.Add(1000), Now: w.now()}, bySHA256(0, 1)},
			{"not yet expiring", certs.CertificateFilter{ExpiringBefore: end, Now: w.now()}, bySHA256()},
			{"expired", certs.CertificateFilter{ExpiringBefore: end.Add(time.Hour), Now: end}, bySHA256()},
			{"together", certs.CertificateFilter{UserID: string(alice.ID), Rule: certs.RuleMDMIdentity}, bySHA256(0)},
			{"limit", certs.CertificateFilter{Limit: 2}, bySHA256(0, 1, 2)[:2]},
			{"after", certs.CertificateFilter{After: bySHA256(0, 1, 2)[1].SHA256}, bySHA256(0, 1, 2)[2:]},
		} {
			got, err := w.DB.Certificates().ListCertificates(w.ctx, tt.filter)
			w.ok(err)
			t.Log(tt.name)
			w.same(got, tt.want)
		}
	}
}

func testRevoke(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, identity := w.withIdentity(u, "U1")
		mail := w.mailIdentity(u, e.ID, "")
		w.same(w.mark(), certs.RevocationMark{})
		w.unchangedBy(func() {
			_, err := w.DB.Certificates().Revoke(w.ctx, "unknown", certs.ReasonKeyCompromise, w.now(), w.entry("certificate.revoke", ""))
			w.is(err, certs.ErrNotFound)
		})
		now := w.later()
		events := w.newEvents(func() {
			got := w.revoke(mail, certs.ReasonKeyCompromise)
			mail.RevokedAt, mail.Reason = stored(now), certs.ReasonKeyCompromise
			w.same(got, mail)
		})
		w.same(events, []string{"identity " + string(e.ID)})
		w.same(w.certificate(mail.SHA256), mail)
		w.same(w.mark(), certs.RevocationMark{Count: 1, Last: stored(now)})
		w.unchangedBy(func() {
			w.later()
			w.same(w.revoke(mail, certs.ReasonSuperseded), mail)
		})
		w.same(w.newEvents(func() { w.revoke(identity, certs.ReasonUnspecified) }), []string{"identity " + string(e.ID)})
		_, pinned, err := w.DB.Enrollments().Pinned(w.ctx, identity.SHA256)
		w.ok(err)
		w.same(pinned, w.certificate(identity.SHA256))

		// Of nobody, and of an enrolment that has ended, whose are revoked: nobody is told.
		ended, its := w.withIdentity(u, "U2")
		w.ok(w.DB.Enrollments().End(w.ctx, ended.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		byHand := w.mailIdentity(u, "", "")
		w.same(w.newEvents(func() { w.revoke(its, certs.ReasonUnspecified); w.revoke(byHand, certs.ReasonUnspecified) }), []string{})
		w.audited("certificate.revoke", 3)
		w.same(w.mark(), certs.RevocationMark{Count: 4, Last: stored(w.now())})

		// An enrolment that is retired loses all of its own.
		last, identity := w.withIdentity(u, "U3")
		mails := []certs.Certificate{w.mailIdentity(u, last.ID, "a"), w.mailIdentity(u, last.ID, "b")}
		w.ok(w.DB.Enrollments().End(w.ctx, last.ID, mdm.Retired, w.now(), w.entry("device.retire", "")))
		for _, c := range append(mails, identity) {
			got := w.certificate(c.SHA256)
			w.same([]any{got.RevokedAt, got.Reason}, []any{stored(w.now()), certs.ReasonCessationOfOperation})
		}
	}
}

// testMark: whatever the clocks of two servers say, a mark differs from the one before.
func testMark(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		n := 0
		revoke := func(at time.Time) certs.RevocationMark {
			n++
			c := w.mailIdentity(u, mdm.EnrollmentID(fmt.Sprint("E", n)), "")
			before := w.mark()
			_, err := w.DB.Certificates().Revoke(w.ctx, c.SHA256, certs.ReasonUnspecified, at, w.entry("certificate.revoke", ""))
			w.ok(err)
			if w.mark() == before {
				t.Errorf("revoked at %v, and the mark is still %v", at, before)
			}
			return w.mark()
		}
		first := w.now()
		w.same(revoke(first), certs.RevocationMark{Count: 1, Last: stored(first)})
		w.same(revoke(first), certs.RevocationMark{Count: 2, Last: stored(first)})
		w.same(revoke(first.Add(-23*time.Hour)), certs.RevocationMark{Count: 3, Last: stored(first)})
		w.clock = first.AddDate(0, 0, 5)
		w.same(w.mark(), certs.RevocationMark{Last: stored(first)})
		ahead := first.AddDate(1, 0, 0)
		w.same(revoke(ahead), certs.RevocationMark{Count: 1, Last: stored(ahead)})
		w.same(revoke(w.now()), certs.RevocationMark{Count: 2, Last: stored(ahead)})

		// The reason of one that was revoked long ago is raised, twice.
		old := w.revoke(w.mailIdentity(u, "old", ""), certs.ReasonSuperseded)
		another := w.revoke(w.mailIdentity(u, "another", ""), certs.ReasonSuperseded)
		w.clock = w.clock.AddDate(0, 0, 5)
		for i, c := range []certs.Certificate{old, another, old} {
			w.revoke(c, certs.ReasonKeyCompromise)
			w.same(w.mark(), certs.RevocationMark{Count: 1, Last: stored(ahead), Raised: int64(min(i+1, 2))})
		}
	}
}

func testRevokedBy(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		valid, first, second := w.mailIdentity(u, "E1", ""), w.mailIdentity(u, "E2", ""), w.mailIdentity(u, "E3", "")
		other := w.issue(w.challenge(mailGrant(u, "E4")), func(c *certs.Certificate) { c.Issuer = "another" })

		store := w.DB.Certificates()
		none, err := store.RevokedBy(w.ctx, issuerID, w.now())
		w.ok(err)
		w.same(none, []certs.Revoked{})
		count, err := store.CountValid(w.ctx, w.now())
		w.ok(err)
		w.same(count, map[string]int{issuerID: 3, "another": 1})

		first, second, other = w.revoke(first, certs.ReasonKeyCompromise), w.revoke(second, certs.ReasonSuperseded), w.revoke(other, certs.ReasonUnspecified)
		got, err := store.RevokedBy(w.ctx, issuerID, valid.NotAfter)
		w.ok(err)
		want := []certs.Revoked{{Serial: first.Serial, RevokedAt: first.RevokedAt, Reason: first.Reason}, {Serial: second.Serial, RevokedAt: second.RevokedAt, Reason: second.Reason}}
		slices.SortFunc(want, func(a, b certs.Revoked) int { return strings.Compare(a.Serial, b.Serial) })
		w.same(got, want)
		got, err = store.RevokedBy(w.ctx, "another", w.now())
		w.ok(err)
		w.same(got, []certs.Revoked{{Serial: other.Serial, RevokedAt: other.RevokedAt}})
		got, err = store.RevokedBy(w.ctx, issuerID, valid.NotAfter.Add(time.Second)) // all of them had expired before
		w.ok(err)
		w.same(got, []certs.Revoked{})
		count, err = store.CountValid(w.ctx, w.now())
		w.ok(err)
		w.same(count, map[string]int{issuerID: 1})
		count, err = store.CountValid(w.ctx, valid.NotAfter)
		w.ok(err)
		w.same(count, map[string]int{})
	}
}

// signedBy is a certificate that says only itself by whom it was signed.
func signedBy(t testing.TB, keyID []byte) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial()), NotBefore: start, NotAfter: start.AddDate(1, 0, 0)},
		&x509.Certificate{Subject: pkix.Name{CommonName: "issuer"}, SubjectKeyId: keyID}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func testUnsaidIssuer(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		unsaid := func(der []byte) certs.Certificate {
			return w.issue(w.challenge(mailGrant(u, mdm.EnrollmentID(newID()))), func(c *certs.Certificate) {
				c.DER, c.SHA256, c.Issuer = der, hex.EncodeToString(secret.Hash(string(der))), ""
			})
		}
		keyID, err := hex.DecodeString(issuerID)
		w.ok(err)
		ours, theirs, unreadable := unsaid(signedBy(t, keyID)), unsaid(signedBy(t, []byte{1})), unsaid([]byte("no certificate"))
		w.mailIdentity(u, "E", "")
		count, err := w.DB.Certificates().CountValid(w.ctx, w.now())
		w.ok(err)
		w.same(count, map[string]int{issuerID: 2, "01": 1, "": 1})
		for _, c := range []certs.Certificate{ours, theirs, unreadable} {
			w.revoke(c, certs.ReasonUnspecified)
		}
		got, err := w.DB.Certificates().RevokedBy(w.ctx, issuerID, w.now())
		w.ok(err)
		w.same(got, []certs.Revoked{{Serial: ours.Serial, RevokedAt: stored(w.now())}})
	}
}

func testRevokeRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, identity := w.withIdentity(u, "U1")
		before := len(w.events())
		for _, err := range together(crowd, func(i int) error {
			_, err := w.DB.Certificates().Revoke(w.ctx, identity.SHA256, certs.ReasonKeyCompromise, w.now().Add(time.Duration(i)*time.Second), w.entry("certificate.revoke", ""))
			return err
		}) {
			w.ok(err)
		}
		w.same(w.events()[before:], []string{"identity " + string(e.ID)})
		w.audited("certificate.revoke", 1)
	}
}

func testSharedKey(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		w.mailIdentity(u, "E0", "")
		issue := func(id mdm.EnrollmentID) certs.Certificate {
			t.Helper()
			cert, err := w.issueTo(w.challenge(mailGrant(u, id)).Hash, claim("one key"))
			w.ok(err)
			return cert
		}
		refused := func(u directory.User, id mdm.EnrollmentID) {
			t.Helper()
			c := w.challenge(mailGrant(u, id))
			w.unchangedBy(func() {
				_, err := w.DB.Certificates().Issue(w.ctx, c.Hash, claim("one key"), w.now(), neverSigning(t))
				w.is(err, certs.ErrKeyRefused)
			})
		}
		e, other := w.enrolled(u, "U1"), w.mailIdentity(u, w.enrolled(u, "U2").ID, "")
		first := issue(e.ID)
		w.later()
		w.same(issue(e.ID).KeyHash, first.KeyHash)
		refused(u, "E2")
		refused(w.user("bob@example.test"), e.ID)
		w.unchangedBy(func() { // another phone's signature brings it no further
			_, err := w.DB.Certificates().IssueRenewal(w.ctx, other.SHA256, claim("one key"), w.now(), neverSigning(t))
			w.is(err, certs.ErrKeyRefused)
		})
		w.revoke(first, certs.ReasonSuperseded)
		w.revoke(first, certs.ReasonKeyCompromise) // the key was lost, whatever came of it later
		refused(u, e.ID)
	}
}
