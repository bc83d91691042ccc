package store

import (
	"context"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// opposite is the kind of personal word that another one replaces.
var opposite = map[access.PersonalKind]access.PersonalKind{
	access.PersonalAllow: access.PersonalBlock,
	access.PersonalBlock: access.PersonalAllow,
}

// SavePersonal writes an admin's words about devices of users: all or none.
func (s *Access) SavePersonal(ctx context.Context, list []access.Personal, entries []audit.Entry) error {
	return s.db.write(ctx, "save personal access", func(t *tx) error {
		told := map[directory.UserID]bool{}
		for _, p := range list {
			if err := t.onRecord(ctx, p.UserID); err != nil {
				return err
			}
			if err := t.savePersonal(ctx, p); err != nil {
				return err
			}
			if !told[p.UserID] {
				told[p.UserID] = true
				t.emitUser(mdm.EventAccess, p.UserID, t.db.now())
			}
		}
		return t.audit(ctx, entries...)
	})
}

func (t *tx) savePersonal(ctx context.Context, p access.Personal) error {
	if other, ok := opposite[p.Kind]; ok {
		_, err := t.ExecContext(ctx, `DELETE FROM access_personal WHERE user_id = $1 AND device_key = $2 AND kind = $3`, p.UserID, p.Key, other)
		if err != nil {
			return err
		}
	}
	_, err := t.ExecContext(ctx, `INSERT INTO access_personal (user_id, device_key, kind, noted_by, noted_at, reason, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (user_id, device_key, kind) DO UPDATE SET
			noted_by = excluded.noted_by, noted_at = excluded.noted_at, reason = excluded.reason, expires_at = excluded.expires_at`,
		p.UserID, p.Key, p.Kind, p.By, micros(p.At), p.Reason, micros(p.ExpiresAt))
	return err
}

// RemovePersonal takes a word back.
func (s *Access) RemovePersonal(ctx context.Context, user directory.UserID, key access.DeviceKey, kind access.PersonalKind, entry audit.Entry) error {
	return s.db.write(ctx, "remove personal access", func(t *tx) error {
		n, err := t.change(ctx, `DELETE FROM access_personal WHERE user_id = $1 AND device_key = $2 AND kind = $3`, user, key, kind)
		if err != nil {
			return err
		}
		if n == 0 {
			return access.ErrNotFound
		}
		t.emitUser(mdm.EventAccess, user, t.db.now())
		return t.audit(ctx, entry)
	})
}
