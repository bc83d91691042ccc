package app_test

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// startSOGo starts a real mail server, ../shared/eas-server beside the project, on
// ports of its own. Where that is missing the test is skipped, and says so.
func startSOGo(t *testing.T) site {
	t.Helper()
	scripts, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", "eas-server"))
	must(t, err)
	if _, err := os.Stat(filepath.Join(scripts, "start.sh")); errors.Is(err, fs.ErrNotExist) {
		t.Logf("SKIPPED %s: ../shared/eas-server is not beside the project", t.Name())
		t.Skip("no real mail server: the gate was not tried in front of one")
	}
	if os.Getuid() != 0 {
		t.Logf("SKIPPED %s: the mail server's start script wants to be root", t.Name())
		t.Skip("not root: the gate was not tried in front of a real mail server")
	}
	needs(t, "nginx", "sogod", "dovecot", "memcached", "curl", "python3", "openssl")
	// Its unprivileged users must get in, and PostgreSQL's socket needs a short path.
	dir, err := os.MkdirTemp("", "sallyport-eas-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755)) //nolint:gosec // see above
	state := filepath.Join(dir, "s")
	env := append(os.Environ(), "EAS_DIR="+state, "EAS_DEBUG=NO", "EAS_WORKERS=3")
	var tls string
	for _, port := range []string{"EAS_PORT", "EAS_HTTP_PORT", "EAS_SOGO_PORT", "EAS_IMAP_PORT", "EAS_PG_PORT", "EAS_SMTP_PORT", "EAS_MC_PORT"} {
		address := freeAddress(t)
		_, number, err := net.SplitHostPort(address)
		must(t, err)
		env = append(env, port+"="+number)
		if port == "EAS_PORT" {
			tls = address
		}
	}
	run := func(script string) ([]byte, error) {
		cmd := exec.Command(filepath.Join(scripts, script))
		cmd.Env = env
		return cmd.CombinedOutput()
	}
	t.Cleanup(func() {
		if said, err := run("stop.sh"); err != nil {
			t.Errorf("stop the mail server: %v\n%s", err, said)
		}
		_ = os.RemoveAll(dir)
	})
	begun := time.Now()
	if said, err := run("start.sh"); err != nil {
		t.Fatalf("start the mail server: %v\n%s", err, said)
	}
	t.Logf("SOGo is up after %v", time.Since(begun).Round(100*time.Millisecond))
	return site{mailbox: tls, mailboxCA: filepath.Join(state, "tls", "cert.pem"), mailName: "eas.example.test"}
}

const (
	bob     = "bob@example.test"
	subject = "Quarterly numbers" // of a mail in alice's inbox
)

// gateScene is a compliant phone of alice's, and the gate between it and SOGo.
type gateScene struct {
	t     *testing.T
	c     *client
	phone *agent.Phone
	gate  nginxGate
	site  site
	mail  mailClient
	stop  func() // ends Sallyport
}

func newGateScene(t *testing.T, sogo site) *gateScene {
	s := &gateScene{t: t}
	s.stop, s.c = serveFor(t, testConfig(filepath.Join(t.TempDir(), "data"), "localhost:0"))
	s.c.seed()
	s.c.post("/api/v1/users", adminapi.UserInput{UPN: alice, Email: alice, DisplayName: "Alice Example", Username: "alice", DomainName: "EXAMPLE"}, &struct{}{})
	s.c.post("/api/v1/users", adminapi.UserInput{UPN: bob, Email: bob, DisplayName: "Bob Example", Username: "bob", DomainName: "EXAMPLE"}, &struct{}{})
	s.site = s.c.gateSite(t).before(sogo)
	s.gate = s.site.start(t)
	s.phone = newPhone(t, t.TempDir(), s.c.root, "")
	must(t, s.phone.Enroll(t.Context(), s.c.invite(adminapi.InvitationRequest{User: alice}).URL))
	device := show(t, s.phone).EASDeviceID
	s.c.decided(alice, device, access.Allow)
	s.mail = mailClient{t: t, url: s.gate.url, http: s.gate.client(), login: "alice", password: "alice-pw", user: "alice", device: device}
	return s
}

// TestNginxGate: Debian's nginx with the file of deploy/nginx, in front of a real
// SOGo. A compliant phone reads its mail, and nothing else gets any. SOGo takes its
// time to end: there is one for all.
func TestNginxGate(t *testing.T) {
	t.Parallel()
	sogo := startSOGo(t)
	t.Run("iPhone", func(t *testing.T) {
		t.Parallel()
		iPhoneAtTheGate(t, sogo)
	})
	t.Run("Android", func(t *testing.T) {
		t.Parallel()
		androidAtTheGate(t, sogo, "alice-pw", reads)
	})
}

func iPhoneAtTheGate(t *testing.T, sogo site) {
	s := newGateScene(t, sogo)
	t.Run("a compliant phone syncs", func(t *testing.T) { reads(t, s.mail) })
	t.Run("in every way that phones write", s.spellings)
	t.Run("nobody else gets in", s.strangers)
	t.Run("requests that can be read in two ways", s.tricks)
	t.Run("passcode off, and on again", s.passcode)
	t.Run("the log names nobody", func(t *testing.T) {
		if text := s.gate.log(t); strings.Contains(text, "alice") || strings.Contains(text, s.mail.device) || !strings.Contains(text, `decision="quarantine"`) {
			t.Errorf("access log:\n%s", text)
		}
	})
	t.Run("without Sallyport nobody gets in", s.closed)
}

// reads is a mail client that finds the mail in alice's inbox.
func reads(t *testing.T, m mailClient) {
	t.Helper()
	m.t = t
	if list, status := m.subjects(); status != http.StatusOK || !slices.Contains(list, subject) {
		t.Errorf("status %d, subjects %q, want %q among them", status, list, subject)
	}
}

// folders is the answer to a FolderSync; what is not 200 holds no mail.
func folders(t *testing.T, m mailClient) mailAnswer {
	t.Helper()
	m.t = t
	return m.post("FolderSync", wbxml(pageFolders, open(folderSync), text(folderSyncKey, "0"), end))
}

func (s *gateScene) with(change func(*mailClient)) mailClient {
	m := s.mail
	change(&m)
	return m
}

func (s *gateScene) spellings(t *testing.T) {
	for name, change := range map[string]func(*mailClient){
		"base64 query":                func(m *mailClient) { m.encoded = true },
		"base64 query without a user": func(m *mailClient) { m.encoded, m.user = true, "" },
		"path in lower case":          func(m *mailClient) { m.url = strings.ToLower(m.url) },
		"device in lower case":        func(m *mailClient) { m.device = strings.ToLower(m.device) },
		"another name in the query":   func(m *mailClient) { m.user = alice },
		"with its domain":             func(m *mailClient) { m.user = `EXAMPLE\alice` },
	} {
		t.Run(name, func(t *testing.T) { reads(t, s.with(change)) })
	}
	options := s.mail
	options.t = t
	if a := options.send("OPTIONS", s.gate.url, nil); a.status != http.StatusOK || !strings.Contains(a.header.Get("MS-ASProtocolVersions"), "14.1") {
		t.Errorf("OPTIONS: %d, %v", a.status, a.header)
	}
	var devices adminapi.AccessDeviceList
	s.c.call(http.MethodGet, "/api/v1/access/devices?user="+alice, "", nil, &devices)
	if len(devices.Devices) != 1 {
		t.Errorf("one phone is on record as %d devices: %+v", len(devices.Devices), devices.Devices)
	}
}

func (s *gateScene) strangers(t *testing.T) {
	forged := http.Header{
		"X-Sallyport-Token": {s.site.token}, "X-Sallyport-Decision": {"allow"}, "X-Sallyport-Query": {"?Cmd=FolderSync"},
		"X-Original-Uri": {"/Microsoft-Server-ActiveSync?" + s.mail.query("FolderSync")}, "X-Original-Method": {"OPTIONS"},
		"X-Original-Address": {"192.0.2.1"}, "X-Original-Certificate": {"x"}, "X-Forwarded-For": {"192.0.2.1"},
	}
	for _, tt := range []struct {
		name   string
		change func(*mailClient)
		want   int
	}{
		{"unknown device", func(m *mailClient) { m.device = "STRANGER1" }, 403},
		{"unknown device, base64", func(m *mailClient) { m.device, m.encoded = "STRANGER1", true }, 403},
		{"unknown device, with headers of the gate's own", func(m *mailClient) { m.device, m.header = "STRANGER1", forged }, 403},
		{"bob with alice's device", func(m *mailClient) { m.login, m.password, m.user = "bob", "bob-pw", "bob" }, 403},
		{"bob with alice's device and alice in the query", func(m *mailClient) { m.login, m.password = "bob", "bob-pw" }, 403},
		{"alice with bob in the query", func(m *mailClient) { m.user = "bob" }, 403},
		{"alice's device, wrong password", func(m *mailClient) { m.password = "no" }, 401},
		{"unknown device, wrong password: looks the same", func(m *mailClient) { m.device, m.password = "STRANGER1", "no" }, 401},
		{"unknown user", func(m *mailClient) { m.login, m.user = "mallory", "mallory" }, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := folders(t, s.with(tt.change))
			if a.status != tt.want {
				t.Errorf("status %d, want %d: %q", a.status, tt.want, a.body)
			}
			if tt.want == 401 && !strings.Contains(strings.ToLower(a.header.Get("WWW-Authenticate")), "basic") {
				t.Errorf("no challenge: %v", a.header)
			}
			if tt.want == 401 && (a.header.Get("X-Sallyport-Decision") != "" || a.header.Get("X-Sallyport-Reason") != "") {
				t.Errorf("who knows no password is told: %v", a.header)
			}
		})
	}
	// What SOGo itself says to a command without Authorization: 403, and no more.
	for _, device := range []string{s.mail.device, "STRANGER1"} {
		a := folders(t, s.with(func(m *mailClient) { m.login, m.device = "", device }))
		if a.status != http.StatusForbidden || len(a.body) > 0 || a.header.Get("X-Sallyport-Decision") != "" {
			t.Errorf("nobody signs in: status %d, %v, %q", a.status, a.header, a.body)
		}
	}
	bearer := s.with(func(m *mailClient) { m.login, m.header = "", http.Header{"Authorization": {"Bearer e30.e30."}} })
	if a := folders(t, bearer); a.status == http.StatusOK {
		t.Error("a bearer token gets in")
	}
}

func (s *gateScene) tricks(t *testing.T) {
	m := s.mail
	m.t = t
	good := m.query("FolderSync")
	body := wbxml(pageFolders, open(folderSync), text(folderSyncKey, "0"), end)
	base := strings.TrimSuffix(s.gate.url, "/Microsoft-Server-ActiveSync")
	for name, target := range map[string]string{
		"device twice":           s.gate.url + "?" + good + "&deviceid=X",
		"semicolon":              s.gate.url + "?" + good + ";x=y",
		"both forms":             s.gate.url + "?" + s.with(func(m *mailClient) { m.encoded = true }).query("FolderSync") + "&" + good,
		"escaped path":           base + "/Microsoft%2DServer-ActiveSync?" + good,
		"path with dots":         base + "/x/../Microsoft-Server-ActiveSync?" + good,
		"double slash":           base + "//Microsoft-Server-ActiveSync?" + good,
		"query escaped twice":    s.gate.url + "?" + strings.ReplaceAll(good, "User=alice", "User=%2561lice"),
		"no query":               s.gate.url,
		"base64 with an escape":  s.gate.url + "?jQAJBAhCNjRERVYwMQAGaVBob25%6C",
		"base64 without padding": s.gate.url + "?" + strings.TrimRight(s.with(func(m *mailClient) { m.encoded, m.device = true, "AB" }).query("FolderSync"), "=") + "A",
	} {
		t.Run(name, func(t *testing.T) {
			m := m
			m.t = t
			a := m.send(http.MethodPost, target, body)
			if said := string(a.body); a.status != http.StatusForbidden || strings.Contains(said, "what to do") || !strings.Contains(said, "Ask your administrator") {
				t.Errorf("status %d, want 403 and whom to ask: %q", a.status, said)
			}
		})
	}
	twice := m
	twice.header = http.Header{"authorization": {"Basic Ym9iOmJvYi1wdw=="}} // beside SetBasicAuth's
	if a := folders(t, twice); a.status != http.StatusBadRequest && a.status != http.StatusForbidden {
		t.Errorf("two Authorization headers: status %d", a.status)
	}
	for _, path := range []string{"/", "/Microsoft-Server-ActiveSync/", "/Microsoft-Server-ActiveSyncX", "/SOGo/Microsoft-Server-ActiveSync", "/sallyport-auth", "/mailbox-password"} {
		if a := m.send(http.MethodPost, base+path+"?"+good, body); a.status != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, a.status)
		}
	}
}

// passcode is the story: the fact changes on the phone, and its next request is refused.
func (s *gateScene) passcode(t *testing.T) {
	must(t, s.phone.Set("passcode=off"))
	must(t, s.phone.Connect(t.Context()))
	a := until(t, s.mail, http.StatusForbidden)
	if a.header.Get("X-Sallyport-Decision") != "block" || !strings.Contains(string(a.body), "may not read this mailbox") || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("answer %v\n%s", a.header, a.body)
	}
	link := a.header.Get("X-Sallyport-Reason")
	if !strings.Contains(string(a.body), link) {
		t.Errorf("the answer does not tell of %q:\n%s", link, a.body)
	}
	s.c.opens(t, link, "de-DE", http.StatusOK, "Vorerst keine Mail auf diesem Gerät", "Es ist kein Code eingerichtet", "Richten Sie einen Code ein", "iPhone")
	s.c.opens(t, link[:len(link)-1], "de-DE", http.StatusNotFound, "Dieser Link führt nirgendwohin")
	if a := folders(t, s.with(func(m *mailClient) { m.password = "no" })); a.status != http.StatusUnauthorized {
		t.Errorf("blocked, with a wrong password: status %d, want 401", a.status)
	}
	must(t, s.phone.Set("passcode=on"))
	must(t, s.phone.Connect(t.Context()))
	until(t, s.mail, http.StatusOK)
	reads(t, s.mail)
	s.c.opens(t, link, "de-DE", http.StatusOK, "Ihre Mail funktioniert auf diesem Gerät")
}

// until asks until the gate answers so. What a phone reports travels behind its
// answers, within milliseconds.
func until(t *testing.T, m mailClient, want int) mailAnswer {
	t.Helper()
	begun := time.Now()
	for {
		a := folders(t, m)
		if a.status == want {
			t.Logf("%d after %v", want, time.Since(begun).Round(time.Millisecond))
			return a
		}
		if time.Since(begun) > patience {
			t.Fatalf("status %d, want %d", a.status, want)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *gateScene) closed(t *testing.T) {
	wrong := s.site
	wrong.token += "x"
	other := wrong.start(t)
	m := s.with(func(m *mailClient) { m.url, m.http = other.url, other.client() })
	closed := func(what string, m mailClient) {
		t.Helper()
		m.once = true
		a := folders(t, m)
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: status %d, %v, want 503, Retry-After and no challenge", what, a.status, a.header)
		}
	}
	closed("a token that is none", m)
	s.stop()
	closed("Sallyport has ended", s.mail)
	closed("Sallyport has ended, wrong password", s.with(func(m *mailClient) { m.password = "no" }))
}
