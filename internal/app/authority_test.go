package app_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/server/adminapi"
)

// served is startConfigured with an end of one's own.
func served(t *testing.T, cfg config.Config) (*client, func()) {
	t.Helper()
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test"})
	must(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return newClient(t, cfg.Data), func() {
		cancel()
		must(t, errors.Join(<-done, a.Close()))
	}
}

// The root's key leaves before anything is saved, and what fails leaves nothing
// that a second try would stumble over.
func TestOfflineRoot(t *testing.T) {
	t.Parallel()
	cfg := testConfig(filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	full := errors.New("the disk is full")
	err := app.InitAuthority(t.Context(), cfg, certs.KeyP384, func(*x509.Certificate, crypto.Signer) error { return full })
	if !errors.Is(err, full) {
		t.Fatalf("%v", err)
	}
	var root certs.RootFile
	must(t, app.InitAuthority(t.Context(), cfg, certs.KeyP384, func(cert *x509.Certificate, key crypto.Signer) error {
		root = certs.RootFile{Certificate: cert, Key: key}
		return nil
	}))
	never := func(*x509.Certificate, crypto.Signer) error { t.Error("another root was made"); return nil }
	if err := app.InitAuthority(t.Context(), cfg, "", never); !errors.Is(err, certs.ErrAuthorityState) {
		t.Errorf("second authority: %v", err)
	}
	c, stop := served(t, cfg)
	defer stop()
	if !c.root.Equal(root.Certificate) {
		t.Errorf("root %s, want %s", c.root.Subject, root.Certificate.Subject)
	}
	if err := app.InitAuthority(t.Context(), cfg, "", never); err == nil {
		t.Error("an authority beside a server that runs")
	}
	for _, a := range c.line() {
		if a.State != certs.StateActive || a.KeyHere != (a.Role == "issuing") || a.Kind != certs.KeyP384 {
			t.Errorf("%+v", a)
		}
	}

	// A request, signed where the root is.
	var made adminapi.IssuingRequest
	c.post("/api/v1/ca/requests", adminapi.KindRequest{Kind: "rsa2048"}, &made)
	issuing, err := certs.SignRequest(root, []byte(made.CSR), certs.Options{}, time.Now())
	must(t, err)
	staged := c.stage(adminapi.IssuingImport{Chain: inPEM(issuing)})
	var step adminapi.AuthorityStep
	c.post("/api/v1/ca/issuing/"+staged.Fingerprint+"/activate", adminapi.StepRequest{}, &step)
	if step.Authority.State != certs.StateActive || step.Authority.Kind != "rsa2048" || step.Untold != 0 {
		t.Errorf("%+v", step)
	}
}

func (c *client) line() []adminapi.AuthorityCertificate {
	c.t.Helper()
	var all adminapi.Authorities
	c.call(http.MethodGet, "/api/v1/ca/authorities", "", nil, &all)
	return all.Authorities
}

func (c *client) stage(in adminapi.IssuingImport) certs.AuthorityInfo {
	c.t.Helper()
	var staged certs.AuthorityInfo
	c.post("/api/v1/ca/issuing", in, &staged)
	if staged.State != certs.StateStaged {
		c.t.Fatalf("%+v", staged)
	}
	return staged
}

func inPEM(list ...*x509.Certificate) string {
	var text strings.Builder
	for _, cert := range list {
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return text.String()
}

// corporate is a CA of somebody else's that signs a request of ours.
func corporate(t *testing.T, csr string) (issuing, root *x509.Certificate) {
	t.Helper()
	block, _ := pem.Decode([]byte(csr))
	if block == nil {
		t.Fatalf("no request: %s", csr)
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	ca := func(name string, serial int64, parent *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(8, 0, 0), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		if parent == nil {
			parent = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
		must(t, err)
		cert, err := x509.ParseCertificate(der)
		must(t, err)
		return cert
	}
	root = ca("Corporate Root", 1<<60, nil, key.Public())
	return ca("Corporate Issuing", 1<<61, root, request.PublicKey), root
}

// A corporate CA takes over from our own while a phone is in the field: the phone
// learns of the new root first, is asked nothing, and goes on.
func TestCorporateRollover(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := testConfig(filepath.Join(dir, "data"), freeAddress(t))
	c, stop := served(t, cfg)
	c.seed()
	p := newPhone(t, filepath.Join(dir, "phone"), c.root, "")
	must(t, p.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	must(t, p.Connect(t.Context()))

	var made adminapi.IssuingRequest
	c.post("/api/v1/ca/requests", adminapi.KindRequest{}, &made)
	issuing, root := corporate(t, made.CSR)
	staged := c.stage(adminapi.IssuingImport{Chain: inPEM(issuing, root)})
	activate := "/api/v1/ca/issuing/" + staged.Fingerprint + "/activate"
	if status := c.call(http.MethodPost, activate, "application/json", []byte(`{}`), nil); status != http.StatusConflict {
		t.Fatalf("activated though a phone does not know the root: %d", status)
	}
	stop() // what is due is looked for at a start

	c, stop = served(t, cfg)
	untold := func() int {
		var step adminapi.AuthorityStep
		c.post(activate, adminapi.StepRequest{DryRun: true}, &step)
		return step.Untold
	}
	for deadline := time.Now().Add(patience); untold() > 0; {
		if time.Now().After(deadline) {
			t.Fatal("the phone is not told")
		}
		must(t, p.Connect(t.Context()))
	}
	var step adminapi.AuthorityStep
	c.post(activate, adminapi.StepRequest{}, &step)
	stop()

	// From now on the server itself is under the corporate root.
	c, stop = served(t, cfg)
	defer stop()
	if !c.root.Equal(root) {
		t.Errorf("ca.pem holds %s", c.root.Subject)
	}
	must(t, p.Connect(t.Context()))
	c.decided(alice, show(t, p).EASDeviceID, "allow")
	if s := show(t, p); s.Prompts != 0 {
		t.Errorf("%d prompts", s.Prompts)
	}
	c.told(t, "Corporate Issuing")
}

// told compares what ends by the API and by the metrics.
func (c *client) told(t *testing.T, active string) {
	t.Helper()
	var ends enroll.Endings
	c.call(http.MethodGet, "/api/v1/ca/expiry", "", nil, &ends)
	roles := map[string]int{}
	for _, own := range ends.Own {
		roles[own.Role+" "+own.State]++
		if own.Role == "issuing" && (own.State == "active") != strings.Contains(own.Subject, active) {
			t.Errorf("%+v", own)
		}
	}
	for _, want := range []string{"root active", "root old", "issuing active", "issuing old", "scep-ra ", "profile-signer ", "server "} {
		if roles[want] != 1 {
			t.Errorf("%q is told %d times", want, roles[want])
		}
	}
	if len(ends.Lists) != 2 || ends.Lists[0].NextUpdate.Before(time.Now().Add(11*time.Hour)) {
		t.Errorf("lists %+v", ends.Lists)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.local.URL+"/metrics", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+c.local.Token.Reveal())
	answer, err := c.http.Do(r)
	must(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(t, err)
	for _, want := range []string{`sallyport_certificate_left_seconds{fingerprint="`, `role="scep-ra"`, `sallyport_crl_next_update_timestamp_seconds{issuer="`,
		`sallyport_identities_ending{days="7"} 0`, `sallyport_certificates_by_hand_ending{days="30"} 0`, "sallyport_identities_waiting "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no metric %s", want)
		}
	}
}
