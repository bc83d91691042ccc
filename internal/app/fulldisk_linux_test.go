package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sallyport/internal/store"
)

// envSmallDisk makes the server that another test starts keep its data on a
// small file system of its own, made before anything else happens.
const envSmallDisk = "E2E_SMALL_DISK"

func init() {
	if os.Getenv(envSmallDisk) == "" {
		return
	}
	if err := onSmallDisk(os.Getenv(envServe)); err != nil {
		fmt.Fprintln(os.Stderr, "make a small disk:", err)
		os.Exit(1)
	}
}

// smallDisk is the size of the file system on which the server of TestFullDisk
// keeps its data.
const smallDisk = 4 << 20

// onSmallDisk makes data a file system of its own, which nobody outside of this
// process's name space sees.
func onSmallDisk(data string) error {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	return syscall.Mount("tmpfs", data, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", smallDisk))
}

// TestFullDisk fills the disk under a server that serves an enrolled phone: the
// phone is told to come again, and once there is room everything goes on.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	p := processOf(data, freeAddress(t), 0, store.AfterCommit)
	p.cmd.Env = append(p.cmd.Env, envSmallDisk+"=1")
	p.cmd.Stderr = nil // a line for each refusal, and there are hundreds
	p.cmd.SysProcAttr = ownNameSpace()
	err := p.start(t)
	needNameSpace(t, err, "a full disk")
	must(t, err)
	seen := fmt.Sprintf("/proc/%d/root%s", p.cmd.Process.Pid, data)
	c := newClient(t, seen)
	c.seed()
	e := c.enrol(alice)
	idle := taken{header: e.said[0].header, body: encoded(t, map[string]any{"Status": "Idle", "UDID": show(t, e.phone).UDID})}

	if s := c.storage(); !s.Writable {
		t.Errorf("with room: %+v", s)
	}
	must(t, fill(filepath.Join(seen, "filler")))
	if s := c.storage(); s.Writable || !strings.Contains(s.Problem, "no room") || !strings.Contains(s.Next, "make room") {
		t.Errorf("disk full: %+v", s)
	}
	got := answers{}
	for range 200 { // the log has some room of its own
		for _, m := range append(e.said, idle) {
			status, _ := put(t, c.http, c.local.PublicURL, m.body, signedBy(t, m, m.body, e.id))
			got.only(t, "disk full", status, 200, 400, 503)
			status, _ = put(t, c.http, c.local.PublicURL, m.body, http.Header{"Mdm-Signature": {"AAAA"}})
			got.only(t, "disk full, and nothing proven", status, 400, 503)
		}
		if got[503] > 50 {
			break
		}
	}
	t.Logf("disk full: %v", got)
	if got[503] == 0 {
		t.Error("the disk was never full")
	}
	must(t, os.Remove(filepath.Join(seen, "filler")))
	if s := c.storage(); !s.Writable {
		t.Errorf("with room again: %+v", s)
	}
	must(t, e.phone.Connect(t.Context()))
	if status, _ := put(t, c.http, c.local.PublicURL, idle.body, signedBy(t, idle, idle.body, e.id)); status != http.StatusOK {
		t.Errorf("with room again: status %d, want 200", status)
	}
}

// fill writes name until the disk is full.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			return err
		}
	}
	return nil
}
