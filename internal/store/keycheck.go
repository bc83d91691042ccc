package store

import (
	"context"
	"encoding/base64"
	"fmt"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

const (
	settingsTable = "app_settings"

	keyCheck     = "store.key_check"
	keyCheckText = "this database and this key-encryption key belong together"
	// keyNext is the KeyID of the key that values are sealed under anew; empty
	// when the key check's is the only one.
	keyNext = "store.key_next"
	// macKeys begins the names of the sealed keys for HMACs; a purpose follows.
	macKeys = "store.mac."
)

// checkKey seals a known text at first start and opens it at every later one,
// so that a wrong key is refused before anything is sealed under it.
//
// While a rotation is under way values wait under two keys. That is on record
// before the first is sealed under the new one, and both must be given until
// the last is: whoever brings the old key alone would lose what the new one
// has sealed meanwhile.
func (db *DB) checkKey(ctx context.Context) error {
	id, err := db.checkedKey(ctx)
	if err != nil {
		return err
	}
	next, err := db.Setting(ctx, keyNext)
	if err != nil {
		return err
	}
	first := db.options.Sealer.KeyID()
	switch {
	case next != "" && !db.options.Sealer.Holds(next):
		return refusal.New(ErrWrongKey, "kek", fmt.Sprintf("a change of the key-encryption key to %s was begun and is not finished, and that key is not given", next),
			"give both keys (the key file as the change has left it, or SALLYPORT_KEK and SALLYPORT_KEK_NEW) and run sallyport ca rotate-kek again")
	case first == id || first == next:
		return nil
	}
	return db.write(ctx, "begin key rotation", func(t *tx) error { return t.setSetting(ctx, keyNext, first) })
}

// checkedKey returns the KeyID of the key that the database is sealed under.
func (db *DB) checkedKey(ctx context.Context) (string, error) {
	sealer := db.options.Sealer
	sealed, err := db.sealSetting(keyCheck, []byte(keyCheckText))
	if err != nil {
		return "", fmt.Errorf("seal key check: %w", err)
	}
	stored, err := db.SetSettingOnce(ctx, keyCheck, sealed)
	if err != nil {
		return "", err
	}
	raw, err := base64.StdEncoding.DecodeString(stored)
	if err == nil {
		_, err = db.openSetting(keyCheck, stored)
	}
	if err == nil {
		return secret.SealedUnder(raw), nil
	}
	reason := "the key-encryption key is not the one that this database was made with"
	if under := secret.SealedUnder(raw); under != "" {
		reason += fmt.Sprintf(" (that is key %s, this is key %s)", under, sealer.KeyID())
	}
	return "", refusal.New(ErrWrongKey, "kek", reason,
		"put back the kek file that belongs to it, or that key into SALLYPORT_KEK; without it the authority's keys cannot be opened and every phone must enrol again")
}

// MACs returns the HMACs of these purposes, the same for ever. The key of each is
// derived once, from the key that the database is sealed under at the time, and
// kept sealed: values that were made with it are on record.
func (db *DB) MACs(ctx context.Context, purposes ...string) (secret.MACs, error) {
	keys := make(map[string][]byte, len(purposes))
	for _, purpose := range purposes {
		key, err := db.macKey(ctx, purpose)
		if err != nil {
			return secret.MACs{}, fmt.Errorf("key for HMACs of %s: %w", purpose, err)
		}
		keys[purpose] = key
	}
	return secret.NewMACs(keys)
}

func (db *DB) macKey(ctx context.Context, purpose string) ([]byte, error) {
	name := macKeys + purpose
	stored, err := db.Setting(ctx, name)
	if err != nil {
		return nil, err
	}
	if stored == "" {
		id, err := db.checkedKey(ctx)
		if err != nil {
			return nil, err
		}
		key, err := db.options.Sealer.MACKey(id, purpose)
		if err != nil {
			return nil, err
		}
		sealed, err := db.sealSetting(name, key)
		if err != nil {
			return nil, err
		}
		if stored, err = db.SetSettingOnce(ctx, name, sealed); err != nil {
			return nil, err
		}
	}
	return db.openSetting(name, stored)
}

// Settings are text: what is sealed in one is written in base64.

func (db *DB) sealSetting(name string, plain []byte) (string, error) {
	sealed, err := db.options.Sealer.Seal(settingsTable, name, "value", plain)
	return base64.StdEncoding.EncodeToString(sealed), err
}

func (db *DB) openSetting(name, stored string) ([]byte, error) {
	sealed, err := base64.StdEncoding.DecodeString(stored)
	if err != nil {
		return nil, fmt.Errorf("setting %s: %w", name, secret.ErrOpen)
	}
	return db.options.Sealer.Open(settingsTable, name, "value", sealed)
}
