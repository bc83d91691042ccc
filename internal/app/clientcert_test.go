package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/cms"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// strange is a certificate that nobody here has issued.
func strange(t testing.TB, name string, notAfter time.Time) cms.Identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: notAfter.Add(-time.Hour), NotAfter: notAfter,
		DNSNames: []string{name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return cms.Identity{Certificate: c, Key: key}
}

// TestClientCertificateInTLS: what a phone shows in the handshake proves it as
// its signature does, and whatever it shows, it gets an answer.
func TestClientCertificateInTLS(t *testing.T) {
	t.Parallel()
	cfg := testConfig(filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	cfg.AdminListen = "127.0.0.1:0"
	s := serve(t, cfg)
	s.seed()
	e, other := s.enrol(alice), s.enrol(alice)
	idle := []byte(`<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict><key>Status</key><string>Idle</string><key>UDID</key><string>` +
		show(t, e.phone).UDID + `</string></dict></plist>`)
	signed := func(id cms.Identity) http.Header {
		return http.Header{"Mdm-Signature": {signature(t, idle, id)}}
	}
	now := time.Now()
	tests := []struct {
		name   string
		by     *http.Client
		header http.Header
		want   int
	}{
		{"signature alone", s.http, signed(e.id), 200},
		{"certificate alone", s.showing(e.id), http.Header{}, 200},
		{"both", s.showing(e.id), signed(e.id), 200},
		{"neither", s.http, http.Header{}, 400},
		{"certificate of one, signature of another", s.showing(other.id), signed(e.id), 400},
		{"certificate of another phone", s.showing(other.id), http.Header{}, 400},
		{"a stranger's", s.showing(strange(t, "stranger", now.Add(time.Hour))), http.Header{}, 400},
		{"a stranger's, expired", s.showing(strange(t, "stranger", now.Add(-time.Hour))), http.Header{}, 400},
		{"a stranger's, with a good signature", s.showing(strange(t, "stranger", now.Add(time.Hour))), signed(e.id), 400},
		{"a header from somebody who is no proxy", s.http, http.Header{"Client-Cert": {field(e.id)}}, 400},
		{"a header from somebody who is no proxy changes nothing", s.http, with(signed(e.id), "Client-Cert", field(other.id)), 200},
	}
	for _, tt := range tests {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			transport := tt.by.Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.MinVersion, transport.TLSClientConfig.MaxVersion = version, version
			status, _ := put(t, &http.Client{Transport: transport, Timeout: patience}, s.app.PublicURL(), idle, tt.header.Clone())
			if status != tt.want {
				t.Errorf("%s, %s: status %d, want %d", tt.name, tls.VersionName(version), status, tt.want)
			}
			transport.CloseIdleConnections()
		}
	}
	checkAsking(t, s)
}

// checkAsking looks at the handshakes: only where phones come in is a
// certificate asked for, and only for one of ours.
func checkAsking(t *testing.T, s serving) {
	t.Helper()
	for address, want := range map[string]bool{s.app.PublicURL(): true, s.app.URL(): false} {
		asked := false
		transport := s.http.Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			if len(info.AcceptableCAs) != 2 {
				t.Errorf("%d authorities are named, want our root and the one below it", len(info.AcceptableCAs))
			}
			return &tls.Certificate{}, nil // none
		}
		resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get(address + "/healthz")
		must(t, err)
		must(t, resp.Body.Close())
		transport.CloseIdleConnections()
		if asked != want || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: a certificate is asked for: %v, want %v; status %d", address, asked, want, resp.StatusCode)
		}
	}
}

// field is the Client-Cert of an identity (RFC 9440).
func field(id cms.Identity) string {
	return ":" + base64.StdEncoding.EncodeToString(id.Certificate.Raw) + ":"
}

func with(h http.Header, name, value string) http.Header {
	h.Set(name, value)
	return h
}

// TestBehindProxy: a phone enrols through a reverse proxy that ends TLS. The
// proxy hands on its certificate and its address, and strips what it made up.
func TestBehindProxy(t *testing.T) {
	t.Parallel()
	var proxy atomic.Pointer[httputil.ReverseProxy]
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { proxy.Load().ServeHTTP(w, r) }))
	front.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	front.StartTLS()
	t.Cleanup(front.Close)

	cfg := testConfig(filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	cfg.PublicURL = front.URL
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	s := serve(t, cfg)
	behind, err := url.Parse(s.app.URL())
	must(t, err)
	var strip atomic.Bool // Mdm-Signature, to see that the certificate suffices
	proxy.Store(&httputil.ReverseProxy{
		Transport: s.http.Transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(behind)
			r.Out.Header.Set("X-Forwarded-For", "203.0.113.9")
			r.Out.Header.Del("Client-Cert")
			if strip.Load() {
				r.Out.Header.Del("Mdm-Signature")
			}
			if shown := r.In.TLS.PeerCertificates; len(shown) > 0 {
				r.Out.Header.Set("Client-Cert", field(cms.Identity{Certificate: shown[0]}))
			}
		},
	})
	s.seed()
	dir := filepath.Join(t.TempDir(), "phone")
	outside := &client{t: t, http: front.Client(), root: s.root}
	listening := &tap{RoundTripper: front.Client().Transport}
	phone, err := agent.New(agent.Options{Dir: dir, CA: []*x509.Certificate{s.root}, HTTP: &http.Client{Transport: listening, Timeout: patience}})
	must(t, err)
	t.Cleanup(phone.Close)
	must(t, phone.Enroll(t.Context(), s.invite(adminapi.InvitationRequest{User: alice}).URL))
	id := identityOf(t, dir, listening.messages[0])
	last := listening.messages[len(listening.messages)-1]

	strip.Store(true)
	if status, _ := put(t, outside.showing(id), front.URL, last.body, http.Header{}); status != http.StatusOK {
		t.Errorf("certificate alone, through the proxy: status %d, want 200", status)
	}
	if status, _ := put(t, outside.http, front.URL, last.body, http.Header{"Client-Cert": {field(id)}}); status != http.StatusBadRequest {
		t.Errorf("a certificate that the caller made up: status %d, want 400", status)
	}
	if status, _ := put(t, s.http, s.app.URL(), last.body, http.Header{"Client-Cert": {field(id), field(id)}}); status != http.StatusBadRequest {
		t.Errorf("a proxy that adds instead of replacing: status %d, want 400", status)
	}

	var entries adminapi.AuditEntries
	s.call(http.MethodGet, "/api/v1/audit?limit=1000", "", nil, &entries)
	var from []string
	for _, entry := range entries.Entries {
		if entry.Detail["address"] != "" {
			from = append(from, entry.Detail["address"])
		}
		if strings.HasPrefix(entry.Actor, "phone:127.") || strings.HasPrefix(entry.Actor, "page:127.") {
			t.Errorf("%s by %s: the proxy's address instead of the caller's", entry.Action, entry.Actor)
		}
	}
	if len(from) != 1 || from[0] != "203.0.113.9" {
		t.Errorf("refusals came from %v, want the caller's address", from)
	}
}
