package store

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Backup writes a copy of the database as it is at one moment, while the
// server goes on reading and writing. Secrets in it stay sealed: it is worth
// nothing without the key-encryption key, which is not in it. A PostgreSQL
// database has tools of its own: ErrOwnTools, and nothing is written.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	if err := db.engine.backup(ctx, w); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return nil
}

func backupFile(ctx context.Context, path string, w io.Writer) error {
	dir, err := os.MkdirTemp(filepath.Dir(path), backupDirs+"*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	snapshot := filepath.Join(dir, "snapshot.db")
	if err := snapshotTo(ctx, path, snapshot); err != nil {
		return err
	}
	f, err := os.Open(snapshot)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if _, err := io.Copy(w, f); err != nil {
		return err
	}
	return ctx.Err()
}

// backupDirs begins the names of directories that a running backup needs.
const backupDirs = ".sallyport-backup-"

// snapshotTo uses a connection of its own: VACUUM INTO reads one state of the
// database, and neither the writer nor a reader has to wait for it.
func snapshotTo(ctx context.Context, from, to string) error {
	db, err := pool(from, url.Values{}, 1)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	_, err = db.ExecContext(ctx, `VACUUM INTO $1`, to)
	return err
}

// removeLeftovers clears what a crash in the middle of a backup or a restore
// has left: a whole copy of the database each time.
func removeLeftovers(path string) error {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), backupDirs) && !strings.HasPrefix(entry.Name(), restoreDirs) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}

// checkIntegrity runs SQLite's own checks over a file that came from outside.
func checkIntegrity(ctx context.Context, db *sql.DB) error {
	var verdict string
	err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict)
	switch {
	case sqliteCode(err) != 0:
		return refuseDamaged(err.Error())
	case err != nil:
		return err
	case verdict != "ok":
		return refuseDamaged(verdict)
	}
	rows, err := db.QueryContext(ctx, `PRAGMA foreign_key_check`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		return refuseDamaged("a row refers to one that is not there")
	}
	return rows.Err()
}
