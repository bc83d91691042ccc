package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"

	"sallyport/internal/refusal"
)

// Setting returns what was fixed under name, empty when nothing was.
func (db *DB) Setting(ctx context.Context, name string) (string, error) {
	var value string
	err := db.reader.QueryRowContext(ctx, `SELECT value FROM app_settings WHERE name = $1`, name).Scan(&value)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("load setting %s: %w", name, err)
	}
	return value, nil
}

// SetSettingOnce fixes value under name unless something was fixed before, and
// returns what holds: of several callers at once all get the same.
func (db *DB) SetSettingOnce(ctx context.Context, name, value string) (string, error) {
	var holds string
	err := db.write(ctx, "set setting "+name, func(t *tx) error {
		n, err := t.change(ctx, `INSERT INTO app_settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, value)
		if err != nil {
			return err
		}
		if err := t.QueryRowContext(ctx, `SELECT value FROM app_settings WHERE name = $1`, name).Scan(&holds); err != nil {
			return err
		}
		if n == 0 {
			return errUnchanged
		}
		return nil
	})
	return holds, err
}

const (
	keyCheck     = "store.key_check"
	keyCheckText = "this database and this key-encryption key belong together"
)

// checkKey seals a known text at first start and opens it at every later one,
// so that a wrong key is refused before anything is sealed under it.
func (db *DB) checkKey(ctx context.Context) error {
	sealed, err := db.options.Sealer.Seal("app_settings", keyCheck, "value", []byte(keyCheckText))
	if err != nil {
		return fmt.Errorf("seal key check: %w", err)
	}
	stored, err := db.SetSettingOnce(ctx, keyCheck, base64.StdEncoding.EncodeToString(sealed))
	if err != nil {
		return err
	}
	sealed, err = base64.StdEncoding.DecodeString(stored)
	if err == nil {
		_, err = db.options.Sealer.Open("app_settings", keyCheck, "value", sealed)
	}
	if err != nil {
		return refusal.New(ErrWrongKey, "kek", "the key-encryption key is not the one that this database was made with",
			"put back the kek file that belongs to it; without that file the authority's keys cannot be opened and every phone must enrol again")
	}
	return nil
}
