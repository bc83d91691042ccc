package storetest

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
)

// line renews a certificate by signature, that one again, and so on; first is the
// certificate that it began with.
func (w *world) line(first certs.Certificate, renewals int) []certs.Certificate {
	w.t.Helper()
	list := []certs.Certificate{first}
	for range renewals {
		w.later()
		list = append(list, w.renewed(list[len(list)-1]))
	}
	return list
}

func (w *world) successors(c certs.Certificate) []certs.Certificate {
	w.t.Helper()
	list, err := w.DB.Certificates().Successors(w.ctx, c.SHA256)
	w.ok(err)
	return list
}

// follows is what the trail says last of a certificate under that name.
func (w *world) follows(c certs.Certificate, detail string) string {
	w.t.Helper()
	trail, err := w.DB.Audit().List(w.ctx, audit.Filter{Action: "certificate.revoke", Target: c.SHA256})
	w.ok(err)
	if len(trail) == 0 {
		return ""
	}
	return trail[len(trail)-1].Detail[detail]
}

func handGrant(u directory.User) certs.Grant {
	return certs.Grant{Rule: certs.RuleMailIdentity, CommonName: u.UPN, Mail: u.Email, UserID: string(u.ID), RequestedBy: "admin"}
}

// testLostLine: whoever stole a key may have had it renewed to one of his own, and that
// again. All of it ends with the key that was stolen.
func testLostLine(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e := w.enrolled(u, "U1")
		for _, g := range []certs.Grant{mailGrant(u, e.ID), handGrant(u)} {
			line := w.line(w.issue(w.challenge(g)), 3)
			stolen, thief := line[0], line[3]
			w.same(w.successors(stolen), line[1:])
			w.same(w.successors(thief), []certs.Certificate(nil))

			// Any other reason is about the certificate, not about who had its key.
			line[1], line[0] = w.revoke(line[1], certs.ReasonSuperseded), w.revoke(stolen, certs.ReasonUnspecified)
			w.same(w.successors(stolen), line[1:])

			now := w.later()
			events := w.newEvents(func() { w.revoke(stolen, certs.ReasonKeyCompromise) })
			if g.EnrollmentID != "" {
				w.same(events, []string{"identity " + string(e.ID), "identity " + string(e.ID)})
			}
			for i := range line {
				line[i].Reason = certs.ReasonKeyCompromise
				if line[i].RevokedAt.IsZero() {
					line[i].RevokedAt = stored(now)
				}
				w.same(w.certificate(line[i].SHA256), line[i])
				if i > 0 {
					w.same(w.follows(line[i], "renewed_from"), line[i-1].SHA256)
				}
			}
			w.unchangedBy(func() {
				_, err := w.issueRenewal(thief, claim(newID()))
				w.is(err, certs.ErrChallengeInvalid)
				w.revoke(stolen, certs.ReasonKeyCompromise)
			})
			key := claim(newID())
			key.KeyHash, _ = hex.DecodeString(thief.KeyHash)
			again := w.challenge(g)
			w.unchangedBy(func() { // his key is as little good as the stolen one
				_, err := w.DB.Certificates().Issue(w.ctx, again.Hash, key, w.now(), neverSigning(t))
				w.is(err, certs.ErrKeyRefused)
			})
		}

		// What we brought to the phone by a challenge follows from nobody's signature.
		stolen := w.issue(w.challenge(mailGrant(u, e.ID)))
		w.later()
		ours := w.line(w.issue(w.challenge(mailGrant(u, e.ID))), 1)
		w.later()
		w.revoke(stolen, certs.ReasonKeyCompromise)
		for _, c := range ours {
			w.same(w.certificate(c.SHA256), c)
		}
		w.renewed(ours[1])
	}
}

// testLostLineOfKeys: a line goes on where its key is in another certificate, and ends
// where it comes back to itself.
func testLostLineOfKeys(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u, other := w.user("alice@example.test"), w.user("bob@example.test")
		shared := w.ofOneKey(handGrant(u), handGrant(other))
		shared[1] = w.revoke(shared[1], certs.ReasonSuperseded) // and renewed before, with the same key
		successor := w.issue(w.challenge(handGrant(other)))
		w.Exec(t, `UPDATE certs_challenges SET hash = $1 WHERE certificate_sha256 = $2`, certs.RenewalHash(shared[1].SHA256), successor.SHA256)
		first := w.issue(w.challenge(handGrant(u)))
		w.Exec(t, `UPDATE certs_challenges SET hash = $1 WHERE certificate_sha256 = $2`, certs.RenewalHash(first.SHA256), shared[0].SHA256)
		w.Exec(t, `UPDATE certs_challenges SET hash = $1 WHERE certificate_sha256 = $2`, certs.RenewalHash(successor.SHA256), first.SHA256)
		w.same(w.successors(shared[0]), []certs.Certificate(nil))
		w.same(len(w.successors(shared[1])), 3)

		w.later()
		w.revoke(first, certs.ReasonKeyCompromise)
		for _, c := range []certs.Certificate{first, shared[0], successor} {
			w.same(w.certificate(c.SHA256).Lost(), true)
		}
		w.same(w.certificate(shared[1].SHA256), shared[1])
		w.same(w.follows(shared[0], "renewed_from"), first.SHA256)
		w.same(w.follows(successor, "renewed_from"), shared[1].SHA256)
	}
}

// testLostLineRace: whichever comes first, nothing that is valid is left.
func testLostLineRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		line := w.line(w.issue(w.challenge(handGrant(u))), 1)
		for _, err := range together(crowd, func(i int) error {
			if i%2 == 0 {
				_, err := w.DB.Certificates().Revoke(w.ctx, line[0].SHA256, certs.ReasonKeyCompromise, w.now(), w.entry("certificate.revoke", ""))
				return err
			}
			if _, err := w.issueRenewal(line[1], claim(newID())); !errors.Is(err, certs.ErrChallengeInvalid) {
				return err
			}
			return nil
		}) {
			w.ok(err)
		}
		line = append(line, w.successors(line[1])...)
		w.same(slices.ContainsFunc(line, func(c certs.Certificate) bool { return !w.certificate(c.SHA256).Lost() }), false)
	}
}

// testLineLostBefore: earlier versions let a line live whose beginning was lost. It
// ends when it is to be renewed, or when the same is said again.
func testLineLostBefore(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e := w.enrolled(u, "U1")
		line, another := w.line(w.issue(w.challenge(mailGrant(u, e.ID))), 2), w.line(w.issue(w.challenge(handGrant(u))), 1)
		last := line[2]
		w.Exec(t, `UPDATE certs_certificates SET revoked_at = 1, reason = 1 WHERE sha256 = $1`, line[0].SHA256)
		w.unchangedBy(func() {
			_, err := w.issueRenewal(last, claim(newID()))
			w.is(err, certs.ErrChallengeInvalid)
		})
		w.renewed(another[1])
		w.revoke(line[0], certs.ReasonKeyCompromise)
		w.same(w.certificate(last.SHA256).Lost(), true)
		w.same(w.follows(last, "renewed_from"), line[1].SHA256)
		w.same(w.follows(line[0], "reason"), "")
	}
}
