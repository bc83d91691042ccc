package storetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"testing"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

// ofOneKey issues for each grant a certificate of one and the same key, as they stand
// in databases from before keys were noted.
func (w *world) ofOneKey(grants ...certs.Grant) (shared []certs.Certificate) {
	w.t.Helper()
	key := hex.EncodeToString(claim("one key").KeyHash)
	for _, g := range grants {
		c := w.issue(w.challenge(g))
		w.Exec(w.t, `UPDATE certs_certificates SET key_hash = $1 WHERE sha256 = $2`, key, c.SHA256)
		c.KeyHash = key
		shared = append(shared, c)
	}
	return shared
}

// testLostKey: whatever is certified of a key that was lost is revoked with it, and
// nothing comes of it any more.
func testLostKey(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u, other := w.user("alice@example.test"), w.user("bob@example.test")
		e, identity := w.withIdentity(u, "U1")
		foreign, _ := w.withIdentity(other, "U2")
		shared := w.ofOneKey(handGrant(u), mailGrant(u, e.ID), handGrant(other), mailGrant(other, foreign.ID))
		valid := func(list ...certs.Certificate) {
			t.Helper()
			for _, c := range list {
				w.same(w.certificate(c.SHA256), c)
			}
		}
		shared[2] = w.revoke(shared[2], certs.ReasonAffiliationChanged)
		shared[0] = w.revoke(shared[0], certs.ReasonSuperseded) // any other reason is about the certificate, not its key
		valid(append(slices.Clone(shared), identity)...)

		now := w.later()
		events := w.newEvents(func() {
			shared[0].Reason = certs.ReasonKeyCompromise // when it was revoked stays
			w.same(w.revoke(shared[0], certs.ReasonKeyCompromise), shared[0])
		})
		slices.Sort(events)
		want := []string{"identity " + string(e.ID), "identity " + string(foreign.ID)}
		slices.Sort(want)
		w.same(events, want)
		for _, i := range []int{1, 3} {
			shared[i].RevokedAt, shared[i].Reason = stored(now), certs.ReasonKeyCompromise
		}
		valid(append(slices.Clone(shared), identity)...)
		w.audited("certificate.revoke", 5)
		trail, err := w.DB.Audit().List(w.ctx, audit.Filter{Target: shared[1].SHA256})
		w.ok(err)
		w.same(trail[len(trail)-1].Detail["same_key_as"], shared[0].SHA256)

		// Nobody gets another one of it, its first owner neither.
		again := w.challenge(handGrant(u))
		w.unchangedBy(func() {
			_, err := w.DB.Certificates().Issue(w.ctx, again.Hash, claim("one key"), w.now(), neverSigning(t))
			w.is(err, certs.ErrKeyRefused)
			w.revoke(shared[0], certs.ReasonKeyCompromise)
		})
	}
}

// testLostSMIMEKey: the same, from what was imported and from what was issued.
func testLostSMIMEKey(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		w.ok(err)
		old := w.certified(key, alice, certs.SMIMEEncryption, certs.SMIMEImported, start.AddDate(-1, 0, 0))
		again := w.certified(key, alice, certs.SMIMEEncryption, certs.SMIMEImported, start)
		ours := w.certified(key, alice, certs.SMIMESigning, certs.SMIMEIssued, start)
		another := w.smimeKey(alice, certs.SMIMEEncryption, certs.SMIMEImported, start)
		w.saveSMIME(4, old, again, ours, another)
		revoked := func() (ids []string) {
			for _, k := range w.listSMIME(certs.SMIMEFilter{}) {
				if !k.RevokedAt.IsZero() {
					ids = append(ids, k.ID)
				}
			}
			return ids
		}
		revoke := func(k certs.SMIMEKey, reason certs.RevocationReason) {
			w.ok(w.DB.SMIME().RevokeSMIME(w.ctx, k.ID, reason, w.now(), w.entry("smime.revoke", k.ID)))
		}
		revoke(old, certs.ReasonSuperseded)
		w.same(revoked(), []string{old.ID})
		revoke(old, certs.ReasonKeyCompromise)
		w.same(revoked(), []string{old.ID, again.ID, ours.ID})
		w.same(w.certificate(ours.SHA256).Reason, certs.ReasonKeyCompromise)
		w.unchangedBy(func() { revoke(old, certs.ReasonKeyCompromise) })

		// And from the certificate that is ours.
		w = newWorld(t, make)
		alice = w.user("alice@example.test")
		ours.UserID, again.UserID = string(alice.ID), string(alice.ID)
		again.Key = []byte(canary + string(secret.Random(4)))
		w.saveSMIME(2, ours, again)
		w.revoke(w.certificate(ours.SHA256), certs.ReasonKeyCompromise)
		w.same(revoked(), []string{again.ID, ours.ID})
	}
}
