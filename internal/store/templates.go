package store

import (
	"context"
	"fmt"

	"sallyport/internal/audit"
	"sallyport/mdm"
	"sallyport/templates"
)

// Templates keeps template revisions, the secrets that templates refer to, and
// security policies.
type Templates struct{ db *DB }

var (
	_ templates.Store         = (*Templates)(nil)
	_ templates.SecretStore   = (*Templates)(nil)
	_ templates.SecurityStore = (*Templates)(nil)
)

// Templates returns the store of template revisions.
func (db *DB) Templates() *Templates { return &Templates{db} }

const (
	everyRevision = `SELECT r.template_id, r.name, r.number, r.spec, r.source, r.created_at, r.created_by
	FROM templates_revisions r`
	revisionQuery = everyRevision + `
	WHERE r.number = (SELECT MAX(x.number) FROM templates_revisions x WHERE x.name = r.name)`
)

func scanRevision(row scanner) (templates.Revision, error) {
	var r templates.Revision
	err := row.Scan(&r.TemplateID, &r.Name, &r.Number, document{&r.Spec}, &r.Source, stamp{&r.CreatedAt}, &r.CreatedBy)
	return r, err
}

var templateRevisions = revisionKind[templates.Revision]{
	newest: revisionQuery + ` AND r.name = $1`,
	scan:   scanRevision,
	parts: func(r *templates.Revision) revisionParts {
		return revisionParts{name: &r.Name, source: &r.Source, id: &r.TemplateID, number: &r.Number, createdAt: &r.CreatedAt}
	},
	insert: insertRevision,
	event:  mdm.EventTemplateChange,
}

// SaveRevision appends the next revision unless the newest one says the same.
func (s *Templates) SaveRevision(ctx context.Context, r templates.Revision, expected int, entry audit.Entry) (stored templates.Revision, changed bool, err error) {
	return templateRevisions.save(ctx, s.db, "save template", r, expected, entry)
}

func insertRevision(ctx context.Context, t *tx, r templates.Revision) error {
	_, err := t.ExecContext(ctx, `INSERT INTO templates_revisions (name, number, template_id, source, spec, created_at, created_by)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		r.Name, r.Number, r.TemplateID, r.Source, document{r.Spec}, micros(r.CreatedAt), r.CreatedBy)
	return err
}

// CurrentRevisions returns the newest revision of every template by name.
func (s *Templates) CurrentRevisions(ctx context.Context) ([]templates.Revision, error) {
	rows, err := s.db.reader.QueryContext(ctx, revisionQuery+` ORDER BY r.name`)
	list, err := collect(rows, err, scanRevision)
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	return list, nil
}

// CurrentRevision returns the newest revision of one template.
func (s *Templates) CurrentRevision(ctx context.Context, name string) (templates.Revision, error) {
	return s.revision(ctx, name, revisionQuery+` AND r.name = $1`, name)
}

// Revision returns one revision of one template.
func (s *Templates) Revision(ctx context.Context, name string, number int) (templates.Revision, error) {
	return s.revision(ctx, fmt.Sprintf("%s@%d", name, number), everyRevision+` WHERE r.name = $1 AND r.number = $2`, name, number)
}

func (s *Templates) revision(ctx context.Context, what, query string, args ...any) (templates.Revision, error) {
	r, err := scanRevision(s.db.reader.QueryRowContext(ctx, query, args...))
	if err != nil {
		return templates.Revision{}, fmt.Errorf("load template %s: %w", what, orNotFound(err, templates.ErrNotFound))
	}
	return r, nil
}

// Revisions returns every revision of one template, newest first.
func (s *Templates) Revisions(ctx context.Context, name string) ([]templates.Revision, error) {
	rows, err := s.db.reader.QueryContext(ctx, everyRevision+` WHERE r.name = $1 ORDER BY r.number DESC`, name)
	list, err := collect(rows, err, scanRevision)
	if err == nil && len(list) == 0 {
		err = templates.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("list revisions of template %s: %w", name, err)
	}
	return list, nil
}
