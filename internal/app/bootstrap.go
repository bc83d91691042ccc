package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/secret"
)

const (
	localTTL     = 365 * 24 * time.Hour
	localRenewal = 30 * 24 * time.Hour // a start that finds less life left makes a new token
)

// bootstrap leaves an admin token in the data directory for the command line
// on the same machine. The rule, in the words of SECURITY.md: the server writes
// it at its first start, and again at a start that finds it missing or its token
// no longer valid while no other valid admin token exists; a token in its last
// 30 days is renewed. Whenever a new one is written, the tokens of earlier files
// are revoked. So a file that an admin took away stays away as long as there is
// another admin. Where the database is shared the tokens of other directories
// cannot be told from those of earlier files: only the one in the file is revoked.
func bootstrap(ctx context.Context, store auth.Store, tokens *auth.Service, dir string, now time.Time, shared bool) error {
	path := filepath.Join(dir, TokenFile)
	all, err := store.ListTokens(ctx)
	if err != nil {
		return fmt.Errorf("look for admin tokens: %w", err)
	}
	wanted, err := wantsToken(ctx, store, all, path, now)
	if err != nil || !wanted {
		return err
	}
	// First the old ones: killed in between, the next start makes the new one.
	for _, t := range all {
		if t.Owner == auth.LocalOwner && valid(t, now) && (!shared || inFile(t, path)) {
			if err := tokens.Revoke(ctx, t.ID); err != nil {
				return err
			}
		}
	}
	issued, err := tokens.Create(ctx, auth.Admin, auth.LocalOwner, localTTL)
	if err != nil {
		return fmt.Errorf("make admin token: %w", err)
	}
	return writeFile(path, []byte(issued.Text.Reveal()+"\n"), 0o600)
}

// inFile reports whether the file holds the token.
func inFile(t auth.Token, path string) bool {
	text, err := os.ReadFile(path)
	return err == nil && bytes.Equal(t.Hash, secret.Hash(strings.TrimSpace(string(text))))
}

func wantsToken(ctx context.Context, store auth.Store, all []auth.Token, path string, now time.Time) (bool, error) {
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		t, err := store.TokenByHash(ctx, secret.Hash(strings.TrimSpace(string(text))))
		if err != nil && !errors.Is(err, auth.ErrNotFound) {
			return false, fmt.Errorf("look up admin token: %w", err)
		}
		// One that runs out is renewed though others are there: it is in use.
		if err == nil && t.Role == auth.Admin && valid(t, now) {
			return t.ExpiresAt.Sub(now) < localRenewal, nil
		}
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("read admin token: %w", err)
	}
	for _, t := range all {
		// One of ours whose file is gone, as after a restore, is of no use to anybody.
		if t.Role == auth.Admin && t.Owner != auth.LocalOwner && valid(t, now) {
			return false, nil
		}
	}
	return true, nil
}

func valid(t auth.Token, now time.Time) bool { return t.RevokedAt.IsZero() && now.Before(t.ExpiresAt) }
