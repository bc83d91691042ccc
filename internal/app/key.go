package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// ErrNoKey says that there is a database but not the key that opens it.
var ErrNoKey = errors.New("key-encryption key is missing")

// openSealer reads the key-encryption key, and makes one at the first start
// only: a new key beside an old database would look like a mend and be none.
func openSealer(dir string) (*secret.Sealer, error) {
	path := filepath.Join(dir, KeyFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && exists(filepath.Join(dir, DatabaseFile)) {
		return nil, refusal.New(ErrNoKey, "kek", path+" is missing, and the database beside it is sealed with it",
			"put your copy of the file back")
	}
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

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
