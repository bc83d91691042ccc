package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/secret"
)

// clientPatience is for a client of somebody else's that does not come back.
const clientPatience = 2 * time.Minute

// scepServer is a server for clients that others wrote, by plain HTTP as they
// like it. Every certificate is due from the beginning: their clocks cannot be moved.
type scepServer struct {
	*App
	t    *testing.T
	user directory.User
	url  string // of /scep
	dir  string // for files of the client
}

func newSCEPServer(t *testing.T, change func(*config.Config)) *scepServer {
	t.Helper()
	cfg := settingsIn(t.TempDir())
	cfg.ListenHTTP = "127.0.0.1:0"
	if change != nil {
		change(&cfg)
	}
	a, err := New(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	a.rooms.issuer.Window = 365 * 24 * time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = a.Close()
	})
	if _, err := a.rooms.users.Save(t.Context(), []directory.User{{UPN: "alice@example.test", Email: "alice@example.test"}}); err != nil {
		t.Fatal(err)
	}
	user, err := a.rooms.users.Get(t.Context(), "alice@example.test")
	if err != nil {
		t.Fatal(err)
	}
	return &scepServer{App: a, t: t, user: user, url: "http://" + a.bound["listen_http"].Addr().String() + "/scep", dir: t.TempDir()}
}

// challenge is one that an admin asked for by hand.
func (s *scepServer) challenge() string {
	s.t.Helper()
	challenge, err := s.rooms.issuer.Mint(s.t.Context(), certs.Grant{
		Rule: certs.RuleMailIdentity, CommonName: s.user.UPN, UPN: s.user.UPN, Mail: s.user.Email, UserID: string(s.user.ID), RequestedBy: "ann",
	}, time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return challenge.Reveal()
}

func (s *scepServer) path(name string) string { return filepath.Join(s.dir, name) }

func (s *scepServer) write(name string, der []byte, kind string) string {
	s.t.Helper()
	data := der
	if kind != "" {
		data = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	if err := os.WriteFile(s.path(name), data, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return s.path(name)
}

// key writes a new RSA key.
func (s *scepServer) key(name string) string {
	s.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.write(name, x509.MarshalPKCS1PrivateKey(key), "RSA PRIVATE KEY")
}

// run ends the test when a client fails, and returns what it wrote.
func (s *scepServer) run(env []string, name string, args ...string) []byte {
	s.t.Helper()
	out, err := s.try(env, name, args...)
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s\nrefused because of %s", name, args, err, out, s.lastRefusal())
	}
	return out
}

func (s *scepServer) try(env []string, name string, args ...string) ([]byte, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), clientPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		out = append(out, stderr.Bytes()...)
	}
	return out, err
}

// lastRefusal is the trail's newest word on a refused request.
func (s *scepServer) lastRefusal() string {
	entries, err := s.db.Audit().List(s.t.Context(), audit.Filter{Action: "certificate.issue", Limit: 1000})
	if err != nil {
		return err.Error()
	}
	for _, e := range slices.Backward(entries) {
		if e.Outcome == audit.Refused {
			return e.Detail["reason"]
		}
	}
	return "nothing"
}

// ours reads a certificate that a client kept, in PEM or DER, and holds it against the record.
func (s *scepServer) ours(data []byte) (*x509.Certificate, certs.Certificate) {
	s.t.Helper()
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	cert, err := x509.ParseCertificate(data)
	if err != nil {
		s.t.Fatalf("what the client has is no certificate: %v", err)
	}
	row, err := s.rooms.issuer.Lookup(s.t.Context(), hex.EncodeToString(secret.Hash(string(cert.Raw))))
	if err != nil {
		s.t.Fatal(err)
	}
	if row.UserID != string(s.user.ID) || row.Rule != certs.RuleMailIdentity || cert.Subject.CommonName != "alice@example.test" || strings.Contains(cert.Subject.String(), "Mallory") {
		s.t.Errorf("certificate %s, row %+v", cert.Subject, row)
	}
	return cert, row
}

func (s *scepServer) read(name string) []byte {
	s.t.Helper()
	data, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return data
}

// need skips a test whose client is not installed; in CI it must be.
func need(t *testing.T, program, debian string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: .ci/install installs it", program)
		}
		t.Skipf("SKIPPED: %s is not here (apt-get install %s)", program, debian)
	}
	return path
}

// renewed compares what a client has with what it had.
func (s *scepServer) renewed(before, after *x509.Certificate) {
	s.t.Helper()
	if before.Equal(after) || before.SerialNumber.Cmp(after.SerialNumber) == 0 {
		s.t.Error("not renewed")
	}
}

// TestStrongSwan enrols and renews with strongSwan's own client, in each of its
// ciphers and digests that are sound.
func TestStrongSwan(t *testing.T) {
	t.Parallel()
	pki := need(t, "pki", "strongswan-pki")
	for _, with := range [][]string{
		{"--cipher", "aes", "--digest", "sha256"}, {"--cipher", "aes", "--digest", "sha384"},
		{"--cipher", "des3", "--digest", "sha512"},
	} {
		t.Run(with[1]+" "+with[3], func(t *testing.T) {
			t.Parallel()
			s := newSCEPServer(t, nil)
			s.run(nil, pki, "--scepca", "--url", s.url, "--caout", "ca.pem", "--raout", "ra.pem", "--outform", "pem", "--force")
			ra, root, issuing := s.path("ra.pem"), s.path("ca.pem"), s.path("ca-1.pem")
			request := func(key string, more ...string) []byte {
				args := append([]string{"--scep", "--url", s.url, "--in", key, "--dn", "CN=Mallory, O=Elsewhere", "--san", "mallory@example.test",
					"--cacert-enc", ra, "--cacert-sig", ra, "--cacert", issuing, "--cacert", root, "--outform", "pem"}, with...)
				return s.run(nil, pki, append(args, more...)...)
			}
			first := s.key("first.pem")
			old, _ := s.ours(request(first, "--password", s.challenge()))
			oldFile := s.write("old.pem", old.Raw, "CERTIFICATE")
			second := s.key("second.pem")
			now, _ := s.ours(request(second, "--cert", oldFile, "--key", first))
			s.renewed(old, now)
			if out, err := s.try(nil, pki, "--scep", "--url", s.url, "--in", s.key("third.pem"), "--dn", "CN=Mallory",
				"--cacert-enc", ra, "--cacert-sig", ra, "--cacert", issuing, "--cacert", root, "--cert", oldFile, "--key", first); err == nil {
				t.Errorf("renewed twice by one certificate: %s", out)
			}
		})
	}
}

// TestCertmonger has the certmonger daemon, with no bus and directories of its
// own, add our CA, enrol, and renew: with the same key, and then with another.
func TestCertmonger(t *testing.T) {
	t.Parallel()
	certmonger, getcert := need(t, "certmonger", "certmonger"), need(t, "getcert", "certmonger")
	need(t, "/usr/lib/certmonger/scep-submit", "certmonger")
	s := newSCEPServer(t, nil)
	var env []string
	for _, name := range []string{"CONFIG", "REQUESTS", "CAS", "LOCAL_CA", "TMP"} {
		dir := s.path(strings.ToLower(name))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		suffix := "_DIR"
		if name == "TMP" {
			suffix = "DIR"
		}
		env = append(env, "CERTMONGER_"+name+suffix+"="+dir)
	}
	script := fmt.Sprintf(`set -eu
cd %s
%s add-scep-ca -c sallyport -u %s
%[2]s request -c sallyport -I mail -k $PWD/key.pem -f $PWD/cert.pem -N "CN=Mallory" -E mallory@example.test -L %[4]s -w -v
cp cert.pem old.pem
%[2]s resubmit -i mail -w -v
cp cert.pem again.pem
%[2]s rekey -i mail -w -v
%[2]s list -i mail
`, s.dir, getcert, s.url, s.challenge())
	t.Logf("%s", s.run(env, certmonger, "-n", "-L", "-P", s.path("socket"), "-c", "/bin/sh "+s.write("script", []byte(script), "")))
	old, _ := s.ours(s.read("old.pem"))
	again, _ := s.ours(s.read("again.pem"))
	s.renewed(old, again)
	now, _ := s.ours(s.read("cert.pem"))
	s.renewed(again, now)
	if bytes.Equal(again.RawSubjectPublicKeyInfo, now.RawSubjectPublicKeyInfo) || !bytes.Equal(again.RawSubjectPublicKeyInfo, old.RawSubjectPublicKeyInfo) {
		t.Error("resubmit takes a new key, or rekey the old one")
	}
}

// TestScepclient enrols with Debian's client, which knows single DES and SHA-1
// alone, and encrypts to every certificate of GetCACert unless one is named: that
// ends in a panic of its own at the first key that is not RSA.
func TestScepclient(t *testing.T) {
	t.Parallel()
	scepclient := need(t, "scepclient", "scep")
	s := newSCEPServer(t, func(c *config.Config) { c.SCEPLegacy = true })
	ra := hex.EncodeToString(secret.Hash(string(s.rooms.authority.RA().Certificate.Raw)))
	args := func(name string, challenge string) []string {
		name = filepath.Join(name, name) // it keeps its request beside its key, and sends that again
		if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		return []string{"-server-url", s.url, "-ca-fingerprint", ra, "-challenge", challenge, "-private-key", s.path(name + ".key"), "-certificate", s.path(name + ".pem"), "-cn", "Mallory"}
	}
	s.run(nil, scepclient, args("good", s.challenge())...)
	s.ours(s.read("good/good.pem"))
	refused := func(name, challenge string) { // it does not always say so by its exit code
		t.Helper()
		_, _ = s.try(nil, scepclient, args(name, challenge)...)
		if data, err := os.ReadFile(s.path(filepath.Join(name, name+".pem"))); err == nil {
			t.Errorf("%s: got a certificate: %s", name, data)
		}
	}
	refused("guessed", strings.Repeat("0", 64))
	strict := newSCEPServer(t, nil)
	s.url, ra = strict.url, hex.EncodeToString(secret.Hash(string(strict.rooms.authority.RA().Certificate.Raw)))
	refused("strict", strict.challenge())
}

// TestPlainHTTP: caps, CA certificates and a CRL by the listener without TLS,
// and nothing else.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	s := newSCEPServer(t, nil)
	base := strings.TrimSuffix(s.url, "/scep")
	issuing := hex.EncodeToString(s.rooms.authority.Issuing().SubjectKeyId)
	for path, want := range map[string]string{
		"/scep?operation=GetCACaps":  "text/plain",
		"/scep?operation=GetCACert":  "application/x-x509-ca-ra-cert",
		"/crl/" + issuing + ".crl":   "application/pkix-crl",
		"/crl/" + issuing:            "",
		"/enroll/AAAAAAAA":           "",
		"/api/v1/ca":                 "",
		"/mdm":                       "",
		"/crl/../api/v1/ca":          "",
		"/crl/%2e%2e/api/v1/users":   "",
		"/scep/../api/v1/ca":         "",
		"/scep?operation=GetCACert&": "application/x-x509-ca-ra-cert",
	} {
		resp, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if want == "" {
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %s", path, resp.Status)
			}
			continue
		}
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != want || len(body) == 0 {
			t.Errorf("%s: %s, %s, %d bytes", path, resp.Status, resp.Header.Get("Content-Type"), len(body))
		}
		if want == "application/pkix-crl" {
			list, err := x509.ParseRevocationList(body)
			if err != nil || list.CheckSignatureFrom(s.rooms.authority.Issuing()) != nil {
				t.Errorf("CRL: %v", err)
			}
		}
	}
}
