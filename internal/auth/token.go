package auth

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

var (
	// ErrUnauthenticated covers a token that is missing, malformed, unknown,
	// expired or revoked; the caller is not told which.
	ErrUnauthenticated = errors.New("no valid token")
	// ErrForbidden says that the token's role may not do this.
	ErrForbidden = errors.New("role may not do this")
	// ErrNotFound says that no such token is on record.
	ErrNotFound = errors.New("no such token")
	// ErrInvalid says that a token cannot be made as asked.
	ErrInvalid = errors.New("invalid token request")
)

// Role is what a token may do.
type Role string

const (
	Admin    Role = "admin"    // everything
	Operator Role = "operator" // users, invitations, devices; reads the rest, but no tokens and no backup
	Auditor  Role = "auditor"  // reads everything, the audit trail included; changes nothing
	Engine   Role = "engine"   // decisions, device state and compliance; nothing else
)

// Valid reports whether r is a known role.
func (r Role) Valid() bool { return r == Admin || r == Operator || r == Auditor || r == Engine }

// Token is one bearer token as stored: never its text.
type Token struct {
	ID        string    `json:"id"` // UUIDv7, no secret
	Hash      []byte    `json:"-"`  // SHA-256 of the token's text
	Role      Role      `json:"role"`
	Owner     string    `json:"owner"`
	CreatedBy string    `json:"created_by,omitempty"` // owner of the token that made it; empty when the server did, or it is not known
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// Issued is a token with its text, which is shown once.
type Issued struct {
	Token
	Text secret.Value
}

// Store keeps tokens. internal/store implements it.
type Store interface {
	SaveToken(ctx context.Context, t Token, entry audit.Entry) error
	// TokenByHash returns a token in any state; ErrNotFound when unknown.
	TokenByHash(ctx context.Context, hash []byte) (Token, error)
	// ListTokens returns all tokens, newest first.
	ListTokens(ctx context.Context) ([]Token, error)
	// RevokeToken is ErrNotFound when unknown; revoking twice keeps the first time.
	RevokeToken(ctx context.Context, id string, now time.Time, entry audit.Entry) error
}
