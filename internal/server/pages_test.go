package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/mdm"
)

const (
	safari  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
	chrome  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0 Mobile/15E148 Safari/604.1"
	android = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Mobile Safari/537.36"
	windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36"
	laptop  = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15"
)

func do(t *testing.T, h http.Handler, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	return recorder
}

func public(t *testing.T, w *world) http.Handler {
	t.Helper()
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	return handlers.Public
}

func TestEnrollPageChangesNothing(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	for range 5 {
		for _, request := range []struct{ method, path string }{
			{"GET", "/enroll/" + goodCode}, {"HEAD", "/enroll/" + goodCode}, {"GET", "/enroll/k7qx2mpa"},
			{"GET", "/enroll/" + goodCode + "/qr.png"}, {"HEAD", "/enroll/" + goodCode + "/enroll.mobileconfig"},
			{"GET", "/enroll/" + pinCode + "/enroll.mobileconfig"},
		} {
			do(t, h, request.method, request.path, "", "User-Agent", safari)
		}
	}
	if w.profiles != 0 || w.writes != 0 {
		t.Errorf("%d profiles were made and %d things written", w.profiles, w.writes)
	}
}

func TestEnrollPageByBrowser(t *testing.T) {
	h := public(t, newWorld(t))
	const link = `href="/enroll/` + goodCode + `/enroll.mobileconfig"`
	tests := []struct {
		name, agent string
		has, lack   string
	}{
		{"Safari on an iPhone", safari, link, "Please open this page in Safari"},
		{"Chrome on an iPhone", chrome, "Please open this page in Safari", link},
		{"Android", android, "mail.example.test", link},
		{"Mac, or an iPad that says so", laptop, link, "Please open this page in Safari"},
		{"Windows", windows, `src="/enroll/` + goodCode + `/qr.png"`, link},
		{"nothing", "", `src="/enroll/` + goodCode + `/qr.png"`, link},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, h, "GET", "/enroll/"+goodCode, "", "User-Agent", tt.agent)
			if got.Code != http.StatusOK || !strings.Contains(got.Body.String(), tt.has) || strings.Contains(got.Body.String(), tt.lack) {
				t.Errorf("status %d; has %q: %v; has %q: %v", got.Code, tt.has, strings.Contains(got.Body.String(), tt.has), tt.lack, strings.Contains(got.Body.String(), tt.lack))
			}
		})
	}
}

func TestRehearsalIsTold(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Rehearsal = func(mdm.Platform) []string { return []string{"no push certificate"} }
	handlers, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	got := do(t, handlers.Public, "GET", "/enroll/"+goodCode, "", "User-Agent", safari).Body.String()
	banner, link := strings.Index(got, "no push certificate"), strings.Index(got, "enroll.mobileconfig")
	if banner < 0 || link < 0 || banner > link {
		t.Errorf("banner at %d, download at %d", banner, link)
	}
}

func TestProfileDownload(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	got := do(t, h, "GET", "/enroll/"+goodCode+"/enroll.mobileconfig", "", "User-Agent", safari)
	if got.Code != http.StatusOK || got.Body.String() != "signed profile" {
		t.Fatalf("status %d, body %q", got.Code, got.Body)
	}
	for key, want := range map[string]string{
		"Content-Type":        "application/x-apple-aspen-config",
		"Content-Disposition": `attachment; filename="enroll.mobileconfig"`,
		"Cache-Control":       "no-store",
	} {
		if got.Header().Get(key) != want {
			t.Errorf("%s: %q, want %q", key, got.Header().Get(key), want)
		}
	}
}

func TestPIN(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	path := "/enroll/" + pinCode + "/enroll.mobileconfig"
	post := func(pin string, header ...string) *httptest.ResponseRecorder {
		return do(t, h, "POST", path, "pin="+pin, append([]string{"Content-Type", formType, "User-Agent", safari}, header...)...)
	}
	if got := do(t, h, "GET", path, "", "User-Agent", safari); got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), `name="pin"`) || strings.Contains(got.Body.String(), "not right") {
		t.Errorf("GET without a PIN: status %d", got.Code)
	}
	if got := post("111111"); got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), "not right") {
		t.Errorf("wrong PIN: status %d", got.Code)
	}
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.test"}} {
		if got := post(goodPIN, header...); got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), "another website") || w.profiles != 0 {
			t.Errorf("form of another site: status %d, %d profiles", got.Code, w.profiles)
		}
	}
	if got := post(goodPIN, "Sec-Fetch-Site", "same-origin"); got.Code != http.StatusOK || w.profiles != 1 {
		t.Errorf("right PIN: status %d, %d profiles", got.Code, w.profiles)
	}
	if got := do(t, h, "POST", path, `{"pin":1}`, "Content-Type", jsonType); got.Code != http.StatusUnsupportedMediaType {
		t.Errorf("a form in JSON: status %d", got.Code)
	}
	if got := post(strings.Repeat("1", 8000)); got.Code != http.StatusBadRequest && got.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a long form: status %d", got.Code)
	}
	if got := do(t, h, "HEAD", path, "", "User-Agent", safari); got.Code != http.StatusForbidden {
		t.Errorf("HEAD without a PIN: status %d, want that of GET", got.Code)
	}
}

// Ten wrong PINs, then one every ten minutes; right ones do not count.
func TestWrongPINsAreLimited(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	post := func(pin string) *httptest.ResponseRecorder {
		return do(t, h, "POST", "/enroll/"+pinCode+"/enroll.mobileconfig", "pin="+pin, "Content-Type", formType, "User-Agent", safari)
	}
	for i := range 20 {
		if got := post(goodPIN); got.Code != http.StatusOK {
			t.Fatalf("right PIN, time %d: status %d", i, got.Code)
		}
	}
	for i := range 10 {
		if got := post("222222"); got.Code != http.StatusForbidden {
			t.Fatalf("wrong PIN %d: status %d", i, got.Code)
		}
	}
	w.sleep(time.Minute)
	// The way in is shut for the right PIN too: nobody learns which one it was.
	made := w.profiles
	for _, pin := range []string{"222222", goodPIN} {
		got := post(pin)
		if got.Code != http.StatusTooManyRequests || w.profiles != made {
			t.Errorf("after that: status %d", got.Code)
		}
		if after := got.Header().Get("Retry-After"); after != "540" || !strings.Contains(got.Body.String(), "Wait 9 minutes") || !strings.Contains(got.Body.String(), "Too many wrong PINs") {
			t.Errorf("Retry-After %s, want 540, and a page that says 9 minutes:\n%s", after, got.Body)
		}
	}
	w.sleep(9 * time.Minute)
	if got := post(goodPIN); got.Code != http.StatusOK {
		t.Errorf("right PIN when the time is over: status %d", got.Code)
	}
}

// Many tries at once get no further than one after the other.
func TestWrongPINsAtOnce(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	var looked atomic.Int32
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			if do(t, h, "POST", "/enroll/"+pinCode+"/enroll.mobileconfig", "pin=222222", "Content-Type", formType).Code == http.StatusForbidden {
				looked.Add(1)
			}
		})
	}
	group.Wait()
	if looked.Load() != 10 {
		t.Errorf("%d PINs were looked at, want 10", looked.Load())
	}
}

func TestOtherMethodsAreTold(t *testing.T) {
	got := do(t, public(t, newWorld(t)), "DELETE", "/enroll/"+goodCode, "")
	if got.Code != http.StatusMethodNotAllowed || strings.Contains(got.Body.String(), "Page not found") || !strings.Contains(got.Body.String(), "That does not work here") {
		t.Errorf("status %d, body %s", got.Code, got.Body)
	}
}

func TestTroublePages(t *testing.T) {
	tests := []struct {
		code   string
		status int
		says   string
	}{
		{"NNNN2222", http.StatusNotFound, "This link is not valid"},
		{"x", http.StatusNotFound, "This link is not valid"},
		{"USED2222", http.StatusGone, "has been used"},
		{"EXPR2222", http.StatusGone, "has expired"},
		{"RVKD2222", http.StatusGone, "was withdrawn"},
	}
	for _, tt := range tests {
		for _, suffix := range []string{"", "/enroll.mobileconfig", "/qr.png"} {
			w := newWorld(t)
			got := do(t, public(t, w), "GET", "/enroll/"+tt.code+suffix, "", "User-Agent", safari)
			if got.Code != tt.status || !strings.Contains(got.Body.String(), tt.says) || !strings.Contains(got.Body.String(), "What you can do") {
				t.Errorf("%s%s: status %d, want %d with %q", tt.code, suffix, got.Code, tt.status, tt.says)
			}
			if w.writes != 0 {
				t.Errorf("%s%s wrote something", tt.code, suffix)
			}
		}
	}
	w := newWorld(t)
	w.err = errFoo
	got := do(t, public(t, w), "GET", "/enroll/"+goodCode, "")
	if got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), errFoo.Error()) || !strings.Contains(got.Body.String(), got.Header().Get("X-Request-ID")) {
		t.Errorf("trouble: status %d, body %s", got.Code, got.Body)
	}
	if !strings.Contains(w.logged(), errFoo.Error()) {
		t.Error("trouble was not logged")
	}
}

// A network that tries codes is stopped before anything is looked up for it.
func TestCodesCannotBeTried(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	var last *httptest.ResponseRecorder
	for range 40 {
		last = do(t, h, "GET", "/enroll/NNNN2222", "")
	}
	if last.Code != http.StatusTooManyRequests || !strings.Contains(last.Body.String(), "Too many tries") || last.Header().Get("Retry-After") == "" {
		t.Errorf("status %d", last.Code)
	}
	if got := do(t, h, "GET", "/enroll/"+goodCode, ""); got.Code != http.StatusTooManyRequests {
		t.Errorf("a good code from there: status %d, want 429: it must not be told from a bad one", got.Code)
	}
	r := httptest.NewRequest("GET", "/enroll/"+goodCode, nil)
	r.RemoteAddr = "198.51.100.7:4711"
	if got := call(h, r); got != http.StatusOK {
		t.Errorf("another network: status %d", got)
	}
	r = httptest.NewRequest("GET", "/enroll/"+goodCode, nil)
	r.Header.Set("X-Forwarded-For", "198.51.100.8")
	r.Header.Set("X-Real-IP", "198.51.100.8")
	if got := call(h, r); got != http.StatusTooManyRequests {
		t.Errorf("with a forged X-Forwarded-For: status %d, want 429", got)
	}
	w.sleep(5 * time.Minute)
	if got := do(t, h, "GET", "/enroll/"+goodCode, ""); got.Code != http.StatusOK {
		t.Errorf("five minutes later: status %d", got.Code)
	}
}

func TestSecurityHeaders(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	for _, target := range []string{"/", "/enroll/" + goodCode, "/nowhere", "/api/v1/users", "/api/v1/nowhere", "/mdm", "/healthz"} {
		got := do(t, h, "GET", target, "", "Authorization", "Bearer "+token).Header()
		csp := got.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "script") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", target, csp)
		}
		if got.Get("Cache-Control") != "no-store" || got.Get("X-Content-Type-Options") != "nosniff" || got.Get("X-Request-ID") == "" || got.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: headers %v", target, got)
		}
	}
	style := h
	page := do(t, h, "GET", "/", "").Body.String()
	_, rest, _ := strings.Cut(page, `href="/assets/`)
	name, _, _ := strings.Cut(rest, `"`)
	got := do(t, style, "GET", "/assets/"+name, "")
	if got.Code != http.StatusOK || got.Header().Get("Content-Type") != "text/css; charset=utf-8" || !strings.Contains(got.Header().Get("Cache-Control"), "immutable") {
		t.Errorf("style %q: status %d, headers %v", name, got.Code, got.Header())
	}
}

// Neither a code nor a token, nor a query, nor a path that may hold a code, is logged.
func TestLogHoldsNoSecret(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	do(t, h, "GET", "/enroll/"+goodCode+"?tracking=canary", "")
	do(t, h, "GET", "/enroll/"+goodCode+"/enroll.mobileconfig", "")
	do(t, h, "GET", "/enroll/"+goodCode+"/mistyped", "")
	do(t, h, "GET", "/Enroll/"+goodCode, "")
	do(t, h, "POST", "/enroll/"+pinCode+"/enroll.mobileconfig", "pin="+goodPIN, "Content-Type", formType)
	do(t, h, "POST", "/api/v1/invitations", `{"user":"alice@example.test","pin":true}`, "Content-Type", jsonType, "Authorization", "Bearer "+token)
	do(t, h, "GET", "/api/v1/users/alice@example.test?after=canary", "", "Authorization", "Bearer "+token)
	do(t, h, "GET", "/scep?operation=PKIOperation&message=canary", "")
	log := w.logged()
	for _, secret := range []string{goodCode, pinCode, goodPIN, token, "canary", "alice@", "mistyped"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	if !strings.Contains(log, `"path":"/enroll/{code}"`) || !strings.Contains(log, `"path":"(none)"`) {
		t.Errorf("the log lacks the routes:\n%s", log)
	}
}

func TestPanicIsContained(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	w.panics = true
	for target, kind := range map[string]string{"/enroll/" + goodCode: "text/html", "/api/v1/users": "application/problem+json"} {
		got := do(t, h, "GET", target, "", "Authorization", "Bearer "+token)
		if got.Code != http.StatusInternalServerError || !strings.HasPrefix(got.Header().Get("Content-Type"), kind) || strings.Contains(got.Body.String(), "a bug") {
			t.Errorf("%s: status %d, type %s, body %s", target, got.Code, got.Header().Get("Content-Type"), got.Body)
		}
	}
	if !strings.Contains(w.logged(), "a bug") || !strings.Contains(w.logged(), "stack") {
		t.Error("the panic was not logged")
	}
}
