package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

func testClaims(t *testing.T, make Maker) {
	t.Run("claim, repeat, record, repeat", testRenewalPath(make))
	t.Run("names as they are now", testRenewalNames(make))
	t.Run("refusals", testRenewalRefusals(make))
	t.Run("by hand", testRenewalByHand(make))
	t.Run("siblings", testRenewalSiblings(make))
	t.Run("revoked meanwhile", testRenewalRevoked(make))
	t.Run("64 at once", testRenewalRace(make))
	t.Run("the same claim 64 times at once", testRenewalRetryRace(make))
}

func (w *world) claimRenewal(signer certs.Certificate, c certs.Claim) (certs.Claimed, error) {
	return w.DB.Certificates().ClaimRenewal(w.ctx, signer.SHA256, c, w.now(), w.entry("certificate.intent", signer.SHA256))
}

// renewed replaces a certificate by its own signature.
func (w *world) renewed(signer certs.Certificate) certs.Certificate {
	w.t.Helper()
	claimed, err := w.claimRenewal(signer, claim(newID()))
	w.ok(err)
	return w.record(certs.RenewalHash(signer.SHA256), claimed)
}

func (w *world) record(hash []byte, claimed certs.Claimed) certs.Certificate {
	w.t.Helper()
	cert, err := w.DB.Certificates().RecordIssued(w.ctx, hash, certificate(claimed), w.now(), w.entry("certificate.issue", ""))
	w.ok(err)
	return cert
}

func testRenewalPath(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, identity := w.withIdentity(u, "U1")
		w.later()
		first := claim("transaction")
		claimed, err := w.claimRenewal(identity, first)
		w.ok(err)
		// Without its invitation: nothing is burnt, and nothing is void with it.
		grant := certs.Grant{Rule: certs.RuleMDMIdentity, CommonName: u.UPN, UPN: u.UPN, Mail: u.Email, UserID: string(u.ID), EnrollmentID: string(e.ID)}
		w.same(claimed, certs.Claimed{Grant: grant, Claim: first})
		w.audited("certificate.intent", 1)

		retry := claim("transaction")
		retry.NotAfter = retry.NotAfter.AddDate(1, 0, 0)
		w.unchangedBy(func() {
			again, err := w.claimRenewal(identity, retry)
			w.ok(err)
			w.same(again, claimed)
			_, err = w.claimRenewal(identity, claim("another transaction"))
			w.is(err, certs.ErrChallengeInvalid)
			otherKey := first
			otherKey.KeyHash = secret.Hash("another key")
			_, err = w.claimRenewal(identity, otherKey)
			w.is(err, certs.ErrChallengeInvalid)
		})
		successor := w.record(certs.RenewalHash(identity.SHA256), claimed)
		w.same(successor.EnrollmentID, string(e.ID))

		// For ever: when its signer is expired and revoked, and the enrolment has ended, too.
		w.revoke(identity, certs.ReasonSuperseded)
		w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		w.unchangedBy(func() {
			w.clock = identity.NotAfter.AddDate(1, 0, 0)
			again, err := w.claimRenewal(identity, retry)
			w.ok(err)
			w.same(again.Certificate, successor.DER)
			_, err = w.claimRenewal(identity, claim("another transaction"))
			w.is(err, certs.ErrChallengeInvalid)
		})
	}
}

func testRenewalNames(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e := w.enrolled(u, "U1")
		g := mailGrant(u, e.ID)
		g.Profile, g.CommonName = "org.example.mail", "before"
		old := w.issue(w.challenge(g))
		u.Email = "alice.smith@example.test"
		_, err := w.DB.Users().SaveUsers(w.ctx, []directory.User{u}, nil)
		w.ok(err)
		claimed, err := w.claimRenewal(old, claim("t"))
		w.ok(err)
		g.CommonName, g.Mail = u.UPN, "alice.smith@example.test"
		w.same(claimed.Grant, g)

		// Rights go from one to the next.
		g = certs.Grant{Rule: certs.RuleMDMIdentity, UserID: string(u.ID), EnrollmentID: string(e.ID), AccessRights: 5}
		identity := w.issue(w.challenge(g))
		_, err = w.DB.Renewals().PinSuccessor(w.ctx, e.ID, e.CertificateHash, identity.SHA256, w.now(), audit.Entry{})
		w.ok(err)
		claimed, err = w.claimRenewal(identity, claim("t"))
		w.ok(err)
		w.same(claimed.Grant.AccessRights, 5)
	}
}

func testRenewalRefusals(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u, gone := w.user("alice@example.test"), w.user("bob@example.test")
		e := w.enrolled(u, "U1")
		revoked := w.revoke(w.mailIdentity(u, w.enrolled(u, "U2").ID, ""), certs.ReasonKeyCompromise)
		older := w.mailIdentity(u, e.ID, "a")
		otherProfile := w.mailIdentity(u, e.ID, "b")
		w.later()
		newer := w.mailIdentity(u, e.ID, "a")
		early := w.mailIdentity(u, w.admitted(u, "U3").ID, "")
		ended, endedIdentity := w.withIdentity(u, "U4")
		endedMail := w.mailIdentity(u, ended.ID, "")
		w.ok(w.DB.Enrollments().End(w.ctx, ended.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		removed := w.mailIdentity(gone, w.enrolled(gone, "U5").ID, "")
		w.ok(w.DB.Users().RemoveUser(w.ctx, gone.ID, w.now(), w.entry("user.remove", "")))
		unused := w.issue(w.challenge(certs.Grant{Rule: certs.RuleMDMIdentity, UserID: string(u.ID), EnrollmentID: string(e.ID)}))
		unpinned := w.issue(w.challenge(identityGrant(w.invitation(u))))

		for _, tt := range []struct {
			name   string
			signer certs.Certificate
			now    time.Time
		}{
			{"unknown", certs.Certificate{SHA256: "unknown"}, w.now()},
			{"revoked", revoked, w.now()},
			{"expired", newer, newer.NotAfter},
			{"not the newest", older, w.now()},
			{"enrolment not active yet", early, w.now()},
			{"enrolment ended", endedMail, w.now()},
			{"identity of an enrolment that has ended", endedIdentity, w.now()},
			{"user removed", removed, w.now()},
			{"a successor that is not pinned", unused, w.now()},
			{"an identity without an enrolment", unpinned, w.now()},
		} {
			w.unchangedBy(func() {
				claimed, err := w.DB.Certificates().ClaimRenewal(w.ctx, tt.signer.SHA256, claim("t"), tt.now, w.entry("certificate.intent", ""))
				if !errors.Is(err, certs.ErrChallengeInvalid) || claimed.Certificate != nil || claimed.Grant.UserID != "" {
					t.Errorf("%s: got %v, %v", tt.name, claimed, err)
				}
			})
		}
		for _, valid := range []certs.Certificate{newer, otherProfile} {
			w.renewed(valid)
		}
	}
}

// testRenewalByHand: nothing tells which device of a user has which certificate.
func testRenewalByHand(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		g := certs.Grant{Rule: certs.RuleMailIdentity, CommonName: u.UPN, UPN: u.UPN, Mail: u.Email, UserID: string(u.ID), RequestedBy: "admin"}
		laptop := w.issue(w.challenge(g))
		w.later()
		tablet := w.issue(w.challenge(g))
		pending := w.challenge(g)
		for _, c := range []certs.Certificate{laptop, tablet} {
			claimed, err := w.claimRenewal(c, claim(newID()))
			w.ok(err)
			w.same(claimed.Grant, g)
			w.same(w.record(certs.RenewalHash(c.SHA256), claimed).EnrollmentID, "")
			w.unchangedBy(func() { // once
				_, err := w.claimRenewal(c, claim(newID()))
				w.is(err, certs.ErrChallengeInvalid)
			})
		}
		w.issue(pending) // is nobody's sibling
	}
}

func testRenewalSiblings(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e := w.enrolled(u, "U1")
		mail := w.mailIdentity(u, e.ID, "a")
		g := mailGrant(u, e.ID)
		g.Profile = "a"
		pushed := w.challenge(g)
		g.Profile = "b"
		other := w.challenge(g)
		claimed, err := w.claimRenewal(mail, claim("t"))
		w.ok(err)
		_, err = w.DB.Certificates().ClaimChallenge(w.ctx, pushed.Hash, claim("t"), w.now(), w.entry("certificate.intent", ""))
		w.is(err, certs.ErrChallengeInvalid)
		w.issue(other)

		// The other way round: what was pushed since is claimed first.
		g.Profile = "a"
		w.issue(w.challenge(g))
		w.unchangedBy(func() {
			_, err = w.DB.Certificates().RecordIssued(w.ctx, certs.RenewalHash(mail.SHA256), certificate(claimed), w.now(), w.entry("certificate.issue", ""))
			w.is(err, certs.ErrChallengeInvalid)
			_, err = w.claimRenewal(mail, claim("t"))
			w.is(err, certs.ErrChallengeInvalid)
		})
	}
}

// testRenewalRevoked: a claim that has come to nothing yet ends with its signer, and
// with the enrolment.
func testRenewalRevoked(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		for i, end := range []func(mdm.Enrollment, certs.Certificate){
			func(_ mdm.Enrollment, c certs.Certificate) { w.revoke(c, certs.ReasonKeyCompromise) },
			func(e mdm.Enrollment, _ certs.Certificate) {
				w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.Replaced, w.now(), w.entry("device.checkout", "")))
			},
		} {
			e, identity := w.withIdentity(u, fmt.Sprint("U", i))
			claimed, err := w.claimRenewal(identity, claim("t"))
			w.ok(err)
			end(e, identity)
			w.unchangedBy(func() {
				_, err := w.claimRenewal(identity, claim("t"))
				w.is(err, certs.ErrChallengeInvalid)
				_, err = w.DB.Certificates().RecordIssued(w.ctx, certs.RenewalHash(identity.SHA256), certificate(claimed), w.now(), w.entry("certificate.issue", ""))
				w.is(err, certs.ErrChallengeInvalid)
			})
		}
	}
}

func testRenewalRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		_, identity := w.withIdentity(u, "U1")
		byHand := w.mailIdentity(u, "", "")
		before := []int{w.count("certificate.intent"), w.count("certificate.issue")}
		for _, signer := range []certs.Certificate{identity, byHand} {
			errs := together(crowd, func(i int) error {
				claimed, err := w.claimRenewal(signer, claim(fmt.Sprint("transaction ", i)))
				if err != nil {
					return err
				}
				_, err = w.DB.Certificates().RecordIssued(w.ctx, certs.RenewalHash(signer.SHA256), certificate(claimed), w.now(), w.entry("certificate.issue", ""))
				return err
			})
			won := count(errs, func(err error) bool { return err == nil })
			lost := count(errs, func(err error) bool { return errors.Is(err, certs.ErrChallengeInvalid) })
			if won != 1 || lost != crowd-1 {
				t.Fatalf("%d won and %d lost of %d: %v", won, lost, crowd, errs)
			}
		}
		w.same([]int{w.count("certificate.intent"), w.count("certificate.issue")}, []int{before[0] + 2, before[1] + 2})
	}
}

// count is how many entries of the trail have that action.
func (w *world) count(action string) int {
	w.t.Helper()
	entries, err := w.DB.Audit().List(w.ctx, audit.Filter{Action: action, Limit: 1000})
	w.ok(err)
	return len(entries)
}

func testRenewalRetryRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		_, identity := w.withIdentity(w.user("alice@example.test"), "U1")
		certificates := [crowd][]byte{}
		for _, err := range together(crowd, func(i int) error {
			claimed, err := w.claimRenewal(identity, claim("transaction"))
			if err != nil {
				return err
			}
			cert, err := w.DB.Certificates().RecordIssued(w.ctx, certs.RenewalHash(identity.SHA256), certificate(claimed), w.now(), w.entry("certificate.issue", ""))
			certificates[i] = cert.DER
			return err
		}) {
			w.ok(err)
		}
		for _, der := range certificates {
			if !bytes.Equal(der, certificates[0]) {
				t.Fatal("two certificates for one transaction")
			}
		}
	}
}
