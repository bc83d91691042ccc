package access

import (
	"context"
	"fmt"
	"slices"

	"sallyport/enroll/directory"
)

// Named returns the people whose login it is, as Decide would find them: none
// without error, and several where a bare user name is ambiguous.
func (e *Engine) Named(ctx context.Context, login string) ([]directory.UserID, error) {
	people, err := e.people(ctx, login)
	if err != nil {
		return nil, err
	}
	ids := []directory.UserID{}
	for _, one := range people {
		ids = append(ids, one.Person.ID)
	}
	return ids, nil
}

// Certified reports whether it is one person's login, and on a phone of theirs is the
// certificate with that lower-case hex SHA-256.
func (e *Engine) Certified(ctx context.Context, login, certificate string) (bool, error) {
	people, err := e.people(ctx, login)
	if err != nil || len(people) != 1 {
		return false, err
	}
	return slices.ContainsFunc(people[0].Phones, func(p Phone) bool { return slices.Contains(p.Certificates, certificate) }), nil
}

// people are those whose login it is, in the order of ID.
func (e *Engine) people(ctx context.Context, login string) ([]*Entry, error) {
	if !e.loaded.Load() {
		return nil, fmt.Errorf("%w: the decision set is not loaded", ErrUnavailable)
	}
	a := e.ask(ctx)
	defer a.end()
	if !a.current() {
		return nil, fmt.Errorf("%w: the decision set is too old", ErrUnavailable)
	}
	return e.set.Find(login), nil
}
