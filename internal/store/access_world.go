package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sallyport/access"
	"sallyport/internal/audit"
	"sallyport/mdm"
	"sallyport/templates"
)

var _ access.RuleStore = (*Access)(nil)

// defaultEffect is the setting that holds World.Default.
const defaultEffect = "access.default"

// World returns the default, the rules and the policies in force.
func (s *Access) World(ctx context.Context) (access.World, error) {
	var w access.World
	err := s.db.read(ctx, "load access rules", func(t *tx) error {
		var err error
		w, err = t.world(ctx)
		return err
	})
	return w, err
}

func (t *tx) world(ctx context.Context) (access.World, error) {
	w := access.World{Default: access.Quarantine, Policies: []access.Policy{}}
	err := t.QueryRowContext(ctx, `SELECT value FROM app_settings WHERE name = $1`, defaultEffect).Scan(&w.Default)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return w, fmt.Errorf("default: %w", err)
	}
	rows, err := t.QueryContext(ctx, `SELECT rule FROM access_rules ORDER BY id`)
	w.Rules, err = collect(rows, err, func(row scanner) (access.Rule, error) {
		var r access.Rule
		err := row.Scan(document{&r})
		return r, err
	})
	if err != nil {
		return w, fmt.Errorf("rules: %w", err)
	}
	rows, err = t.QueryContext(ctx, accessPolicies.every)
	newest, err := collect(rows, err, accessPolicies.scan)
	if err != nil {
		return w, fmt.Errorf("policies: %w", err)
	}
	for _, p := range newest {
		if !p.Spec.Assign.Nobody() {
			w.Policies = append(w.Policies, p)
		}
	}
	return w, nil
}

// SaveRule adds a rule, or replaces the one with its ID.
func (s *Access) SaveRule(ctx context.Context, r access.Rule, entry audit.Entry) error {
	r.At, r.CreatedAt = whole(r.At), whole(r.CreatedAt)
	return s.db.write(ctx, "save access rule", func(t *tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO access_rules (id, rule, created_at) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET rule = excluded.rule`, r.ID, document{r}, micros(r.CreatedAt))
		if err != nil {
			return err
		}
		return t.worldChanged(ctx, entry)
	})
}

// RemoveRule takes a rule away.
func (s *Access) RemoveRule(ctx context.Context, id access.RuleID, entry audit.Entry) error {
	return s.db.write(ctx, "remove access rule", func(t *tx) error {
		n, err := t.change(ctx, `DELETE FROM access_rules WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return access.ErrNotFound
		}
		return t.worldChanged(ctx, entry)
	})
}

// SetDefault says what happens where nothing else applies.
func (s *Access) SetDefault(ctx context.Context, e access.Effect, entry audit.Entry) error {
	return s.db.write(ctx, "set access default", func(t *tx) error {
		if err := t.setSetting(ctx, defaultEffect, string(e)); err != nil {
			return err
		}
		return t.worldChanged(ctx, entry)
	})
}

// worldChanged ends a unit that changed what concerns everybody.
func (t *tx) worldChanged(ctx context.Context, entry audit.Entry) error {
	t.emitUser(mdm.EventAccess, "", t.db.now())
	return t.audit(ctx, entry)
}

var accessPolicies = namedRevisions("access_policies", mdm.EventAccess, func(p *access.Policy) namedRevision {
	return namedRevision{name: &p.Name, number: &p.Number, spec: &p.Spec, source: &p.Source, createdAt: &p.CreatedAt, createdBy: &p.CreatedBy}
})

// SavePolicy appends the next revision unless the newest one says the same.
func (s *Access) SavePolicy(ctx context.Context, p access.Policy, entry audit.Entry) (stored access.Policy, changed bool, err error) {
	p.Spec.StartsAt = whole(p.Spec.StartsAt)
	return accessPolicies.save(ctx, s.db, "save access policy", p, templates.AnyRevision, entry)
}
