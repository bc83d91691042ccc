package access

import (
	"context"
	"fmt"

	"sallyport/enroll/directory"
)

// Named returns the people whose login it is, as Decide would find them: none
// without error, and several where a bare user name is ambiguous.
func (e *Engine) Named(ctx context.Context, login string) ([]directory.UserID, error) {
	users, err := e.Store.UsersByLogin(ctx, login)
	if err != nil {
		return nil, fmt.Errorf("%w: find user: %w", ErrUnavailable, err)
	}
	ids := make([]directory.UserID, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	return ids, nil
}
