package app

import (
	"errors"
	"fmt"
	"path/filepath"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

var (
	// ErrNoKey says that there is a database but not the key that opens it.
	ErrNoKey = errors.New("key-encryption key is missing")
	// ErrNoDatabase says that there is a key, and there was a database.
	ErrNoDatabase = errors.New("database is missing")
)

// openSealer reads the key-encryption key, and makes one at the first start
// only: a new key beside an old database would look like a mend and be none.
// A key without its database is refused likewise, or a lost volume would come
// up as an empty server. A first start that was killed between the two has left
// none of the files that a server which came up leaves: it goes on.
func openSealer(dir string) (*secret.Sealer, error) {
	path, database := filepath.Join(dir, KeyFile), filepath.Join(dir, DatabaseFile)
	switch haveKey, haveDatabase := exists(path), exists(database); {
	case !haveKey && haveDatabase:
		return nil, refusal.New(ErrNoKey, "kek", path+" is missing, and the database beside it is sealed with it",
			"put your copy of that file back: nobody can make another")
	case haveKey && !haveDatabase && wasServed(dir):
		return nil, refusal.New(ErrNoDatabase, "data", database+" is missing, and a server was started on this directory before",
			"restore a backup: sallyport restore FILE --data "+dir+"; or name its PostgreSQL database with --database, if it had one; or, to begin anew and enrol every phone again, remove "+path)
	}
	return openKey(path)
}

// openKey reads the key, and makes one where there is none.
func openKey(path string) (*secret.Sealer, error) {
	key, err := secret.LoadOrCreateKey(path)
	if err != nil {
		return nil, fmt.Errorf("key-encryption key: %w", err)
	}
	sealer, err := secret.NewSealer(key)
	if err != nil {
		return nil, fmt.Errorf("key-encryption key: %w", err)
	}
	return sealer, nil
}

// wasServed reports whether a server came up on dir once.
func wasServed(dir string) bool {
	for _, name := range []string{ServerFile, TokenFile, RootFile} {
		if exists(filepath.Join(dir, name)) {
			return true
		}
	}
	return false
}
