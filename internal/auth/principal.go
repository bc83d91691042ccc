package auth

import "context"

// Principal is who is calling: what a token proves.
type Principal struct {
	TokenID string `json:"token_id"`
	Owner   string `json:"owner"`
	Role    Role   `json:"role"`
}

// Allowed returns ErrForbidden unless the principal's role is one of roles. The
// server's route table names the roles of each route; there is no implied order
// among them.
func (p Principal) Allowed(roles ...Role) error {
	for _, role := range roles {
		if p.Role == role {
			return nil
		}
	}
	return ErrForbidden
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
