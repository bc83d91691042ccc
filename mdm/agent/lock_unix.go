//go:build unix

package agent

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lock keeps other processes from this phone until unlock is called: two
// commands at once would overwrite each other's state.
func (d *disk) lock(wait time.Duration) (unlock func(), err error) {
	if d.dir == "" {
		return func() {}, nil
	}
	f, err := os.OpenFile(filepath.Join(d.dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(wait); ; time.Sleep(20 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing releases the lock
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			_ = f.Close()
			return nil, ErrBusy
		}
	}
}
