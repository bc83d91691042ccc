package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

const (
	// MinTTL and MaxTTL bound the life of a token.
	MinTTL = time.Minute
	MaxTTL = 2 * 365 * 24 * time.Hour

	maxOwner = 128 // characters
)

// LocalOwner owns the token in the data directory: nobody in particular, but
// whoever runs the server.
const LocalOwner = "local admin"

// Service makes tokens, recognises them and ends them.
type Service struct {
	Store Store
	Now   func() time.Time // nil means time.Now

	cache cache
}

// Create makes a token for owner that expires after ttl. The text in the answer
// is the only copy there will ever be.
func (s *Service) Create(ctx context.Context, role Role, owner string, ttl time.Duration) (Issued, error) {
	owner = strings.TrimSpace(owner)
	if err := checkRequest(role, owner, ttl); err != nil {
		return Issued{}, err
	}
	maker, byToken := PrincipalFrom(ctx)
	if byToken && sameName(owner, LocalOwner) {
		return Issued{}, refusal.New(ErrInvalid, "owner", "is the name of the server's own token", "name the person or the program that will hold the token")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Issued{}, fmt.Errorf("make token ID: %w", err)
	}
	now := s.now()
	text := newText()
	token := Token{
		ID: id.String(), Hash: Hash(text.Reveal()), Role: role, Owner: owner,
		CreatedBy: maker.Owner, CreatedAt: now, ExpiresAt: now.Add(ttl).Truncate(time.Microsecond),
	}
	entry := audit.New(ctx, now, "token.create", token.ID, audit.Done,
		"role", string(role), "owner", owner, "expires_at", token.ExpiresAt.Format(time.RFC3339))
	if err := s.Store.SaveToken(ctx, token, entry); err != nil {
		return Issued{}, fmt.Errorf("save token %s: %w", token.ID, err)
	}
	return Issued{Token: token, Text: text}, nil
}

// Authenticate says whose token text is. Whatever is wrong with it, the answer
// is ErrUnauthenticated; trouble of the store is not, so that an outage is never
// mistaken for a bad token.
//
// A token that the store has verified counts for 5 s without another look, and for
// 300 s while the store fails or does not answer within 250 ms: a gate can be
// answered without a database. Times are on the monotonic clock. A revocation is
// seen at once in this process, and within 5 s in others.
//
// The store finds the token by the hash of its text. A hash of 256 random bits
// tells a timing observer nothing that helps to guess another one, which is why
// the lookup itself needs no constant time.
func (s *Service) Authenticate(ctx context.Context, text string) (Principal, error) {
	if !wellFormed(text) {
		return Principal{}, ErrUnauthenticated
	}
	return s.Again(ctx, Hash(text))
}

// Again is Authenticate for whoever let somebody in by a token and has kept nothing
// of it but its Hash: a session ends when its token does.
func (s *Service) Again(ctx context.Context, hash []byte) (Principal, error) {
	known, asks, ok := s.cache.find(hash)
	t := known.token
	if asks {
		var err error
		t, err = s.ask(ctx, hash)
		switch {
		case err == nil:
		case errors.Is(err, ErrUnauthenticated) || ctx.Err() != nil || !ok || !known.good(outlives):
			return Principal{}, err
		default:
			t = known.token
		}
	}
	if !s.good(t) {
		return Principal{}, ErrUnauthenticated
	}
	return Principal{TokenID: t.ID, Owner: t.Owner, Role: t.Role}, nil
}

// List returns all tokens, newest first, without their text.
func (s *Service) List(ctx context.Context) ([]Token, error) {
	tokens, err := s.Store.ListTokens(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return tokens, nil
}

// Revoke ends a token at once; ErrNotFound when it is unknown. Revoking twice
// is no error.
func (s *Service) Revoke(ctx context.Context, id string) error {
	now := s.now()
	entry := audit.New(ctx, now, "token.revoke", id, audit.Done)
	defer s.cache.revoke(id) // also where the outcome is not known
	if err := s.Store.RevokeToken(ctx, id, now, entry); err != nil {
		return fmt.Errorf("revoke token: %w", err)
	}
	return nil
}

func (s *Service) now() time.Time {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}

// The text is a prefix that secret scanners can look for, and 256 random bits.
const (
	textPrefix = "spt_"
	textBytes  = 32
)

func newText() secret.Value {
	return secret.New(textPrefix + base64.RawURLEncoding.EncodeToString(secret.Random(textBytes)))
}

// wellFormed keeps what cannot be a token away from the store. Strict decoding
// leaves each token one spelling.
func wellFormed(text string) bool {
	body, found := strings.CutPrefix(text, textPrefix)
	if !found || len(body) != base64.RawURLEncoding.EncodedLen(textBytes) || strings.ContainsAny(body, "\r\n") {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(body)
	return err == nil
}

// Hash is what is kept of a token's text. It lets nobody in.
func Hash(text string) []byte { return secret.Hash(text) }

func checkRequest(role Role, owner string, ttl time.Duration) error {
	var faults refusal.List
	if !role.Valid() {
		faults = append(faults, refusal.New(ErrInvalid, "role", "unknown role", "use admin, operator, auditor or engine"))
	}
	if n := utf8.RuneCountInString(owner); n < 1 || n > maxOwner {
		faults = append(faults, refusal.New(ErrInvalid, "owner",
			fmt.Sprintf("must be 1 to %d characters", maxOwner), "name the person or the program that will hold the token"))
	} else {
		faults.Add(refusal.Line(ErrInvalid, "owner", owner, maxOwner*utf8.UTFMax))
	}
	if ttl < MinTTL || ttl > MaxTTL {
		faults = append(faults, refusal.New(ErrInvalid, "ttl", "must be between 1 minute and 2 years", "for example 720h for 30 days"))
	}
	return faults.OrNil()
}
