package storetest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

func identityGrant(i enroll.Invitation) certs.Grant {
	return certs.Grant{Rule: certs.RuleMDMIdentity, CommonName: "phone", UserID: string(i.UserID), InvitationID: string(i.ID)}
}

func mailGrant(u directory.User, enrollment mdm.EnrollmentID) certs.Grant {
	return certs.Grant{Rule: certs.RuleMailIdentity, CommonName: u.UPN, UPN: u.UPN, Mail: u.Email, UserID: string(u.ID), EnrollmentID: string(enrollment)}
}

func (w *world) challenge(g certs.Grant) certs.Challenge {
	w.t.Helper()
	c := certs.Challenge{Hash: secret.Hash(newID()), Grant: g, CreatedAt: w.now(), ExpiresAt: w.now().Add(15 * time.Minute)}
	w.ok(w.DB.Certificates().SaveChallenge(w.ctx, c))
	return c
}

// claim is one by the key that belongs to the transaction, with a fresh serial.
func claim(transaction string) certs.Claim {
	return certs.Claim{TransactionID: transaction, KeyHash: secret.Hash("key of " + transaction), Serial: serial(),
		NotBefore: stored(start), NotAfter: stored(start.AddDate(1, 0, 0))}
}

func serial() []byte {
	s := secret.Hash(newID())[:16]
	s[0] &= 0x7f
	return s
}

// issuerID is the SubjectKeyId of who issues in these tests.
const issuerID = "15500e"

func certificate(c certs.Claimed) certs.Certificate {
	der := append([]byte("certificate "), c.Claim.Serial...)
	return certs.Certificate{SHA256: hex.EncodeToString(secret.Hash(string(der))), DER: der, Serial: hex.EncodeToString(c.Claim.Serial),
		Rule: c.Grant.Rule, UserID: c.Grant.UserID, InvitationID: c.Grant.InvitationID, EnrollmentID: c.Grant.EnrollmentID,
		Profile: c.Grant.Profile, Issuer: issuerID, KeyHash: hex.EncodeToString(c.Claim.KeyHash),
		NotBefore: c.Claim.NotBefore, NotAfter: c.Claim.NotAfter}
}

func (w *world) issue(c certs.Challenge) certs.Certificate {
	w.t.Helper()
	claimed, err := w.DB.Certificates().ClaimChallenge(w.ctx, c.Hash, claim(newID()), w.now(), w.entry("certificate.issue", ""))
	w.ok(err)
	cert, err := w.DB.Certificates().RecordIssued(w.ctx, c.Hash, certificate(claimed), w.now(), w.entry("certificate.issue", ""))
	w.ok(err)
	return cert
}

func testChallenges(t *testing.T, make Maker) {
	t.Run("claim, repeat, record, repeat", testClaimPath(make))
	t.Run("refusals", testClaimRefusals(make))
	t.Run("a user who was removed", testClaimRemoved(make))
	t.Run("siblings", testClaimSiblings(make))
	t.Run("64 at once", testClaimRace(make))
	t.Run("64 siblings at once", testSiblingRace(make))
	t.Run("the same claim 64 times at once", testRetryRace(make))
}

func testClaimPath(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		store := w.DB.Certificates()
		i := w.invitation(w.user("alice@example.test"))
		c := w.challenge(identityGrant(i))
		first := claim("transaction")
		claimed, err := store.ClaimChallenge(w.ctx, c.Hash, first, w.now(), w.entry("certificate.issue", "intent"))
		w.ok(err)
		w.same(claimed, certs.Claimed{Grant: c.Grant, Claim: first})
		w.audited("certificate.issue", 1)

		retry := claim("transaction")
		retry.NotAfter = retry.NotAfter.AddDate(1, 0, 0)
		w.clock = w.clock.Add(time.Hour) // after the challenge has expired
		w.unchangedBy(func() {
			again, err := store.ClaimChallenge(w.ctx, c.Hash, retry, w.now(), w.entry("certificate.issue", "intent"))
			w.ok(err)
			w.same(again, claimed)
		})
		got, err := w.DB.Invitations().InvitationByID(w.ctx, i.ID)
		w.ok(err)
		w.same(got.State, enroll.InvitationOpen)

		cert := certificate(claimed)
		recorded, err := store.RecordIssued(w.ctx, c.Hash, cert, w.now(), w.entry("certificate.issue", "done"))
		w.ok(err)
		w.same(recorded, cert)
		w.audited("certificate.issue", 2)
		got, err = w.DB.Invitations().InvitationByID(w.ctx, i.ID)
		w.ok(err)
		w.same([]any{got.State, got.UsedAt}, []any{enroll.InvitationUsed, stored(w.now())})

		w.unchangedBy(func() {
			again, err := store.ClaimChallenge(w.ctx, c.Hash, retry, w.now(), w.entry("certificate.issue", "intent"))
			w.ok(err)
			w.same(again.Certificate, cert.DER)
			other := cert
			other.SHA256, other.DER = "other", []byte("other")
			recorded, err := store.RecordIssued(w.ctx, c.Hash, other, w.now(), w.entry("certificate.issue", "done"))
			w.ok(err)
			w.same(recorded, cert)
		})
	}
}

func testClaimRefusals(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		taken := w.challenge(mailGrant(u, "taken"))
		first, err := w.DB.Certificates().ClaimChallenge(w.ctx, taken.Hash, claim("t"), w.now(), w.entry("certificate.issue", ""))
		w.ok(err)
		otherClaim := first.Claim
		otherClaim.KeyHash = secret.Hash("another key")
		otherKey := claim("t")
		otherKey.KeyHash = secret.Hash("another key")
		void := w.challenge(mailGrant(u, "void"))
		w.issue(w.challenge(mailGrant(u, "void")))
		usedInvitation := w.invitation(u)
		w.issue(w.challenge(identityGrant(usedInvitation)))
		late := w.challenge(identityGrant(usedInvitation))
		fresh := w.challenge(mailGrant(u, "fresh"))
		stranger := w.challenge(mailGrant(directory.User{ID: "nobody"}, "stranger"))

		tests := []struct {
			name  string
			hash  []byte
			claim certs.Claim
			now   time.Time
		}{
			{"unknown", secret.Hash("unknown"), claim("t"), w.now()},
			{"expired", fresh.Hash, claim("t"), fresh.ExpiresAt},
			{"another transaction", taken.Hash, claim("another"), w.now()},
			{"another key", taken.Hash, otherKey, w.now()},
			{"void", void.Hash, claim("t"), w.now()},
			{"invitation used", late.Hash, claim("t"), w.now()},
			{"user not on record", stranger.Hash, claim("t"), w.now()},
		}
		for _, tt := range tests {
			w.unchangedBy(func() {
				claimed, err := w.DB.Certificates().ClaimChallenge(w.ctx, tt.hash, tt.claim, tt.now, w.entry("certificate.issue", ""))
				if !errors.Is(err, certs.ErrChallengeInvalid) || claimed.Certificate != nil || claimed.Grant.UserID != "" {
					t.Errorf("%s: got %v, %v", tt.name, claimed, err)
				}
			})
		}
		w.unchangedBy(func() {
			for _, hash := range [][]byte{fresh.Hash, secret.Hash("unknown")} { // never claimed; unknown
				_, err := w.DB.Certificates().RecordIssued(w.ctx, hash, certificate(certs.Claimed{Claim: claim("t")}), w.now(), w.entry("certificate.issue", ""))
				w.is(err, certs.ErrChallengeInvalid)
			}
			otherCert := certificate(certs.Claimed{Claim: otherClaim})
			_, err := w.DB.Certificates().RecordIssued(w.ctx, taken.Hash, otherCert, w.now(), w.entry("certificate.issue", ""))
			w.is(err, certs.ErrChallengeInvalid) // of another key
			// A certificate that is not the one which the claim announced.
			_, err = w.DB.Certificates().RecordIssued(w.ctx, taken.Hash, certificate(certs.Claimed{Claim: claim("t")}), w.now(), w.entry("certificate.issue", ""))
			if err == nil {
				t.Error("a certificate with another serial was recorded")
			}
		})
	}
}

// A user may be removed at any point of an issue: nothing is handed out after it.
func testClaimRemoved(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		store := w.DB.Certificates()
		u := w.user("alice@example.test")
		open, claimed, issued := w.challenge(mailGrant(u, "E1")), w.challenge(mailGrant(u, "E2")), w.challenge(mailGrant(u, "E3"))
		taken, err := store.ClaimChallenge(w.ctx, claimed.Hash, claim("t"), w.now(), w.entry("certificate.issue", ""))
		w.ok(err)
		done, err := store.ClaimChallenge(w.ctx, issued.Hash, claim("t"), w.now(), w.entry("certificate.issue", ""))
		w.ok(err)
		_, err = store.RecordIssued(w.ctx, issued.Hash, certificate(done), w.now(), w.entry("certificate.issue", ""))
		w.ok(err)
		w.ok(w.DB.Users().RemoveUser(w.ctx, u.ID, w.now(), w.entry("user.remove", "")))
		w.unchangedBy(func() {
			for _, c := range []certs.Challenge{open, claimed, issued} {
				_, err := store.ClaimChallenge(w.ctx, c.Hash, claim("t"), w.now(), w.entry("certificate.issue", ""))
				w.is(err, certs.ErrChallengeInvalid)
			}
			_, err := store.RecordIssued(w.ctx, claimed.Hash, certificate(taken), w.now(), w.entry("certificate.issue", ""))
			w.is(err, certs.ErrChallengeInvalid)
		})
	}
}

func testClaimSiblings(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		i, j := w.invitation(u), w.invitation(u)
		identity, identitySibling, otherInvitation := w.challenge(identityGrant(i)), w.challenge(identityGrant(i)), w.challenge(identityGrant(j))
		mail, mailSibling, otherPhone := w.challenge(mailGrant(u, "E1")), w.challenge(mailGrant(u, "E1")), w.challenge(mailGrant(u, "E2"))
		otherRule, otherProfile := mailGrant(u, "E1"), mailGrant(u, "E1")
		otherRule.Rule, otherProfile.Profile = certs.RuleMDMIdentity, "org.example.second"
		renewal, second, secondSibling := w.challenge(otherRule), w.challenge(otherProfile), w.challenge(otherProfile)
		for _, step := range []struct {
			challenge certs.Challenge
			valid     bool
		}{{identity, true}, {identitySibling, false}, {otherInvitation, true}, {mail, true}, {mailSibling, false}, {otherPhone, true}, {renewal, true},
			{second, true}, {secondSibling, false}} {
			_, err := w.DB.Certificates().ClaimChallenge(w.ctx, step.challenge.Hash, claim(newID()), w.now(), w.entry("certificate.issue", ""))
			if step.valid {
				w.ok(err)
			} else {
				w.is(err, certs.ErrChallengeInvalid)
			}
		}
		// The end of an enrolment takes its challenges with it.
		e := w.enrolled(u, "U1")
		left := w.challenge(mailGrant(u, e.ID))
		w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		_, err := w.DB.Certificates().ClaimChallenge(w.ctx, left.Hash, claim("t"), w.now(), w.entry("certificate.issue", ""))
		w.is(err, certs.ErrChallengeInvalid)
		// One that was being minted meanwhile is saved only after the end.
		minted := w.challenge(mailGrant(u, e.ID))
		w.unchangedBy(func() {
			_, err := w.DB.Certificates().ClaimChallenge(w.ctx, minted.Hash, claim("t"), w.now(), w.entry("certificate.issue", ""))
			w.is(err, certs.ErrChallengeInvalid)
		})
	}
}

const crowd = 64

func testClaimRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		c := w.challenge(identityGrant(w.invitation(w.user("alice@example.test"))))
		w.oneWinner(together(crowd, func(i int) error {
			return w.claimAndRecord(c.Hash, claim(fmt.Sprint("transaction ", i)))
		}))
	}
}

func testSiblingRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		i := w.invitation(w.user("alice@example.test"))
		challenges := [crowd]certs.Challenge{}
		for n := range challenges {
			challenges[n] = w.challenge(identityGrant(i))
		}
		w.oneWinner(together(crowd, func(n int) error { return w.claimAndRecord(challenges[n].Hash, claim(fmt.Sprint(n))) }))
	}
}

func testRetryRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		c := w.challenge(identityGrant(w.invitation(w.user("alice@example.test"))))
		certificates := [crowd][]byte{}
		for _, err := range together(crowd, func(i int) error {
			claimed, err := w.DB.Certificates().ClaimChallenge(w.ctx, c.Hash, claim("transaction"), w.now(), w.entry("certificate.intent", ""))
			if err != nil {
				return err
			}
			cert, err := w.DB.Certificates().RecordIssued(w.ctx, c.Hash, certificate(claimed), w.now(), w.entry("certificate.issue", ""))
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
		w.audited("certificate.intent", 1)
		w.audited("certificate.issue", 1)
	}
}

func (w *world) claimAndRecord(hash []byte, c certs.Claim) error {
	claimed, err := w.DB.Certificates().ClaimChallenge(w.ctx, hash, c, w.now(), w.entry("certificate.intent", ""))
	if err != nil {
		return err
	}
	_, err = w.DB.Certificates().RecordIssued(w.ctx, hash, certificate(claimed), w.now(), w.entry("certificate.issue", ""))
	return err
}

func (w *world) oneWinner(errs []error) {
	w.t.Helper()
	won := count(errs, func(err error) bool { return err == nil })
	lost := count(errs, func(err error) bool { return errors.Is(err, certs.ErrChallengeInvalid) })
	if won != 1 || lost != len(errs)-1 {
		w.t.Fatalf("%d won and %d lost of %d: %v", won, lost, len(errs), errs)
	}
	w.audited("certificate.intent", 1)
	w.audited("certificate.issue", 1)
}

func testCertificates(t *testing.T, make Maker) {
	w := newWorld(t, make)
	store := w.DB.Certificates()
	u := w.user("alice@example.test")
	_, err := store.CertificateByHash(w.ctx, "unknown")
	w.is(err, certs.ErrNotFound)
	none, err := store.Certificates(w.ctx, "E", certs.RuleMailIdentity)
	w.ok(err)
	w.same(none, []certs.Certificate{})

	old := w.issue(w.challenge(mailGrant(u, "E")))
	w.later()
	renewed := w.issue(w.challenge(mailGrant(u, "E")))
	w.issue(w.challenge(mailGrant(u, "F")))
	got, err := store.CertificateByHash(w.ctx, old.SHA256)
	w.ok(err)
	w.same(got, old)
	list, err := store.Certificates(w.ctx, "E", certs.RuleMailIdentity)
	w.ok(err)
	w.same(list, []certs.Certificate{renewed, old})

	// The phone's identity is older than its enrolment.
	identity := w.issue(w.challenge(identityGrant(w.invitation(u))))
	d, e := w.request(u, "U1")
	e.CertificateHash = identity.SHA256
	e, err = w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("device.admit", ""))
	w.ok(err)
	identity.EnrollmentID = string(e.ID)
	list, err = store.Certificates(w.ctx, string(e.ID), certs.RuleMDMIdentity)
	w.ok(err)
	w.same(list, []certs.Certificate{identity})
	pinned, recorded, err := w.DB.Enrollments().Pinned(w.ctx, identity.SHA256)
	w.ok(err)
	w.same(pinned, e)
	w.same(recorded, identity)
	have, use, err := w.DB.Plans().PinnedPlan(w.ctx, identity.SHA256)
	w.ok(err)
	w.same(have, w.plan(e.ID))
	w.same(use, certs.Certificate{SHA256: identity.SHA256, Rule: identity.Rule, NotBefore: identity.NotBefore, NotAfter: identity.NotAfter})

	// One certificate cannot be recorded under two challenges.
	c := w.challenge(mailGrant(u, "G"))
	again := claim("t")
	again.Serial, err = hex.DecodeString(old.Serial)
	w.ok(err)
	_, err = store.ClaimChallenge(w.ctx, c.Hash, again, w.now(), w.entry("certificate.issue", ""))
	w.ok(err)
	w.unchangedBy(func() {
		if _, err := store.RecordIssued(w.ctx, c.Hash, old, w.now(), w.entry("certificate.issue", "")); err == nil {
			t.Error("the same certificate was recorded twice")
		}
		twin := old
		twin.SHA256 = "another"
		if _, err := store.RecordIssued(w.ctx, c.Hash, twin, w.now(), w.entry("certificate.issue", "")); err == nil {
			t.Error("the same serial was recorded twice")
		}
	})
}
