package store

import (
	"context"
	"fmt"

	"sallyport/certs"
	"sallyport/internal/audit"
)

// Keys keeps the authority's own keys, sealed.
type Keys struct{ db *DB }

var (
	_ certs.KeyStore = (*Keys)(nil)
	_ certs.KeyMover = (*Keys)(nil)
)

// Keys returns the authority's key store.
func (db *DB) Keys() *Keys { return &Keys{db} }

// Keys returns every record, newest first within a role.
func (s *Keys) Keys(ctx context.Context) ([]certs.KeyRecord, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT id, role, certificate, private_key, created_at,
			COALESCE(active_at, created_at), retired_at
		FROM certs_keys ORDER BY role, created_at DESC, id DESC`)
	list, err := collect(rows, err, func(row scanner) (certs.KeyRecord, error) {
		var r certs.KeyRecord
		var id string
		var sealed []byte
		err := row.Scan(&id, &r.Role, &r.Certificate, &sealed, stamp{&r.CreatedAt}, stamp{&r.ActiveAt}, stamp{&r.RetiredAt})
		if err != nil || len(sealed) == 0 { // the key is elsewhere
			return r, err
		}
		r.Key, err = s.db.options.Sealer.Open("certs_keys", id, "private_key", sealed)
		if err != nil {
			return r, fmt.Errorf("open key %s (%s): %w", id, r.Role, err)
		}
		return r, nil
	})
	if err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	return list, nil
}

// SaveKeys adds records, all or none.
func (s *Keys) SaveKeys(ctx context.Context, records []certs.KeyRecord, entry audit.Entry) error {
	return s.db.write(ctx, "save keys", func(t *tx) error {
		for _, r := range records {
			if err := t.saveKey(ctx, r); err != nil {
				return fmt.Errorf("key of %s: %w", r.Role, err)
			}
		}
		return t.audit(ctx, entry)
	})
}

func (t *tx) saveKey(ctx context.Context, r certs.KeyRecord) error {
	id, err := newID()
	if err != nil {
		return err
	}
	sealed := []byte{} // of a key that is elsewhere there is nothing to seal
	if len(r.Key) > 0 {
		if sealed, err = t.db.options.Sealer.Seal("certs_keys", id, "private_key", r.Key); err != nil {
			return err
		}
	}
	_, err = t.ExecContext(ctx, `INSERT INTO certs_keys (id, role, certificate, private_key, created_at, active_at, retired_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		id, r.Role, r.Certificate, sealed, micros(r.CreatedAt), micros(r.ActiveAt), micros(r.RetiredAt))
	return err
}

// MoveKeys sets when records came and went out of use.
func (s *Keys) MoveKeys(ctx context.Context, records []certs.KeyRecord, entry audit.Entry) error {
	return s.db.write(ctx, "move keys", func(t *tx) error {
		for _, r := range records {
			n, err := t.change(ctx, `UPDATE certs_keys SET active_at = $2, retired_at = $3 WHERE certificate = $1`,
				r.Certificate, micros(r.ActiveAt), micros(r.RetiredAt))
			if err == nil && n == 0 {
				err = certs.ErrNotFound
			}
			if err != nil {
				return fmt.Errorf("key of %s: %w", r.Role, err)
			}
		}
		return t.audit(ctx, entry)
	})
}
