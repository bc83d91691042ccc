package store

import (
	"context"
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

var securityRevisions = revisionKind[templates.SecurityRevision]{
	newest: securityQuery + ` AND p.name = $1`,
	scan:   scanSecurity,
	parts: func(r *templates.SecurityRevision) revisionParts {
		return revisionParts{name: &r.Name, source: &r.Source, id: &r.PolicyID, number: &r.Number, createdAt: &r.CreatedAt}
	},
	insert: insertSecurity,
	event:  mdm.EventTemplateChange,
}

// SaveSecurityPolicy appends the next revision unless the newest one says the same.
func (s *Templates) SaveSecurityPolicy(ctx context.Context, r templates.SecurityRevision, expected int, entry audit.Entry) (stored templates.SecurityRevision, changed bool, err error) {
	return securityRevisions.save(ctx, s.db, "save security policy", r, expected, entry)
}

func insertSecurity(ctx context.Context, t *tx, r templates.SecurityRevision) error {
	_, err := t.ExecContext(ctx, `INSERT INTO templates_security_policies (name, number, policy_id, source, spec, created_at, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		r.Name, r.Number, r.PolicyID, r.Source, document{r.Spec}, micros(r.CreatedAt), r.CreatedBy)
	return err
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
