package app_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/server/adminapi"
)

// site is what stands in deploy/nginx/sallyport.conf under "yours".
type site struct {
	sallyport string // address
	root      []byte // its root, PEM
	mailbox   string // address of the mail server
	mailboxCA string // file
	mailName  string // in the mail server's certificate
	token     string
}

// nginxGate is Debian's nginx with the file that is shipped.
type nginxGate struct {
	url string // of ActiveSync
	dir string
}

// needs skips a test where a program is missing, and fails it in CI, which installs them.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is missing: .ci/install installs it", p)
		}
		t.Logf("SKIPPED %s: %s is missing; run .ci/install", t.Name(), p)
		t.Skip("the mail gate was not tried")
	}
}

func (s site) start(t *testing.T) nginxGate {
	t.Helper()
	needs(t, "nginx")
	g := nginxGate{dir: t.TempDir()}
	file := func(name string, content []byte, mode os.FileMode) string {
		path := filepath.Join(g.dir, name)
		must(t, os.WriteFile(path, content, mode))
		return path
	}
	address := freeAddress(t)
	certificate, key := serverPair(t)
	shipped, err := os.ReadFile(filepath.Join("..", "..", "deploy", "nginx", "sallyport.conf"))
	must(t, err)
	conf := string(shipped)
	for _, yours := range []struct{ shipped, here string }{
		{"server 127.0.0.1:8443;", "server " + s.sallyport + ";"},
		{"server 192.0.2.10:443;", "server " + s.mailbox + ";"},
		{"listen 443 ssl;", "listen " + address + " ssl;"},
		{"/etc/ssl/mail.example.com/fullchain.pem", file("cert.pem", certificate, 0o644)},
		{"/etc/ssl/mail.example.com/privkey.pem", file("key.pem", key, 0o600)},
		{"/var/log/nginx/sallyport.log", filepath.Join(g.dir, "access.log")},
		{"proxy_ssl_name mail.example.com;", "proxy_ssl_name " + s.mailName + ";"},
		{"/etc/ssl/certs/ca-certificates.crt", s.mailboxCA},
		{"proxy_ssl_name mdm.example.com;", "proxy_ssl_name localhost;"},
		{"/etc/nginx/sallyport-ca.pem", file("sallyport-ca.pem", s.root, 0o644)},
		{"/etc/nginx/sallyport-token.conf", file("sallyport-token.conf", fmt.Appendf(nil, "proxy_set_header X-Sallyport-Token %q;\n", s.token), 0o600)},
	} {
		if !strings.Contains(conf, yours.shipped) {
			t.Fatalf("deploy/nginx/sallyport.conf has no %q", yours.shipped)
		}
		conf = strings.ReplaceAll(conf, yours.shipped, yours.here)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the test's own folder is closed to everybody else
	}
	main := fmt.Sprintf(`%[1]s daemon off; worker_processes 2; pid %[2]s/pid; error_log %[2]s/error.log notice;
events { worker_connections 4096; }
http {
    client_body_temp_path %[2]s/b; proxy_temp_path %[2]s/p; fastcgi_temp_path %[2]s/f; uwsgi_temp_path %[2]s/u; scgi_temp_path %[2]s/s;
    include %[3]s;
}
`, user, g.dir, file("sallyport.conf", []byte(conf), 0o600))
	g.run(t, file("nginx.conf", []byte(main), 0o600), address)
	g.url = "https://" + address + "/Microsoft-Server-ActiveSync"
	return g
}

// run starts nginx, and ends it with the test.
func (g nginxGate) run(t *testing.T, conf, address string) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("nginx", "-p", g.dir+"/", "-e", filepath.Join(g.dir, "error.log"), "-c", conf)
	cmd.Stdout, cmd.Stderr = &said, &said
	must(t, cmd.Start())
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // fast shutdown, workers too
		<-exited
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(g.dir, "error.log"))
			t.Logf("nginx's errors:\n%s", log[max(0, len(log)-4000):])
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-exited:
			t.Fatalf("nginx ended:\n%s", said.Bytes())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not listen:\n%s", said.Bytes())
		}
	}
}

// log is the access log so far.
func (g nginxGate) log(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, "access.log"))
	must(t, err)
	return string(text)
}

// client trusts the gate's certificate, whatever it is: that is not what is tried.
func (g nginxGate) client() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig.InsecureSkipVerify = true
	transport.MaxIdleConnsPerHost = 64
	return &http.Client{Transport: transport, Timeout: patience}
}

// serverPair is a certificate for mail.example.com with its key, both PEM.
func serverPair(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	plain := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "mail.example.com"}, DNSNames: []string{"mail.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, plain, plain, private.Public(), private)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// engineToken makes a token for a gate.
func (c *client) engineToken() string {
	c.t.Helper()
	var issued adminapi.TokenIssued
	c.post("/api/v1/tokens", adminapi.TokenRequest{Role: "engine", Owner: "nginx"}, &issued)
	return issued.Text
}

// before is the site with that mail server behind its gate.
func (s site) before(mail site) site {
	s.mailbox, s.mailboxCA, s.mailName = mail.mailbox, mail.mailboxCA, mail.mailName
	return s
}

// gateSite is a site whose Sallyport is c's.
func (c *client) gateSite(t *testing.T) site {
	t.Helper()
	_, address, ok := strings.Cut(c.local.URL, "https://")
	if !ok {
		t.Fatalf("Sallyport is at %s", c.local.URL)
	}
	return site{
		sallyport: address, token: c.engineToken(),
		root: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.root.Raw}),
	}
}
