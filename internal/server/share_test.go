package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// from sends a request as another network does.
func from(h http.Handler, address, method, target string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader("message"))
	r.RemoteAddr = address
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	return recorder
}

// TestShares: a network that asks for too much is told to come again, in the way
// that its clients understand; it shuts out nobody else, and no phone that is enrolled.
func TestShares(t *testing.T) {
	const flood, calm, local = "192.0.2.1:1", "192.0.2.2:1", "127.0.0.1:1"
	for _, tt := range []struct {
		method, target string
		good, many     int
	}{
		{"GET", "/scep?operation=GetCACaps", http.StatusOK, http.StatusServiceUnavailable},
		{"POST", "/scep?operation=PKIOperation", http.StatusOK, http.StatusServiceUnavailable},
		{"GET", "/crl/" + goodIssuer + ".crl", http.StatusOK, http.StatusTooManyRequests},
		{"HEAD", "/crl/" + goodIssuer + ".crl", http.StatusOK, http.StatusTooManyRequests},
	} {
		w := newWorld(t)
		h := public(t, w)
		refused := 0
		for range 1005 {
			switch answer := from(h, flood, tt.method, tt.target); {
			case answer.Code == tt.many && answer.Header().Get("Retry-After") != "":
				refused++
			case answer.Code != tt.good || refused > 0:
				t.Fatalf("%s %s: %d after %d refusals", tt.method, tt.target, answer.Code, refused)
			}
		}
		if refused != 5 {
			t.Errorf("%s %s: %d refused, want 5", tt.method, tt.target, refused)
		}
		if logged := w.logged(); strings.Contains(logged, `"level":"ERROR"`) || strings.Contains(logged, `"level":"WARN"`) {
			t.Errorf("%s %s: somebody else's flood is in the log as trouble of ours", tt.method, tt.target)
		}
		if got := from(h, calm, tt.method, tt.target).Code; got != tt.good {
			t.Errorf("%s %s: another network: %d", tt.method, tt.target, got)
		}
		if got := from(h, flood, "PUT", "/mdm").Code; got != http.StatusOK {
			t.Errorf("%s %s: /mdm: %d", tt.method, tt.target, got)
		}
		w.sleep(time.Second)
		if got := from(h, flood, tt.method, tt.target).Code; got != tt.good {
			t.Errorf("%s %s: a second later: %d", tt.method, tt.target, got)
		}
		for range 1005 {
			if got := from(h, local, tt.method, tt.target).Code; got != tt.good {
				t.Fatalf("%s %s: from this machine: %d", tt.method, tt.target, got)
			}
		}
	}
	w := newWorld(t)
	h := public(t, w)
	for range 1005 {
		if got := from(h, flood, "PUT", "/mdm").Code; got != http.StatusOK {
			t.Fatalf("/mdm: %d", got)
		}
	}
}
