package agent

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
)

const (
	companionPackage = "com.example.agent"
	companionSecret  = "0199a2.q83vEj"
	companionAlias   = "sallyport-mail"
)

// agentSite is the other half of docs/android-agent.md, strict: what an app
// must not send fails the test.
type agentSite struct {
	t    testing.TB
	http *httptest.Server
	ca   *fakeServer // issues over SCEP

	mu       sync.Mutex
	certs    map[string]*wantedCertificate
	revoked  map[string]bool
	heard    []string // "POST mail/status installed"
	failures []string // reasons of failed
	lose     int      // so many answers to "installed" are lost, after they were obeyed
	deaf     bool     // reports are not answered at all
	refuse   bool     // every challenge
	void     int      // so many challenges are good for nothing
}

func newAgentSite(t testing.TB) *agentSite {
	c := &agentSite{t: t, ca: newFakeServer(t), certs: map[string]*wantedCertificate{}, revoked: map[string]bool{}}
	c.ca.renewable = func(message []byte) bool {
		p7, err := pkcs7.Parse(message)
		if err != nil {
			t.Errorf("RenewalReq: %v", err)
			return false
		}
		roots := x509.NewCertPool()
		roots.AddCert(c.ca.ca.root)
		_, err = p7.GetOnlySigner().Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		return err == nil && !c.revoked[fingerprint(p7.GetOnlySigner())]
	}
	c.http = httptest.NewTLSServer(http.HandlerFunc(c.serve))
	t.Cleanup(c.http.Close)
	c.want(companionAlias, keyWanted)
	return c
}

// want sets the state of a certificate.
func (c *agentSite) want(alias, state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.certs[alias]
	if w == nil {
		w = &wantedCertificate{Alias: alias, Subject: `CN=Alice \"A\"\, B,O=Example`}
		w.Key.Type, w.Key.Size = "RSA", 2048
		c.certs[alias] = w
	}
	w.State, w.Revision = state, fmt.Sprintf("%s-%d", state, len(c.heard))
}

func (c *agentSite) state(alias string) wantedCertificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.certs[alias]
}

// said returns what the app said since the last time.
func (c *agentSite) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.Join(c.heard, ", ")
	c.heard = nil
	return text
}

func (c *agentSite) serve(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	path, below := strings.CutPrefix(r.URL.Path, "/android/agent")
	switch {
	case r.URL.Path == "/scep":
		if op := r.URL.Query().Get("operation"); op == "PKIOperation" {
			c.heard = append(c.heard, op)
		}
		c.ca.scep(w, r, body)
	case !below || r.URL.RawQuery != "":
		c.t.Errorf("request for %s", r.URL)
		http.NotFound(w, r)
	case r.Header.Get("Authorization") != "Bearer "+companionSecret:
		c.problem(w, http.StatusUnauthorized, "", "")
	default:
		c.agent(w, r.Method+" "+strings.TrimPrefix(path, "/certificates"), r.Header.Get("Content-Type"), body)
	}
}

func (c *agentSite) agent(w http.ResponseWriter, what, kind string, body []byte) {
	w.Header().Set("Cache-Control", "no-store")
	if what == "GET " {
		c.heard = append(c.heard, "GET")
		list := []*wantedCertificate{}
		for _, one := range c.certs {
			list = append(list, one)
		}
		c.answer(w, http.StatusOK, object{"certificates": list})
		return
	}
	parts := strings.Split(strings.TrimPrefix(what, "POST /"), "/")
	if len(parts) != 2 || c.certs[parts[0]] == nil {
		c.t.Errorf("%s: no such thing", what)
		c.problem(w, http.StatusNotFound, "", "")
		return
	}
	one := c.certs[parts[0]]
	switch parts[1] {
	case "challenge":
		c.heard = append(c.heard, "challenge")
		c.challenge(w, one, body)
	case "status":
		if kind != "application/json" {
			c.t.Errorf("status of type %q", kind)
		}
		c.status(w, one, body)
	default:
		c.t.Errorf("%s: no such thing", what)
	}
}

func (c *agentSite) challenge(w http.ResponseWriter, one *wantedCertificate, body []byte) {
	if len(body) != 0 {
		c.t.Errorf("challenge with a body: %q", body)
	}
	if c.refuse || one.State != keyWanted && one.State != keyRenew {
		c.problem(w, http.StatusConflict, "", "nothing is wanted")
		return
	}
	text := randomText()
	if c.void > 0 {
		c.void--
	} else {
		c.ca.challenges[text] = ""
	}
	c.answer(w, http.StatusCreated, challenge{URL: c.http.URL + "/scep", Challenge: text, ExpiresAt: time.Now().Add(15 * time.Minute).UTC()})
}

func (c *agentSite) status(w http.ResponseWriter, one *wantedCertificate, body []byte) {
	var in keyStatus
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || len(body) > 64<<10 {
		c.t.Errorf("status %q: %v", body, err)
	}
	c.heard = append(c.heard, in.State)
	if c.deaf {
		panic(http.ErrAbortHandler)
	}
	switch in.State {
	case keyInstalled:
		cert := c.issued(in.SHA256)
		if cert == nil || in.Reason != "" || c.revoked[in.SHA256] {
			c.problem(w, http.StatusConflict, "sha256", "is no good certificate of this phone")
			return
		}
		one.State, one.SHA256, one.NotAfter, one.Revision = keyInstalled, in.SHA256, cert.NotAfter.UTC(), "told"
		if c.lose > 0 {
			c.lose--
			panic(http.ErrAbortHandler)
		}
	case keyFailed:
		if in.SHA256 != "" || in.Reason == "" || len(in.Reason) > 512 {
			c.t.Errorf("failed: %+v", in)
		}
		c.failures = append(c.failures, in.Reason)
	case keyRemoved:
		if one.SHA256, one.NotAfter = "", (time.Time{}); one.State != keyRemove {
			one.State = keyWanted
		}
	default:
		c.t.Errorf("status %q", in.State)
	}
	w.WriteHeader(http.StatusNoContent)
}

func (c *agentSite) issued(sha string) *x509.Certificate {
	for _, cert := range c.ca.issued {
		if fingerprint(cert) == sha {
			return cert
		}
	}
	return nil
}

func (c *agentSite) answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		c.t.Error(err)
	}
}

func (c *agentSite) problem(w http.ResponseWriter, status int, field, reason string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"urn:sallyport:problem:x","title":"No","status":%d,"errors":[{"field":%q,"reason":%q,"remedy":"x"}]}`, status, field, reason)
}
