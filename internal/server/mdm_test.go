package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"sallyport/enroll"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/internal/server/peer"
	"sallyport/mdm/apple"
)

type failing struct{}

func (failing) Authenticate(context.Context, string) (auth.Principal, error) {
	return auth.Principal{}, errFoo
}

func (failing) Again(context.Context, []byte) (auth.Principal, error) {
	return auth.Principal{}, errFoo
}

// Whatever goes wrong under /mdm, the phone sees 400 or 503: anything else may
// make it leave management.
func TestMDMTroubleIs400Or503(t *testing.T) {
	tests := []struct {
		name   string
		change func(*http.Request)
		body   string
		answer error
		panics bool
		status int
	}{
		{name: "GET", change: func(r *http.Request) { r.Method = "GET" }, status: 400},
		{name: "POST", change: func(r *http.Request) { r.Method = "POST" }, status: 400},
		{name: "HEAD", change: func(r *http.Request) { r.Method = "HEAD" }, status: 400},
		{name: "OPTIONS", change: func(r *http.Request) { r.Method = "OPTIONS" }, status: 400},
		{name: "DELETE", change: func(r *http.Request) { r.Method = "DELETE" }, status: 400},
		{name: "PROPFIND", change: func(r *http.Request) { r.Method = "PROPFIND" }, status: 400},
		{name: "invented method", change: func(r *http.Request) { r.Method = "BREW" }, status: 400},
		{name: "below", change: func(r *http.Request) { r.URL.Path = "/mdm/checkin" }, status: 400},
		{name: "slash", change: func(r *http.Request) { r.URL.Path = "/mdm/" }, status: 400},
		{name: "a token is no help", change: func(r *http.Request) { r.Header.Set("Authorization", "Bearer nonsense") }, status: 200},
		{name: "too large", body: strings.Repeat("x", 1<<20+1), status: 400},
		{name: "as large as may be", body: strings.Repeat("x", 1<<20), status: 200},
		{name: "two signatures", change: func(r *http.Request) { r.Header["Mdm-Signature"] = []string{"a", "b"} }, status: 400},
		{name: "malformed", answer: apple.ErrMalformed, status: 400},
		{name: "not authenticated", answer: apple.ErrUnauthenticated, status: 400},
		{name: "unknown identity", answer: apple.ErrUnknownIdentity, status: 400},
		{name: "foreign device", answer: refusal.New(enroll.ErrForeign, "", "enrolled for another user", "ask"), status: 400},
		{name: "retired, below", change: func(r *http.Request) { r.URL.Path = "/mdm/checkin" }, answer: apple.ErrRetired, status: 400},
		{name: "auth error inside", answer: auth.ErrUnauthenticated, status: 503},
		{name: "forbidden inside", answer: auth.ErrForbidden, status: 503},
		{name: "storage", answer: errFoo, status: 503},
		{name: "time is over", answer: context.DeadlineExceeded, status: 503},
		{name: "caller gone", answer: context.Canceled, status: 503},
		{name: "panic", panics: true, status: 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.panics = tt.panics
			w.mdm = func(apple.Request) ([]byte, error) { return nil, tt.answer }
			handlers, err := New(w.config())
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("PUT", "/mdm", strings.NewReader(tt.body))
			if tt.change != nil {
				tt.change(r)
			}
			recorder := httptest.NewRecorder()
			handlers.Public.ServeHTTP(recorder, r)
			if recorder.Code != tt.status {
				t.Errorf("status %d, want %d", recorder.Code, tt.status)
			}
			if strings.Contains(recorder.Body.String(), errFoo.Error()) {
				t.Error("the inner error is told")
			}
			if tt.status == 200 && recorder.Body.Len() != 0 {
				t.Errorf("body %q, want zero bytes", recorder.Body)
			}
		})
	}
}

// TestRetiredPhoneIsDismissed: the one 403 that may leave /mdm, in the words that
// a phone looks for, and nowhere else.
func TestRetiredPhoneIsDismissed(t *testing.T) {
	w := newWorld(t)
	w.mdm = func(apple.Request) ([]byte, error) { return nil, fmt.Errorf("enrolment E1: %w", apple.ErrRetired) }
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	handlers.Public.ServeHTTP(recorder, httptest.NewRequest("PUT", "/mdm", strings.NewReader("message")))
	if recorder.Code != 403 || recorder.Body.String() != `{"code":"com.apple.unrecognized.device"}` || recorder.Header().Get("Content-Type") != "application/json" {
		t.Errorf("status %d, %s of type %s", recorder.Code, recorder.Body, recorder.Header().Get("Content-Type"))
	}
	w.err = apple.ErrRetired // from anywhere else it is trouble of our own
	recorder = httptest.NewRecorder()
	handlers.Public.ServeHTTP(recorder, httptest.NewRequest("POST", "/scep?operation=PKIOperation", strings.NewReader("der")))
	if recorder.Code != 503 {
		t.Errorf("status %d on /scep, want 503", recorder.Code)
	}
}

// TestPhonesBehindOneProxyAreCountedApart: one who tries codes through our proxy
// does not use up the tries of the others, and cannot make up new addresses.
func TestPhonesBehindOneProxyAreCountedApart(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Proxies = peer.Proxies{netip.MustParsePrefix("10.0.0.1/32")}
	handlers, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	get := func(proxy, forwarded, code string) int {
		r := httptest.NewRequest("GET", "/enroll/"+code, nil)
		r.RemoteAddr = proxy + ":4711"
		r.Header.Set("X-Forwarded-For", forwarded)
		recorder := httptest.NewRecorder()
		handlers.Public.ServeHTTP(recorder, r)
		return recorder.Code
	}
	for i := range 40 { // each time with another address in front
		get("10.0.0.1", fmt.Sprintf("198.18.0.%d, 203.0.113.9", i), "AAAAAAAA")
	}
	if got := get("10.0.0.1", "203.0.113.9", goodCode); got != 429 {
		t.Errorf("who tried 40 codes: status %d, want 429", got)
	}
	if got := get("10.0.0.1", "203.0.113.10", goodCode); got != 200 {
		t.Errorf("a neighbour: status %d, want 200", got)
	}
	for i := range 40 {
		get("192.0.2.50", fmt.Sprintf("198.18.1.%d", i), "AAAAAAAA")
	}
	if got := get("192.0.2.50", "198.18.1.99", goodCode); got != 429 {
		t.Errorf("a stranger who calls itself a proxy: status %d, want 429", got)
	}
}

func TestMDMPassesTheMessageOn(t *testing.T) {
	w := newWorld(t)
	var got apple.Request
	w.mdm = func(r apple.Request) ([]byte, error) { got = r; return []byte("<plist>next</plist>"), nil }
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("PUT", "/mdm", strings.NewReader("message"))
	r.Header.Set("Mdm-Signature", "c2ln")
	recorder := httptest.NewRecorder()
	handlers.Public.ServeHTTP(recorder, r)
	if string(got.Body) != "message" || got.Signature != "c2ln" || got.RemoteAddr != "192.0.2.1" {
		t.Errorf("passed on %+v", got)
	}
	if recorder.Body.String() != "<plist>next</plist>" || !strings.HasPrefix(recorder.Header().Get("Content-Type"), "application/xml") {
		t.Errorf("answer %q of type %s", recorder.Body, recorder.Header().Get("Content-Type"))
	}
}

func TestSCEP(t *testing.T) {
	tests := []struct {
		name, method, target, body string
		err                        error
		status                     int
		want                       string
	}{
		{name: "caps", method: "GET", target: "/scep?operation=GetCACaps&message=x", status: 200, want: "SHA-256\nAES\n"},
		{name: "GET message", method: "GET", target: "/scep?operation=PKIOperation&message=ZGVyPj4%2B", status: 200, want: "reply to der>>>"},
		{name: "GET message with a bare plus", method: "GET", target: "/scep?operation=PKIOperation&message=ZGVyPj4+", status: 200, want: "reply to der>>>"},
		{name: "GET no base64", method: "GET", target: "/scep?operation=PKIOperation&message=%00", status: 400},
		{name: "GET too long", method: "GET", target: "/scep?operation=PKIOperation&message=" + strings.Repeat("AAAA", 30000), status: 400},
		{name: "POST", method: "POST", target: "/scep?operation=PKIOperation", body: "der", status: 200, want: "reply to der"},
		{name: "POST of another operation", method: "POST", target: "/scep?operation=GetCACaps", body: "der", status: 400},
		{name: "POST empty", method: "POST", target: "/scep?operation=PKIOperation", status: 400},
		{name: "POST too large", method: "POST", target: "/scep?operation=PKIOperation", body: strings.Repeat("x", 64<<10+1), status: 400},
		{name: "unknown operation", method: "GET", target: "/scep?operation=Nonsense", status: 400},
		{name: "no operation", method: "GET", target: "/scep", status: 400},
		{name: "PUT", method: "PUT", target: "/scep", status: 400},
		{name: "trouble", method: "POST", target: "/scep?operation=PKIOperation", body: "der", err: errFoo, status: 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.err = tt.err
			handlers, err := New(w.config())
			if err != nil {
				t.Fatal(err)
			}
			recorder := httptest.NewRecorder()
			handlers.Public.ServeHTTP(recorder, httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body)))
			if recorder.Code != tt.status {
				t.Fatalf("status %d, want %d", recorder.Code, tt.status)
			}
			if tt.want != "" && recorder.Body.String() != tt.want {
				t.Errorf("body %q, want %q", recorder.Body, tt.want)
			}
		})
	}
}

// A header beyond 16 KiB does not reach a handler.
func TestHeaderLimit(t *testing.T) {
	reached := false
	server := HTTP(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reached = true }), nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte("PUT /mdm HTTP/1.1\r\nHost: x\r\nMdm-Signature: " + strings.Repeat("A", 32<<10) + "\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 256)
	n, err := conn.Read(answer)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 431 ")) || reached {
		t.Errorf("answer %q, reached %v", answer[:n], reached)
	}
}
