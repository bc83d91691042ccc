package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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

// setSetting fixes value under name, whatever was there.
func (t *tx) setSetting(ctx context.Context, name, value string) error {
	_, err := t.ExecContext(ctx, `INSERT INTO app_settings (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}
