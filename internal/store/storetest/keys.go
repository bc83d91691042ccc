package storetest

import (
	"bytes"
	"testing"

	"sallyport/certs"
)

func testKeys(t *testing.T, make Maker) {
	w := newWorld(t, make)
	none, err := w.DB.Keys().Keys(w.ctx)
	w.ok(err)
	w.same(none, []certs.KeyRecord{})
	const canary = "canary: PKCS#8 of a private key"
	old := certs.KeyRecord{Role: "server", Certificate: []byte("old"), Key: []byte(canary + " old"), CreatedAt: stored(w.now())}
	root := certs.KeyRecord{Role: "root", Certificate: []byte("root"), Key: []byte(canary + " root"), CreatedAt: stored(w.now())}
	w.ok(w.DB.Keys().SaveKeys(w.ctx, []certs.KeyRecord{old, root}, w.entry("authority.create", "")))
	renewed := certs.KeyRecord{Role: "server", Certificate: []byte("new"), Key: []byte(canary + " new"), CreatedAt: stored(w.later())}
	w.ok(w.DB.Keys().SaveKeys(w.ctx, []certs.KeyRecord{renewed}, w.entry("authority.renew", "")))
	list, err := w.DB.Keys().Keys(w.ctx)
	w.ok(err)
	w.same(list, []certs.KeyRecord{root, renewed, old})
	w.audited("authority.create", 1)

	// One whose key is elsewhere, one that is not in use yet, and their life.
	offline := certs.KeyRecord{Role: "root", Certificate: []byte("offline"), CreatedAt: stored(w.later()), ActiveAt: stored(w.now())}
	staged := certs.KeyRecord{Role: "issuing", Certificate: []byte("staged"), Key: []byte(canary + " staged"), CreatedAt: stored(w.now())}
	w.ok(w.DB.Keys().SaveKeys(w.ctx, []certs.KeyRecord{offline, staged}, w.entry("authority.import", "")))
	w.same(w.keys(), []certs.KeyRecord{staged, offline, root, renewed, old})
	staged.ActiveAt, root.ActiveAt, root.RetiredAt = stored(w.later()), stored(start), stored(w.now())
	moves := []certs.KeyRecord{{Certificate: staged.Certificate, ActiveAt: staged.ActiveAt},
		{Certificate: root.Certificate, ActiveAt: root.ActiveAt, RetiredAt: root.RetiredAt, Key: []byte("not looked at"), Role: "nor this"}}
	w.ok(w.DB.Keys().MoveKeys(w.ctx, moves, w.entry("authority.activate", "")))
	w.same(w.keys(), []certs.KeyRecord{staged, offline, root, renewed, old})
	w.audited("authority.activate", 1)
	w.unchangedBy(func() {
		moves[0].ActiveAt = w.later()
		w.is(w.DB.Keys().MoveKeys(w.ctx, append(moves, certs.KeyRecord{Certificate: []byte("unknown")}), w.entry("authority.activate", "")), certs.ErrNotFound)
	})
	if bytes.Contains([]byte(w.Dump(t)), []byte("canary")) {
		t.Fatal("a private key is stored in the clear")
	}
}

func (w *world) keys() []certs.KeyRecord {
	w.t.Helper()
	list, err := w.DB.Keys().Keys(w.ctx)
	w.ok(err)
	return list
}
