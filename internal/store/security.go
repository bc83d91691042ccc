package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sallyport/internal/audit"
	"sallyport/mdm"
	"sallyport/templates"
)

const securityQuery = `SELECT p.policy_id, p.name, p.number, p.spec, p.source, p.created_at, p.created_by
	FROM templates_security_policies p
	WHERE p.number = (SELECT MAX(x.number) FROM templates_security_policies x WHERE x.name = p.name)`

func scanSecurity(row scanner) (templates.SecurityRevision, error) {
	var r templates.SecurityRevision
	err := row.Scan(&r.PolicyID, &r.Name, &r.Number, document{&r.Spec}, &r.Source, stamp{&r.CreatedAt}, &r.CreatedBy)
	return r, err
}

// SaveSecurityPolicy appends the next revision unless the newest one says the same.
func (s *Templates) SaveSecurityPolicy(ctx context.Context, r templates.SecurityRevision, expected int, entry audit.Entry) (stored templates.SecurityRevision, changed bool, err error) {
	err = s.db.write(ctx, "save security policy", func(t *tx) error {
		stored, changed = r, false
		newest, err := scanSecurity(t.QueryRowContext(ctx, securityQuery+` AND p.name = $1`, r.Name))
		switch {
		case err == nil && newest.Source == r.Source:
			stored = newest
			return errUnchanged
		case err != nil && !errors.Is(err, sql.ErrNoRows):
			return err
		case expected != templates.AnyRevision && expected != newest.Number:
			return templates.ConflictOf(r.Name, newest.Number, expected)
		case newest.PolicyID == "":
			if newest.PolicyID, err = newID(); err != nil {
				return err
			}
		}
		stored.PolicyID, stored.Number, stored.CreatedAt = newest.PolicyID, newest.Number+1, whole(r.CreatedAt)
		changed = true
		_, err = t.ExecContext(ctx, `INSERT INTO templates_security_policies (name, number, policy_id, source, spec, created_at, created_by)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			stored.Name, stored.Number, stored.PolicyID, stored.Source, document{stored.Spec}, micros(stored.CreatedAt), stored.CreatedBy)
		if err != nil {
			return err
		}
		if err := t.emit(ctx, mdm.EventTemplateChange, "", r.CreatedAt); err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
	if err != nil {
		return templates.SecurityRevision{}, false, err
	}
	return stored, changed, nil
}

// CurrentSecurityPolicies returns the newest revision of every policy by name.
func (s *Templates) CurrentSecurityPolicies(ctx context.Context) ([]templates.SecurityRevision, error) {
	rows, err := s.db.reader.QueryContext(ctx, securityQuery+` ORDER BY p.name`)
	list, err := collect(rows, err, scanSecurity)
	if err != nil {
		return nil, fmt.Errorf("list security policies: %w", err)
	}
	return list, nil
}
