package app

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/netutil"

	"sallyport/access"
	"sallyport/internal/config"
	"sallyport/internal/server"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/server/deviceapi"
	"sallyport/internal/store"
	"sallyport/mdm"
)

// openFronts puts the handlers before the bound addresses.
func (a *App) openFronts(cfg config.Config) error {
	r := a.rooms
	registry := prometheus.NewRegistry()
	for _, c := range []prometheus.Collector{r.push, endings{r.watch}, decisions{r.access}, r.trail.leftOut} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	handlers, err := server.New(a.frontConfig(cfg, registry))
	if err != nil {
		return err
	}
	a.open("listen", handlers.Public, a.tls.asking(func() []*x509.Certificate { return append(r.authority.Intermediates(), r.authority.Anchors()...) }))
	a.open("admin_listen", handlers.Admin, a.tls.config())
	a.open("listen_http", plainPaths(handlers.Public), nil)
	return nil
}

// frontConfig gives the handlers the rooms behind them.
func (a *App) frontConfig(cfg config.Config, registry *prometheus.Registry) server.Config {
	r := a.rooms
	reporter := &access.Reporter{Source: a.db.Access()}
	return server.Config{
		Device: deviceapi.Deps{
			Enroll: r.enroll, SCEP: r.scep, CRLs: r.crls, MDM: r.apple, Reasons: a.reasons(),
			Android: r.android.service, PublicURL: a.publicURL, Organization: r.authority.Organization(), Now: a.now,
		},
		Admin: adminapi.Deps{
			Users: r.users, Templates: r.templates, Revisions: r.templates, Viewer: r.viewer, Security: r.templates, Secrets: r.templates,
			Compliance: r.compliance, Invitations: r.enroll, Tokens: r.tokens, Push: r.push.keeper, Mails: r.mails,
			Actions: r.enroll, Devices: r.enroll, Held: r.enroll, Android: r.android.service,
			Certificates: r.issuer, People: a.db.Users(), Hand: r.hand,
			SMIME: r.smime, SMIMEExports: r.smime, Access: a.accessAdmin(),
			DeviceReport: reporter, DeploymentReport: r.enroll, Mailboxes: r.enroll,
			Audit: a.db.Audit(), Authority: r.authority, Rollover: rollover{r.rollover, a}, Endings: r.watch, Backup: backups{a.db},
			Storage: storage{cfg.Data, a.db, a.room("storage")}, Now: a.now,
		},
		Access: accessapi.Deps{Engine: r.access, Logins: r.access, Devices: r.enroll, Verdicts: r.compliance, Explains: r.explainer, Feed: r.feed, Tokens: r.tokens, Webhooks: r.webhooks},
		Fleet:  reporter,
		Tokens: r.tokens,
		Audit:  r.trail,
		Ping:   a.db.Ping,
		// What passes by itself is "try again later" to every caller.
		Unavailable: store.Temporary,
		Metrics:     registry,
		Version:     a.version,
		Proxies:     cfg.TrustedProxies,
		Split:       cfg.AdminListen != "",
		HSTS:        a.trusted(),
		Rehearsal:   a.rehearsal,
		Log:         a.room("server"),
		Now:         a.now,
	}
}

// open serves h on the address of a setting, where one was bound; conf is nil
// for a listener without TLS.
func (a *App) open(setting string, h http.Handler, conf *tls.Config) {
	l, ok := a.bound[setting]
	if !ok {
		return
	}
	s := server.HTTP(h, a.room("server"))
	s.TLSConfig = conf
	if most := connections(openFiles(), len(a.bound)); most > 0 {
		l = netutil.LimitListener(l, most)
	}
	a.fronts = append(a.fronts, &front{name: setting, listener: l, server: s})
}

// plainPaths lets through what may travel without TLS: SCEP, whose messages are
// signed and encrypted by themselves (RFC 8894, section 4.1 allows HTTP), CRLs,
// which are signed, and the health of the server. A code, a token or a page must not.
func plainPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/scep" && !strings.HasPrefix(r.URL.Path, "/crl/") && r.URL.Path != "/healthz" {
			http.Error(w, "This address serves SCEP and CRLs only. Use https.", http.StatusNotFound)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// trusted reports whether the server's certificate is one that browsers accept.
func (a *App) trusted() bool {
	return !slices.ContainsFunc(a.gaps, func(g Gap) bool { return g.Name == "tls_certificate" })
}

// rehearsal says in plain words what a real phone would miss.
func (a *App) rehearsal(p mdm.Platform) []string {
	var words []string
	for _, g := range a.Gaps() {
		if g.lacks(p) {
			words = append(words, g.Problem)
		}
	}
	return words
}
