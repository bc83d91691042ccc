package app_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/secret"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/store"
	"sallyport/mdm/agent"
)

const (
	alice        = "alice@example.test"
	mailTemplate = `name: mail
display_name: Company mail
assign: everyone
accounts:
  - name: Company mail
    host_type: on_premises
    host: mail.example.test
    user_name: "%upn%"
    email: "%email%"
    identity: scep
`
	baseline = `name: baseline
assign: everyone
rules:
  mail_profile: true
  passcode: true
  minimum_os: "16.0"
  identity_certificate: true
  reported_within: 24h
`
)

// client calls the API of a server as the command line does: with what the
// server left in its data directory.
type client struct {
	t     testing.TB
	local app.Local
	http  *http.Client
	root  *x509.Certificate
}

func newClient(t testing.TB, data string) *client {
	t.Helper()
	local, err := app.ReadLocal(data)
	if err != nil {
		t.Fatal(err)
	}
	root := readRoot(t, data)
	return &client{t: t, local: local, http: trusting(root), root: root}
}

// call sends one request and decodes the answer into out where that is not nil.
func (c *client) call(method, path, contentType string, body []byte, out any) int {
	c.t.Helper()
	return c.callIf("", method, path, contentType, body, out)
}

// callIf is call with If-Match, where that is not empty.
func (c *client) callIf(match, method, path, contentType string, body []byte, out any) int {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.local.URL+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.local.Token.Reveal())
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if match != "" {
		req.Header.Set("If-Match", match)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if out != nil {
		if resp.StatusCode >= 300 {
			c.t.Fatalf("%s %s: %s\n%s", method, path, resp.Status, answer)
		}
		if err := json.Unmarshal(answer, out); err != nil {
			c.t.Fatalf("%s %s: %v\n%s", method, path, err, answer)
		}
	}
	return resp.StatusCode
}

func (c *client) post(path string, in, out any) {
	c.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		c.t.Fatal(err)
	}
	c.call(http.MethodPost, path, "application/json", body, out)
}

// seed makes the sample organisation.
func (c *client) seed() {
	c.t.Helper()
	c.post("/api/v1/users", adminapi.UserInput{UPN: alice, Email: alice, DisplayName: "Alice Example"}, &struct{}{})
	c.call(http.MethodPost, "/api/v1/templates", "application/yaml", []byte(mailTemplate), &adminapi.TemplateApplied{})
	c.call(http.MethodPost, "/api/v1/compliance/policies", "application/yaml", []byte(baseline), &adminapi.PolicyApplied{})
}

func (c *client) invite(r adminapi.InvitationRequest) adminapi.IssuedInvitation {
	c.t.Helper()
	var issued adminapi.IssuedInvitations
	c.post("/api/v1/invitations", r, &issued)
	if len(issued.Invitations) != 1 {
		c.t.Fatalf("got %d invitations, want 1", len(issued.Invitations))
	}
	return issued.Invitations[0]
}

func (c *client) decide(user, deviceID string) access.Decision {
	c.t.Helper()
	return c.decideAs(iPhoneMail(user, deviceID))
}

func iPhoneMail(user, deviceID string) access.Client {
	return access.Client{User: user, DeviceID: deviceID, DeviceType: "iPhone", UserAgent: "Apple-iPhone14C5/2201.1"}
}

// decideAs asks as a gate does: again, where the database was not as quick as an
// answer has to be. On a busy machine it is not always, and nobody is let in then.
func (c *client) decideAs(in access.Client) access.Decision {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if d := c.decideOnce(in); d.Step != access.StepUnavailable || time.Now().After(deadline) {
			return d
		}
	}
}

func (c *client) decideOnce(in access.Client) access.Decision {
	c.t.Helper()
	var d access.Decision
	c.post("/api/v1/access/decisions", in, &d)
	return d
}

// decided waits until the decision is want. Events travel behind the answers,
// within milliseconds.
func (c *client) decided(user, deviceID string, want access.Effect) access.Decision {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		d := c.decide(user, deviceID)
		if d.Effect == want || time.Now().After(deadline) {
			if d.Effect != want {
				c.t.Fatalf("decision is %s, want %s: %+v", d.Effect, want, d.Reasons)
			}
			return d
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// opens reads a reason page as its owner would, in the language.
func (c *client) opens(t testing.TB, link, language string, status int, words ...string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
	must(t, err)
	r.Header.Set("Accept-Language", language)
	resp, err := c.http.Do(r)
	must(t, err)
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != status {
		t.Errorf("reason page: %s", resp.Status)
	}
	for _, word := range words {
		if !strings.Contains(string(page), word) {
			t.Errorf("reason page lacks %q:\n%s", word, page)
		}
	}
}

func trusting(root *x509.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(root)
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = pool
	return &http.Client{Transport: transport, Timeout: patience}
}

// phoneKeys are those of the phones of this process, each another one: to find
// primes for them would cost more than everything else that the tests do.
var phoneKeys = agent.NewKeyPool()

// newPhone is a phone that trusts the server's root by hand, as a rehearsal needs.
func newPhone(t testing.TB, dir string, root *x509.Certificate, pin string) *agent.Phone {
	t.Helper()
	p, err := agent.New(agent.Options{
		Dir: dir, CA: []*x509.Certificate{root}, PIN: secret.New(pin), Keys: phoneKeys,
		Story: func(step, text string) { t.Log("phone:", step, text) },
		Retry: agent.Retry{First: 20 * time.Millisecond, Max: 200 * time.Millisecond, Attempts: 1000, Total: patience},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func show(t testing.TB, p *agent.Phone) agent.Snapshot {
	t.Helper()
	s, err := p.Show()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// process is a server in a process of its own.
type process struct {
	cmd    *exec.Cmd
	lines  chan string
	exited chan struct{}
}

func startProcess(t *testing.T, data, listen string, killAt int, phase store.Phase) *process {
	t.Helper()
	p := processOf(data, listen, killAt, phase)
	must(t, p.start(t))
	return p
}

// processOf is a server that has not started yet.
func processOf(data, listen string, killAt int, phase store.Phase) *process {
	p := &process{cmd: exec.Command(os.Args[0]), lines: make(chan string, 16), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), envServe+"="+data, envData+"="+engine.of(data).Reveal(), envAddr+"="+listen, fmt.Sprintf("%s=%d", envKill, killAt), envPhase+"="+string(phase))
	p.cmd.Stderr = os.Stderr
	return p
}

// start returns once the server is ready. The error says that there was no
// process to be had.
func (p *process) start(t *testing.T) error {
	t.Helper()
	stdout, err := p.cmd.StdoutPipe()
	must(t, err)
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() {
		scanner := bufio.NewScanner(stdout)
		for scanner.Scan() {
			p.lines <- scanner.Text()
		}
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	p.expect(t, "ready")
	return nil
}

func (p *process) expect(t *testing.T, word string) {
	t.Helper()
	select {
	case line := <-p.lines:
		if !strings.HasPrefix(line, word) {
			t.Fatalf("server says %q, want %q", line, word)
		}
	case <-p.exited:
		t.Fatalf("server ended before it said %q", word)
	case <-time.After(patience):
		t.Fatalf("server does not say %q", word)
	}
}

func (p *process) arm(t *testing.T) {
	t.Helper()
	must(t, p.cmd.Process.Signal(syscall.SIGUSR1))
	p.expect(t, "armed")
}

// stop ends the server in order and waits. It reports whether the server had
// been killed, or was before it could end.
func (p *process) stop(t *testing.T) (killed bool) {
	t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it is gone
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("server does not stop")
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// kill ends the server at once, if it still runs.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// startInside is a server in this process, on a port of its own.
func startInside(t *testing.T, data string) *client {
	t.Helper()
	return startConfigured(t, testConfig(data, "127.0.0.1:0"))
}

// startConfigured is startInside with settings of one's own.
func startConfigured(t *testing.T, cfg config.Config) *client {
	t.Helper()
	stop, c := serveFor(t, cfg)
	t.Cleanup(stop)
	return c
}

// serveFor is startConfigured for a part of a test.
func serveFor(t *testing.T, cfg config.Config) (stop func(), c *client) {
	t.Helper()
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test"})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		must(t, a.Close())
	}, newClient(t, cfg.Data)
}

// freeAddress is a loopback address that was free a moment ago. It lies below
// the ports that a kernel gives to outgoing connections, so that it is still
// free when a killed server comes back.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return ""
}

func readRoot(t testing.TB, data string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, app.RootFile))
	if err != nil {
		t.Fatal(err)
	}
	return parsePEM(t, text)
}
