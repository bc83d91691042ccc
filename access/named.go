package access

import (
	"context"
	"fmt"

	"sallyport/enroll/directory"
)

// Named returns the people whose login it is, as Decide would find them: none
// without error, and several where a bare user name is ambiguous.
func (e *Engine) Named(ctx context.Context, login string) ([]directory.UserID, error) {
	if !e.loaded.Load() {
		return nil, fmt.Errorf("%w: the decision set is not loaded", ErrUnavailable)
	}
	a := e.ask(ctx)
	defer a.end()
	if !a.current() {
		return nil, fmt.Errorf("%w: the decision set is too old", ErrUnavailable)
	}
	ids := []directory.UserID{}
	for _, one := range e.set.Find(login) {
		ids = append(ids, one.Person.ID)
	}
	return ids, nil
}
