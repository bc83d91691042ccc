package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/internal/store"
)

func backup(t testing.TB, db *store.DB) string {
	t.Helper()
	var b bytes.Buffer
	if err := db.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// note leaves a mark that can be looked for.
func note(t testing.TB, db *store.DB, mark string) {
	t.Helper()
	if err := db.Audit().Append(t.Context(), audit.Entry{Action: "test.mark", Target: mark}); err != nil {
		t.Fatal(err)
	}
}

func marks(t testing.TB, db *store.DB) []string {
	t.Helper()
	entries, err := db.Audit().List(t.Context(), audit.Filter{Action: "test.mark"})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		list = append(list, e.Target)
	}
	return list
}

func TestBackupIsOneMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	db := mustOpen(t, path, 1)
	record := certs.KeyRecord{Role: "root", Certificate: []byte("c"), Key: []byte("canary of a key"), CreatedAt: time.Now()}
	if err := db.Keys().SaveKeys(t.Context(), []certs.KeyRecord{record}, audit.Entry{Action: "authority.create"}); err != nil {
		t.Fatal(err)
	}
	// Two rows in one transaction while backups run: a backup has both or neither.
	ctx, stop := context.WithCancel(t.Context())
	written := make(chan error)
	go func() {
		var err error
		for i := 0; ctx.Err() == nil && err == nil; i++ {
			err = db.Keys().SaveKeys(t.Context(), []certs.KeyRecord{record}, audit.Entry{Action: "authority.create"})
		}
		written <- err
	}()
	for range 5 {
		copied := backup(t, db)
		content, err := os.ReadFile(copied)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte("canary")) {
			t.Fatal("a backup holds a private key in the clear")
		}
		keys := lines(t, raw(t, copied), `SELECT COUNT(*) FROM certs_keys`)
		entries := lines(t, raw(t, copied), `SELECT COUNT(*) FROM audit_entries`)
		if !slices.Equal(keys, entries) {
			t.Fatalf("%v keys and %v entries", keys, entries)
		}
	}
	stop()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if names := files(t, dir); !slices.Equal(names, []string{"x.db", "x.db-shm", "x.db-wal"}) {
		t.Errorf("left behind: %v", names)
	}
}

type brokenPipe struct{ left int }

func (b *brokenPipe) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestBackupThatBreaks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, filepath.Join(dir, "x.db"), 1)
	if err := db.Backup(t.Context(), &brokenPipe{left: 100}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Backup(ctx, io.Discard); err == nil {
		t.Error("a cancelled backup succeeded")
	}
	if names := files(t, dir); len(names) != 3 {
		t.Errorf("left behind: %v", names)
	}
	// What a crash leaves is cleared at the next start.
	closed(t, db)
	left := filepath.Join(dir, ".sallyport-backup-123")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, filepath.Join(dir, "x.db"), 1)
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

func TestRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.db")
	db := mustOpen(t, path, 1)
	note(t, db, "before")
	challenge := certs.Challenge{Hash: secret.Hash("c"), Grant: certs.Grant{Rule: certs.RuleMailIdentity}, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	if err := db.Certificates().SaveChallenge(t.Context(), challenge); err != nil {
		t.Fatal(err)
	}
	copied := backup(t, db)
	note(t, db, "after")

	options := store.Options{Path: path, Sealer: sealer(t, 1)}
	if _, err := store.Restore(t.Context(), copied, options, false); !errors.Is(err, store.ErrInUse) || len(refusal.All(err)) != 1 {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	note(t, db, "the refused restore changed nothing")
	closed(t, db)

	restored, err := store.Restore(t.Context(), copied, options, false)
	if err != nil {
		t.Fatal(err)
	}
	if names := files(t, dir); !slices.Equal(names, []string{"x.db", filepath.Base(restored.Kept)}) {
		t.Errorf("files after restore: %v", names)
	}
	db = mustOpen(t, path, 1)
	if got := marks(t, db); !slices.Equal(got, []string{"before"}) {
		t.Errorf("restored marks %v", got)
	}
	if got := marks(t, mustOpen(t, restored.Kept, 1)); len(got) != 3 {
		t.Errorf("kept marks %v", got)
	}
	entries, err := db.Audit().List(t.Context(), audit.Filter{Action: "backup.restore"})
	if err != nil || len(entries) != 1 || entries[0].Detail["voided_challenges"] != "1" {
		t.Errorf("trail %v, %v", entries, err)
	}
	_, err = db.Certificates().Issue(t.Context(), challenge.Hash, certs.Claim{TransactionID: "t"}, time.Now(), nil)
	if !errors.Is(err, certs.ErrChallengeInvalid) {
		t.Errorf("a challenge of the backup can still be used: %v", err)
	}
}

func TestRestoreOntoNothingAndOntoRubble(t *testing.T) {
	t.Parallel()
	source := mustOpen(t, filepath.Join(t.TempDir(), "source.db"), 1)
	note(t, source, "kept")
	copied := backup(t, source)
	for name, rubble := range map[string]map[string]string{
		"nothing": {},
		"rubble":  {"x.db": "SQLite format 3\x00 and then nothing sound", "x.db-wal": "old log"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range rubble {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, "x.db")
			restored, err := store.Restore(t.Context(), copied, store.Options{Path: path, Sealer: sealer(t, 1)}, false)
			if err != nil {
				t.Fatal(err)
			}
			if got := marks(t, mustOpen(t, path, 1)); !slices.Equal(got, []string{"kept"}) {
				t.Errorf("marks %v", got)
			}
			if (restored.Kept == "") != (len(rubble) == 0) {
				t.Errorf("kept %q", restored.Kept)
			}
			if restored.Kept != "" {
				if text, err := os.ReadFile(restored.Kept); err != nil || string(text) != rubble["x.db"] {
					t.Errorf("the old file is gone: %v", err)
				}
			}
		})
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	source := mustOpen(t, filepath.Join(t.TempDir(), "source.db"), 1)
	for i := range 200 {
		note(t, source, fmt.Sprint("row ", i))
	}
	good := backup(t, source)
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	if _, err := raw(t, foreign).Exec(`CREATE TABLE x (y)`); err != nil {
		t.Fatal(err)
	}
	foreignContent, err := os.ReadFile(foreign)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		content []byte
		key     byte
		want    error
	}{
		{"empty", nil, 1, store.ErrNotSallyport},
		{"text", []byte(strings.Repeat("hello ", 100)), 1, store.ErrNotSallyport},
		{"another program's", foreignContent, 1, store.ErrNotSallyport},
		{"another key", content, 2, store.ErrWrongKey},
		{"cut off", content[:len(content)/2], 1, store.ErrDamaged},
		{"pages overwritten", damaged(content), 1, store.ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "x.db")
			db := mustOpen(t, path, tt.key)
			note(t, db, "stands")
			closed(t, db)
			file := filepath.Join(t.TempDir(), "backup.db")
			if err := os.WriteFile(file, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := store.Restore(t.Context(), file, store.Options{Path: path, Sealer: sealer(t, tt.key)}, false)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if all := refusal.All(err); len(all) != 1 || all[0].Remedy == "" {
				t.Errorf("refusal without a remedy: %v", all)
			}
			if names := files(t, dir); !slices.Equal(names, []string{"x.db"}) {
				t.Errorf("left behind: %v", names)
			}
			if got := marks(t, mustOpen(t, path, tt.key)); !slices.Equal(got, []string{"stands"}) {
				t.Errorf("the database was changed: %v", got)
			}
		})
	}
}

func damaged(content []byte) []byte {
	broken := bytes.Clone(content)
	for i := 8192; i < len(broken); i++ {
		broken[i] ^= 0x5a
	}
	return broken
}
