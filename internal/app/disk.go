package app

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"syscall"
	"time"

	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/store"
)

// ErrUnwritable says that nothing can be kept in a directory.
var ErrUnwritable = errors.New("cannot be written to")

// trialSize is more than the database's log asks for at a commit of one phone.
const trialSize = 64 << 10 // bytes

// TryDisk writes a file into dir, forces it to the disk and takes it away. It fails
// with ErrUnwritable and what to do.
func TryDisk(dir string) error {
	err := writeTrial(dir)
	if err == nil {
		return nil
	}
	refuse := func(reason, remedy string) error { return refusal.New(ErrUnwritable, "data", reason, remedy) }
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return refuse("no room is left for another file", "make room (df -h, df -i, and the user's quota): a database that cannot write refuses every phone")
	case errors.Is(err, syscall.EROFS):
		return refuse("the file system is mounted read-only", "find out why, then mount it for writing: a disk with errors is mounted so (dmesg), and so is what a unit or container does not list as writable")
	case errors.Is(err, fs.ErrPermission):
		return refuse("its user may not write there", "have the server's user own the directory, and run as that user")
	}
	return refuse("a write to it fails: "+err.Error(), "look at the disk (dmesg)")
}

func writeTrial(dir string) error {
	f, err := os.CreateTemp(dir, ".trial-*")
	if err != nil {
		return err
	}
	if os.Remove(f.Name()) != nil { // at once, so that whatever stops us leaves nothing
		defer func() { _ = os.Remove(f.Name()) }() // where open files cannot be removed
	}
	_, err = f.Write(make([]byte, trialSize))
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// storage tries whether the server can keep what phones tell it.
type storage struct {
	dir string
	db  *store.DB
	log *slog.Logger
}

// storageTime is how long the database may take. It waits while others write.
const storageTime = 5 * time.Second

// TryStorage implements adminapi.StorageService.
func (s storage) TryStorage(ctx context.Context) adminapi.Storage {
	err := TryDisk(s.dir)
	if all := refusal.All(err); len(all) > 0 {
		return adminapi.Storage{Problem: "the data directory: " + all[0].Reason, Next: all[0].Remedy}
	}
	ctx, cancel := context.WithTimeout(ctx, storageTime)
	defer cancel()
	if err := s.db.TryWrite(ctx); err != nil { // in words that may name hosts and users
		s.log.ErrorContext(ctx, "the database takes no writes", logkey.Error, err)
		return adminapi.Storage{Problem: "the database takes no writes", Next: "look at the server's log; a PostgreSQL that follows another one is read-only: name the one that leads"}
	}
	return adminapi.Storage{Writable: true}
}
