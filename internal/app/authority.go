package app

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/config"
	"sallyport/internal/logkey"
	"sallyport/internal/work"
)

// InitAuthority makes the authority of an installation before its first start,
// with the data directory, its key and its database, and hands out the root's
// key, which is saved nowhere. What fails leaves nothing that a second try, or a
// first start, would stumble over. An authority that is there is refused
// (certs.ErrAuthorityState), and so is a directory on which a server runs.
func InitAuthority(ctx context.Context, cfg config.Config, kind certs.KeyKind, rootOut func(root *x509.Certificate, key crypto.Signer) error) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	fresh := !exists(cfg.Data)
	a := &App{log: slog.New(slog.DiscardHandler), now: time.Now, dir: cfg.Data, wake: &work.Wake{}}
	defer func() {
		known := a.db != nil && !cfg.Database.IsZero() // a database elsewhere knows the key, which so has to stay
		err = errors.Join(err, a.undo(fresh && err != nil && !known))
	}()
	if err := a.occupyData(); err != nil {
		return err
	}
	if err := a.openStore(ctx, cfg, nil); err != nil {
		return err
	}
	return a.db.Alone(ctx, firstStart, func(ctx context.Context) error {
		return certs.Init(ctx, a.db.Keys(), certs.Options{Organization: cfg.Organization, Now: a.now}, certs.InitOptions{Kind: kind, RootOut: rootOut})
	})
}

// undo closes all, and removes the data directory where all of it was made in
// vain: a first start would take it for one that was set up. It is ours to remove
// while we hold its lock. That an authority which was made is not closed well is no
// reason to give it up: its root is handed out.
func (a *App) undo(remove bool) error {
	unlock := a.unlock
	a.unlock = nil
	_ = a.Close() // see above
	if unlock == nil {
		return nil
	}
	defer unlock()
	if !remove {
		return nil
	}
	return os.RemoveAll(a.dir)
}

// firstStart is what servers and commands on one database do one after the other.
const firstStart = "first start"

// rollover is enroll's, and what follows for this server at once.
type rollover struct {
	*enroll.Rollover
	app *App
}

// Activate serves a certificate of the new authority as soon as it signs.
func (r rollover) Activate(ctx context.Context, fingerprint string, force, dryRun bool) (enroll.Step, error) {
	s, err := r.Rollover.Activate(ctx, fingerprint, force, dryRun)
	if err == nil && !dryRun {
		if err := r.app.tls.refresh(ctx); err != nil { // it is tried again every ten minutes
			r.app.log.WarnContext(ctx, "server certificate not renewed under the new authority", slog.Any(logkey.Error, err))
		}
	}
	return s, err
}
