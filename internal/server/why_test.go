package server

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// Every token that leads nowhere gets one and the same page, and a reader who
// tries many is told to wait.
func TestReasonPage(t *testing.T) {
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	get := func(method, token, language string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/access/why/"+token, nil)
		r.Header.Set("Accept-Language", language)
		recorder := httptest.NewRecorder()
		handlers.Public.ServeHTTP(recorder, r)
		return recorder
	}
	page := get("GET", goodReason, "de")
	body := page.Body.String()
	if page.Code != 200 || !strings.Contains(body, "Es ist kein Code eingerichtet") || !strings.Contains(body, `lang="de"`) {
		t.Errorf("status %d\n%s", page.Code, body)
	}
	for _, secret := range []string{"alice", goodReason} {
		if strings.Contains(body, secret) {
			t.Errorf("the page tells %q", secret)
		}
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Robots-Tag": "noindex, nofollow", "Vary": "Accept-Language, User-Agent"} {
		if got := page.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if strings.Contains(page.Header().Get("Content-Security-Policy"), "script-src") || strings.Contains(body, "<script") {
		t.Error("the page has scripts")
	}
	if head := get("HEAD", goodReason, "en"); head.Code != 200 {
		t.Errorf("HEAD: %d", head.Code)
	}
	lost := get("GET", "nothing", "en").Body.String()
	if !strings.Contains(lost, "This link leads nowhere") {
		t.Errorf("page of a wrong link:\n%s", lost)
	}
	for _, token := range []string{goodReason[1:], goodReason + "A", "%00", strings.Repeat("A", 5000)} {
		if other := get("GET", token, "en"); other.Code != 404 || other.Body.String() != lost {
			t.Errorf("%.50q: status %d, another page than other wrong links", token, other.Code)
		}
	}
	last := 0
	for range 200 {
		if last = get("GET", "nothing", "en").Code; last != 404 {
			break
		}
	}
	if last != 429 || get("GET", goodReason, "en").Code != 429 {
		t.Errorf("many wrong links: status %d, want 429 for a while, and for the right one as well", last)
	}
}

// The gate's token stands in a header of its own; Authorization opens nothing there,
// and the header opens nothing else.
func TestGateToken(t *testing.T) {
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	engine := w.token(t, auth.Engine, time.Hour).Text.Reveal()
	e := examples["GET /access/auth"]
	if got := call(handlers.Public, e.request("GET", engine)); got != 204 {
		t.Errorf("status %d, want 204", got)
	}
	r := e.request("GET", "")
	r.Header.Set("Authorization", "Bearer "+engine)
	if got := call(handlers.Public, r); got != 401 {
		t.Errorf("token in Authorization: status %d, want 401", got)
	}
	r = e.request("GET", engine)
	r.Header.Add("X-Sallyport-Token", engine)
	if got := call(handlers.Public, r); got != 401 {
		t.Errorf("two tokens: status %d, want 401", got)
	}
	r = httptest.NewRequest("GET", "/api/v1/devices", nil)
	r.Header.Set("X-Sallyport-Token", engine)
	if got := call(handlers.Public, r); got != 401 {
		t.Errorf("the header on another route: status %d, want 401", got)
	}
}
