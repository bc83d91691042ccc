package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/mdm"
	"sallyport/templates"
)

// revisionKind says where the revisions of one kind of document are kept. Every
// kind is appended to in the same way.
type revisionKind[R any] struct {
	newest string // selects the newest revision of the document called $1
	every  string // selects the newest revision of each, where the kind is made by namedRevisions
	scan   func(scanner) (R, error)
	parts  func(*R) revisionParts
	insert func(ctx context.Context, t *tx, r R) error
	event  mdm.EventKind
}

// revisionParts points at what every revision has.
type revisionParts struct {
	name, source *string
	id           *string // stays the same in all revisions of one document; nil: a kind that goes by its name alone
	number       *int
	createdAt    *time.Time
}

// namedRevision points at the columns of a document that goes by its name alone.
type namedRevision struct {
	name, source, createdBy *string
	number                  *int
	spec                    any
	createdAt               *time.Time
}

// namedRevisions is the kind of such documents, in a table of their own.
func namedRevisions[R any](table string, event mdm.EventKind, of func(*R) namedRevision) revisionKind[R] {
	every := `SELECT p.name, p.number, p.spec, p.source, p.created_at, p.created_by FROM ` + table + ` p
		WHERE p.number = (SELECT MAX(x.number) FROM ` + table + ` x WHERE x.name = p.name)`
	return revisionKind[R]{
		newest: every + ` AND p.name = $1`,
		every:  every + ` ORDER BY p.name`,
		scan: func(row scanner) (R, error) {
			var r R
			c := of(&r)
			err := row.Scan(c.name, c.number, document{c.spec}, c.source, stamp{c.createdAt}, c.createdBy)
			return r, err
		},
		parts: func(r *R) revisionParts {
			c := of(r)
			return revisionParts{name: c.name, source: c.source, number: c.number, createdAt: c.createdAt}
		},
		insert: func(ctx context.Context, t *tx, r R) error {
			c := of(&r)
			_, err := t.ExecContext(ctx, `INSERT INTO `+table+` (name, number, source, spec, created_at, created_by)
				VALUES ($1, $2, $3, $4, $5, $6)`, *c.name, *c.number, *c.source, document{c.spec}, micros(*c.createdAt), *c.createdBy)
			return err
		},
		event: event,
	}
}

// save appends r as the next revision, with its event and its audit entry. When
// the newest one says the same, that one is returned and nothing is written.
// expected is the number of the newest one as the caller knows it, or
// templates.AnyRevision.
func (k revisionKind[R]) save(ctx context.Context, db *DB, unit string, r R, expected int, entry audit.Entry) (stored R, changed bool, err error) {
	err = db.write(ctx, unit, func(t *tx) error {
		stored, changed = r, false
		next := k.parts(&stored)
		newest, err := k.scan(t.QueryRowContext(ctx, k.newest, *next.name))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		last := k.parts(&newest)
		switch {
		case err == nil && *last.source == *next.source:
			stored = newest
			return errUnchanged
		case expected != templates.AnyRevision && expected != *last.number:
			return templates.ConflictOf(*next.name, *last.number, expected)
		}
		if next.id != nil {
			if *next.id, err = sameOrNew(*last.id); err != nil {
				return err
			}
		}
		*next.number, *next.createdAt = *last.number+1, whole(*next.createdAt)
		changed = true
		if err := k.insert(ctx, t, stored); err != nil {
			return err
		}
		t.emit(k.event, "", *next.createdAt)
		return t.audit(ctx, entry)
	})
	if err != nil {
		var none R
		return none, false, err
	}
	return stored, changed, nil
}

func sameOrNew(id string) (string, error) {
	if id != "" {
		return id, nil
	}
	return newID()
}
