package store_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/store"
)

func open(t testing.TB, path string, key byte) (*store.DB, error) {
	t.Helper()
	db, err := store.Open(t.Context(), store.Options{Path: path, Sealer: sealer(t, key)})
	if err == nil {
		t.Cleanup(func() { _ = db.Close() })
	}
	return db, err
}

func mustOpen(t testing.TB, path string, key byte) *store.DB {
	t.Helper()
	db, err := open(t, path, key)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func closed(t testing.TB, db *store.DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "odd name %41?mode=ro#x.db")
	db := mustOpen(t, path, 1)
	if _, err := db.SetSettingOnce(t.Context(), "public_url", "https://example.test"); err != nil {
		t.Fatal(err)
	}
	closed(t, db)
	value, err := mustOpen(t, path, 1).Setting(t.Context(), "public_url")
	if err != nil || value != "https://example.test" {
		t.Fatalf("got %q, %v", value, err)
	}
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", filepath.Base(file), info.Mode().Perm())
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	write := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	statements := func(list ...string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			for _, s := range list {
				if _, err := raw(t, path).Exec(s); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	ours := func(list ...string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			closed(t, mustOpen(t, path, 2))
			statements(list...)(t, path)
		}
	}
	tests := []struct {
		name    string
		prepare func(*testing.T, string)
		want    error
	}{
		{"a text file", write("hello, this is no database at all"), store.ErrNotSallyport},
		{"a short file", write("x"), store.ErrNotSallyport},
		{"another program's tables", statements(`CREATE TABLE x (y)`), store.ErrNotSallyport},
		{"another program's mark", statements(`PRAGMA application_id = 7`), store.ErrNotSallyport},
		{"another key", ours(), store.ErrWrongKey},
		{"a broken key check", ours(`UPDATE app_settings SET value = '!'`), store.ErrWrongKey},
		{"a newer schema", ours(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`), store.ErrNewerSchema},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.db")
			tt.prepare(t, path)
			before, _ := os.ReadFile(path)
			_, err := open(t, path, 1)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if all := refusal.All(err); len(all) != 1 || all[0].Remedy == "" {
				t.Errorf("refusal without a remedy: %v", all)
			}
			if after, _ := os.ReadFile(path); string(after) != string(before) {
				t.Error("the refused file was changed")
			}
		})
	}
}

func TestOpenNeedsItsOptions(t *testing.T) {
	t.Parallel()
	if _, err := store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "x.db")}); err == nil {
		t.Error("opened without a sealer")
	}
	if _, err := store.Open(t.Context(), store.Options{Sealer: sealer(t, 1)}); err == nil {
		t.Error("opened without a path")
	}
	if _, err := open(t, filepath.Join(t.TempDir(), "missing", "x.db"), 1); err == nil {
		t.Error("opened in a directory that does not exist")
	}
}

func TestTrailIsAppendOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db := mustOpen(t, path, 1)
	if err := db.Audit().Append(t.Context(), audit.Entry{Action: "user.save"}); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{`UPDATE audit_entries SET actor = 'nobody'`, `DELETE FROM audit_entries`} {
		if _, err := raw(t, path).Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: got %v", statement, err)
		}
	}
}

// A reader in the middle of a long look does not hold up a writer, and a
// second process that holds the file's lock for a moment is waited for.
func TestLocks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db := mustOpen(t, path, 1)
	other := raw(t, path)
	other.SetMaxOpenConns(1)
	for _, begin := range []string{"BEGIN; SELECT * FROM app_settings", "ROLLBACK; BEGIN IMMEDIATE"} {
		if _, err := other.Exec(begin); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(begin, "IMMEDIATE") {
			release := make(chan error)
			defer func() {
				if err := <-release; err != nil {
					t.Error(err)
				}
			}()
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-ctx.Done()
				_, err := other.Exec("ROLLBACK")
				release <- err
			}()
			defer cancel()
			if err := db.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		if err := db.Audit().Append(t.Context(), audit.Entry{Action: "user.save"}); err != nil {
			t.Fatal(err)
		}
	}
}
