package accessapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"sallyport/access"
	"sallyport/access/eas"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
)

// gate is an engine that lets through what it is told to, and remembers who asked.
type gate struct {
	Engine
	answer access.Decision
	err    error
	asked  []access.Client
}

func (g *gate) Decide(_ context.Context, c access.Client) (access.Decision, error) {
	if err := c.Validate(); err != nil {
		return access.Decision{}, err
	}
	g.asked = append(g.asked, c)
	return g.answer, g.err
}

func (g *gate) Named(_ context.Context, login string) ([]directory.UserID, error) {
	if g.err != nil {
		return nil, g.err
	}
	return map[string][]directory.UserID{
		"alice@example.test": {"u1"}, `example\alice`: {"u1"}, "bob@example.test": {"u2"}, "alice": {"u1", "u3"},
	}[strings.ToLower(login)], nil
}

// Certified: alice has one phone, with one certificate.
func (g *gate) Certified(_ context.Context, login, certificate string) (bool, error) {
	sum := sha256.Sum256([]byte("a certificate"))
	return strings.ToLower(login) == "alice@example.test" && certificate == hex.EncodeToString(sum[:]), g.err
}

const (
	syncURI  = "/Microsoft-Server-ActiveSync?Cmd=Sync&User=alice%40example.test&DeviceId=APPL1&DeviceType=iPhone"
	itsQuery = "?Cmd=Sync&User=alice%40example.test&DeviceId=APPL1&DeviceType=iPhone"
)

func basic(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }

// ask is a request as nginx sends it; header overrides by name, and "" removes.
func ask(header map[string]string) *http.Request {
	r := httptest.NewRequest("GET", "/access/auth", nil)
	for name, value := range map[string]string{
		headerURI: syncURI, headerMethod: "POST", headerAddress: "192.0.2.7",
		"Authorization": basic("alice@example.test:pw:with colon"), "User-Agent": "Apple-iPhone", "MS-ASProtocolVersion": "16.1",
	} {
		r.Header.Set(name, value)
	}
	for name, value := range header {
		if value == "" {
			r.Header.Del(name)
			continue
		}
		r.Header.Set(name, value)
	}
	return r
}

func TestAuthAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		answer access.Decision
		status int
		header map[string]string
	}{
		{"allow", access.Decision{Effect: access.Allow, Why: "https://x"}, 204, map[string]string{HeaderDecision: "allow", HeaderQuery: itsQuery, HeaderReason: ""}},
		{"quarantine", access.Decision{Effect: access.Quarantine, Why: "https://x"}, 403, map[string]string{HeaderDecision: "quarantine", HeaderQuery: "", HeaderReason: "https://x"}},
		{"block", access.Decision{Effect: access.Block}, 403, map[string]string{HeaderDecision: "block", HeaderReason: ""}},
		{"what nobody knows", access.Decision{Effect: "later"}, 403, map[string]string{HeaderDecision: "later"}},
		{"nothing", access.Decision{}, 403, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			if err := New(Deps{Engine: &gate{answer: tt.answer}, Logins: &gate{}}).Auth(w, ask(nil)); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.status || w.Body.Len() > 0 {
				t.Errorf("status %d with %d bytes, want %d and no body", w.Code, w.Body.Len(), tt.status)
			}
			for name, want := range tt.header {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// Trouble is no decision: it is told apart, and lets nobody in.
func TestAuthInTrouble(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]*gate{
		"no decision":        {err: access.ErrUnavailable},
		"too old a decision": {answer: access.Decision{Effect: access.Block, Step: access.StepUnavailable}},
		"allow, unavailable": {answer: access.Decision{Effect: access.Allow, Step: access.StepUnavailable}},
	} {
		w := httptest.NewRecorder()
		err := New(Deps{Engine: g, Logins: g}).Auth(w, ask(nil))
		if !errors.Is(err, access.ErrUnavailable) || len(w.Header()) > 0 {
			t.Errorf("%s: got %v, headers %v", name, err, w.Header())
		}
	}
	g := &gate{err: access.ErrUnavailable}
	if err := New(Deps{Engine: &gate{}, Logins: g}).Auth(httptest.NewRecorder(), ask(map[string]string{"Authorization": basic(`EXAMPLE\alice:pw`)})); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("people cannot be looked up: got %v", err)
	}
}

func TestAuthAsks(t *testing.T) {
	t.Parallel()
	der := []byte("a certificate")
	sum := sha256.Sum256(der)
	escaped := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	encoded := "/microsoft-server-activesync?" + base64.StdEncoding.EncodeToString([]byte("\x8d\x00\x09\x04\x05APPL1\x00\x06iPhone"))
	other := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("another one")})))
	full := access.Client{User: "alice@example.test", DeviceID: "APPL1", DeviceType: "iPhone", UserAgent: "Apple-iPhone", Protocol: "16.1", Address: "192.0.2.7"}
	with := func(change func(*access.Client)) *access.Client {
		c := full
		change(&c)
		return &c
	}
	tests := []struct {
		name   string
		header map[string]string
		want   *access.Client // nil: nobody is asked
		allow  bool
	}{
		{"plain", nil, &full, true},
		{"base64, which names no user", map[string]string{headerURI: encoded, "MS-ASProtocolVersion": ""}, with(func(c *access.Client) { c.Protocol = "14.1" }), true},
		{"certificate", map[string]string{headerCertificate: escaped}, with(func(c *access.Client) { c.Certificate = hex.EncodeToString(sum[:]) }), true},
		{"one person by two names", map[string]string{"Authorization": basic(`EXAMPLE\alice:pw`)}, with(func(c *access.Client) { c.User = `EXAMPLE\alice` }), true},
		{"one name in two cases", map[string]string{"Authorization": basic("ALICE@example.test:pw")}, with(func(c *access.Client) { c.User = "ALICE@example.test" }), true},
		{"IPv6", map[string]string{headerAddress: "2001:db8::1"}, with(func(c *access.Client) { c.Address = "2001:db8::1" }), true},
		{"no address", map[string]string{headerAddress: ""}, with(func(c *access.Client) { c.Address = "" }), true},
		{"nobody signs in: the mail server says how", map[string]string{"Authorization": ""}, nil, true},
		{"a certificate signs in alone", map[string]string{"Authorization": "", headerCertificate: escaped}, with(func(c *access.Client) { c.Certificate = hex.EncodeToString(sum[:]) }), true},
		{"options with a certificate alone", map[string]string{"Authorization": "", headerCertificate: escaped, headerMethod: "OPTIONS"}, nil, true},
		{"options", map[string]string{headerMethod: "OPTIONS", headerURI: "/Microsoft-Server-ActiveSync"}, nil, true},

		{"options of something else", map[string]string{headerMethod: "OPTIONS", headerURI: "/owa"}, nil, false},
		{"another one's mailbox", map[string]string{"Authorization": basic("bob@example.test:pw")}, nil, false},
		{"a stranger in the query", map[string]string{headerURI: strings.Replace(syncURI, "alice", "mallory", 1)}, nil, false},
		{"a stranger signs in", map[string]string{"Authorization": basic("mallory@example.test:pw")}, nil, false},
		{"two strangers", map[string]string{"Authorization": basic("mallory:pw"), headerURI: strings.Replace(syncURI, "alice", "eve", 1)}, nil, false},
		{"a name that looks like the other", map[string]string{"Authorization": basic("alice@example.te\u017ft:pw")}, nil, false},
		{"a name of two people", map[string]string{"Authorization": basic("alice:pw")}, nil, false},
		{"no URI", map[string]string{headerURI: ""}, nil, false},
		{"no method", map[string]string{headerMethod: ""}, nil, false},
		{"GET", map[string]string{headerMethod: "GET"}, nil, false},
		{"device twice", map[string]string{headerURI: syncURI + "&deviceid=X"}, nil, false},
		{"bearer token", map[string]string{"Authorization": "Bearer eyJ0"}, nil, false},
		{"negotiate", map[string]string{"Authorization": "Negotiate YII="}, nil, false},
		{"scheme alone", map[string]string{"Authorization": "Basic"}, nil, false},
		{"base64 without padding", map[string]string{"Authorization": strings.TrimRight(basic("alice@example.test:p"), "=")}, nil, false},
		{"two blanks", map[string]string{"Authorization": strings.Replace(basic("alice@example.test:pw"), " ", "  ", 1)}, nil, false},
		{"no colon", map[string]string{"Authorization": basic("alice@example.test")}, nil, false},
		{"no name", map[string]string{"Authorization": basic(":pw")}, nil, false},
		{"a name that is not UTF-8", map[string]string{"Authorization": basic("al\xefce:pw")}, nil, false},
		{"a name with a line end", map[string]string{"Authorization": basic("alice@example.test\n:pw")}, nil, false},
		{"address that is none", map[string]string{headerAddress: "unix:"}, nil, false},
		{"certificate that is none", map[string]string{headerCertificate: "abc"}, nil, false},
		{"two certificates", map[string]string{headerCertificate: escaped + escaped}, nil, false},
		{"a certificate alone, and no user", map[string]string{"Authorization": "", headerCertificate: escaped, headerURI: encoded}, nil, false},
		{"a certificate alone, of nobody's phone", map[string]string{"Authorization": "", headerCertificate: other}, nil, false},
		{"a certificate alone, of another one's phone", map[string]string{"Authorization": "", headerCertificate: escaped, headerURI: strings.Replace(syncURI, "alice", "bob", 1)}, nil, false},
		{"a long user agent", map[string]string{"User-Agent": strings.Repeat("a", 2000)}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := &gate{answer: access.Decision{Effect: access.Allow}}
			w := httptest.NewRecorder()
			if err := New(Deps{Engine: g, Logins: g}).Auth(w, ask(tt.header)); err != nil {
				t.Fatal(err)
			}
			if (w.Code == http.StatusNoContent) != tt.allow {
				t.Errorf("status %d, %v", w.Code, w.Header())
			}
			if !tt.allow && (w.Header().Get(HeaderDecision) != "refused" || w.Header().Get(HeaderFault) == "" || strings.Contains(w.Header().Get(HeaderFault), "alice")) {
				t.Errorf("headers %v, want a fault that names nobody", w.Header())
			}
			switch {
			case tt.want == nil && len(g.asked) > 0:
				t.Errorf("asked about %+v", g.asked)
			case tt.want != nil && (len(g.asked) != 1 || g.asked[0] != *tt.want):
				t.Errorf("asked about %+v, want %+v", g.asked, *tt.want)
			}
		})
	}
	twice := ask(nil)
	twice.Header.Add("Authorization", basic("bob@example.test:pw"))
	w := httptest.NewRecorder()
	if err := New(Deps{Engine: &gate{answer: access.Decision{Effect: access.Allow}}}).Auth(w, twice); err != nil || w.Code != http.StatusForbidden {
		t.Errorf("two Authorization headers: %d, %v", w.Code, err)
	}
}

// TestCertificateAloneIsDecidedAbout: where a web server takes a certificate for a
// sign-in, nobody asks for a password behind it.
func TestCertificateAloneIsDecidedAbout(t *testing.T) {
	t.Parallel()
	escaped := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("a certificate")})))
	r := ask(map[string]string{"Authorization": "", headerCertificate: escaped})
	w := httptest.NewRecorder()
	if err := New(Deps{Engine: &gate{answer: access.Decision{Effect: access.Block}}, Logins: &gate{}}).Auth(w, r); err != nil || w.Code != http.StatusForbidden || w.Header().Get(HeaderDecision) != "block" {
		t.Errorf("a blocked phone: %d, %v, %v", w.Code, w.Header(), err)
	}
	w = httptest.NewRecorder()
	if err := New(Deps{Engine: &gate{}, Logins: &gate{err: access.ErrUnavailable}}).Auth(w, r); !errors.Is(err, access.ErrUnavailable) || len(w.Header()) > 0 {
		t.Errorf("people cannot be looked up: %v, %v", err, w.Header())
	}
}

// No error holds the password, or what stands for it.
func TestPasswordStaysInside(t *testing.T) {
	t.Parallel()
	for _, header := range []string{
		basic("alice:hunter2secret") + "x", "Basic hunter2secret", "Bearer hunter2secret", "hunter2secret", basic("al ice:hunter2secret"), basic("hunter2secret"),
	} {
		user, err := signedIn(header)
		if err == nil || user != "" {
			t.Fatalf("%q is taken as %q", header, user)
		}
		if !errors.Is(err, eas.ErrQuery) || len(refusal.All(err)) != 1 {
			t.Errorf("%v is no refusal", err)
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "aHVudGVy") {
			t.Errorf("the error tells: %v", err)
		}
	}
}

func FuzzSignedIn(f *testing.F) {
	f.Add(basic("alice:pw"))
	f.Add("Bearer x")
	f.Fuzz(func(t *testing.T, header string) {
		user, err := signedIn(header)
		if err != nil {
			return
		}
		r := http.Request{Header: http.Header{"Authorization": {header}}}
		other, _, ok := r.BasicAuth()
		if !ok || other != user || user == "" {
			t.Errorf("%q: got %q, net/http reads %q, %v", header, user, other, ok)
		}
	})
}

func FuzzFingerprint(f *testing.F) {
	f.Add(url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))))
	f.Fuzz(func(t *testing.T, escaped string) {
		sum, err := fingerprint(escaped)
		if err == nil && (len(sum) != 64 || bytes.ContainsAny([]byte(sum), "ABCDEF")) {
			t.Errorf("%q: %q", escaped, sum)
		}
	})
}
