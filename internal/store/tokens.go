package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
)

// Tokens keeps API tokens.
type Tokens struct{ db *DB }

var _ auth.Store = (*Tokens)(nil)

// Tokens returns the store of API tokens.
func (db *DB) Tokens() *Tokens { return &Tokens{db} }

const tokenQuery = `SELECT id, hash, role, owner, created_by, created_at, expires_at, revoked_at FROM auth_tokens`

func scanToken(row scanner) (auth.Token, error) {
	var t auth.Token
	err := row.Scan(&t.ID, &t.Hash, &t.Role, &t.Owner, &t.CreatedBy, stamp{&t.CreatedAt}, stamp{&t.ExpiresAt}, stamp{&t.RevokedAt})
	return t, err
}

// SaveToken writes a new token.
func (s *Tokens) SaveToken(ctx context.Context, token auth.Token, entry audit.Entry) error {
	return s.db.write(ctx, "save token", func(t *tx) error {
		_, err := t.ExecContext(ctx, `INSERT INTO auth_tokens (id, hash, role, owner, created_by, created_at, expires_at, revoked_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, token.ID, token.Hash, token.Role, token.Owner, token.CreatedBy,
			micros(token.CreatedAt), micros(token.ExpiresAt), micros(token.RevokedAt))
		if err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// TokenByHash returns a token in any state.
func (s *Tokens) TokenByHash(ctx context.Context, hash []byte) (auth.Token, error) {
	t, err := scanToken(s.db.reader.QueryRowContext(ctx, tokenQuery+` WHERE hash = $1`, hash))
	if err != nil {
		return auth.Token{}, fmt.Errorf("load token: %w", orNotFound(err, auth.ErrNotFound))
	}
	return t, nil
}

// ListTokens returns all tokens, newest first.
func (s *Tokens) ListTokens(ctx context.Context) ([]auth.Token, error) {
	rows, err := s.db.reader.QueryContext(ctx, tokenQuery+` ORDER BY created_at DESC, id DESC`)
	list, err := collect(rows, err, scanToken)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return list, nil
}

// RevokeToken ends a token. Revoking twice keeps the first time and writes nothing.
func (s *Tokens) RevokeToken(ctx context.Context, id string, now time.Time, entry audit.Entry) error {
	return s.db.write(ctx, "revoke token", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE auth_tokens SET revoked_at = $2 WHERE id = $1 AND revoked_at = 0`, id, micros(now))
		if err != nil {
			return err
		}
		if n == 0 {
			_, err := scanToken(t.QueryRowContext(ctx, tokenQuery+` WHERE id = $1`, id))
			return unchanged(orNotFound(err, auth.ErrNotFound))
		}
		return t.audit(ctx, entry)
	})
}

// endTokens revokes the live tokens of people, and with engines those of engines,
// too. It returns which those were, and which are still live, newest first.
func (t *tx) endTokens(ctx context.Context, now time.Time, engines bool) (ended, live []auth.Token, err error) {
	rows, err := t.QueryContext(ctx, tokenQuery+` WHERE revoked_at = 0 AND expires_at > $1 ORDER BY created_at DESC, id DESC`, micros(now))
	all, err := collect(rows, err, scanToken)
	if err != nil {
		return nil, nil, err
	}
	for _, token := range all {
		if token.Role == auth.Engine && !engines {
			live = append(live, token)
			continue
		}
		if _, err := t.ExecContext(ctx, `UPDATE auth_tokens SET revoked_at = $2 WHERE id = $1`, token.ID, micros(now)); err != nil {
			return nil, nil, err
		}
		ended = append(ended, token)
	}
	return ended, live, nil
}
