package auth

import (
	"context"
	"fmt"
	"strings"

	"sallyport/internal/refusal"
)

// Principal is who is calling: what a token proves.
type Principal struct {
	TokenID string `json:"token_id"`
	Owner   string `json:"owner"`
	Role    Role   `json:"role"`
}

// Allowed is a refusal, ErrForbidden, unless the principal's role is one of
// roles. It says which they are: the documentation of the API does too. The
// server's route table names the roles of each route; there is no implied order
// among them.
func (p Principal) Allowed(roles ...Role) error {
	names := make([]string, len(roles))
	for i, role := range roles {
		if p.Role == role {
			return nil
		}
		names[i] = string(role)
	}
	return refusal.New(ErrForbidden, "", fmt.Sprintf("your token's role is %s, which may not do this", p.Role),
		"use a token with the role "+strings.Join(names, " or "))
}

type principalKey struct{}

// WithPrincipal returns a context that knows who is calling.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom returns who is calling; false when nobody was authenticated.
func PrincipalFrom(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}
