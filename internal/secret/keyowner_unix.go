//go:build unix

package secret

import (
	"io/fs"
	"os"
	"syscall"
)

// sameOwner gives f to the owner of what it takes the place of: root may rotate
// the key of a server that runs as another user.
func sameOwner(f *os.File, replaced fs.FileInfo) error {
	if old, ok := replaced.Sys().(*syscall.Stat_t); ok && int(old.Uid) != os.Geteuid() {
		return f.Chown(int(old.Uid), int(old.Gid))
	}
	return nil
}
