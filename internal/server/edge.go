package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"sallyport/api"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/logkey"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/server/console"
	"sallyport/internal/server/deviceapi"
	"sallyport/internal/server/limit"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

const (
	mdmPath  = "/mdm"
	scepPath = "/scep"
	// agentPath is where companion apps on Android phones come (docs/android-agent.md).
	agentPath = "/android/agent"
	pingTime  = 2 * time.Second
)

// audience decides in which form trouble is told.
type audience int

const (
	people   audience = iota // a page
	programs                 // problem+json
	phones                   // a status and nothing else
	browsers                 // a page of the console
)

func audienceOf(path string) audience {
	switch {
	case under(path, mdmPath), under(path, scepPath):
		return phones
	case under(path, "/crl"), under(path, "/api"), under(path, "/android/notifications"), under(path, agentPath), under(path, "/access/auth"), under(path, "/metrics"), under(path, "/healthz"), under(path, "/version"):
		return programs
	case under(path, console.Path):
		return browsers
	}
	return people
}

// under reports whether path is root or lies below it.
func under(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// edge makes the handler of a row: who calls, how much is read, and what
// becomes of an error. From here on nothing returns errors.
func (f *front) edge(row route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		traceOf(r.Context()).pattern = row.pattern
		r.Body = http.MaxBytesReader(w, r.Body, row.maxBody)
		r, err := f.identify(row, r)
		if err == nil {
			err = row.handler(w, r)
		}
		if err != nil {
			f.fail(w, r, err)
		}
	})
}

// identify finds out who is calling and whether that one may.
func (f *front) identify(row route, r *http.Request) (*http.Request, error) {
	if row.open {
		return r.WithContext(audit.WithActor(r.Context(), actor(r))), nil
	}
	principal, err := f.who(row, r)
	if errors.Is(err, auth.ErrUnauthenticated) {
		return r, f.refuse(r, row.method, row.pattern, "token.refuse", "", err)
	}
	if err != nil {
		return r, err
	}
	ctx := auth.WithPrincipal(audit.WithActor(r.Context(), principal.Owner), principal)
	r = r.WithContext(ctx)
	if err := principal.Allowed(row.roles...); err != nil {
		if row.gate { // of which 403 is the answer about a phone
			err = fmt.Errorf("%w: %w", auth.ErrUnauthenticated, err)
		}
		return r, f.refuse(r, row.method, row.pattern, "token.forbid", principal.TokenID, err)
	}
	return r, nil
}

// who recognises the caller of a closed route.
func (f *front) who(row route, r *http.Request) (auth.Principal, error) {
	if row.session {
		return f.console.Identify(r)
	}
	return f.cfg.Tokens.Authenticate(r.Context(), row.token(r))
}

// refuse leaves an audit row for a bad token, unless its network has had its
// share of them: then it is told to wait, and the trail is spared.
func (f *front) refuse(r *http.Request, method, pattern, action, target string, err error) error {
	if !f.refused.Allow(limit.Network(r)) {
		return problem.ErrTooMany
	}
	ctx := context.WithoutCancel(r.Context()) // who hangs up leaves the row all the same
	if target == "" {
		ctx = audit.WithActor(ctx, "address:"+limit.Address(r))
	}
	entry := audit.New(ctx, f.now(), action, target, audit.Refused, "method", method, "route", pattern)
	if failure := f.cfg.Audit.Append(ctx, entry); failure != nil {
		f.cfg.Log.ErrorContext(ctx, "audit row of a refusal not written", logkey.Error, failure)
	}
	return err
}

// gateToken is where a web server in front of a mailbox shows its token.
const gateToken = "X-Sallyport-Token"

// token returns what the caller shows to be let in, or nothing.
func (row route) token(r *http.Request) string {
	if !row.gate {
		return wire.Bearer(r)
	}
	if list := r.Header.Values(gateToken); len(list) == 1 {
		return list[0]
	}
	return ""
}

// fail turns an error into the answer for its audience. What is our own fault
// is logged here, and nowhere else.
func (f *front) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, wire.ErrTorn) {
		f.cfg.Log.ErrorContext(r.Context(), "answer cut off", f.about(r, err)...)
		panic(http.ErrAbortHandler) // the only way to end a connection without ending the body
	}
	if errors.Is(err, console.ErrSignedOut) {
		console.Redirect(w, console.Path)
		return
	}
	if f.cfg.Unavailable != nil && f.cfg.Unavailable(err) {
		err = fmt.Errorf("%w: %w", problem.ErrUnavailable, err)
	}
	to := audienceOf(r.URL.Path)
	p := problem.Of(err)
	own := p.Status >= http.StatusInternalServerError
	if to == phones {
		own = deviceapi.ProtocolStatus(err) >= http.StatusInternalServerError && !errors.Is(err, problem.ErrTooMany)
	}
	switch {
	case own && errors.Is(err, context.Canceled): // the caller hung up
		f.cfg.Log.DebugContext(r.Context(), "request abandoned", f.about(r, err)...)
	case own:
		f.cfg.Log.ErrorContext(r.Context(), "request failed", f.about(r, err)...)
	case errors.Is(err, problem.ErrTooMany): // a line for each would be one more thing to flood
		f.cfg.Log.DebugContext(r.Context(), "too many requests", f.about(r, err)...)
	case to == phones:
		f.cfg.Log.WarnContext(r.Context(), "phone refused", f.about(r, err)...)
	}
	switch to {
	case phones:
		deviceapi.WriteProtocol(w, err)
	case programs:
		problem.Write(w, r, p)
	case people:
		f.device.WritePage(w, r, err)
	case browsers:
		f.console.WritePage(w, r, err)
	}
}

func (f *front) about(r *http.Request, err error) []any {
	return []any{
		logkey.RequestID, audit.RequestID(r.Context()),
		logkey.Method, r.Method, logkey.Path, traceOf(r.Context()).pattern,
		logkey.Error, err,
	}
}

func (f *front) now() time.Time { return f.cfg.Now().UTC().Truncate(time.Microsecond) }

// sameOrigin keeps other sites from sending our form.
func sameOrigin(next handler) handler {
	guard := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) error {
		if guard.Check(r) != nil {
			return problem.ErrCrossOrigin
		}
		return next(w, r)
	}
}

// health answers GET /healthz.
func (f *front) health(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pingTime)
	defer cancel()
	if err := f.cfg.Ping(ctx); err != nil {
		f.cfg.Log.ErrorContext(r.Context(), "database does not answer", f.about(r, err)...)
		return wire.WriteJSON(w, http.StatusServiceUnavailable, adminapi.Health{Status: "unavailable"})
	}
	return wire.WriteJSON(w, http.StatusOK, adminapi.Health{Status: "ok"})
}

// version answers GET /version.
func (f *front) version(w http.ResponseWriter, _ *http.Request) error {
	return wire.WriteJSON(w, http.StatusOK, adminapi.Version{Version: f.cfg.Version, Go: runtime.Version()})
}

// openAPI answers GET /api/v1/openapi.yaml.
func openAPI(w http.ResponseWriter, _ *http.Request) error {
	return wire.WriteBytes(w, http.StatusOK, "application/yaml", api.OpenAPI)
}
