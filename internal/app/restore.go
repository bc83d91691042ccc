package app

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"sallyport/internal/config"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/internal/store"
)

// ErrNotEmpty says that a restore would replace what is there.
var ErrNotEmpty = errors.New("data directory is not empty")

// Restore puts a backup into the data directory of cfg, which has no database yet
// and no server running on it. The key that sealed the backup is there already,
// or keyFile is a copy of it (empty: none). A restore that fails leaves a
// directory that can be tried again. engines says that the tokens of engines end, too.
func Restore(ctx context.Context, cfg config.Config, file, keyFile string, engines bool) (told store.Restoration, err error) {
	dir, place := cfg.Data, keyPlaceOf(cfg)
	if err := prepareData(dir, slog.New(slog.DiscardHandler)); err != nil {
		return told, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return told, err
	}
	defer unlock()
	if exists(databasePath(dir)) {
		return told, refusal.New(ErrNotEmpty, "data", "there is a database in "+dir, "name an empty directory with --data, or move the old one away first")
	}
	sealer, made, err := restoreKey(place, keyFile)
	if err != nil {
		return told, err
	}
	told, err = store.Restore(ctx, file, store.Options{Path: databasePath(dir), Sealer: sealer}, engines)
	if errors.Is(err, store.ErrWrongKey) {
		name := place.String()
		if keyFile != "" {
			name = keyFile
		}
		err = refusal.New(store.ErrWrongKey, "kek", name+" is not the key that "+file+" was sealed with", keyCopy)
	}
	if err != nil && made { // the wrong key must not stand in the way of the right one
		err = errors.Join(err, os.Remove(place.file))
	}
	return told, err
}

// restoreKey opens the key of the directory, or puts the copy there; made says
// that it did. It never makes a new key.
func restoreKey(place keyPlace, keyFile string) (s *secret.Sealer, made bool, err error) {
	if err := place.single(); err != nil {
		return nil, false, err
	}
	have := place.there()
	switch {
	case place.file == "" && keyFile != "":
		return nil, false, refusal.New(ErrTwoKeys, "kek", "--kek names a key, and "+place.String()+" holds one", "leave out one of them")
	case have && keyFile != "":
		return nil, false, refusal.New(ErrNotEmpty, "kek", place.String()+" exists already", "leave --kek out to use it, or move it away first")
	case !have && keyFile == "":
		return nil, false, refusal.New(ErrNoKey, "kek", place.String()+" is missing: the backup is sealed with the key of the server that made it",
			"name your copy of that file with --kek FILE")
	case !have:
		if err := copyKey(keyFile, place.file); err != nil {
			return nil, false, err
		}
	}
	s, err = place.open()
	if err != nil && !have {
		return nil, false, errors.Join(refusal.New(ErrNoKey, "kek", keyFile+" holds no key: that is 64 hex digits", keyCopy), os.Remove(place.file))
	}
	return s, !have, err
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
