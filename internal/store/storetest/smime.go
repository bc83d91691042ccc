package storetest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/store"
)

// smimeKey is a key of u, with a certificate of its own. What is sealed is the canary.
func (w *world) smimeKey(u directory.User, usage certs.SMIMEUsage, source certs.SMIMESource, begins time.Time) certs.SMIMEKey {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.ok(err)
	return w.certified(key, u, usage, source, begins)
}

// certified is a key of u with another certificate.
func (w *world) certified(key *ecdsa.PrivateKey, u directory.User, usage certs.SMIMEUsage, source certs.SMIMESource, begins time.Time) certs.SMIMEKey {
	w.t.Helper()
	begins = stored(begins).Truncate(time.Second)
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(secret.Random(15)), Subject: pkix.Name{CommonName: u.Email},
		NotBefore: begins, NotAfter: begins.AddDate(2, 0, 0), SubjectKeyId: []byte{1, 2, 3}, AuthorityKeyId: []byte{4, 5, 6},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	w.ok(err)
	return certs.SMIMEKey{
		ID: newID(), UserID: string(u.ID), UPN: u.UPN, Usage: usage, Source: source, Certificate: der, Chain: [][]byte{[]byte("above")},
		Key: []byte(canary + "\x00\xff"), SHA256: hex.EncodeToString(secret.Hash(string(der))), Subject: "CN=" + u.Email, Mails: []string{u.Email},
		NotBefore: begins, NotAfter: begins.AddDate(2, 0, 0), CreatedAt: stored(w.now()),
	}
}

func (w *world) saveSMIME(want int, keys ...certs.SMIMEKey) {
	w.t.Helper()
	var entries []audit.Entry
	for _, k := range keys {
		entries = append(entries, w.entry("smime.save", k.ID))
	}
	added, err := w.DB.SMIME().SaveSMIME(w.ctx, keys, entries)
	w.ok(err)
	w.same(added, want)
}

func (w *world) listSMIME(f certs.SMIMEFilter) []certs.SMIMEKey {
	w.t.Helper()
	list, err := w.DB.SMIME().ListSMIME(w.ctx, f)
	w.ok(err)
	return list
}

// current are the IDs of the current keys.
func (w *world) current() []string {
	w.t.Helper()
	ids := []string{}
	for _, k := range w.listSMIME(certs.SMIMEFilter{}) {
		if k.Current {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

func testSMIME(t *testing.T, make Maker) {
	t.Run("save and read", testSMIMESave(make))
	t.Run("which is current", testSMIMECurrent(make))
	t.Run("twins", testSMIMETwins(make))
	t.Run("revoke", testSMIMERevoke(make))
	t.Run("a user who is removed", testSMIMERemovedUser(make))
	t.Run("sealed", testSMIMESealed(make))
	t.Run("exports", testExports(make))
	t.Run("exports at once", testExportRace(make))
}

func testSMIMESave(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		w.same(w.listSMIME(certs.SMIMEFilter{}), []certs.SMIMEKey{})
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		a := w.smimeKey(alice, certs.SMIMEEncryption, certs.SMIMEIssued, start)
		b := w.smimeKey(bob, certs.SMIMESigning, certs.SMIMEImported, start)
		one, _ := w.withIdentity(alice, "U1")
		two, _ := w.withIdentity(alice, "U2")
		w.withIdentity(w.user("carol@example.test"), "U3")
		w.same(w.newEvents(func() { w.saveSMIME(2, a, b) }), []string{"user_changed " + string(one.ID), "user_changed " + string(two.ID)})
		w.audited("smime.save", 2)

		blank := func(k certs.SMIMEKey) certs.SMIMEKey { k.Key, k.Current = nil, true; return k }
		w.same(w.listSMIME(certs.SMIMEFilter{}), []certs.SMIMEKey{blank(a), blank(b)})
		w.same(w.listSMIME(certs.SMIMEFilter{UserID: b.UserID}), []certs.SMIMEKey{blank(b)})
		w.same(w.listSMIME(certs.SMIMEFilter{Limit: 1}), []certs.SMIMEKey{blank(a)})
		w.same(w.listSMIME(certs.SMIMEFilter{After: a.ID, Limit: 1}), []certs.SMIMEKey{blank(b)})

		a.Current, b.Current = true, true
		got, err := w.DB.SMIME().SMIMEKeys(w.ctx, a.UserID, []string{a.ID})
		w.ok(err)
		w.same(got, []certs.SMIMEKey{a})
		for _, id := range []string{a.ID, newID()} { // another's, and nobody's
			_, err = w.DB.SMIME().SMIMEKeys(w.ctx, b.UserID, []string{b.ID, id})
			w.is(err, certs.ErrNotFound)
		}

		// What we issued is a certificate like any other; what came in is not.
		issued, err := w.DB.Certificates().CertificateByHash(w.ctx, a.SHA256)
		w.ok(err)
		w.same([]any{issued.Rule, issued.UserID, issued.Issuer, issued.NotAfter}, []any{certs.RuleSMIMEEncryption, a.UserID, "040506", a.NotAfter})
		_, err = w.DB.Certificates().CertificateByHash(w.ctx, b.SHA256)
		w.is(err, certs.ErrNotFound)

		// One file may serve for both; the same again adds nothing.
		again, both := b, b
		again.ID, both.ID, both.Usage = newID(), newID(), certs.SMIMEEncryption
		w.unchangedBy(func() { w.saveSMIME(0, again) })
		w.saveSMIME(1, again, both)
		w.unchangedBy(func() {
			for _, id := range []directory.UserID{"nobody"} {
				k := w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEIssued, start)
				k.UserID = string(id)
				_, err := w.DB.SMIME().SaveSMIME(w.ctx, []certs.SMIMEKey{w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEIssued, start), k}, nil)
				w.is(err, directory.ErrNotFound)
			}
		})
	}
}

func testSMIMECurrent(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		const usage = certs.SMIMEEncryption
		save := func(source certs.SMIMESource, begins time.Time) certs.SMIMEKey {
			w.later()
			k := w.smimeKey(alice, usage, source, begins)
			w.saveSMIME(1, k)
			return k
		}
		first := save(certs.SMIMEIssued, start)
		w.same(w.current(), []string{first.ID})
		second := save(certs.SMIMEIssued, start.AddDate(1, 0, 0))
		w.same(w.current(), []string{second.ID})
		save(certs.SMIMEImported, start.AddDate(-3, 0, 0)) // over when it came: history
		w.same(w.current(), []string{second.ID})
		imported := save(certs.SMIMEImported, start.AddDate(0, -6, 0)) // begins before the others, and replaces them
		w.same(w.current(), []string{imported.ID})
		w.same(w.listSMIME(certs.SMIMEFilter{ExpiringBefore: imported.NotAfter}), []certs.SMIMEKey{})
		expiring := w.listSMIME(certs.SMIMEFilter{ExpiringBefore: imported.NotAfter.Add(time.Second)})
		w.same([]any{len(expiring), expiring[0].ID}, []any{1, imported.ID})
		third := save(certs.SMIMEIssued, start.AddDate(0, 1, 0)) // made after the import
		w.same(w.current(), []string{third.ID})
		w.ok(w.DB.SMIME().RevokeSMIME(w.ctx, third.ID, certs.ReasonKeyCompromise, w.now(), w.entry("smime.revoke", "")))
		w.same(w.current(), []string{imported.ID})
		w.ok(w.DB.SMIME().RevokeSMIME(w.ctx, imported.ID, certs.ReasonKeyCompromise, w.now(), w.entry("smime.revoke", "")))
		w.same(w.current(), []string{second.ID}) // nothing replaces it any more

		// A former address's is history: it replaces nothing, though it is valid and begins last.
		former := save(certs.SMIMEFormer, start.AddDate(1, 6, 0))
		w.same(w.current(), []string{second.ID})
		w.same(len(w.listSMIME(certs.SMIMEFilter{ExpiringBefore: former.NotAfter.Add(time.Second)})), 1)
		bob := w.user("bob@example.test")
		w.saveSMIME(1, w.smimeKey(bob, usage, certs.SMIMEFormer, start)) // also where there is no other
		w.same(w.current(), []string{second.ID})
	}
}

func testSMIMETwins(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		w.saveSMIME(1, w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEIssued, start))
		w.unchangedBy(func() {
			w.saveSMIME(0, w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEIssued, start.Add(59*time.Minute)))
		})
		w.saveSMIME(1, w.smimeKey(alice, certs.SMIMEEncryption, certs.SMIMEIssued, start))
		other := w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEIssued, start)
		other.Mails = []string{"sales@example.test"}
		w.saveSMIME(1, other)
		w.saveSMIME(1, w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEIssued, start.Add(2*time.Hour)))
		w.saveSMIME(2, w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEImported, start), w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEImported, start))

		bob := w.user("bob@example.test")
		keys := [16]certs.SMIMEKey{}
		for i := range keys {
			keys[i] = w.smimeKey(bob, certs.SMIMESigning, certs.SMIMEIssued, start)
		}
		for _, err := range together(len(keys), func(i int) error {
			_, err := w.DB.SMIME().SaveSMIME(w.ctx, keys[i:i+1], nil)
			return err
		}) {
			w.ok(err)
		}
		w.same(len(w.listSMIME(certs.SMIMEFilter{UserID: string(bob.ID)})), 1)
	}
}

func testSMIMERevoke(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		k := w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEIssued, start)
		revoke := func(id string) error {
			return w.DB.SMIME().RevokeSMIME(w.ctx, id, certs.ReasonKeyCompromise, w.now(), w.entry("smime.revoke", id))
		}
		w.saveSMIME(1, k)
		e, _ := w.withIdentity(alice, "U1")
		w.withIdentity(w.user("bob@example.test"), "U2")
		w.unchangedBy(func() { w.is(revoke(newID()), certs.ErrNotFound) })
		w.same(w.newEvents(func() { w.ok(revoke(k.ID)) }), []string{"user_changed " + string(e.ID)})
		w.audited("smime.revoke", 1)
		at := stored(w.now())
		w.later()
		w.unchangedBy(func() { w.ok(revoke(k.ID)) })
		got := w.listSMIME(certs.SMIMEFilter{})
		w.same([]any{got[0].RevokedAt, got[0].Current}, []any{at, false})
		cert, err := w.DB.Certificates().CertificateByHash(w.ctx, k.SHA256)
		w.ok(err)
		w.same([]any{cert.RevokedAt, cert.Reason}, []any{at, certs.ReasonKeyCompromise})

		// The certificate's own revocation is the key's too.
		other := w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEIssued, start)
		w.saveSMIME(1, other)
		_, err = w.DB.Certificates().Revoke(w.ctx, other.SHA256, certs.ReasonSuperseded, w.now(), w.entry("certificate.revoke", ""))
		w.ok(err)
		w.same(w.current(), []string{})
	}
}

func testSMIMERemovedUser(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		signs, opens := w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEIssued, start), w.smimeKey(alice, certs.SMIMEEncryption, certs.SMIMEIssued, start)
		w.saveSMIME(2, signs, opens)
		w.later()
		w.ok(w.DB.Users().RemoveUser(w.ctx, alice.ID, w.now(), w.entry("user.remove", "")))
		opens.UPN, opens.RevokedAt = "", stored(w.now())
		got, err := w.DB.SMIME().SMIMEKeys(w.ctx, string(alice.ID), []string{opens.ID})
		w.ok(err)
		w.same(got, []certs.SMIMEKey{opens})
		_, err = w.DB.SMIME().SMIMEKeys(w.ctx, string(alice.ID), []string{signs.ID})
		w.is(err, certs.ErrNotFound)
		for _, k := range []certs.SMIMEKey{signs, opens} {
			cert, err := w.DB.Certificates().CertificateByHash(w.ctx, k.SHA256)
			w.ok(err)
			w.same(cert.RevokedAt, stored(w.now()))
		}
		w.unchangedBy(func() {
			_, err := w.DB.SMIME().SaveSMIME(w.ctx, []certs.SMIMEKey{w.smimeKey(alice, certs.SMIMESigning, certs.SMIMEImported, start)}, nil)
			w.is(err, directory.ErrNotFound)
		})
	}
}

func testSMIMESealed(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		w.saveSMIME(1, w.smimeKey(w.user("alice@example.test"), certs.SMIMESigning, certs.SMIMEImported, start))
		if strings.Contains(w.Dump(t), canary) {
			t.Fatal("a row shows a key")
		}
		var backup bytes.Buffer
		if err := w.DB.Backup(w.ctx, &backup); !errors.Is(err, store.ErrOwnTools) {
			w.ok(err)
		}
		if bytes.Contains(backup.Bytes(), []byte(canary)) {
			t.Fatal("a backup shows a key")
		}
	}
}

func (w *world) export() certs.SMIMEExport {
	w.t.Helper()
	e := certs.SMIMEExport{ID: newID(), UserID: "u", KeyIDs: []string{"a", "b"}, Reason: "lost phone", RequestedBy: "first", RequestedToken: "t1",
		RequestedAt: stored(w.now()), ExpiresAt: stored(w.now().Add(time.Hour))}
	w.ok(w.DB.SMIME().SaveExport(w.ctx, e, w.entry("smime.export.request", e.ID)))
	return e
}

func testExports(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		store := w.DB.SMIME()
		none, err := store.ListExports(w.ctx, 0)
		w.ok(err)
		w.same(none, []certs.SMIMEExport{})
		_, err = store.Export(w.ctx, newID())
		w.is(err, certs.ErrExportNotFound)
		e, other := w.export(), w.export()
		list, err := store.ListExports(w.ctx, 10)
		w.ok(err)
		w.same(list, []certs.SMIMEExport{other, e})
		approve := func(id string) error {
			return store.ApproveExport(w.ctx, id, "second", w.now(), w.entry("smime.export.approve", id))
		}
		take := func(id string) error {
			return store.TakeExport(w.ctx, id, w.now(), w.entry("smime.export.take", id))
		}
		w.unchangedBy(func() {
			w.is(approve(newID()), certs.ErrExportNotFound)
			w.is(take(newID()), certs.ErrExportNotFound)
			w.is(take(e.ID), certs.ErrExportNotReady)
		})
		w.later()
		w.ok(approve(e.ID))
		e.ApprovedBy, e.ApprovedAt = "second", stored(w.now())
		w.unchangedBy(func() { w.is(approve(e.ID), certs.ErrExportNotReady) })
		w.later()
		w.ok(take(e.ID))
		e.TakenAt = stored(w.now())
		got, err := store.Export(w.ctx, e.ID)
		w.ok(err)
		w.same(got, e)
		late := w.export()
		w.ok(approve(late.ID))
		w.clock = late.ExpiresAt
		w.unchangedBy(func() {
			w.is(take(e.ID), certs.ErrExportNotReady)
			w.is(take(late.ID), certs.ErrExportNotReady)
			w.is(approve(other.ID), certs.ErrExportNotReady)
		})
		w.audited("smime.export.request", 3)
		w.audited("smime.export.approve", 2)
		w.audited("smime.export.take", 1)
	}
}

func testExportRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.export()
		w.ok(w.DB.SMIME().ApproveExport(w.ctx, e.ID, "second", w.now(), w.entry("smime.export.approve", e.ID)))
		errs := together(16, func(int) error {
			return w.DB.SMIME().TakeExport(w.ctx, e.ID, w.now(), w.entry("smime.export.take", e.ID))
		})
		taken := count(errs, func(err error) bool { return err == nil })
		late := count(errs, func(err error) bool { return errors.Is(err, certs.ErrExportNotReady) })
		w.same([]int{taken, late}, []int{1, 15})
	}
}
