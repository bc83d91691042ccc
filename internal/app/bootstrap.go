package app

import (
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
// on the same machine: at the first start, when the one that is there runs out,
// and when no valid admin token remains at all. A file that an admin took away,
// or whose token was revoked, stays away as long as there is another admin.
func bootstrap(ctx context.Context, store auth.Store, tokens *auth.Service, dir string, now time.Time) error {
	path := filepath.Join(dir, TokenFile)
	wanted, err := wantsToken(ctx, store, path, now)
	if err != nil || !wanted {
		return err
	}
	issued, err := tokens.Create(ctx, auth.Admin, auth.LocalOwner, localTTL)
	if err != nil {
		return fmt.Errorf("make admin token: %w", err)
	}
	return writeFile(path, []byte(issued.Text.Reveal()+"\n"), 0o600)
}

func wantsToken(ctx context.Context, store auth.Store, path string, now time.Time) (bool, error) {
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		t, err := store.TokenByHash(ctx, secret.Hash(strings.TrimSpace(string(text))))
		if err == nil && t.RevokedAt.IsZero() {
			return t.ExpiresAt.Sub(now) < localRenewal, nil
		}
		if err != nil && !errors.Is(err, auth.ErrNotFound) {
			return false, fmt.Errorf("look up admin token: %w", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("read admin token: %w", err)
	}
	all, err := store.ListTokens(ctx)
	if err != nil {
		return false, fmt.Errorf("look for admin tokens: %w", err)
	}
	for _, t := range all {
		// One of ours whose file is gone, as after a restore, is of no use to anybody.
		if t.Role == auth.Admin && t.Owner != auth.LocalOwner && t.RevokedAt.IsZero() && now.Before(t.ExpiresAt) {
			return false, nil
		}
	}
	return true, nil
}
