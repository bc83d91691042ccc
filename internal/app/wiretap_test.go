package app_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/smallstep/pkcs7"

	"sallyport/internal/app"
	"sallyport/internal/cms"
	"sallyport/internal/config"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// serving is a server in this process, and what a test needs to hurt it.
type serving struct {
	*client
	app *app.App
}

func serve(t *testing.T, cfg config.Config) serving {
	t.Helper()
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test"})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		must(t, a.Close())
	})
	return serving{client: newClient(t, cfg.Data), app: a}
}

// taken is one message of a phone as it went over the wire.
type taken struct {
	body   []byte
	header http.Header
}

// tap keeps what passes to /mdm.
type tap struct {
	http.RoundTripper
	mu       sync.Mutex
	messages []taken
}

func (p *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		p.messages = append(p.messages, taken{body: body, header: r.Header.Clone()})
		p.mu.Unlock()
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return p.RoundTripper.RoundTrip(r)
}

// enrolled is a phone that has enrolled, with all that it said.
type enrolled struct {
	phone *agent.Phone
	id    cms.Identity
	said  []taken
}

// enrol takes a new phone through its whole enrolment.
func (c *client) enrol(user string) enrolled {
	c.t.Helper()
	dir := filepath.Join(c.t.TempDir(), "phone")
	listening := &tap{RoundTripper: c.http.Transport}
	phone, err := agent.New(agent.Options{
		Dir: dir, CA: []*x509.Certificate{c.root}, HTTP: &http.Client{Transport: listening, Timeout: patience},
	})
	must(c.t, err)
	c.t.Cleanup(phone.Close)
	must(c.t, phone.Enroll(c.t.Context(), c.invite(adminapi.InvitationRequest{User: user, Ownership: "corporate"}).URL))
	return enrolled{phone: phone, id: identityOf(c.t, dir, listening.messages[0]), said: listening.messages}
}

// identityOf finds the certificate with which a message was signed, and its key.
func identityOf(t testing.TB, dir string, m taken) cms.Identity {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(m.header.Get("Mdm-Signature"))
	must(t, err)
	p7, err := pkcs7.Parse(der)
	must(t, err)
	id := cms.Identity{Certificate: p7.GetOnlySigner()}
	files, err := filepath.Glob(filepath.Join(dir, "keys", "*.pem"))
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		block, _ := pem.Decode(text)
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		must(t, err)
		public, ok := id.Certificate.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		if signer := key.(crypto.Signer); ok && public.Equal(signer.Public()) {
			id.Key = signer
		}
	}
	if id.Key == nil {
		t.Fatalf("no key of the phone's identity among %d files", len(files))
	}
	return id
}

func signature(t testing.TB, body []byte, id cms.Identity) string {
	t.Helper()
	der, err := cms.SignDetached(body, id)
	must(t, err)
	return base64.StdEncoding.EncodeToString(der)
}

// showing is a client that answers a request for a client certificate with id.
func (c *client) showing(id cms.Identity) *http.Client {
	transport := c.http.Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{id.Certificate.Raw}, PrivateKey: id.Key}, nil
	}
	c.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// put sends a message to /mdm.
func put(t testing.TB, by *http.Client, url string, body []byte, header http.Header) (status int, answer []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/mdm", bytes.NewReader(body))
	must(t, err)
	r.Header = header
	resp, err := by.Do(r)
	must(t, err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, answer
}
