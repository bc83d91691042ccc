package app

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"sallyport/internal/refusal"
)

// ErrForeign says that a data directory was not made for us, and others can
// look into it.
var ErrForeign = errors.New("data directory is open to others")

// prepareData makes the data directory, for its owner alone. One that is there
// and open to others is closed when it is ours, which a database or a key in it
// shows, or when it is empty and others can only look at it, as a plain mkdir
// leaves it. Any other is somebody's: nothing is changed in it.
func prepareData(dir string, log *slog.Logger) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", denied(err))
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", denied(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("data directory %s is not a directory", dir)
	}
	mode := info.Mode().Perm()
	if mode&0o077 == 0 {
		return nil
	}
	const remedy = "name a directory of its own with --data, which is made for you"
	if !exists(filepath.Join(dir, DatabaseFile)) && !exists(filepath.Join(dir, KeyFile)) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("data directory: %w", denied(err))
		}
		if len(entries) > 0 {
			return refusal.New(ErrForeign, "data", fmt.Sprintf("%s is open to others (mode %04o) and holds what is not ours", dir, mode),
				remedy+"; or, if it is meant, chmod 700 "+dir)
		}
		if mode&0o022 != 0 {
			return refusal.New(ErrForeign, "data", fmt.Sprintf("others may write into %s (mode %04o)", dir, mode),
				remedy+"; or, if it is meant, chmod 700 "+dir)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("data directory %s is open to others, and cannot be closed: %w (chmod 700 it)", dir, err)
	}
	log.Warn("data directory was open to others and is closed now", slog.String("directory", dir), slog.String("mode_before", fmt.Sprintf("%04o", mode)))
	return nil
}

// denied adds what to do where the directory is another user's. Other errors stay
// what they are.
func denied(err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w (run as the user whose data directory it is, or name one of your own with --data DIR)", err)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
