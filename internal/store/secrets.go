package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/templates"
)

const secretsTable = "templates_secrets"

// secretRow is where a secret is sealed for: what belongs to one user does not
// open for another, nor does an old value under a new revision.
func secretRow(s templates.Secret) string {
	return s.Name + "/" + string(s.UserID) + "/" + s.Revision
}

// SaveSecret replaces the secret of that name and user.
func (s *Templates) SaveSecret(ctx context.Context, m templates.Secret, entry audit.Entry) error {
	value, err := s.db.options.Sealer.Seal(secretsTable, secretRow(m), "value", []byte(m.Value.Reveal()))
	if err != nil {
		return fmt.Errorf("seal secret %s: %w", m.Name, err)
	}
	var data []byte
	if len(m.Data) > 0 {
		if data, err = s.db.options.Sealer.Seal(secretsTable, secretRow(m), "data", m.Data); err != nil {
			return fmt.Errorf("seal secret %s: %w", m.Name, err)
		}
	}
	return s.db.write(ctx, "save secret", func(t *tx) error {
		if err := t.userExists(ctx, m.UserID); err != nil {
			return err
		}
		_, err := t.ExecContext(ctx, `INSERT INTO templates_secrets
				(name, user_id, kind, revision, value, data, subject, upns, mails, not_after, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
			ON CONFLICT (name, user_id) DO UPDATE SET
				kind = excluded.kind, revision = excluded.revision, value = excluded.value, data = excluded.data,
				subject = excluded.subject, upns = excluded.upns, mails = excluded.mails,
				not_after = excluded.not_after, created_at = excluded.created_at`,
			m.Name, m.UserID, m.Kind, m.Revision, value, data, m.Subject, document{m.UPNs}, document{m.Mails},
			micros(m.NotAfter), micros(m.CreatedAt))
		if err != nil {
			return err
		}
		return t.secretChanged(ctx, m.CreatedAt, entry)
	})
}

// secretChanged tells everyone: which templates refer to the secret is not for
// the store to know.
func (t *tx) secretChanged(ctx context.Context, at time.Time, entry audit.Entry) error {
	t.emit(mdm.EventTemplateChange, "", at)
	return t.audit(ctx, entry)
}

// userExists accepts the empty ID, which stands for everyone.
func (t *tx) userExists(ctx context.Context, id directory.UserID) error {
	if id == "" {
		return nil
	}
	var found int
	err := t.QueryRowContext(ctx, `SELECT 1 FROM directory_users WHERE id = $1 AND removed_at = 0`, id).Scan(&found)
	return orNotFound(err, directory.ErrNotFound)
}

const secretColumns = `s.name, s.user_id, s.kind, s.revision, s.subject, s.upns, s.mails, s.not_after, s.created_at`

func secretTargets(m *templates.Secret) []any {
	return []any{&m.Name, &m.UserID, &m.Kind, &m.Revision, &m.Subject, document{&m.UPNs}, document{&m.Mails},
		stamp{&m.NotAfter}, stamp{&m.CreatedAt}}
}

// ListSecrets returns every secret without its value.
func (s *Templates) ListSecrets(ctx context.Context) ([]templates.Secret, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT `+secretColumns+`, COALESCE(u.upn, '') FROM templates_secrets s
		LEFT JOIN directory_users u ON u.id = s.user_id ORDER BY s.name, s.user_id <> '', u.upn_key`)
	list, err := collect(rows, err, func(row scanner) (templates.Secret, error) {
		var m templates.Secret
		err := row.Scan(append(secretTargets(&m), &m.UPN)...)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("list secrets: %w", err)
	}
	return list, nil
}

// SecretsFor returns the user's own secrets, and of other names those for everyone.
func (s *Templates) SecretsFor(ctx context.Context, user directory.UserID) ([]templates.Secret, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT `+secretColumns+`, COALESCE(u.upn, ''), s.value, s.data FROM templates_secrets s
		LEFT JOIN directory_users u ON u.id = s.user_id
		WHERE s.user_id = $1 OR s.user_id = '' AND NOT EXISTS
			(SELECT 1 FROM templates_secrets own WHERE own.name = s.name AND own.user_id = $1 AND own.user_id <> '')
		ORDER BY s.name`, user)
	list, err := collect(rows, err, s.openSecret)
	if err != nil {
		return nil, fmt.Errorf("load secrets of user %s: %w", user, err)
	}
	return list, nil
}

func (s *Templates) openSecret(row scanner) (templates.Secret, error) {
	var m templates.Secret
	var value, data []byte
	if err := row.Scan(append(secretTargets(&m), &m.UPN, &value, &data)...); err != nil {
		return m, err
	}
	plain, err := s.db.options.Sealer.Open(secretsTable, secretRow(m), "value", value)
	if err != nil {
		return m, fmt.Errorf("open secret %s: %w", m.Name, err)
	}
	m.Value = secret.New(string(plain))
	if data == nil {
		return m, nil
	}
	if m.Data, err = s.db.options.Sealer.Open(secretsTable, secretRow(m), "data", data); err != nil {
		return m, fmt.Errorf("open secret %s: %w", m.Name, err)
	}
	return m, nil
}

// RemoveSecret deletes one secret.
func (s *Templates) RemoveSecret(ctx context.Context, name string, user directory.UserID, entry audit.Entry) error {
	return s.db.write(ctx, "remove secret", func(t *tx) error {
		n, err := t.change(ctx, `DELETE FROM templates_secrets WHERE name = $1 AND user_id = $2`, name, user)
		if err != nil {
			return err
		}
		if n == 0 {
			return templates.ErrNotFound
		}
		return t.secretChanged(ctx, entry.At, entry)
	})
}
