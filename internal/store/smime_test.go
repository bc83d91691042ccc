package store_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/store"
)

func importedKey(t *testing.T, db *store.DB) certs.SMIMEKey {
	t.Helper()
	now := time.Now()
	users, err := db.Users().SaveUsers(t.Context(), []directory.User{
		{UPN: "alice@example.test", Email: "alice@example.test", CreatedAt: now}, {UPN: "mallory@example.test", Email: "mallory@example.test", CreatedAt: now},
	}, nil)
	must(t, err)
	k := certs.SMIMEKey{ID: "key", UserID: string(users[0].ID), Usage: certs.SMIMEEncryption, Source: certs.SMIMEImported,
		Certificate: []byte("certificate"), Key: []byte("key"), SHA256: "ab", NotBefore: now, NotAfter: now.AddDate(1, 0, 0), CreatedAt: now}
	_, err = db.SMIME().SaveSMIME(t.Context(), []certs.SMIMEKey{k}, nil)
	must(t, err)
	return k
}

// TestSMIMEKeyOpensOnlyWhereItWasSealed: whoever can write to the file cannot make
// one user's key another's.
func TestSMIMEKeyOpensOnlyWhereItWasSealed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sallyport.db")
	db := mustOpen(t, path, 1)
	k := importedKey(t, db)
	_, err := raw(t, path).Exec(`UPDATE certs_smime_keys SET user_id = (SELECT id FROM directory_users WHERE upn_key LIKE 'mallory%')`)
	must(t, err)
	mallory, err := db.Users().UserByUPN(t.Context(), "mallory@example.test")
	must(t, err)
	if _, err := db.SMIME().SMIMEKeys(t.Context(), string(mallory.ID), []string{k.ID}); !errors.Is(err, secret.ErrOpen) {
		t.Errorf("got %v, want ErrOpen", err)
	}
}

// TestRestoreEndsExports: what was open in a backup may have been taken since.
func TestRestoreEndsExports(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sallyport.db")
	db := mustOpen(t, path, 1)
	k := importedKey(t, db)
	now := time.Now()
	e := certs.SMIMEExport{ID: "x", UserID: k.UserID, KeyIDs: []string{k.ID}, RequestedBy: "first", RequestedAt: now,
		ExpiresAt: now.Add(24 * time.Hour), ApprovedBy: "second", ApprovedAt: now}
	must(t, db.SMIME().SaveExport(t.Context(), e, audit.Entry{}))
	copied := backup(t, db)
	closed(t, db)
	_, err := store.Restore(t.Context(), copied, store.Options{Path: path, Sealer: sealer(t, 1)}, false)
	must(t, err)
	db = mustOpen(t, path, 1)
	if err := db.SMIME().TakeExport(t.Context(), e.ID, time.Now(), audit.Entry{}); !errors.Is(err, certs.ErrExportNotReady) {
		t.Errorf("got %v, want ErrExportNotReady", err)
	}
	keys, err := db.SMIME().SMIMEKeys(t.Context(), k.UserID, []string{k.ID})
	must(t, err)
	if len(keys) != 1 || string(keys[0].Key) != "key" {
		t.Errorf("got %v", keys)
	}
}
