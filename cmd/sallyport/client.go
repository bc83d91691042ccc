package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
)

// Globals says which installation a command is about.
type Globals struct {
	Data      string `help:"Data directory of the server on this machine (SALLYPORT_DATA; default var)." placeholder:"DIR"`
	Server    string `help:"URL of a server elsewhere (SALLYPORT_SERVER); its token comes from SALLYPORT_TOKEN or --token-file." placeholder:"URL"`
	TokenFile string `help:"File that holds the token for --server." placeholder:"FILE"`
	RootCA    string `name:"ca" help:"File with the root certificate to trust for --server, besides the system's." placeholder:"FILE"`
}

// dataDir is the data directory: the flag, the variable, or the default.
func (g *Globals) dataDir() string {
	if g.Data != "" {
		return g.Data
	}
	if dir := os.Getenv("SALLYPORT_DATA"); dir != "" {
		return dir
	}
	return config.Default().Data
}

// server is the URL of a server elsewhere, or empty. A --data on the command
// line outweighs the variable.
func (g *Globals) server() string {
	if g.Server == "" && g.Data == "" {
		return os.Getenv("SALLYPORT_SERVER")
	}
	return g.Server
}

// client talks to the API of one server.
type client struct {
	base  string // without a slash at its end
	token string
	http  *http.Client
}

// client finds the server and the token: those of the data directory, or the
// ones named. A token is never taken from the command line, where other users
// of the machine could read it.
func (g *Globals) client() (*client, error) {
	if err := g.sound(); err != nil {
		return nil, err
	}
	if url := g.server(); url != "" {
		return g.remoteClient(url)
	}
	dir := g.dataDir()
	local, err := app.ReadLocal(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no server has been started on the data directory %s "+
			"(start one: sallyport serve --data %s; or name another with --data DIR or --server URL)", dir, dir)
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%w (%s)", err, asOwner)
	}
	if err != nil {
		return nil, err
	}
	return newClient(local.URL, local.Token.Reveal(), local.TLS(), local.Dial)
}

// asOwner is the next step where a data directory may not be looked into.
const asOwner = "run this as the user of the server, or name the server: --server URL, with a token in SALLYPORT_TOKEN or --token-file FILE"

// sound refuses flags that do not go together.
func (g *Globals) sound() error {
	if g.Server != "" && g.Data != "" {
		return usageError{"--server and --data name two installations: give one of them"}
	}
	if g.server() == "" && (g.TokenFile != "" || g.RootCA != "") {
		return usageError{"--token-file and --ca belong to --server URL"}
	}
	return nil
}

// anonymous is a client without a token: enough to see whether a server runs.
func (g *Globals) anonymous() (*client, error) {
	if err := g.sound(); err != nil {
		return nil, err
	}
	if url := g.server(); url != "" {
		pool, err := trust(g.RootCA)
		if err != nil {
			return nil, err
		}
		return newClient(url, "", &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, "")
	}
	local, err := app.ReadLocal(g.dataDir())
	if local.URL == "" { // only the token may be missing
		return nil, err
	}
	return newClient(local.URL, "", local.TLS(), local.Dial)
}

func (g *Globals) remoteClient(server string) (*client, error) {
	token := os.Getenv("SALLYPORT_TOKEN")
	if g.TokenFile != "" {
		text, err := os.ReadFile(g.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("read token: %w", err)
		}
		token = string(text)
	}
	token = strings.TrimSpace(token)
	if token == "" {
		return nil, usageError{"--server needs a token: set SALLYPORT_TOKEN or name a file with --token-file"}
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, usageError{"what should be the token is not one: it looks like spt_… and is one word"}
	}
	pool, err := trust(g.RootCA)
	if err != nil {
		return nil, err
	}
	return newClient(server, token, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, "")
}

// trust is the system's roots and those of file; an empty name adds none.
func trust(file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if file == "" {
		return pool, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read root certificate: %w", err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// newClient makes a client for base. With dial, connections go there whatever
// the host of base is: a server knows its own address better than DNS does.
func newClient(base, token string, conf *tls.Config, dial string) (*client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" {
		return nil, usageError{"the server's URL looks like https://mdm.example.com"}
	}
	if u.Scheme != "https" {
		return nil, usageError{"the server's URL must begin with https://: a token is not sent in the clear"}
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     conf,
		TLSHandshakeTimeout: 10 * time.Second,
		DialContext:         dialer.DialContext,
	}
	if dial != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, dial)
		}
	}
	return &client{
		base:  u.Scheme + "://" + u.Host,
		token: token,
		http: &http.Client{
			Transport: transport,
			// The API never redirects; following one could hand the token to a stranger.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

const (
	contentJSON = "application/json"
	contentYAML = "application/yaml"
	contentCSV  = "text/csv"

	callTimeout = time.Minute
	maxAnswer   = 64 << 20
)

// get reads path into out.
func (c *client) get(ctx context.Context, path string, query url.Values, out any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.call(ctx, http.MethodGet, path, "", nil, out)
}

// post sends in as JSON and reads the answer into out, which may be nil.
func (c *client) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	return c.call(ctx, http.MethodPost, path, contentJSON, bytes.NewReader(body), out)
}

func (c *client) call(ctx context.Context, method, path, contentType string, body io.Reader, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.send(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if out == nil || answer.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read answer of %s: %w", c.base, err)
	}
	return nil
}

// send returns an answer below 300; the caller closes its body.
func (c *client) send(ctx context.Context, method, path, contentType string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("User-Agent", "sallyport-cli/"+versionText())
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(c.base, err)
	}
	if answer.StatusCode >= 300 {
		defer answer.Body.Close()
		return nil, c.problem(answer)
	}
	return answer, nil
}

// unreachable says what to look at; the URL error's own text repeats the URL.
func unreachable(base string, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		return untrusted{base, certificate.Err}
	case errors.Is(err, app.ErrPin):
		return untrusted{base, err}
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted")
	}
	return fmt.Errorf("cannot reach %s: %w (is the server running?)", base, err)
}

// untrusted is a server that answers TLS with a certificate that does not do.
type untrusted struct {
	base string
	why  error
}

func (e untrusted) Unwrap() error { return e.why }

func (e untrusted) Error() string {
	text := fmt.Sprintf("cannot trust %s: %v", e.base, e.why)
	if next := e.next(); next != "" {
		text += " (" + next + ")"
	}
	return text
}

// next is a step that may help: another root helps against an unknown one only.
func (e untrusted) next() string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.As(e.why, &unknown):
		return "name its root certificate with --ca FILE"
	case errors.As(e.why, &host):
		return "name the server by a name that its certificate holds"
	}
	return ""
}

// apiError is an answer that refuses.
type apiError struct {
	status int
	text   string
}

func (e apiError) Error() string { return e.text }

func isNotFound(err error) bool {
	var e apiError
	return errors.As(err, &e) && e.status == http.StatusNotFound
}

// problem turns an answer of 300 and above into an error: by field where the
// server named fields.
func (c *client) problem(answer *http.Response) error {
	var p problem.Problem
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if json.Unmarshal(body, &p) != nil || p.Title == "" {
		return apiError{answer.StatusCode, fmt.Sprintf("%s answered %s: is that a Sallyport server?", c.base, answer.Status)}
	}
	next := nextStep(answer)
	if len(p.Errors) > 0 {
		sentinel := apiError{answer.StatusCode, p.Title}
		list := make(refusal.List, 0, len(p.Errors))
		for _, e := range p.Errors {
			if next != "" {
				e.Remedy = next
			}
			list = append(list, refusal.New(sentinel, e.Field, e.Reason, e.Remedy))
		}
		return list
	}
	text := p.Title
	if p.Detail != "" {
		text = p.Detail
	}
	switch {
	case next != "":
		text += " (" + next + ")"
	case answer.StatusCode == http.StatusUnauthorized:
		text += " (the token is unknown, expired or revoked)"
	case answer.StatusCode >= 500 && p.RequestID != "":
		text += " (the server's log says more under request " + p.RequestID + ")"
	}
	return apiError{answer.StatusCode, text}
}

// nextStep is what to type after an answer about something that there is not, or
// that would be written over unseen; empty where the server's own words must do.
func nextStep(answer *http.Response) string {
	r := answer.Request
	if r == nil {
		return ""
	}
	if answer.StatusCode == http.StatusPreconditionRequired {
		look := "look at that one with show"
		if r.URL.Path == "/api/v1/templates" {
			look = "--dry-run says what this would change"
		}
		return look + "; then repeat it with --if-match " + strings.Trim(answer.Header.Get("ETag"), `"`) + ", or with --force to write over whatever is newest"
	}
	// A POST may name something else that is not there; one to a webhook names that alone.
	if answer.StatusCode != http.StatusNotFound || r.Method == http.MethodPost && !strings.HasPrefix(r.URL.Path, webhooksPath+"/") {
		return ""
	}
	if strings.Contains(r.URL.Path, "/revisions/") || strings.HasSuffix(r.URL.Path, "/diff") || strings.Contains(r.URL.Path, "/actions/") {
		return "" // the template, or the phone, may well be there
	}
	for _, at := range []struct{ path, command string }{
		{"/api/v1/users/", "user list"},
		{"/api/v1/templates/", "template list"},
		{"/api/v1/security-policies/", "security-policy list"},
		{"/api/v1/compliance/policies/", "compliance list"},
		{"/api/v1/invitations/", "invitation list"},
		{"/api/v1/devices/", "device list"},
		{"/api/v1/tokens/", "token list"},
		{"/api/v1/access/rules/", "access rule list"},
		{"/api/v1/access/policies/", "access policy list"},
		{"/api/v1/access/devices/", "access device list"},
		{"/api/v1/access/denials/", "access denials"},
		{"/api/v1/webhooks/", "webhook list"},
	} {
		if strings.HasPrefix(r.URL.Path, at.path) {
			return "see: sallyport " + at.command
		}
	}
	return ""
}

// pages calls fetch with the cursor of each page until there is no next one.
func pages(fetch func(cursor string) (next string, err error)) error {
	cursor := ""
	for {
		next, err := fetch(cursor)
		if err != nil || next == "" || next == cursor {
			return err
		}
		cursor = next
	}
}

// pageQuery starts the query of one page.
func pageQuery(cursor string) url.Values {
	q := url.Values{"limit": {"1000"}}
	if cursor != "" {
		q.Set("after", cursor)
	}
	return q
}
