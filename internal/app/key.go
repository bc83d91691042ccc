package app

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"sallyport/internal/config"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

var (
	// ErrNoKey says that there is a database but not the key that opens it.
	ErrNoKey = errors.New("key-encryption key is missing")
	// ErrNoDatabase says that there is a key, and there was a database.
	ErrNoDatabase = errors.New("database is missing")
	// ErrTwoKeys says that two places name a key, and only one can be meant.
	ErrTwoKeys = errors.New("two key-encryption keys")
)

// keyPlace is where the key-encryption key of a data directory is: in a file, or
// in the environment, which then may hold the key of a rotation too.
type keyPlace struct {
	file     string // empty: the environment
	dir      string // the data directory
	kek, new secret.Value
}

func keyPlaceOf(cfg config.Config) keyPlace {
	k := keyPlace{dir: cfg.Data, kek: cfg.KEK, new: cfg.KEKNew}
	if k.kek.IsZero() {
		k.file = cfg.KEKFile
		if k.file == "" {
			k.file = filepath.Join(cfg.Data, KeyFile)
		}
	}
	return k
}

// String names the place, and shows nothing of what is there.
func (k keyPlace) String() string {
	if k.file == "" {
		return config.VariableKEK
	}
	return k.file
}

// KeyPlace says where a server with these settings has its key-encryption key: in
// a file, or in the variable of that name.
func KeyPlace(cfg config.Config) string { return keyPlaceOf(cfg).String() }

// elsewhere is String with a whole path where the key is not in the data directory,
// and empty where it is.
func (k keyPlace) elsewhere() string {
	if k.file == "" {
		return k.String()
	}
	if sameFile(k.file, filepath.Join(k.dir, KeyFile)) {
		return ""
	}
	whole, err := filepath.Abs(k.file)
	if err != nil {
		return k.file
	}
	return whole
}

// there reports whether there is a key.
func (k keyPlace) there() bool { return k.file == "" || exists(k.file) }

// single refuses a key in the data directory beside one that was named elsewhere:
// whoever moves the key must not leave it where it was, nor wonder which one holds.
func (k keyPlace) single() error {
	left := filepath.Join(k.dir, KeyFile)
	if !exists(left) || sameFile(k.file, left) {
		return nil
	}
	return refusal.New(ErrTwoKeys, "kek", fmt.Sprintf("there is a key in %s, and another is given as %s", left, k),
		"if the given one is meant, move that file away from the database, to where you keep copies; or else take back what names the other")
}

func sameFile(a, b string) bool {
	if a == "" {
		return false
	}
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// open reads the keys, and makes one where there is none: never in the environment.
func (k keyPlace) open() (*secret.Sealer, error) {
	keys, err := k.read(secret.LoadOrCreateKeys)
	if err != nil {
		return nil, fmt.Errorf("key-encryption key: %w", err)
	}
	return secret.NewSealer(keys[0], keys[1:]...)
}

// read returns the keys, that which seals first.
func (k keyPlace) read(load func(path string) ([][]byte, error)) ([][]byte, error) {
	if k.file != "" {
		return load(k.file)
	}
	var keys [][]byte
	for _, variable := range []struct {
		name  string
		value secret.Value
	}{{config.VariableKEKNew, k.new}, {config.VariableKEK, k.kek}} {
		if variable.value.IsZero() {
			continue
		}
		key, err := secret.ParseKey(variable.value)
		if err != nil {
			return nil, refusal.New(ErrNoKey, variable.name, err.Error(), "put the key there as it was, whole")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// openSealer reads the key-encryption key, and makes one at the first start
// only: a new key beside an old database would look like a mend and be none.
// A key without its database is refused likewise, or a lost volume would come
// up as an empty server. A first start that was killed between the two has left
// none of the files that a server which came up leaves: it goes on.
func openSealer(k keyPlace) (*secret.Sealer, error) {
	if err := k.single(); err != nil {
		return nil, err
	}
	database := databasePath(k.dir)
	switch haveKey, haveDatabase := k.there(), exists(database); {
	case !haveKey && haveDatabase:
		return nil, refusal.New(ErrNoKey, "kek", k.String()+" is missing, and the database "+database+" is sealed with it", keyBack)
	case haveKey && !haveDatabase && wasServed(k.dir):
		anew := "remove " + k.String()
		if k.file == "" {
			anew = "name an empty directory with --data"
		}
		return nil, refusal.New(ErrNoDatabase, "data", database+" is missing, and a server was started on this directory before",
			"restore a backup: sallyport restore FILE --data "+k.dir+"; or name its PostgreSQL database with --database, if it had one; or, to begin anew and enrol every phone again, "+anew)
	}
	return k.open()
}

// keyBack is what to do about a key that is missing.
const keyBack = "put your copy of that file back: nobody can make another"

// wasServed reports whether a server came up on dir once.
func wasServed(dir string) bool {
	for _, name := range []string{ServerFile, TokenFile, RootFile} {
		if exists(filepath.Join(dir, name)) {
			return true
		}
	}
	return false
}

// warnRotation tells about a rotation that was begun: everything opens, and both
// keys are still needed.
func warnRotation(log *slog.Logger, k keyPlace) {
	keys, err := k.read(secret.LoadKeys)
	if err == nil && len(keys) > 1 {
		log.Warn("two key-encryption keys are given: a change of the key is not finished; stop the server and run sallyport ca rotate-kek", slog.String("kek", k.String()))
	}
}
