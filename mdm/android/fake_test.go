package android

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// google answers as Google's API does, what a test has told it to. A request
// that no test expects is a failure.
type google struct {
	t      *testing.T
	server *httptest.Server
	token  func(w http.ResponseWriter, r *http.Request) // nil: gives one

	mu      sync.Mutex
	routes  map[string]func(w http.ResponseWriter, q url.Values, body string)
	asked   []string // "GET /v1/…"
	bodies  []string
	granted int
}

func newGoogle(t *testing.T) *google {
	g := &google{t: t, routes: map[string]func(http.ResponseWriter, url.Values, string){}}
	g.server = httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(g.server.Close)
	return g
}

// answers makes the fake answer one method and path with that JSON.
func (g *google) answers(route, answer string) {
	g.does(route, func(w http.ResponseWriter, _ url.Values, _ string) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer)
	})
}

// refuses makes it refuse with a body as google.rpc.Status is written.
func (g *google) refuses(route string, code int, status, reason, message string, header http.Header) {
	g.does(route, func(w http.ResponseWriter, _ url.Values, _ string) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		details := "[]"
		if reason != "" {
			details = fmt.Sprintf(`[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":%q}]`, reason)
		}
		fmt.Fprintf(w, `{"error":{"code":%d,"message":%q,"status":%q,"details":%s}}`, code, message, status, details)
	})
}

func (g *google) does(route string, answer func(http.ResponseWriter, url.Values, string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.routes[route] = answer
}

func (g *google) serve(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		g.grant(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Error(err)
	}
	route := r.Method + " " + r.URL.Path
	g.mu.Lock()
	answer := g.routes[route]
	g.asked, g.bodies = append(g.asked, route), append(g.bodies, string(body))
	g.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer the-token" {
		g.t.Errorf("%s: got authorization %q", route, r.Header.Get("Authorization"))
	}
	if answer == nil {
		g.t.Errorf("nobody expects %s", route)
		http.Error(w, "unexpected", http.StatusTeapot)
		return
	}
	answer(w, r.URL.Query(), string(body))
}

// grant checks the assertion's form (RFC 7523) and gives a token.
func (g *google) grant(w http.ResponseWriter, r *http.Request) {
	if g.token != nil {
		g.token(w, r)
		return
	}
	g.mu.Lock()
	g.granted++
	g.mu.Unlock()
	if got := r.FormValue("grant_type"); got != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		g.t.Errorf("got grant type %q", got)
	}
	parts := strings.Split(r.FormValue("assertion"), ".")
	if len(parts) != 3 {
		g.t.Fatalf("got an assertion of %d parts", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct{ Iss, Scope, Aud string }
	if err != nil || json.Unmarshal(text, &claims) != nil {
		g.t.Errorf("got claims %q, %v", text, err)
	}
	if claims.Iss != "robot@project.example.test" || claims.Scope != "https://www.googleapis.com/auth/androidmanagement" || claims.Aud != g.server.URL+"/token" {
		g.t.Errorf("got %+v", claims)
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, `{"access_token":"the-token","token_type":"Bearer","expires_in":3600}`)
}

func (g *google) requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string{}, g.asked...)
}

// lastBody is the JSON that came last.
func (g *google) lastBody() map[string]any {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	var tree map[string]any
	if len(g.bodies) == 0 || json.Unmarshal([]byte(g.bodies[len(g.bodies)-1]), &tree) != nil {
		g.t.Fatalf("got no JSON: %v", g.bodies)
	}
	return tree
}

var robotKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// accountFile is a service account whose tokens come from tokenURL.
func accountFile(tokenURL string, change func(map[string]any)) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(robotKey())
	if err != nil {
		panic(err)
	}
	file := map[string]any{
		"type": "service_account", "project_id": "project", "private_key_id": "key-1", "private_key": pemOf("PRIVATE KEY", der),
		"client_email": "robot@project.example.test", "client_id": "1", "token_uri": tokenURL,
	}
	if change != nil {
		change(file)
	}
	text, err := json.Marshal(file)
	if err != nil {
		panic(err)
	}
	return text
}

func (g *google) client() *Client {
	g.t.Helper()
	a, err := ParseAccount(accountFile(g.server.URL+"/token", nil))
	if err != nil {
		g.t.Fatal(err)
	}
	c, err := NewClient(context.Background(), a, g.server.URL)
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}
