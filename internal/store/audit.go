package store

import (
	"context"
	"fmt"
	"strings"

	"sallyport/internal/audit"
)

// Audit is the trail. Its rows cannot be changed or deleted: the schema refuses.
type Audit struct{ db *DB }

var _ audit.Log = (*Audit)(nil)

// Audit returns the trail.
func (db *DB) Audit() *Audit { return &Audit{db} }

// Append writes an entry that belongs to no other transaction.
func (s *Audit) Append(ctx context.Context, e audit.Entry) error {
	return s.db.write(ctx, "append audit entry", func(t *tx) error { return t.audit(ctx, e) })
}

// List returns entries in the order of their ID.
func (s *Audit) List(ctx context.Context, f audit.Filter) ([]audit.Entry, error) {
	var w where
	w.add("id > ?", f.After)
	switch {
	case strings.HasSuffix(f.Action, "."):
		// A range and not LIKE, which folds case on one engine only: '/' follows '.'.
		w.add("action >= ?", f.Action)
		w.add("action < ?", strings.TrimSuffix(f.Action, ".")+"/")
	case f.Action != "":
		w.add("action = ?", f.Action)
	}
	if f.Actor != "" {
		w.add("actor = ?", f.Actor)
	}
	if f.Target != "" {
		w.add("target = ?", f.Target)
	}
	rows, err := s.db.reader.QueryContext(ctx, `SELECT id, at, actor, action, target, outcome, request_id, detail
		FROM audit_entries`+w.clause()+` ORDER BY id`+w.limit(pageLimit(f.Limit)), w.args...)
	list, err := collect(rows, err, scanEntry)
	if err != nil {
		return nil, fmt.Errorf("list audit entries: %w", err)
	}
	return list, nil
}

func scanEntry(row scanner) (audit.Entry, error) {
	var e audit.Entry
	err := row.Scan(&e.ID, stamp{&e.At}, &e.Actor, &e.Action, &e.Target, &e.Outcome, &e.RequestID, document{&e.Detail})
	return e, err
}
