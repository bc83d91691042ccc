package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/secret"
)

// start runs a server until the test ends; stop ends it sooner and tells how.
func start(t *testing.T, cfg config.Config) (a *App, stop func() error) {
	t.Helper()
	a, err := New(t.Context(), cfg, Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(a.Run(ctx), a.Close()) }()
	var result error
	done := false
	stop = func() error {
		if !done {
			cancel()
			result, done = <-ended, true
		}
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return a, stop
}

func settingsIn(dir string) config.Config {
	cfg := config.Default()
	cfg.Data, cfg.Listen = dir, "localhost:0"
	return cfg
}

// browser trusts the root that the server left in dir.
func browser(t *testing.T, dir string) *http.Client {
	t.Helper()
	root, err := os.ReadFile(filepath.Join(dir, RootFile))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(root) {
		t.Fatal("no root certificate")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func status(t *testing.T, c *http.Client, url, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestEachListenerServesItsOwn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "var")
	cfg := settingsIn(dir)
	cfg.AdminListen, cfg.ListenHTTP = "localhost:0", "localhost:0"
	a, stop := start(t, cfg)
	local, err := ReadLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	address := func(setting string) string {
		_, port, err := net.SplitHostPort(a.bound[setting].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return "localhost:" + port
	}
	public, admin, plain := "https://"+address("listen"), "https://"+address("admin_listen"), "http://"+address("listen_http")
	if local.URL != admin || local.PublicURL != public {
		t.Errorf("server file: got %s and %s, want %s and %s", local.URL, local.PublicURL, admin, public)
	}
	c, token := browser(t, dir), local.Token.Reveal()
	tests := []struct {
		url  string
		want int
	}{
		{admin + "/api/v1/users", 200},
		{admin + "/metrics", 200},
		{admin + "/enroll/ABCDEFGH", 404},
		{public + "/api/v1/users", 404},
		{public + "/metrics", 404},
		{public + "/scep?operation=GetCACaps", 200},
		{public + "/healthz", 200},
		{plain + "/scep?operation=GetCACaps", 200},
		{plain + "/healthz", 200},
		{plain + "/", 404},
		{plain + "/enroll/ABCDEFGH", 404},
		{plain + "/api/v1/users", 404},
		{plain + "/mdm", 404},
	}
	for _, tt := range tests {
		if got := status(t, c, tt.url, token); got != tt.want {
			t.Errorf("GET %s: got %d, want %d", tt.url, got, tt.want)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data directory: got %v, %v, want 0700", info.Mode(), err)
	}
	for _, name := range []string{KeyFile, TokenFile, ServerFile, DatabaseFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, want mode 0600", name, err)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestPortThatIsTakenLeavesNoTrace(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := filepath.Join(t.TempDir(), "var")
	cfg := settingsIn(dir)
	cfg.Listen = l.Addr().String()
	if _, err := New(t.Context(), cfg, Options{}); !errors.Is(err, ErrListen) {
		t.Errorf("got %v, want ErrListen", err)
	}
	if exists(dir) {
		t.Error("the data directory was made all the same")
	}
}

func TestRestartKeepsEverythingAndTheToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, stop := start(t, settingsIn(dir))
	before, err := ReadLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), settingsIn(dir), Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second server: got %v, want ErrLocked", err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	second, stop := start(t, settingsIn(dir))
	after, err := ReadLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first.PublicURL() != second.PublicURL() || before.Token.Reveal() != after.Token.Reveal() {
		t.Error("the public URL or the admin token changed")
	}
	if !first.rooms.authority.Root().Equal(second.rooms.authority.Root()) {
		t.Error("the root changed")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	cfg := settingsIn(dir)
	cfg.PublicURL = "https://mdm.example.com"
	if _, err := New(t.Context(), cfg, Options{}); !errors.Is(err, ErrFixed) {
		t.Errorf("another public URL: got %v, want ErrFixed", err)
	}
	if err := os.Remove(filepath.Join(dir, KeyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := New(t.Context(), settingsIn(dir), Options{}); !errors.Is(err, ErrNoKey) {
		t.Errorf("without the key: got %v, want ErrNoKey", err)
	}
}

func TestGivenCertificateMustFitThePublicURL(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cfg := settingsIn(t.TempDir())
	cfg.TLSCert, cfg.TLSKey = pair(t, t.TempDir(), "mdm.example.com", now.Add(-time.Hour), now.Add(time.Hour))
	cfg.PublicURL = "https://other.example.com"
	if _, err := New(t.Context(), cfg, Options{}); !errors.Is(err, ErrCertificate) {
		t.Errorf("got %v, want ErrCertificate", err)
	}
	cfg.PublicURL = "https://mdm.example.com" // the slip fixed nothing
	a, _ := start(t, cfg)
	if got := hostOf(a.URL()); got != "mdm.example.com" {
		t.Errorf("admin URL is for %s: the command line could not verify the certificate", got)
	}
	var names []string
	for _, g := range a.Gaps() {
		names = append(names, g.Name)
	}
	if got := strings.Join(names, " "); got != "tls_certificate signing_certificate listen push_certificate" {
		t.Errorf("gaps %s: the name is given, and nothing reaches it", got)
	}
	if a.trusted() {
		t.Error("a certificate signed by itself closes the gap")
	}
}

// The command line on the same machine reaches a server whose certificate no
// root here knows and whose name no DNS knows, and nobody else in its place;
// also after the certificate was renewed.
func TestLocalClientTrustsWhatIsServed(t *testing.T) {
	t.Parallel()
	now, files := time.Now(), t.TempDir()
	cfg := settingsIn(t.TempDir())
	cfg.TLSCert, cfg.TLSKey = pair(t, files, "mdm.example.com", now.Add(-2*time.Hour), now.Add(time.Hour))
	cfg.PublicURL = "https://mdm.example.com"
	a, _ := start(t, cfg)
	ask := func(local Local) error {
		t.Helper()
		transport := &http.Transport{TLSClientConfig: local.TLS(), DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, local.Dial)
		}}
		defer transport.CloseIdleConnections()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, local.URL+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(req)
		if err == nil {
			err = answer.Body.Close()
		}
		return err
	}
	before, err := ReadLocal(cfg.Data)
	if err != nil {
		t.Fatal(err)
	}
	if err := ask(before); err != nil {
		t.Errorf("with the pin: %v", err)
	}
	stranger := before
	stranger.Pin = pinOf([]byte("another certificate"))
	if err := ask(stranger); !errors.Is(err, ErrPin) {
		t.Errorf("another certificate: %v, want ErrPin", err)
	}
	stranger.Pin = ""
	if err := ask(stranger); !errors.Is(err, ErrPin) {
		t.Errorf("no pin: %v, want ErrPin", err)
	}
	pair(t, files, "mdm.example.com", now.Add(-time.Hour), now.Add(2*time.Hour))
	soon := time.Now().Add(time.Minute)
	if err := errors.Join(os.Chtimes(cfg.TLSCert, soon, soon), os.Chtimes(cfg.TLSKey, soon, soon)); err != nil {
		t.Fatal(err)
	}
	if err := a.tls.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := ReadLocal(cfg.Data)
	if err != nil || after.Pin == before.Pin {
		t.Errorf("the pin stayed, or %v", err)
	}
	if err := ask(after); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
}

func TestOpenPrivateKeyIsToldInTheLog(t *testing.T) {
	t.Parallel()
	now := time.Now()
	cfg := settingsIn(t.TempDir())
	cfg.PublicURL = "https://mdm.example.com"
	cfg.TLSCert, cfg.TLSKey = pair(t, t.TempDir(), "mdm.example.com", now.Add(-time.Hour), now.Add(time.Hour))
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		if err := os.Chmod(cfg.TLSKey, mode); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		a, err := New(t.Context(), cfg, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "private key is open"); got != want {
			t.Errorf("mode %04o: log %q", mode, log.String())
		}
	}
}

func TestTokenFileComesBackOnlyWhereItIsNeeded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, _ := start(t, settingsIn(dir))
	file := filepath.Join(dir, TokenFile)
	tokens, ctx := a.rooms.tokens, t.Context()
	again := func(now time.Time) bool {
		t.Helper()
		was, _ := os.ReadFile(file)
		if err := bootstrap(ctx, a.db.Tokens(), tokens, dir, now, false); err != nil {
			t.Fatal(err)
		}
		is, _ := os.ReadFile(file)
		all, err := tokens.List(ctx)
		if err != nil {
			t.Fatal(err)
		}
		open := 0
		for _, token := range all {
			if token.Owner == auth.LocalOwner && valid(token, now) {
				open++
			}
		}
		if open > 1 {
			t.Errorf("%d tokens of the data directory are valid, want one", open)
		}
		return string(was) != string(is)
	}
	now := time.Now()
	if again(now) {
		t.Error("a good token was replaced")
	}
	if !again(now.Add(localTTL - localRenewal + time.Hour)) {
		t.Error("a token that runs out was not replaced")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if !again(now) {
		t.Error("without a file and another admin nobody can get in")
	}
	other, err := tokens.Create(ctx, auth.Admin, "alice", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if again(now) {
		t.Error("a file that an admin took away came back")
	}
	if !again(now.Add(2 * time.Hour)) {
		t.Error("the other admin's token has expired: nobody can get in")
	}
	mine, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := a.db.Tokens().TokenByHash(ctx, secret.Hash(string(mine[:len(mine)-1])))
	if err != nil {
		t.Fatal(err)
	}
	if err := tokens.Revoke(ctx, stored.ID); err != nil {
		t.Fatal(err)
	}
	if again(now) {
		t.Errorf("a revoked token came back although %s has one", other.Owner)
	}
}
