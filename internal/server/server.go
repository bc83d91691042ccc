package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/audit"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/server/console"
	"sallyport/internal/server/deviceapi"
	"sallyport/internal/server/limit"
	"sallyport/internal/server/peer"
	"sallyport/internal/web"
	"sallyport/mdm"
)

// Tokens recognises bearer tokens. *auth.Service is one.
type Tokens = console.Tokens

// Config is what the front needs. Fields are needed except where they say otherwise.
type Config struct {
	Device deviceapi.Deps // its Pages may be nil: the embedded ones
	Admin  adminapi.Deps
	Access accessapi.Deps
	Fleet  console.Fleet // what the console lists

	Tokens Tokens
	Audit  audit.Log // refused tokens
	Ping   func(context.Context) error

	Version     string                      // optional: "unknown"
	Proxies     peer.Proxies                // optional: the reverse proxies that are believed
	Split       bool                        // /api and /metrics on a handler of their own
	HSTS        bool                        // tell browsers to come by TLS alone from now on: only under a public certificate
	Rehearsal   func(mdm.Platform) []string // optional: what a real phone would miss; Device.Rehearsal wins
	Metrics     *prometheus.Registry        // optional: one of its own
	Unavailable func(error) bool            // optional: says which errors of the storage will pass by themselves (503)
	Log         *slog.Logger                // optional: no log
	Now         func() time.Time            // optional: time.Now
}

// Validate reports everything that is missing.
func (c Config) Validate() error {
	var faults []error
	need := func(there bool, field string) {
		if !there {
			faults = append(faults, fmt.Errorf("server.Config: %s is missing", field))
		}
	}
	need(c.Device.Enroll != nil, "Device.Enroll")
	need(c.Device.SCEP != nil, "Device.SCEP")
	need(c.Device.CRLs != nil, "Device.CRLs")
	need(c.Device.MDM != nil, "Device.MDM")
	need(c.Device.Android != nil, "Device.Android")
	need(c.Device.Reasons != nil, "Device.Reasons")
	need(c.Device.PublicURL != "", "Device.PublicURL")
	need(c.Admin.Users != nil, "Admin.Users")
	need(c.Admin.Templates != nil, "Admin.Templates")
	need(c.Admin.Revisions != nil, "Admin.Revisions")
	need(c.Admin.Viewer != nil, "Admin.Viewer")
	need(c.Admin.Security != nil, "Admin.Security")
	need(c.Admin.Secrets != nil, "Admin.Secrets")
	need(c.Admin.Compliance != nil, "Admin.Compliance")
	need(c.Admin.Access != nil, "Admin.Access")
	need(c.Admin.Invitations != nil, "Admin.Invitations")
	need(c.Admin.Tokens != nil, "Admin.Tokens")
	need(c.Admin.Actions != nil, "Admin.Actions")
	need(c.Admin.Devices != nil, "Admin.Devices")
	need(c.Admin.Held != nil, "Admin.Held")
	need(c.Admin.Android != nil, "Admin.Android")
	need(c.Admin.Push != nil, "Admin.Push")
	need(c.Admin.Certificates != nil, "Admin.Certificates")
	need(c.Admin.People != nil, "Admin.People")
	need(c.Admin.Hand != nil, "Admin.Hand")
	need(c.Admin.Audit != nil, "Admin.Audit")
	need(c.Admin.Authority != nil, "Admin.Authority")
	need(c.Admin.Rollover != nil, "Admin.Rollover")
	need(c.Admin.Endings != nil, "Admin.Endings")
	need(c.Admin.Backup != nil, "Admin.Backup")
	need(c.Admin.SMIME != nil, "Admin.SMIME")
	need(c.Admin.SMIMEExports != nil, "Admin.SMIMEExports")
	need(c.Access.Engine != nil, "Access.Engine")
	need(c.Access.Logins != nil, "Access.Logins")
	need(c.Access.Devices != nil, "Access.Devices")
	need(c.Access.Verdicts != nil, "Access.Verdicts")
	need(c.Access.Explains != nil, "Access.Explains")
	need(c.Access.Feed != nil, "Access.Feed")
	need(c.Access.Tokens != nil, "Access.Tokens")
	need(c.Access.Webhooks != nil, "Access.Webhooks")
	need(c.Fleet != nil, "Fleet")
	need(c.Tokens != nil, "Tokens")
	need(c.Audit != nil, "Audit")
	need(c.Ping != nil, "Ping")
	return errors.Join(faults...)
}

// Handlers are the two planes. They are one and the same unless Config.Split.
type Handlers struct {
	Public http.Handler
	Admin  http.Handler
}

// front is what all handlers share.
type front struct {
	cfg     Config
	device  *deviceapi.API
	admin   *adminapi.API
	access  *accessapi.API
	console *console.Console
	refused *limit.Limiter // bad tokens, by network
	metrics *metrics
	routes  []route
}

// New builds the handlers.
func New(c Config) (Handlers, error) {
	f, err := newFront(c)
	if err != nil {
		return Handlers{}, err
	}
	if !f.cfg.Split {
		one := f.handler(publicPlane | adminPlane)
		return Handlers{Public: one, Admin: one}, nil
	}
	return Handlers{Public: f.handler(publicPlane), Admin: f.handler(adminPlane)}, nil
}

func newFront(c Config) (*front, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Device.Pages == nil {
		pages, err := web.New()
		if err != nil {
			return nil, fmt.Errorf("read pages: %w", err)
		}
		c.Device.Pages = pages
	}
	if c.Device.Rehearsal == nil {
		c.Device.Rehearsal = c.Rehearsal
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Version == "" {
		c.Version = "unknown"
	}
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	f := &front{
		cfg:    c,
		device: deviceapi.New(c.Device),
		admin:  adminapi.New(c.Admin),
		access: accessapi.New(c.Access),
		// A token has 256 bits, so nobody guesses one: this bounds what bad ones
		// cost us, above all their audit rows.
		refused: limit.NewBySite(limit.Rate{PerSecond: 0.5, Burst: 20}, limit.Rate{PerSecond: 1, Burst: 40}, limit.Rate{PerSecond: 20, Burst: 200}, c.Now),
		metrics: m,
	}
	f.console = f.newConsole()
	f.routes = f.table()
	return f, nil
}

// newConsole makes the console of what the API is made of, so that both tell the same.
func (f *front) newConsole() *console.Console {
	c := f.cfg
	return console.New(console.Deps{
		Tokens: c.Tokens, Fleet: c.Fleet, Logins: c.Access.Logins, Clients: c.Admin.Access, Explains: c.Access.Explains,
		Phones: c.Access.Devices, Commands: c.Admin.Devices, Verdicts: c.Access.Verdicts, Templates: c.Admin.Templates, Viewer: c.Admin.Viewer,
		Audit: c.Audit, Pages: c.Device.Pages, Organization: c.Device.Organization, Roles: readers, Now: c.Now,
		Refuse: func(r *http.Request, action, target string, err error) error {
			return f.refuse(r, http.MethodPost, consoleSession, action, target, err)
		},
	})
}

// Timeouts of a connection. A backup sets its own.
const (
	headerTime = 10 * time.Second
	readTime   = 60 * time.Second
	writeTime  = 60 * time.Second
	idleTime   = 2 * time.Minute
	maxHeader  = 16 << 10
)

// HTTP puts h behind the limits on headers and time. The caller listens.
func HTTP(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // handshakes of strangers, mostly
	}
}
