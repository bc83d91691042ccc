package app

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// TestLockEndsWhileAChildStarts: a child has the files of its parent until it becomes
// another program, and the next server on a directory need not wait for that.
func TestLockEndsWhileAChildStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	inherited := -1
	files, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if path, err := os.Readlink(file); err == nil && path == filepath.Join(dir, lockFile) {
			fd, err := strconv.Atoi(filepath.Base(file))
			if err != nil {
				t.Fatal(err)
			}
			if inherited, err = syscall.Dup(fd); err != nil {
				t.Fatal(err)
			}
		}
	}
	if inherited < 0 {
		t.Fatal("the lock's file is not among those of this process")
	}
	defer func() { _ = syscall.Close(inherited) }()
	unlock()
	again, err := lock(dir)
	if err != nil {
		t.Fatalf("after the first let go: %v", err)
	}
	again()
}
