package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestCompanionShowsItsToken: in one header of one kind, and never in the log. Who
// shows none too often is told to wait.
func TestCompanionShowsItsToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	ask := func(authorization ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, "https://mdm.example.test/android/agent/certificates", nil)
		r.Header["Authorization"] = authorization
		recorder := httptest.NewRecorder()
		handlers.Public.ServeHTTP(recorder, r)
		return recorder
	}
	if got := ask("bearer canary"); got.Code != http.StatusOK || !strings.Contains(got.Body.String(), `"key":{"type":"RSA","size":2048}`) {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
	for _, wrong := range [][]string{{"canary"}, {"Basic canary"}, {"Bearer canary", "Bearer canary"}, nil} {
		if got := ask(wrong...); got.Code != http.StatusUnauthorized || got.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%q: %d %s", wrong, got.Code, got.Body)
		}
	}
	last := 0
	for range 30 {
		last = ask().Code
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the thirtieth guess: %d", last)
	}
	if strings.Contains(w.logged(), "canary") {
		t.Error("the log holds a token")
	}
}
