package app

import (
	"context"
	"errors"
	"fmt"
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
	if err := prepareData(dir); err != nil {
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
			err = errors.Join(err, os.Remove(path))
		}
		return nil, false, fmt.Errorf("key-encryption key: %w", err)
	}
	return s, !have, nil
}

func copyKey(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read key file: %w", err)
	}
	return writeFile(to, text, 0o600)
}
