package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/internal/config"
	"sallyport/internal/logkey"
	"sallyport/internal/store"
	"sallyport/internal/work"
)

// Options are what a program adds to the settings.
type Options struct {
	Version string
	Log     *slog.Logger     // nil means none
	Now     func() time.Time // nil means time.Now

	// StoreHook is called around the commit of every write transaction: tests
	// kill the process in it.
	StoreHook func(unit string, phase store.Phase)
}

// App is a server that is ready to run: its addresses are bound, its database
// is open.
type App struct {
	version   string
	log       *slog.Logger
	now       func() time.Time
	dir       string
	postgres  bool // the database is not in dir, and others may be on it
	publicURL string
	telling   sync.Mutex
	local     Local             // as the command line reads it; telling guards it
	toldRoot  *x509.Certificate // that of RootFile; likewise
	gaps      []Gap             // but the one that an import closes while we run
	commits   atomic.Uint64     // that wrote events: decisions wait for them
	warnings  []Gap

	unlock func()
	db     *store.DB
	wake   *work.Wake
	rooms  *rooms
	tls    *serverTLS
	bound  map[string]net.Listener // by setting
	fronts []*front

	closed sync.Once
}

// New prepares everything up to the first request. Refusals name the setting
// and its remedy; on an error nothing stays open.
func New(ctx context.Context, cfg config.Config, o Options) (_ *App, err error) {
	a := &App{version: o.Version, log: o.Log, now: o.Now, dir: cfg.Data, wake: &work.Wake{}, bound: map[string]net.Listener{}}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	letHeapGrow()
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := a.occupy(ctx, cfg); err != nil {
		return nil, err
	}
	if err := a.openStore(ctx, cfg, o.StoreHook); err != nil {
		return nil, err
	}
	address := publicAddress(cfg.Listen, a.bound["listen"].Addr())
	if a.publicURL, err = publicURL(ctx, a.db, cfg.PublicURL, address, strings.HasSuffix(cfg.Listen, ":0")); err != nil {
		return nil, err
	}
	// Servers that start at once on an empty database agree on one authority.
	err = a.db.Alone(ctx, firstStart, func(ctx context.Context) error {
		id, err := installation(ctx, a.db)
		if err != nil {
			return err
		}
		return a.build(ctx, cfg, placeholderTopic(id))
	})
	if err != nil {
		return nil, err
	}
	if err := a.rooms.access.Load(ctx); err != nil {
		return nil, err
	}
	if err := a.secure(ctx, cfg); err != nil {
		return nil, err
	}
	a.gaps = append(gaps(a.publicURL, a.given(cfg), publicly(nil, a.now())),
		listenGap(a.publicURL, a.bound["listen"].Addr(), len(cfg.TrustedProxies))...)
	if err := a.openFronts(cfg); err != nil {
		return nil, err
	}
	if err := fixPublicURL(ctx, a.db, a.publicURL, cfg.PublicURL); err != nil {
		return nil, err
	}
	return a, a.announce(ctx, cfg)
}

// occupy takes the data directory and the addresses: what fails most often
// fails first, and leaves nothing behind.
func (a *App) occupy(ctx context.Context, cfg config.Config) error {
	for _, l := range []struct{ setting, address string }{
		{"listen", cfg.Listen}, {"listen_http", cfg.ListenHTTP}, {"admin_listen", cfg.AdminListen},
	} {
		if l.address == "" {
			continue
		}
		bound, err := listen(ctx, l.setting, l.address)
		if err != nil {
			return err
		}
		a.bound[l.setting] = bound
	}
	return a.occupyData()
}

func (a *App) occupyData() error {
	if err := prepareData(a.dir, a.log); err != nil {
		return err
	}
	unlock, err := lock(a.dir)
	if err != nil {
		return err
	}
	a.unlock = unlock
	return nil
}

func (a *App) openStore(ctx context.Context, cfg config.Config, hook func(string, store.Phase)) error {
	o := store.Options{
		Now: a.now, Hook: hook,
		OnCommit: func(string) { a.committed() },
		OnNotify: a.committed,
	}
	var err error
	key := keyPlaceOf(cfg)
	if cfg.Database.IsZero() {
		o.Path = databasePath(a.dir)
		if o.Sealer, err = openSealer(key); err == nil {
			a.db, err = store.Open(ctx, o)
		}
	} else {
		o.Database, o.MaxConnections = cfg.Database.Reveal(), cfg.DatabaseMaxConnections
		a.db, err = openShared(ctx, key, o)
	}
	if err == nil {
		warnRotation(a.log, key)
	}
	a.postgres = !cfg.Database.IsZero()
	return err
}

// secure finds the server certificate: the one that was given, or our own.
func (a *App) secure(ctx context.Context, cfg config.Config) error {
	a.tls = &serverTLS{}
	if cfg.TLSCert != "" {
		a.tls.renew = fileTLS(cfg.TLSCert, cfg.TLSKey, a.now)
	} else {
		hosts := a.hosts(cfg)
		a.tls.renew = func(ctx context.Context) (tls.Certificate, error) {
			return a.rooms.authority.ServerCertificate(ctx, hosts)
		}
	}
	if err := a.tls.refresh(ctx); err != nil {
		return fmt.Errorf("server certificate: %w", err)
	}
	if cfg.TLSCert != "" {
		return checkHost(*a.tls.current.Load(), a.publicURL)
	}
	return nil
}

// given collects the certificates that came from outside.
func (a *App) given(cfg config.Config) given {
	var g given
	if cfg.TLSCert != "" {
		g.tls = chainOf(*a.tls.current.Load())
		a.warnOpen(cfg.TLSKey)
	}
	if cfg.SigningCert != "" {
		id := a.rooms.enroll.Signer()
		g.signing = append([]*x509.Certificate{id.Certificate}, id.Chain...)
		a.warnOpen(cfg.SigningKey)
	}
	return g
}

// warnOpen tells about a private key that every user of the machine can read.
// Its group may be there for a purpose.
func (a *App) warnOpen(keyFile string) {
	if info, err := os.Stat(keyFile); err == nil && info.Mode().Perm()&0o007 != 0 {
		a.log.Warn("private key is open to every user of this machine: chmod o= it, or 600",
			slog.String("file", keyFile), slog.String("mode", fmt.Sprintf("%04o", info.Mode().Perm())))
	}
}

// hosts are the names that our own server certificate is for.
func (a *App) hosts(cfg config.Config) []string {
	wanted := []string{hostOf(a.publicURL), "localhost", "127.0.0.1", "::1"}
	for _, address := range []string{cfg.Listen, cfg.AdminListen} {
		host, _, err := net.SplitHostPort(address)
		if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) {
			wanted = append(wanted, host)
		}
	}
	var hosts []string
	seen := map[string]bool{}
	for _, h := range wanted {
		if h != "" && !seen[h] {
			seen[h] = true
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// announce leaves what the command line on this machine needs.
func (a *App) announce(ctx context.Context, cfg config.Config) error {
	if err := bootstrap(ctx, a.db.Tokens(), a.rooms.tokens, a.dir, a.now(), a.postgres); err != nil {
		return err
	}
	setting, address := "listen", cfg.Listen
	if cfg.AdminListen != "" {
		setting, address = "admin_listen", cfg.AdminListen
	}
	bound := a.bound[setting].Addr()
	a.logWarnings(ctx)
	local := Local{PublicURL: a.publicURL, PID: os.Getpid(), Version: a.version, KEK: keyPlaceOf(cfg).elsewhere(),
		Organization: a.rooms.authority.MadeFor(), Warnings: a.warnings}
	local.URL = "https://" + publicAddress(address, bound)
	local.Dial = dialAddress(bound)
	if cfg.TLSCert != "" {
		// A certificate from elsewhere is for the public name only.
		_, port, err := net.SplitHostPort(bound.String())
		if err != nil {
			return fmt.Errorf("address of %s: %w", setting, err)
		}
		local.URL = "https://" + net.JoinHostPort(hostOf(a.publicURL), port)
	}
	a.local, a.tls.changed, a.rooms.push.keeper.Changed = local, a.pin, a.pushChanged
	return a.pin()
}

// pin writes for the command line which certificate is served, what its root is,
// and what real phones lack. It is called again whenever one of them may have changed.
func (a *App) pin() error {
	pin, found, root := pinOf(a.tls.current.Load().Certificate[0]), a.Gaps(), a.rooms.authority.Root()
	a.telling.Lock()
	defer a.telling.Unlock()
	if !root.Equal(a.toldRoot) {
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
		if err := writeFile(filepath.Join(a.dir, RootFile), text, 0o644); err != nil {
			return err
		}
		a.toldRoot = root
	}
	if pin == a.local.Pin && slices.Equal(found, a.local.Gaps) {
		return nil
	}
	a.local.Pin, a.local.Gaps = pin, found
	return a.local.write(a.dir)
}

// URL is where the admin API answers.
func (a *App) URL() string { return a.local.URL }

// PublicURL is what phones call.
func (a *App) PublicURL() string { return a.publicURL }

// Gaps are what real phones need and this installation lacks.
func (a *App) Gaps() []Gap {
	if _, placeholder := a.rooms.push.keeper.Topic(); placeholder {
		return append(slices.Clone(a.gaps), pushGap())
	}
	return a.gaps
}

// Run serves until ctx ends, then lets running requests finish. It returns nil
// after an orderly end.
func (a *App) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var background sync.WaitGroup
	background.Go(func() { work.Run(ctx, a.room("work"), a.wake, a.shared(a.consumers())...) })
	background.Go(func() { work.Run(ctx, a.room("work"), &work.Wake{}, a.shared(a.periodic())...) })
	background.Go(func() { work.Run(ctx, a.room("work"), a.rooms.push.wake, a.shared(a.rooms.push.pushers())...) })
	background.Go(func() {
		work.Run(ctx, a.room("work"), a.rooms.android.wake, a.shared(a.rooms.android.workers())...)
	})
	background.Go(func() { work.Run(ctx, a.room("work"), a.rooms.runs, a.shared(a.judges())...) })

	background.Go(func() { work.Run(ctx, a.room("work"), a.wake, a.follower()) })
	background.Go(func() { work.Run(ctx, a.room("work"), &work.Wake{}, a.ownWork()...) })

	failed := make(chan error, len(a.fronts))
	for _, f := range a.fronts {
		background.Go(func() { failed <- f.serve() })
		a.log.InfoContext(ctx, "serving", slog.String("listener", f.name), slog.String("address", f.listener.Addr().String()))
	}
	a.log.InfoContext(ctx, "ready", slog.String("public_url", a.publicURL), slog.String("admin_url", a.local.URL),
		slog.String("version", a.version), slog.Int("rehearsal_gaps", len(a.Gaps())))

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		a.log.ErrorContext(ctx, "a listener stopped", slog.Any(logkey.Error, err))
	}
	a.rooms.feed.End() // streams would keep the fronts waiting
	var fronts sync.WaitGroup
	for _, f := range a.fronts {
		fronts.Go(f.shutdown)
	}
	fronts.Wait()
	cancel()
	background.Wait()
	a.flush(context.WithoutCancel(ctx))
	a.log.InfoContext(context.WithoutCancel(ctx), "stopped")
	return err
}

// Close gives back everything that New took. It may be called more than once.
func (a *App) Close() error {
	var err error
	a.closed.Do(func() {
		for _, l := range a.bound {
			if closeErr := l.Close(); closeErr != nil && !errors.Is(closeErr, net.ErrClosed) {
				err = errors.Join(err, closeErr)
			}
		}
		if a.rooms != nil {
			a.rooms.push.client.Close()
			a.rooms.webhooks.Send.Close()
		}
		if a.db != nil {
			err = errors.Join(err, a.db.Close())
		}
		if a.unlock != nil {
			a.unlock()
		}
	})
	return err
}
