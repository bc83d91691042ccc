package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/access"
	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/app"
	"sallyport/internal/secret"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/store"
	"sallyport/mdm"
	"sallyport/mdm/agent"
)

// Secrets that are put in as text.
const (
	canaryMail       = "canary-mail-password-0815"
	canaryFile       = "canary-file-password-4711"
	canaryWrong      = "canary-wrong-password-1234"
	canarySMIME      = "canary-smime-password-2718"
	canaryPassphrase = "canary-ca-passphrase-3141"
	canaryBearer     = "canary-bearer-token-1618033"
	canaryQuery      = "canary-in-a-query-57721566"
)

// mine is a server in a process of its own with a canary in each of its secrets,
// and whatever it let out.
type mine struct {
	t     *testing.T
	home  string // working directory; the data directory is d in it
	env   []string
	kek   []byte
	inEnv bool

	canaries canaries
	shown    map[string][]byte // by where it was seen
	pin      string
	server   *exec.Cmd
	ended    chan struct{}
	log      *os.File
}

// TestCanaries gives a server that logs all it can a secret of every kind, lets it
// work, crash and dump, and searches everything that leaves it, or stays behind,
// for each of them: none may be there but where it belongs.
func TestCanaries(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED with -short: starts servers and searches what they leave; run without -short")
	}
	for _, inEnv := range []bool{false, true} {
		t.Run(map[bool]string{false: "key in a file", true: "key in the environment"}[inEnv], func(t *testing.T) {
			t.Parallel()
			m := newMine(t, inEnv)
			m.start()
			m.fill()
			m.ask()
			m.refused()
			m.look()
			m.crash()
			m.collect()
			m.search()
		})
	}
}

func newMine(t *testing.T, inEnv bool) *mine {
	t.Helper()
	m := &mine{t: t, home: t.TempDir(), inEnv: inEnv, kek: secret.Random(secret.KeySize), shown: map[string][]byte{}}
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "SALLYPORT_") && !strings.HasPrefix(v, "GOTRACEBACK=") {
			m.env = append(m.env, v)
		}
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if inEnv {
		m.env = append(m.env, "SALLYPORT_KEK="+hex.EncodeToString(m.kek))
	} else {
		must(os.Mkdir(filepath.Join(m.home, "d"), 0o700))
		must(os.WriteFile(filepath.Join(m.home, "d", app.KeyFile), secret.FormatKeyFile(m.kek), 0o600))
	}
	var err error
	m.log, err = os.Create(filepath.Join(m.home, "server.log"))
	must(err)
	t.Cleanup(func() { _ = m.log.Close() })
	for name, value := range map[string]string{"mail password": canaryMail, "PKCS#12 password": canaryFile, "wrong password": canaryWrong,
		"S/MIME password": canarySMIME, "passphrase of the CA's file": canaryPassphrase, "a stranger's token": canaryBearer, "a query": canaryQuery} {
		m.canaries.add(t, name, []byte(value))
	}
	m.canaries.add(t, "key-encryption key", m.kek)
	return m
}

// start serves with the shell's limit for core dumps lifted: that none is written
// is the server's own doing.
func (m *mine) start(more ...string) {
	m.t.Helper()
	m.server = exec.Command("sh", "-c", "ulimit -c unlimited; exec sallyport serve --data d --listen localhost:0 --log-level debug --log-format json")
	m.server.Dir, m.server.Env = m.home, append(slices.Clone(m.env), more...)
	m.server.Stdout, m.server.Stderr = m.log, m.log
	if err := m.server.Start(); err != nil {
		m.t.Fatal(err)
	}
	server, ended := m.server, make(chan struct{})
	m.ended = ended
	go func() { _ = server.Wait(); close(ended) }()
	m.t.Cleanup(func() { _ = server.Process.Kill(); <-ended })
	m.run("doctor", "--wait", "60s", "--pid", fmt.Sprint(server.Process.Pid))
}

// end sends a signal and waits for what comes of it.
func (m *mine) end(signal syscall.Signal) syscall.WaitStatus {
	m.t.Helper()
	if err := m.server.Process.Signal(signal); err != nil {
		m.t.Fatal(err)
	}
	select {
	case <-m.ended:
	case <-time.After(time.Minute):
		m.t.Fatalf("the server does not end by %v", signal)
	}
	return m.server.ProcessState.Sys().(syscall.WaitStatus)
}

// run is a command on the same data directory. What it says is searched later; what
// it says on standard output is returned.
func (m *mine) run(args ...string) []byte {
	m.t.Helper()
	out, said, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("sallyport %s: %v\n%s%s", strings.Join(args, " "), err, out, said)
	}
	m.saw(strings.Join(args, " "), append(slices.Clone(out), said...))
	return out
}

// told is run for commands whose purpose is to tell a secret, once: standard
// output is not searched.
func (m *mine) told(into any, args ...string) {
	m.t.Helper()
	out, said, err := m.try(append(args, "-o", "json")...)
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		m.t.Fatalf("sallyport %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	m.saw(strings.Join(args, " "), said)
}

// fails is a command that is refused.
func (m *mine) fails(args ...string) {
	m.t.Helper()
	out, said, err := m.try(args...)
	if err == nil {
		m.t.Errorf("sallyport %s was not refused", strings.Join(args, " "))
	}
	m.saw(strings.Join(args, " "), append(out, said...))
}

func (m *mine) try(args ...string) (stdout, stderr []byte, err error) {
	cmd := exec.CommandContext(m.t.Context(), "sallyport", append(args, "--data", "d")...)
	cmd.Dir, cmd.Env = m.home, m.env
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	return out.Bytes(), said.Bytes(), err
}

func (m *mine) saw(where string, content []byte) { m.shown[where] = append(m.shown[where], content...) }

func (m *mine) file(name, content string) string {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.home, name), []byte(content), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return name
}

// fill gives the server its secrets, and a phone that brings its own.
func (m *mine) fill() {
	m.t.Helper()
	m.run("user", "add", "--upn", "alice@example.test", "--email", "alice@example.test")
	m.run("secret", "set", "mail-password", "--file", m.file("mail-password", canaryMail+"\n"))
	m.run("secret", "set", "alice-p12", "--user", "alice@example.test", "--pkcs12", m.pkcs12("alice.p12", canaryFile, false), "--password-file", m.file("p12-password", canaryFile))
	m.run("template", "apply", "-f", m.file("mail.yaml", canaryTemplate))
	if err := os.Mkdir(filepath.Join(m.home, "keys"), 0o700); err != nil {
		m.t.Fatal(err)
	}
	m.pkcs12("keys/smime.p12", canarySMIME, false)
	m.run("smime", "import", "keys", "--csv", m.file("keys.csv", "mail,file,password\nalice@example.test,smime.p12,"+canarySMIME+"\n"))
	m.run("ca", "import", m.pkcs12("ca.p12", canaryPassphrase, true), "--passphrase-file", m.file("ca-passphrase", canaryPassphrase))

	var invited []adminapi.IssuedInvitation
	m.told(&invited, "invite", "--user", "alice@example.test", "--pin")
	m.pin = invited[0].PIN
	m.canaries.add(m.t, "invitation code", []byte(filepath.Base(invited[0].URL)))
	m.enroll(invited[0].URL, invited[0].PIN)
	m.told(&invited, "invite", "--user", "alice@example.test", "--pin") // stays open
	m.canaries.add(m.t, "another invitation code", []byte(filepath.Base(invited[0].URL)))

	var challenge struct{ Challenge string }
	m.told(&challenge, "scep", "challenge", "--user", "alice@example.test")
	m.canaries.add(m.t, "SCEP challenge", []byte(challenge.Challenge))
	var token struct{ Token string }
	m.told(&token, "token", "create", "--role", "admin", "--owner", "canary")
	m.canaries.add(m.t, "API token", []byte(token.Token))
	admin, err := os.ReadFile(filepath.Join(m.home, "d", app.TokenFile))
	if err != nil {
		m.t.Fatal(err)
	}
	m.canaries.add(m.t, "admin token", bytes.TrimSpace(admin))
}

const canaryTemplate = `name: mail
assign: everyone
accounts:
  - name: Company mail
    host: mail.example.test
    password: {secret: mail-password}
    identity: pkcs12
    pkcs12: alice-p12
    smime:
      sign: {enabled: true, identity: smime}
      encrypt: {by_default: true, identity: smime}
`

func (m *mine) enroll(invitation, pin string) {
	m.t.Helper()
	root, err := os.ReadFile(filepath.Join(m.home, "d", app.RootFile))
	if err != nil {
		m.t.Fatal(err)
	}
	block, _ := pem.Decode(root)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		m.t.Fatal(err)
	}
	phone, err := agent.New(agent.Options{Dir: m.t.TempDir(), CA: []*x509.Certificate{cert}, PIN: secret.New(pin)})
	if err != nil {
		m.t.Fatal(err)
	}
	defer phone.Close()
	if err := phone.Enroll(m.t.Context(), invitation); err != nil {
		m.t.Fatal(err)
	}
	shown, err := phone.Show()
	if err != nil {
		m.t.Fatal(err)
	}
	if len(shown.Accounts) != 1 || !shown.Accounts[0].Password || !shown.Accounts[0].Certificate {
		m.t.Fatalf("the phone got %+v, want an account with its secrets", shown.Accounts)
	}
	m.run("device", "query", shown.EASDeviceID, "CertificateList")
	if err := phone.Connect(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

// pkcs12 writes a certificate for mail, or of a corporate CA, with a key that is a
// canary from then on.
func (m *mine) pkcs12(name, password string, isCA bool) string {
	m.t.Helper()
	make := func(subject string, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			m.t.Fatal(err)
		}
		template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: subject}
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(4, 0, 0)
		if parent == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			m.t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			m.t.Fatal(err)
		}
		return cert, key
	}
	var cert *x509.Certificate
	var key *ecdsa.PrivateKey
	var chain []*x509.Certificate
	if isCA {
		ca := func() *x509.Certificate {
			return &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		}
		root, rootKey := make("Corporate Root", ca(), nil, nil)
		cert, key = make("Corporate Issuing", ca(), root, rootKey)
		chain = []*x509.Certificate{root}
	} else {
		cert, key = make("alice@example.test", &x509.Certificate{
			EmailAddresses: []string{"alice@example.test"}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyAgreement,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageClientAuth},
		}, nil, nil)
	}
	m.canaries.addKey(m.t, "key of "+name, key)
	data, err := pkcs12.Modern2023.Encode(key, cert, chain, password)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.file(name, string(data))
}

// ask is everything that is there to be seen.
func (m *mine) ask() {
	for _, command := range []string{
		"doctor", "doctor -o json", "config show", "config show -o json", "version", "user list -o json", "template list", "template show mail", "secret list -o json",
		"smime list -o json", "device list -o json", "invitation list -o json", "token list -o json", "ca show -o json", "ca list -o json", "audit list -o json", "push status", "template preview mail --user alice@example.test",
	} {
		m.run(strings.Fields(command)...)
	}
	for _, path := range []string{"/metrics", "/api/v1/audit?limit=1000", "/api/v1/secrets", "/api/v1/smime", "/api/v1/devices", "/api/v1/ca/authorities", "/api/v1/push", "/api/v1/invitations", "/api/v1/tokens"} {
		if status := m.call(http.MethodGet, path, "", nil); status != http.StatusOK {
			m.t.Errorf("GET %s: status %d", path, status)
		}
	}
}

// refused asks for what is refused, with secrets in it: an answer, and the log, must not
// repeat them.
func (m *mine) refused() {
	m.fails("secret", "set", "alice-p12", "--pkcs12", "alice.p12", "--password-file", m.file("wrong", canaryWrong))
	m.fails("ca", "import", "ca.p12", "--passphrase-file", "wrong")
	m.fails("smime", "import", "keys", "--csv", m.file("wrong.csv", "mail,file,password\nalice@example.test,smime.p12,"+canaryWrong+"\n"))
	m.fails("template", "apply", "-f", m.file("wrong.yaml", strings.Replace(canaryTemplate, "{secret: mail-password}", canaryMail, 1)))
	m.fails("ca", "rotate-kek") // a server is there
	for _, r := range []struct{ method, path, token, body string }{
		{"PUT", "/api/v1/secrets/mail-password", "", `{"kind": "password", "value": "` + canaryMail}, // cut off
		{"PUT", "/api/v1/secrets/mail-password", "", `{"kind": "password", "value": ["` + canaryMail + `"]}`},
		{"PUT", "/api/v1/secrets/mail-password", "", `{"kind": "` + canaryMail + `", "value": "x"}`},
		{"PUT", "/api/v1/secrets/mail-password", canaryBearer, `{"kind": "password", "value": "` + canaryMail + `"}`},
		{"GET", "/api/v1/users", canaryBearer, ""},
		{"GET", "/api/v1/users?token=" + canaryQuery, "", ""},
		{"GET", "/scep?operation=PKIOperation&message=" + canaryQuery, "", ""},
		{"GET", "/enroll/" + canaryQuery, "", ""},
		{"POST", "/mdm", "", canaryMail},
		{"POST", "/api/v1/" + canaryQuery, "", ""},
	} {
		if status := m.call(r.method, r.path, r.token, []byte(r.body)); status < 400 && !strings.Contains(r.path, "?token=") && !strings.Contains(r.path, "/enroll/") {
			m.t.Errorf("%s %.40s: status %d, want a refusal", r.method, r.path, status)
		}
	}
}

// call asks the server and keeps its answer, headers and all.
func (m *mine) call(method, path, token string, body []byte) int {
	m.t.Helper()
	local, err := app.ReadLocal(filepath.Join(m.home, "d"))
	if err != nil {
		m.t.Fatal(err)
	}
	if token == "" {
		token = local.Token.Reveal()
	}
	req, err := http.NewRequestWithContext(m.t.Context(), method, local.URL+path, bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: local.TLS(), TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	m.saw(fmt.Sprintf("answer to %s %.30s %.60s", method, path, body), append(fmt.Appendf(nil, "%s %v\n", resp.Status, resp.Header), answer...))
	return resp.StatusCode
}

// look is what the machine shows of the process, and a backup.
func (m *mine) look() {
	m.run("backup", "fleet.backup")
	m.keep("fleet.backup")
	if runtime.GOOS != "linux" {
		return
	}
	proc := fmt.Sprintf("/proc/%d/", m.server.Process.Pid)
	for _, name := range []string{"cmdline", "environ", "status", "stat", "maps", "comm"} {
		// maps is closed to whoever may not trace it, as it should be.
		if content, err := os.ReadFile(proc + name); err == nil {
			m.saw(proc+name, content)
		} else if name == "cmdline" {
			m.t.Error(err)
		}
	}
	if !bytes.Contains(m.shown[proc+"cmdline"], []byte("serve")) {
		m.t.Errorf("the command line is %q", m.shown[proc+"cmdline"])
	}
	if m.inEnv && !bytes.Contains(m.shown[proc+"environ"], []byte("SALLYPORT_KEK=xxxx")) {
		m.t.Errorf("the environment is %q, want the key overwritten", m.shown[proc+"environ"])
	}
}

func (m *mine) keep(name string) {
	m.t.Helper()
	content, err := os.ReadFile(filepath.Join(m.home, name))
	if err != nil {
		m.t.Fatal(err)
	}
	m.saw(name, content)
}

// crash ends the server twice: with the dump of its stacks that Go writes for
// SIGQUIT, and so that the system would dump its memory.
func (m *mine) crash() {
	for _, suffix := range []string{"", "-wal"} {
		m.keep(filepath.Join("d", app.DatabaseFile+suffix)) // as they are in the middle of work
	}
	m.end(syscall.SIGQUIT)
	m.keep("server.log")
	if !bytes.Contains(m.shown["server.log"], []byte("SIGQUIT: quit")) || !bytes.Contains(m.shown["server.log"], []byte("goroutine ")) || !bytes.Contains(m.shown["server.log"], []byte(`"level":"DEBUG"`)) {
		m.t.Error("the log has no stacks, or nothing of debugging: this does not see what it should")
	}
	if runtime.GOOS == "linux" {
		m.noCore()
	}
}

func (m *mine) noCore() {
	m.t.Helper()
	control := exec.Command("sh", "-c", "ulimit -c unlimited; exec sleep 60")
	control.Dir = m.t.TempDir()
	if err := control.Start(); err != nil {
		m.t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // it is to be sleep, not sh
	_ = control.Process.Signal(syscall.SIGABRT)
	_ = control.Wait()
	if !control.ProcessState.Sys().(syscall.WaitStatus).CoreDump() {
		m.t.Log("SKIPPED in part: this system dumps no cores, so that nothing is shown by the server's dumping none")
		return
	}
	m.start("GOTRACEBACK=crash")
	if status := m.end(syscall.SIGABRT); !status.Signaled() || status.CoreDump() {
		m.t.Errorf("the server ended by %v, core dumped: %t; want a crash and no core", status.Signal(), status.CoreDump())
	}
	m.keep("server.log")
}

// collect makes canaries of all that the server has made or was sent, by opening its
// database with its key, and takes up every file that was left.
func (m *mine) collect() {
	m.t.Helper()
	ctx := context.WithoutCancel(m.t.Context())
	sealer, err := secret.NewSealer(m.kek)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, purpose := range append(enroll.MACPurposes(), access.MACPurposes()...) {
		key, err := sealer.MACKey(sealer.KeyID(), purpose)
		if err != nil {
			m.t.Fatal(err)
		}
		m.canaries.add(m.t, "key for HMACs of "+purpose, key)
	}
	m.files() // before the database is opened, which tidies it up
	db, err := store.Open(ctx, store.Options{Path: filepath.Join(m.home, "d", app.DatabaseFile), Sealer: sealer})
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close()
	keys, err := db.Keys().Keys(ctx)
	if err != nil || len(keys) < 5 {
		m.t.Fatalf("%d keys of the authority, %v", len(keys), err)
	}
	for _, k := range keys {
		if len(k.Key) > 0 {
			m.canaries.addDER(m.t, "key of the authority: "+string(k.Role), k.Key)
		}
	}
	list, err := db.SMIME().ListSMIME(ctx, certs.SMIMEFilter{})
	if err != nil || len(list) < 2 {
		m.t.Fatalf("%d S/MIME keys, %v", len(list), err)
	}
	for _, k := range list {
		whole, err := db.SMIME().SMIMEKeys(ctx, k.UserID, []string{k.ID})
		if err != nil {
			m.t.Fatal(err)
		}
		m.canaries.addDER(m.t, fmt.Sprintf("%s S/MIME key for %s", k.Source, k.Usage), whole[0].Key)
	}
	var devices accessapi.Devices
	if err := json.Unmarshal(m.shown["device list -o json"], &devices.Devices); err != nil || len(devices.Devices) != 1 {
		m.t.Fatalf("%d devices, %v", len(devices.Devices), err)
	}
	push, err := db.Enrollments().Push(ctx, mdm.EnrollmentID(devices.Devices[0].Enrollment.ID))
	if err != nil {
		m.t.Fatal(err)
	}
	m.canaries.add(m.t, "push token", []byte(push.Token.Reveal()))
	m.canaries.add(m.t, "push magic", []byte(push.Magic.Reveal()))
	m.canaries.add(m.t, "unlock token", []byte(push.UnlockToken.Reveal()))
}

// files are those of the data directory, but for the two that hold a secret because
// that is what they are for.
func (m *mine) files() {
	m.t.Helper()
	err := filepath.WalkDir(filepath.Join(m.home, "d"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch e.Name() {
		case app.KeyFile:
			if found := m.canaries.find(content); !slices.Contains(found, "key-encryption key") {
				m.t.Errorf("the key file shows %v: the search does not find what is there", found)
			}
		case app.TokenFile:
			if found := m.canaries.find(content); !slices.Contains(found, "admin token") {
				m.t.Errorf("the token's file shows %v: the search does not find what is there", found)
			}
		default:
			m.saw("left behind: "+e.Name(), content)
		}
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *mine) search() {
	m.t.Helper()
	// Six digits are in many things: of a PIN only those count that stand by themselves.
	pin := regexp.MustCompile(`(^|[^0-9.])` + m.pin + `([^0-9]|$)`)
	size := 0
	for _, where := range slices.Sorted(maps.Keys(m.shown)) {
		size += len(m.shown[where])
		for _, name := range m.canaries.find(m.shown[where]) {
			m.t.Errorf("%s is in clear in: %s", name, where)
		}
		if pin.Match(m.shown[where]) {
			m.t.Errorf("the PIN is in clear in: %s", where)
		}
	}
	m.t.Logf("%d forms of secrets looked for in %d places of %d KiB", len(m.canaries.forms), len(m.shown), size>>10)
}

// TestUnitDumpsNoCore: its filter of system calls may keep the server from setting
// the limit itself.
func TestUnitDumpsNoCore(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("../../deploy/systemd/sallyport.service")
	if err != nil || !bytes.Contains(unit, []byte("\nLimitCORE=0\n")) {
		t.Errorf("no LimitCORE=0 in the unit (%v)", err)
	}
}
