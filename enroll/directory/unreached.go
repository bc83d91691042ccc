package directory

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/refusal"
)

// Lookup finds users. Any Store is one.
type Lookup interface {
	// UserByUPN returns ErrNotFound for unknown and removed users.
	UserByUPN(ctx context.Context, upn string) (User, error)
	// ListUsers returns users in the order of their UPN, those of group only.
	ListUsers(ctx context.Context, group string, page Page) ([]User, error)
}

// Unreached warns of users and groups that an audience names in vain: nobody of
// that UPN is on record, nobody is in that group. They may come later, so that a
// name which was misspelled would otherwise show in nothing but that whatever the
// audience is for does not happen.
func Unreached(ctx context.Context, in Lookup, sentinel error, field string, names Audience) ([]*refusal.Error, error) {
	warnings := []*refusal.Error{}
	for i, upn := range names.Users {
		_, err := in.UserByUPN(ctx, upn)
		if errors.Is(err, ErrNotFound) {
			warnings = append(warnings, refusal.New(sentinel, fmt.Sprintf("%s.users[%d]", field, i),
				fmt.Sprintf("names %s, who is not on record", upn), "add the user, or correct the UPN"))
		} else if err != nil {
			return nil, fmt.Errorf("look up user %s: %w", upn, err)
		}
	}
	for i, group := range names.Groups {
		members, err := in.ListUsers(ctx, group, Page{Limit: 1})
		if err != nil {
			return nil, fmt.Errorf("list users of group %s: %w", group, err)
		}
		if len(members) == 0 {
			warnings = append(warnings, refusal.New(sentinel, fmt.Sprintf("%s.groups[%d]", field, i),
				fmt.Sprintf("names the group %s, which has no member", group), "add users to the group, or correct its name"))
		}
	}
	return warnings, nil
}
