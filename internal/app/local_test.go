package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

func TestPrepareDataClosesTheDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "var")
	if err := prepareData(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := prepareData(dir); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got %v, %v, want 0700", info.Mode(), err)
	}
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareData(file); err == nil {
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
	if _, err := openSealer(dir); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
	if exists(filepath.Join(dir, KeyFile)) {
		t.Error("a key was made all the same")
	}
}
