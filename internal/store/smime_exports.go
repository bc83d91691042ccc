package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
)

const exportColumns = `id, user_id, key_ids, reason, requested_by, requested_at, expires_at, approved_by, approved_at, taken_at, requested_token`

func scanExport(row scanner) (certs.SMIMEExport, error) {
	var e certs.SMIMEExport
	err := row.Scan(&e.ID, &e.UserID, document{&e.KeyIDs}, &e.Reason, &e.RequestedBy, stamp{&e.RequestedAt}, stamp{&e.ExpiresAt},
		&e.ApprovedBy, stamp{&e.ApprovedAt}, stamp{&e.TakenAt}, &e.RequestedToken)
	return e, err
}

// SaveExport adds an export.
func (s *SMIME) SaveExport(ctx context.Context, e certs.SMIMEExport, entry audit.Entry) error {
	return s.db.write(ctx, "save export", func(t *tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO certs_smime_exports (`+exportColumns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, e.ID, e.UserID, document{e.KeyIDs}, e.Reason, e.RequestedBy,
			micros(e.RequestedAt), micros(e.ExpiresAt), e.ApprovedBy, micros(e.ApprovedAt), micros(e.TakenAt), e.RequestedToken)
		if err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// Export finds an export in any state.
func (s *SMIME) Export(ctx context.Context, id string) (certs.SMIMEExport, error) {
	e, err := scanExport(s.db.reader.QueryRowContext(ctx, `SELECT `+exportColumns+` FROM certs_smime_exports WHERE id = $1`, id))
	if err != nil {
		return certs.SMIMEExport{}, fmt.Errorf("load export: %w", orNotFound(err, certs.ErrExportNotFound))
	}
	return e, nil
}

// ListExports returns them newest first.
func (s *SMIME) ListExports(ctx context.Context, limit int) ([]certs.SMIMEExport, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT `+exportColumns+` FROM certs_smime_exports ORDER BY id DESC LIMIT $1`, pageLimit(limit))
	list, err := collect(rows, err, scanExport)
	if err != nil {
		return nil, fmt.Errorf("list exports: %w", err)
	}
	return list, nil
}

// ApproveExport sets who approved, once.
func (s *SMIME) ApproveExport(ctx context.Context, id, by string, now time.Time, entry audit.Entry) error {
	return s.moveExport(ctx, "approve export", id, entry, `UPDATE certs_smime_exports SET approved_by = $2, approved_at = $3
		WHERE id = $1 AND approved_at = 0 AND taken_at = 0 AND expires_at > $3`, id, by, micros(now))
}

// TakeExport sets TakenAt, once.
func (s *SMIME) TakeExport(ctx context.Context, id string, now time.Time, entry audit.Entry) error {
	return s.moveExport(ctx, "take export", id, entry, `UPDATE certs_smime_exports SET taken_at = $2
		WHERE id = $1 AND approved_at <> 0 AND taken_at = 0 AND expires_at > $2`, id, micros(now))
}

func (s *SMIME) moveExport(ctx context.Context, unit, id string, entry audit.Entry, statement string, args ...any) error {
	return s.db.write(ctx, unit, func(t *tx) error {
		n, err := t.change(ctx, statement, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			var found int
			err := t.QueryRowContext(ctx, `SELECT 1 FROM certs_smime_exports WHERE id = $1`, id).Scan(&found)
			if err != nil {
				return orNotFound(err, certs.ErrExportNotFound)
			}
			return certs.ErrExportNotReady
		}
		return t.audit(ctx, entry)
	})
}

// endExports ends those that were not taken when a backup was made: they may have
// been since, and each is taken once.
func (t *tx) endExports(ctx context.Context, now time.Time) (int64, error) {
	return t.change(ctx, `UPDATE certs_smime_exports SET expires_at = $1 WHERE taken_at = 0 AND expires_at > $1`, micros(now))
}
