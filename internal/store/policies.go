package store

import (
	"context"
	"fmt"

	"sallyport/compliance"
	"sallyport/internal/audit"
	"sallyport/mdm"
	"sallyport/templates"
)

// Compliance keeps policies and verdicts.
type Compliance struct{ db *DB }

var _ compliance.Store = (*Compliance)(nil)

// Compliance returns the store of policies and verdicts.
func (db *DB) Compliance() *Compliance { return &Compliance{db} }

const policyQuery = `SELECT p.name, p.number, p.spec, p.source, p.created_at, p.created_by
	FROM compliance_policies p
	WHERE p.number = (SELECT MAX(x.number) FROM compliance_policies x WHERE x.name = p.name)`

func scanPolicy(row scanner) (compliance.Policy, error) {
	var p compliance.Policy
	err := row.Scan(&p.Name, &p.Number, document{&p.Spec}, &p.Source, stamp{&p.CreatedAt}, &p.CreatedBy)
	return p, err
}

var policyRevisions = revisionKind[compliance.Policy]{
	newest: policyQuery + ` AND p.name = $1`,
	scan:   scanPolicy,
	parts: func(p *compliance.Policy) revisionParts {
		return revisionParts{name: &p.Name, source: &p.Source, number: &p.Number, createdAt: &p.CreatedAt}
	},
	insert: insertPolicy,
	event:  mdm.EventPolicyChanged,
}

// SavePolicy appends the next revision unless the newest one says the same.
func (s *Compliance) SavePolicy(ctx context.Context, p compliance.Policy, entry audit.Entry) (stored compliance.Policy, changed bool, err error) {
	return policyRevisions.save(ctx, s.db, "save policy", p, templates.AnyRevision, entry)
}

func insertPolicy(ctx context.Context, t *tx, p compliance.Policy) error {
	_, err := t.ExecContext(ctx, `INSERT INTO compliance_policies (name, number, source, spec, created_at, created_by)
		VALUES ($1, $2, $3, $4, $5, $6)`, p.Name, p.Number, p.Source, document{p.Spec}, micros(p.CreatedAt), p.CreatedBy)
	return err
}

// Policies returns the newest revision of every policy by name.
func (s *Compliance) Policies(ctx context.Context) ([]compliance.Policy, error) {
	rows, err := s.db.reader.QueryContext(ctx, policyQuery+` ORDER BY p.name`)
	list, err := collect(rows, err, scanPolicy)
	if err != nil {
		return nil, fmt.Errorf("list policies: %w", err)
	}
	return list, nil
}

// PolicyRevisions counts the revisions of all policies.
func (s *Compliance) PolicyRevisions(ctx context.Context) (int, error) {
	var n int
	if err := s.db.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM compliance_policies`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count policies: %w", err)
	}
	return n, nil
}
