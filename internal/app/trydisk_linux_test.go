package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sallyport/internal/app"
	"sallyport/internal/refusal"
	"sallyport/internal/server/adminapi"
)

// envReadOnlyDisk makes this binary mount a file system at the directory, read-only,
// and say what app.TryDisk finds.
const envReadOnlyDisk = "E2E_READ_ONLY_DISK"

func init() {
	dir := os.Getenv(envReadOnlyDisk)
	if dir == "" {
		return
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, "mode=0700"); err != nil {
		fmt.Fprintln(os.Stderr, "mount:", err)
		os.Exit(2)
	}
	fmt.Println(app.TryDisk(dir))
	os.Exit(0)
}

// ownNameSpace lets a process mount what nobody else sees.
func ownNameSpace() *syscall.SysProcAttr {
	own := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: own,
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
}

// needNameSpace skips a test where the machine has none to give, and fails it in CI,
// which runs as root. untried is what is not tried then.
func needNameSpace(t *testing.T, err error, untried string) {
	t.Helper()
	if !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EINVAL) {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no name space of one's own (%v): run this as root", err)
	}
	t.Skipf("SKIPPED: no name space of one's own on this machine (%v): %s is not tried", err, untried)
}

func TestTryDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, app.TryDisk(dir))
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
	gone := app.TryDisk(filepath.Join(dir, "gone"))
	if all := refusal.All(gone); !errors.Is(gone, app.ErrUnwritable) || len(all) != 1 || all[0].Remedy == "" {
		t.Errorf("no directory: %v", gone)
	}
}

func TestTryDiskReadOnly(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envReadOnlyDisk+"="+t.TempDir())
	cmd.SysProcAttr = ownNameSpace()
	said, err := cmd.CombinedOutput()
	needNameSpace(t, err, "a read-only disk")
	if err != nil || !strings.Contains(string(said), "read-only") || !strings.Contains(string(said), "dmesg") {
		t.Errorf("got %s, %v", said, err)
	}
}

// storage is the server's own word on whether it can write.
func (c *client) storage() (s adminapi.Storage) {
	c.t.Helper()
	if status := c.call(http.MethodGet, "/api/v1/storage", "", nil, &s); status != http.StatusOK {
		c.t.Errorf("storage: status %d", status)
	}
	return s
}
