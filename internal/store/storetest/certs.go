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
	"sallyport/internal/audit"
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

// claim is one by the key that belongs to the transaction.
func claim(transaction string) certs.Claim {
	return certs.Claim{TransactionID: transaction, KeyHash: secret.Hash("key of " + transaction)}
}

func serial() []byte {
	s := secret.Hash(newID())[:16]
	s[0] &= 0x7f
	return s
}

// issuerID is the SubjectKeyId of who issues in these tests.
const issuerID = "15500e"

// certificate is a new one for a year.
func certificate(g certs.Grant, c certs.Claim) certs.Certificate {
	serial := serial()
	der := append([]byte("certificate "), serial...)
	return certs.Certificate{SHA256: hex.EncodeToString(secret.Hash(string(der))), DER: der, Serial: hex.EncodeToString(serial),
		Rule: g.Rule, UserID: g.UserID, InvitationID: g.InvitationID, EnrollmentID: g.EnrollmentID,
		Profile: g.Profile, Issuer: issuerID, KeyHash: hex.EncodeToString(c.KeyHash),
		NotBefore: stored(start), NotAfter: stored(start.AddDate(1, 0, 0))}
}

// signing makes certificates, as change has them.
func (w *world) signing(c certs.Claim, change ...func(*certs.Certificate)) certs.Signing {
	return func(g certs.Grant) (certs.Certificate, audit.Entry, error) {
		cert := certificate(g, c)
		for _, f := range change {
			f(&cert)
		}
		return cert, w.entry("certificate.issue", cert.SHA256), nil
	}
}

func (w *world) issueTo(hash []byte, c certs.Claim, change ...func(*certs.Certificate)) (certs.Certificate, error) {
	return w.DB.Certificates().Issue(w.ctx, hash, c, w.now(), w.signing(c, change...))
}

func (w *world) issue(c certs.Challenge, change ...func(*certs.Certificate)) certs.Certificate {
	w.t.Helper()
	cert, err := w.issueTo(c.Hash, claim(newID()), change...)
	w.ok(err)
	return cert
}

func testChallenges(t *testing.T, make Maker) {
	t.Run("issue, repeat", testIssuePath(make))
	t.Run("refusals", testIssueRefusals(make))
	t.Run("what is signed", testIssueSigned(make))
	t.Run("a user who was removed", testIssueRemoved(make))
	t.Run("siblings", testIssueSiblings(make))
	t.Run("64 at once", testIssueRace(make))
	t.Run("64 siblings at once", testSiblingRace(make))
	t.Run("the same request 64 times at once", testRetryRace(make))
}

func testIssuePath(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		i := w.invitation(w.user("alice@example.test"))
		c := w.challenge(identityGrant(i))
		var signed certs.Certificate
		var granted certs.Grant
		issued, err := w.DB.Certificates().Issue(w.ctx, c.Hash, claim("transaction"), w.now(), func(g certs.Grant) (certs.Certificate, audit.Entry, error) {
			granted, signed = g, certificate(g, claim("transaction"))
			return signed, w.entry("certificate.issue", ""), nil
		})
		w.ok(err)
		w.same(granted, c.Grant)
		w.same(issued, signed)
		w.same(w.certificate(signed.SHA256), signed)
		w.audited("certificate.issue", 1)
		got, err := w.DB.Invitations().InvitationByID(w.ctx, i.ID)
		w.ok(err)
		w.same([]any{got.State, got.UsedAt}, []any{enroll.InvitationUsed, stored(w.now())})

		w.clock = w.clock.Add(time.Hour) // after the challenge has expired
		w.unchangedBy(func() {
			again, err := w.DB.Certificates().Issue(w.ctx, c.Hash, claim("transaction"), w.now(), neverSigning(t))
			w.ok(err)
			w.same(again, signed)
		})
	}
}

// neverSigning is for what is to be refused, or answered from what is on record.
func neverSigning(t *testing.T) certs.Signing {
	return func(certs.Grant) (certs.Certificate, audit.Entry, error) {
		t.Error("a certificate was signed")
		return certs.Certificate{}, audit.Entry{}, errors.New("not to be signed")
	}
}

func testIssueRefusals(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		taken := w.challenge(mailGrant(u, "taken"))
		_, err := w.issueTo(taken.Hash, claim("t"))
		w.ok(err)
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
				cert, err := w.DB.Certificates().Issue(w.ctx, tt.hash, tt.claim, tt.now, neverSigning(t))
				if !errors.Is(err, certs.ErrChallengeInvalid) || cert.DER != nil {
					t.Errorf("%s: got %v, %v", tt.name, cert, err)
				}
			})
		}
	}
}

// What is signed is what the grant says and of the key that asked, or it is not recorded.
func testIssueSigned(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		c := w.challenge(identityGrant(w.invitation(w.user("alice@example.test"))))
		for name, change := range map[string]func(*certs.Certificate){
			"rule":       func(c *certs.Certificate) { c.Rule = certs.RuleMailIdentity },
			"user":       func(c *certs.Certificate) { c.UserID = "another" },
			"invitation": func(c *certs.Certificate) { c.InvitationID = "" },
			"enrolment":  func(c *certs.Certificate) { c.EnrollmentID = "E" },
			"profile":    func(c *certs.Certificate) { c.Profile = "another" },
			"key":        func(c *certs.Certificate) { c.KeyHash = hex.EncodeToString(secret.Hash("another key")) },
		} {
			w.unchangedBy(func() {
				if _, err := w.issueTo(c.Hash, claim("t"), change); !errors.Is(err, certs.ErrChallengeInvalid) {
					t.Errorf("%s: got %v", name, err)
				}
			})
		}
		fault := errors.New("the key is elsewhere")
		w.unchangedBy(func() {
			_, err := w.DB.Certificates().Issue(w.ctx, c.Hash, claim("t"), w.now(), func(certs.Grant) (certs.Certificate, audit.Entry, error) {
				return certs.Certificate{}, audit.Entry{}, fault
			})
			w.is(err, fault)
		})
		w.issue(c) // nothing of it was used up
	}
}

// Nothing is handed out to a user who was removed, what was issued before neither.
func testIssueRemoved(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		open, issued := w.challenge(mailGrant(u, "E1")), w.challenge(mailGrant(u, "E2"))
		_, err := w.issueTo(issued.Hash, claim("t"))
		w.ok(err)
		w.ok(w.DB.Users().RemoveUser(w.ctx, u.ID, w.now(), w.entry("user.remove", "")))
		w.unchangedBy(func() {
			for _, c := range []certs.Challenge{open, issued} {
				_, err := w.DB.Certificates().Issue(w.ctx, c.Hash, claim("t"), w.now(), neverSigning(t))
				w.is(err, certs.ErrChallengeInvalid)
			}
		})
	}
}

func testIssueSiblings(make Maker) func(*testing.T) {
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
			_, err := w.issueTo(step.challenge.Hash, claim(newID()))
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
		_, err := w.issueTo(left.Hash, claim("t"))
		w.is(err, certs.ErrChallengeInvalid)
		// One that was being minted meanwhile is saved only after the end.
		minted := w.challenge(mailGrant(u, e.ID))
		w.unchangedBy(func() {
			_, err := w.issueTo(minted.Hash, claim("t"))
			w.is(err, certs.ErrChallengeInvalid)
		})
	}
}

const crowd = 64

func testIssueRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		c := w.challenge(identityGrant(w.invitation(w.user("alice@example.test"))))
		w.oneWinner(together(crowd, func(i int) error {
			_, err := w.issueTo(c.Hash, claim(fmt.Sprint("transaction ", i)))
			return err
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
		w.oneWinner(together(crowd, func(n int) error {
			_, err := w.issueTo(challenges[n].Hash, claim(fmt.Sprint(n)))
			return err
		}))
	}
}

func testRetryRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		c := w.challenge(identityGrant(w.invitation(w.user("alice@example.test"))))
		certificates := [crowd][]byte{}
		for _, err := range together(crowd, func(i int) error {
			cert, err := w.issueTo(c.Hash, claim("transaction"))
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
		w.audited("certificate.issue", 1)
	}
}

func (w *world) oneWinner(errs []error) {
	w.t.Helper()
	won := count(errs, func(err error) bool { return err == nil })
	lost := count(errs, func(err error) bool { return errors.Is(err, certs.ErrChallengeInvalid) })
	if won != 1 || lost != len(errs)-1 {
		w.t.Fatalf("%d won and %d lost of %d: %v", won, lost, len(errs), errs)
	}
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
	for name, change := range map[string]func(*certs.Certificate){
		"certificate": func(c *certs.Certificate) { c.SHA256 = old.SHA256 },
		"serial":      func(c *certs.Certificate) { c.Serial = old.Serial },
	} {
		w.unchangedBy(func() {
			if _, err := w.issueTo(c.Hash, claim("t"), change); err == nil {
				t.Errorf("the same %s was recorded twice", name)
			}
		})
	}
}
