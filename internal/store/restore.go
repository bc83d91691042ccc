package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"sallyport/internal/refusal"
)

// Restore puts a backup in the place of the database at options.Path. It works
// on a copy and replaces the database in one step at the end: whatever goes
// wrong before, the old one stands. The old one is not deleted.
//
// What of the backup may have been used or taken back since is over afterwards:
// see endRestored. engines says that the tokens of engines end, too.
//
// Refusals: ErrNotSallyport, ErrDamaged, ErrNewerSchema, ErrWrongKey, and ErrInUse while a
// server still has the database open.
func Restore(ctx context.Context, file string, options Options, engines bool) (Restoration, error) {
	options, err := options.withDefaults()
	if err != nil {
		return Restoration{}, fmt.Errorf("restore %s: %w", file, err)
	}
	told, err := restore(ctx, file, options, engines)
	if err != nil {
		return Restoration{}, fmt.Errorf("restore %s: %w", file, err)
	}
	return told, nil
}

func restore(ctx context.Context, file string, options Options, engines bool) (told Restoration, err error) {
	// An unsound database may be replaced too: it is moved aside with its log as it is.
	if err := settle(ctx, options.Path); err != nil && !errors.Is(err, ErrDamaged) {
		return told, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(options.Path), restoreDirs+"*")
	if err != nil {
		return told, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	candidate := options
	candidate.Path = filepath.Join(dir, "candidate.db")
	if err := copyFile(file, candidate.Path); err != nil {
		return told, err
	}
	if err := inspect(ctx, candidate.Path); err != nil {
		return told, err
	}
	if told, err = adopt(ctx, candidate, filepath.Base(file), engines); err != nil {
		return told, err
	}
	told.Kept, err = exchange(candidate.Path, options)
	return told, err
}

// restoreDirs begins the names of directories that a running restore needs.
const restoreDirs = ".sallyport-restore-"

// inspect looks at a file that came from outside before anything in it is used.
func inspect(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return refuseForeignFile("the file is empty")
	}
	if err := makeFile(path); err != nil { // the header
		return err
	}
	db, err := pool(path, url.Values{"_journal_mode": {"DELETE"}}, 1)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	ours, err := identify(ctx, db)
	switch {
	case sqliteCode(err) != 0:
		return refuseDamaged(err.Error())
	case err != nil:
		return err
	case !ours:
		return refuseForeignFile("the file holds no tables")
	}
	return checkIntegrity(ctx, db)
}

// adopt makes the copy into our database: its schema is brought up to date,
// its key is checked, and nothing that was open in it can be used again.
func adopt(ctx context.Context, candidate Options, name string, engines bool) (Restoration, error) {
	told, err := Restored(ctx, name, candidate, engines)
	if err != nil {
		return told, err
	}
	return told, settle(ctx, candidate.Path)
}

// settle folds the write-ahead log into the file, so that the file alone is
// the database. Leaving WAL mode needs the file for ourselves: it is ErrInUse
// while any other process has the database open, which is what we ask here.
func settle(ctx context.Context, path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := pool(path, url.Values{"_journal_mode": {"DELETE"}, "_busy_timeout": {"500"}}, 1)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	err = leaveWAL(ctx, db)
	switch {
	case isBusy(err):
		return refusal.New(ErrInUse, "", "another process has the database open", "stop the server first")
	case sqliteCode(err) != 0:
		return refuseDamaged(err.Error())
	}
	return err
}

func leaveWAL(ctx context.Context, db *sql.DB) error {
	var mode string
	return db.QueryRowContext(ctx, `PRAGMA journal_mode = DELETE`).Scan(&mode)
}

// exchange puts the candidate in the place of the database. The old file gets
// a second name first: there is no moment at which a server that starts would
// find nothing and begin anew.
func exchange(candidate string, options Options) (string, error) {
	kept, err := keep(options)
	if err != nil {
		return "", err
	}
	if err := syncFile(candidate); err != nil {
		return "", err
	}
	if err := os.Rename(candidate, options.Path); err != nil {
		return "", err
	}
	return kept, syncFile(filepath.Dir(options.Path))
}

// keep saves the database that is about to be replaced under another name.
func keep(options Options) (string, error) {
	if _, err := os.Stat(options.Path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	kept := options.Path + ".before-restore-" + options.Now().UTC().Format("20060102T150405.000000Z")
	if err := os.Link(options.Path, kept); err != nil {
		if err := copyFile(options.Path, kept); err != nil { // a file system without links
			return "", err
		}
	}
	// A sound database has left no log; a damaged one's must not be replayed
	// into the file that takes its place.
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		err := os.Rename(options.Path+suffix, kept+suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return kept, nil
}

// copyFile writes a new file for its owner alone.
func copyFile(from, to string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if _, err := io.Copy(target, source); err != nil {
		return err
	}
	return target.Sync()
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
