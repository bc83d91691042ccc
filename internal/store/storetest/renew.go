package storetest

import (
	"bytes"
	"encoding/hex"
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

func testRenew(t *testing.T, make Maker) {
	t.Run("issue, repeat", testRenewalPath(make))
	t.Run("names as they are now", testRenewalNames(make))
	t.Run("refusals", testRenewalRefusals(make))
	t.Run("by hand", testRenewalByHand(make))
	t.Run("siblings", testRenewalSiblings(make))
	t.Run("what another version left half issued", testHalfIssued(make))
	t.Run("64 at once", testRenewalRace(make))
	t.Run("the same request 64 times at once", testRenewalRetryRace(make))
}

func (w *world) issueRenewal(signer certs.Certificate, c certs.Claim) (certs.Certificate, error) {
	return w.DB.Certificates().IssueRenewal(w.ctx, signer.SHA256, c, w.now(), w.signing(c))
}

// renewed replaces a certificate by its own signature.
func (w *world) renewed(signer certs.Certificate) certs.Certificate {
	w.t.Helper()
	cert, err := w.issueRenewal(signer, claim(newID()))
	w.ok(err)
	return cert
}

// renewedBy is renewed, and what the successor was granted by.
func (w *world) renewedBy(signer certs.Certificate, c certs.Claim) (granted certs.Grant, successor certs.Certificate) {
	w.t.Helper()
	successor, err := w.DB.Certificates().IssueRenewal(w.ctx, signer.SHA256, c, w.now(), func(g certs.Grant) (certs.Certificate, audit.Entry, error) {
		granted = g
		return w.signing(c)(g)
	})
	w.ok(err)
	return granted, successor
}

func testRenewalPath(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, identity := w.withIdentity(u, "U1")
		issues := w.count("certificate.issue")
		w.later()
		first := claim("transaction")
		granted, successor := w.renewedBy(identity, first)
		// Without its invitation: nothing is burnt, and nothing is void with it.
		w.same(granted, certs.Grant{Rule: certs.RuleMDMIdentity, CommonName: u.UPN, UPN: u.UPN, Mail: u.Email, UserID: string(u.ID), EnrollmentID: string(e.ID)})
		w.same(successor.EnrollmentID, string(e.ID))
		w.same(w.count("certificate.issue"), issues+1)

		repeats := func() {
			w.unchangedBy(func() {
				again, err := w.DB.Certificates().IssueRenewal(w.ctx, identity.SHA256, first, w.now(), neverSigning(t))
				w.ok(err)
				w.same(again.DER, successor.DER)
				_, err = w.issueRenewal(identity, claim("another transaction"))
				w.is(err, certs.ErrChallengeInvalid)
				otherKey := first
				otherKey.KeyHash = secret.Hash("another key")
				_, err = w.issueRenewal(identity, otherKey)
				w.is(err, certs.ErrChallengeInvalid)
			})
		}
		repeats()
		// For ever: when its signer is expired and revoked, and the enrolment has ended, too.
		w.revoke(identity, certs.ReasonSuperseded)
		w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		w.clock = identity.NotAfter.AddDate(1, 0, 0)
		repeats()
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
		granted, _ := w.renewedBy(old, claim("t"))
		g.CommonName, g.Mail = u.UPN, "alice.smith@example.test"
		w.same(granted, g)

		// Rights go from one to the next.
		g = certs.Grant{Rule: certs.RuleMDMIdentity, UserID: string(u.ID), EnrollmentID: string(e.ID), AccessRights: 5}
		identity := w.issue(w.challenge(g))
		_, err = w.DB.Renewals().PinSuccessor(w.ctx, e.ID, e.CertificateHash, identity.SHA256, w.now(), audit.Entry{})
		w.ok(err)
		granted, _ = w.renewedBy(identity, claim("rights"))
		w.same(granted.AccessRights, 5)
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
				cert, err := w.DB.Certificates().IssueRenewal(w.ctx, tt.signer.SHA256, claim("t"), tt.now, neverSigning(t))
				if !errors.Is(err, certs.ErrChallengeInvalid) || cert.DER != nil {
					t.Errorf("%s: got %v, %v", tt.name, cert, err)
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
			granted, successor := w.renewedBy(c, claim(newID()))
			w.same(granted, g)
			w.same(successor.EnrollmentID, "")
			w.unchangedBy(func() { // once
				_, err := w.issueRenewal(c, claim(newID()))
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
		mail = w.renewed(mail)
		_, err := w.issueTo(pushed.Hash, claim("t"))
		w.is(err, certs.ErrChallengeInvalid)
		w.issue(other)

		// The other way round: what was pushed since is used first.
		g.Profile = "a"
		w.later()
		w.issue(w.challenge(g))
		w.unchangedBy(func() {
			_, err = w.issueRenewal(mail, claim("t"))
			w.is(err, certs.ErrChallengeInvalid)
		})
	}
}

// testHalfIssued: versions that committed a claim before they signed may have ended in
// between. The same request goes on from there, and nobody else's.
func testHalfIssued(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		half := func(hash []byte, g certs.Grant) []byte {
			c := certs.Challenge{Hash: hash, Grant: g, CreatedAt: w.now(), ExpiresAt: w.now().Add(time.Minute)}
			w.ok(w.DB.Certificates().SaveChallenge(w.ctx, c))
			w.Exec(w.t, `UPDATE certs_challenges SET claimed_at = created_at, transaction_id = 't', key_hash = $1, serial = $2, not_before = 1, not_after = 2 WHERE hash = $3`,
				claim("t").KeyHash, serial(), c.Hash)
			return c.Hash
		}
		i, revoked := w.invitation(u), w.invitation(u)
		issued, void := half(secret.Hash("issued"), identityGrant(i)), half(secret.Hash("void"), identityGrant(revoked))
		w.ok(w.DB.Invitations().RevokeInvitation(w.ctx, revoked.ID, w.entry("invitation.revoke", "")))
		e := w.enrolled(u, "U1")
		ended, gone := w.enrolled(u, "U2"), w.user("bob@example.test")
		ofEnded, ofGone, ofLost := half(secret.Hash("ended"), mailGrant(u, ended.ID)), half(secret.Hash("gone"), mailGrant(gone, w.enrolled(gone, "U3").ID)), half(secret.Hash("lost"), mailGrant(u, e.ID))
		w.ok(w.DB.Enrollments().End(w.ctx, ended.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		w.ok(w.DB.Users().RemoveUser(w.ctx, gone.ID, w.now(), w.entry("user.remove", "")))
		mail, lost := w.mailIdentity(u, e.ID, "a"), w.mailIdentity(u, e.ID, "b")
		for _, c := range []certs.Certificate{mail, lost} {
			half(certs.RenewalHash(c.SHA256), certs.Grant{Rule: c.Rule, CommonName: u.UPN, UserID: c.UserID, EnrollmentID: c.EnrollmentID, Profile: c.Profile})
		}
		w.revoke(lost, certs.ReasonKeyCompromise)
		keyLost := claim("t")
		keyLost.KeyHash, _ = hex.DecodeString(lost.KeyHash)
		w.Exec(w.t, `UPDATE certs_challenges SET key_hash = $1 WHERE hash = $2`, keyLost.KeyHash, ofLost)
		w.clock = w.clock.Add(time.Hour) // long after they expired

		w.unchangedBy(func() {
			for _, hash := range [][]byte{issued, void} {
				_, err := w.issueTo(hash, claim("another"))
				w.is(err, certs.ErrChallengeInvalid)
			}
			for _, hash := range [][]byte{void, ofEnded, ofGone, certs.RenewalHash(lost.SHA256)} {
				_, err := w.issueTo(hash, claim("t"))
				w.is(err, certs.ErrChallengeInvalid)
			}
			_, err := w.issueTo(ofLost, keyLost)
			w.is(err, certs.ErrKeyRefused)
			_, err = w.issueRenewal(mail, claim("another"))
			w.is(err, certs.ErrChallengeInvalid)
			_, err = w.issueRenewal(lost, claim("t"))
			w.is(err, certs.ErrChallengeInvalid)
		})
		cert, err := w.issueTo(issued, claim("t"))
		w.ok(err)
		w.same(cert.InvitationID, string(i.ID))
		byMail := claim("t") // the key is another device's by now
		byMail.KeyHash = secret.Hash("key of the mail identity")
		w.Exec(w.t, `UPDATE certs_challenges SET key_hash = $1 WHERE hash = $2`, byMail.KeyHash, certs.RenewalHash(mail.SHA256))
		u.Email = "alice.smith@example.test" // since
		_, err = w.DB.Users().SaveUsers(w.ctx, []directory.User{u}, nil)
		w.ok(err)
		granted, cert := w.renewedBy(mail, byMail)
		w.same([]any{granted.Mail, cert.EnrollmentID}, []any{u.Email, string(e.ID)})
	}
}

func testRenewalRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		_, identity := w.withIdentity(u, "U1")
		byHand := w.mailIdentity(u, "", "")
		before := w.count("certificate.issue")
		for _, signer := range []certs.Certificate{identity, byHand} {
			errs := together(crowd, func(i int) error {
				_, err := w.issueRenewal(signer, claim(fmt.Sprint("transaction ", i, signer.SHA256)))
				return err
			})
			won := count(errs, func(err error) bool { return err == nil })
			lost := count(errs, func(err error) bool { return errors.Is(err, certs.ErrChallengeInvalid) })
			if won != 1 || lost != crowd-1 {
				t.Fatalf("%d won and %d lost of %d: %v", won, lost, crowd, errs)
			}
		}
		w.same(w.count("certificate.issue"), before+2)
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
			cert, err := w.issueRenewal(identity, claim("transaction"))
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
