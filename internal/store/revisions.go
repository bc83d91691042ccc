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
