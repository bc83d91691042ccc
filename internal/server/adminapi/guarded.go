package adminapi

import (
	"errors"
	"net/http"

	"sallyport/internal/server/wire"
	"sallyport/templates"
)

// documentOf reads a document that becomes a revision, and on which one it is to
// follow.
func documentOf(r *http.Request) (wire.Condition, []byte, error) {
	condition, err := wire.ConditionOf(r)
	if err != nil {
		return condition, nil, err
	}
	source, err := wire.ReadText(r, yamlTypes[:]...)
	return condition, source, err
}

// guarded is a write that makes a revision of name, unless that would undo what
// its caller has not seen.
type guarded struct {
	name   string
	write  func(expected int) (number int, body any, err error)
	newest func() (number int, err error)
}

// answer writes under the condition and tells what became of it, with the ETag
// of the revision that is newest now. The store compares and writes at once, so
// of several that follow the same revision one wins.
func (g guarded) answer(w http.ResponseWriter, c wire.Condition) error {
	number, body, err := g.write(expected(c))
	if err == nil {
		wire.ETag(w, number)
		return wire.WriteJSON(w, http.StatusOK, body)
	}
	if !errors.Is(err, templates.ErrConflict) {
		return err
	}
	newest, readErr := g.newest()
	switch {
	case errors.Is(readErr, templates.ErrNotFound): // it was to follow one, and there is none
	case readErr != nil:
		return readErr
	default:
		wire.ETag(w, newest)
	}
	return c.Failed(err, g.name, newest)
}

// expected is a condition as the rooms know it. Who gives none makes something
// new, or nothing.
func expected(c wire.Condition) int {
	if c.Any {
		return templates.AnyRevision
	}
	return c.Revision
}
