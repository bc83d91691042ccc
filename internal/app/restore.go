package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/internal/store"
)

// ErrNotEmpty says that a restore would replace what is there.
var ErrNotEmpty = errors.New("data directory is not empty")

// Restore puts a backup into the data directory dir, which has no database yet
// and no server running on it. The key that sealed the backup is there already,
// or keyFile is a copy of it (empty: none). A restore that fails leaves a
// directory that can be tried again.
func Restore(ctx context.Context, dir, file, keyFile string) error {
	if err := prepareData(dir, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	if exists(databasePath(dir)) {
		return refusal.New(ErrNotEmpty, "data", "there is a database in "+dir, "name an empty directory with --data, or move the old one away first")
	}
	sealer, made, err := restoreKey(dir, keyFile)
	if err != nil {
		return err
	}
	if _, err := store.Restore(ctx, file, store.Options{Path: databasePath(dir), Sealer: sealer}); err != nil {
		if errors.Is(err, store.ErrWrongKey) {
			name := filepath.Join(dir, KeyFile)
			if keyFile != "" {
				name = keyFile
			}
			err = refusal.New(store.ErrWrongKey, "kek", name+" is not the key that "+file+" was sealed with", keyCopy)
		}
		if made { // the wrong key must not stand in the way of the right one
			err = errors.Join(err, os.Remove(filepath.Join(dir, KeyFile)))
		}
		return err
	}
	return nil
}

// restoreKey opens the key of the directory, or puts the copy there; made says
// that it did. It never makes a new key.
func restoreKey(dir, keyFile string) (s *secret.Sealer, made bool, err error) {
	path := filepath.Join(dir, KeyFile)
	have := exists(path)
	switch {
	case have && keyFile != "":
		return nil, false, refusal.New(ErrNotEmpty, "kek", path+" exists already", "leave --kek out to use it, or move it away first")
	case !have && keyFile == "":
		return nil, false, refusal.New(ErrNoKey, "kek", path+" is missing: the backup is sealed with the key of the server that made it",
			"name your copy of that file with --kek FILE")
	case !have:
		if err := copyKey(keyFile, path); err != nil {
			return nil, false, err
		}
	}
	key, err := secret.LoadOrCreateKey(path)
	if err == nil {
		s, err = secret.NewSealer(key)
	}
	if err != nil {
		if !have {
			return nil, false, errors.Join(refusal.New(ErrNoKey, "kek", keyFile+" holds no key: that is 64 hex digits", keyCopy), os.Remove(path))
		}
		return nil, false, fmt.Errorf("key-encryption key: %w", err)
	}
	return s, !have, nil
}

// keyCopy is what to do about a key that does not fit.
const keyCopy = "name the copy of DATA/kek that you keep of the server that made the backup"

func copyKey(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return refusal.New(ErrNoKey, "kek", "cannot read the key: "+err.Error(), keyCopy)
	}
	return writeFile(to, text, 0o600)
}
