package app

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestLocalSurvivesTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := ReadLocal(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a server: got %v, want fs.ErrNotExist", err)
	}
	want := Local{URL: "https://localhost:8443", Dial: "127.0.0.1:8443", PublicURL: "https://localhost:8443", PID: 7, Gaps: []Gap{}}
	if err := want.write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadLocal(dir); err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "admin-token") {
		t.Errorf("without a token: got %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, TokenFile), []byte("spt_x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadLocal(dir)
	if err != nil || got.URL != want.URL || got.Dial != want.Dial || got.PID != 7 || got.Token.Reveal() != "spt_x" {
		t.Errorf("got %+v, %v", got, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, ServerFile))
	if err != nil || strings.Contains(string(text), "spt_") {
		t.Errorf("server file holds the token, or %v", err)
	}
}

// A directory of another user is nothing to wonder about: what to do is said.
func TestDenied(t *testing.T) {
	t.Parallel()
	err := denied(&fs.PathError{Op: "mkdir", Path: "/var/lib/sallyport", Err: syscall.EACCES})
	if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "/var/lib/sallyport") || !strings.Contains(err.Error(), "run as the user") {
		t.Errorf("got %v", err)
	}
	full := &fs.PathError{Op: "mkdir", Path: "/var/lib/sallyport", Err: syscall.ENOSPC}
	if got := denied(full); got != error(full) {
		t.Errorf("a full disk: got %v", got)
	}
	if os.Geteuid() == 0 {
		return // nothing is denied to root
	}
	dir := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := prepareData(filepath.Join(dir, "d"), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "run as the user") {
		t.Errorf("make: got %v", err)
	}
	if _, err := lock(dir); err == nil || !strings.Contains(err.Error(), "run as the user") {
		t.Errorf("lock: got %v", err)
	}
}

func TestWriteFileKeepsTheOldOneWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, text := range []string{"one", "two"} {
		if err := writeFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "two" {
		t.Errorf("got %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode: got %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := writeFile(filepath.Join(dir, "absent", "f"), nil, 0o600); err == nil {
		t.Error("a directory that is not there was accepted")
	}
}

func TestPrepareDataClosesOnlyWhatIsOurs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		mode  os.FileMode
		holds string
		want  os.FileMode // 0: refused, and left alone
	}{
		{name: "ours by its database", mode: 0o755, holds: DatabaseFile, want: 0o700},
		{name: "ours by its key, writable for others", mode: 0o777 | os.ModeSticky, holds: KeyFile, want: 0o700},
		{name: "empty, as mkdir makes it", mode: 0o755, want: 0o700},
		{name: "empty and shared", mode: 0o777 | os.ModeSticky},
		{name: "empty and shared with a group", mode: 0o770},
		{name: "somebody's", mode: 0o755, holds: "letter.txt"},
		{name: "private, with something in it", mode: 0o700, holds: "serve.log", want: 0o700},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "big")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if tt.holds != "" {
				if err := os.WriteFile(filepath.Join(dir, tt.holds), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(dir, tt.mode); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			err := prepareData(dir, slog.New(slog.NewTextHandler(&log, nil)))
			info, statErr := os.Stat(dir)
			if statErr != nil {
				t.Fatal(statErr)
			}
			switch {
			case tt.want == 0 && (!errors.Is(err, ErrForeign) || info.Mode()&^os.ModeDir != tt.mode || !strings.Contains(err.Error(), "--data")):
				t.Errorf("got %v and mode %v, want ErrForeign and mode %v", err, info.Mode(), tt.mode)
			case tt.want != 0 && (err != nil || info.Mode().Perm() != tt.want):
				t.Errorf("got %v and mode %v, want %v", err, info.Mode(), tt.want)
			case (tt.want != 0 && tt.mode.Perm() != tt.want) != strings.Contains(log.String(), "is closed now"):
				t.Errorf("log: %q", log.String())
			}
		})
	}
}

func TestPrepareDataMakesTheDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "var")
	quiet := slog.New(slog.DiscardHandler)
	if err := prepareData(dir, quiet); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v, want 0700", info.Mode(), err)
	}
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareData(file, quiet); err == nil {
		t.Error("a file was accepted as data directory")
	}
}

func TestLockKeepsTheSecondOneOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lock(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("second lock: got %v, want ErrLocked", err)
	}
	unlock()
	again, err := lock(dir)
	if err != nil {
		t.Fatalf("after the first let go: %v", err)
	}
	again()
}

func TestKeyIsNotMadeBesideADatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, DatabaseFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSealer(keyPlaceOf(settingsIn(dir))); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
	if exists(filepath.Join(dir, KeyFile)) {
		t.Error("a key was made all the same")
	}
}

// A lost database is not taken for a first start; a first start that was killed
// after it made the key is.
func TestDatabaseIsMissedBesideItsKey(t *testing.T) {
	t.Parallel()
	for _, left := range []string{"", ServerFile, TokenFile, RootFile} {
		dir := t.TempDir()
		if _, err := openSealer(keyPlaceOf(settingsIn(dir))); err != nil {
			t.Fatal(err)
		}
		if left == "" {
			if _, err := openSealer(keyPlaceOf(settingsIn(dir))); err != nil {
				t.Errorf("killed in the first start: %v", err)
			}
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, left), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openSealer(keyPlaceOf(settingsIn(dir)))
		if !errors.Is(err, ErrNoDatabase) || !strings.Contains(err.Error(), "sallyport restore FILE --data "+dir) || !strings.Contains(err.Error(), "remove "+filepath.Join(dir, KeyFile)) {
			t.Errorf("beside %s: %v, want ErrNoDatabase", left, err)
		}
		if err := os.Remove(filepath.Join(dir, KeyFile)); err != nil {
			t.Fatal(err)
		}
		if _, err := openSealer(keyPlaceOf(settingsIn(dir))); err != nil {
			t.Errorf("begun anew: %v", err)
		}
	}
}

// A key that does not fit is told by the name that was given, with a next step,
// and does not stay.
func TestRestoreNamesTheKeyThatWasGiven(t *testing.T) {
	t.Parallel()
	backup, dir := filepath.Join(t.TempDir(), "fleet.backup"), t.TempDir()
	a, err := New(t.Context(), settingsIn(t.TempDir()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	f, err := os.Create(backup)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.db.Backup(t.Context(), f), f.Close()); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"torn": "0123", "other": strings.Repeat("ab", 32), "absent": ""} {
		key := filepath.Join(t.TempDir(), name)
		if text != "" {
			if err := os.WriteFile(key, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Restore(t.Context(), settingsIn(dir), backup, key, false)
		if err == nil || !strings.Contains(err.Error(), key) || strings.Contains(err.Error(), filepath.Join(dir, KeyFile)) || !strings.Contains(err.Error(), "name the copy of DATA/kek") {
			t.Errorf("%s key: got %v", name, err)
		}
		if exists(filepath.Join(dir, KeyFile)) {
			t.Errorf("%s key: it stays", name)
		}
	}
	if _, err := Restore(t.Context(), settingsIn(dir), backup, filepath.Join(a.dir, KeyFile), false); err != nil {
		t.Error(err)
	}
}
