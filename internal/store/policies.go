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

var policies = namedRevisions("compliance_policies", mdm.EventPolicyChanged, func(p *compliance.Policy) namedRevision {
	return namedRevision{name: &p.Name, number: &p.Number, spec: &p.Spec, source: &p.Source, createdAt: &p.CreatedAt, createdBy: &p.CreatedBy}
})

// SavePolicy appends the next revision unless the newest one says the same.
func (s *Compliance) SavePolicy(ctx context.Context, p compliance.Policy, entry audit.Entry) (stored compliance.Policy, changed bool, err error) {
	return policies.save(ctx, s.db, "save policy", p, templates.AnyRevision, entry)
}

// Policies returns the newest revision of every policy by name.
func (s *Compliance) Policies(ctx context.Context) ([]compliance.Policy, error) {
	rows, err := s.db.reader.QueryContext(ctx, policies.every)
	list, err := collect(rows, err, policies.scan)
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
