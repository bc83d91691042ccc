package server

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"sallyport/enroll"
	"sallyport/internal/refusal"
)

// keysFake is Android where one notification key and one sign-up state are good.
type keysFake struct {
	androidFake
	calls *int // of FinishSignup
}

func (f keysFake) Notified(_ context.Context, key string, _ []byte) error {
	if key != "good" {
		return refusal.New(enroll.ErrNotFound, "", "there is nothing here", "")
	}
	return f.w.did(true)
}

func (f keysFake) FinishSignup(_ context.Context, state, _ string) error {
	*f.calls++
	if state != "good" {
		return refusal.New(enroll.ErrConflict, "state", "this page belongs to no sign-up", "begin again")
	}
	return f.w.did(true)
}

// keysWorld is a public listener with such a fake.
func keysWorld(t *testing.T) (http.Handler, *int) {
	t.Helper()
	w, calls := newWorld(t), new(int)
	c := w.config()
	c.Device.Android = keysFake{androidFake{w: w}, calls}
	handlers, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return handlers.Public, calls
}

// TestWrongKeysShutOutNobodyElse: neither Google's notifications nor companion apps
// wait because networks elsewhere try codes and keys.
func TestWrongKeysShutOutNobodyElse(t *testing.T) {
	t.Parallel()
	h, _ := keysWorld(t)
	for i := range 600 { // more than all networks together may try codes
		network := fmt.Sprintf("[2001:db8:%x::1]:1", i)
		for _, target := range []string{"/enroll/AAAA-AAAA", "/android/agent/certificates"} {
			from(h, network, http.MethodGet, target)
		}
		from(h, network, http.MethodPost, "/android/notifications/bad")
	}
	const calm = "192.0.2.2:1"
	if got := from(h, calm, http.MethodGet, "/enroll/"+goodCode).Code; got != http.StatusTooManyRequests {
		t.Fatalf("codes are not bounded over all networks: %d", got)
	}
	if got := from(h, calm, http.MethodPost, "/android/notifications/good").Code; got != http.StatusNoContent {
		t.Errorf("notification: %d", got)
	}
	r := httptest.NewRequest(http.MethodGet, "/android/agent/certificates", nil)
	r.RemoteAddr = calm
	r.Header.Set("Authorization", "Bearer canary")
	recorder := httptest.NewRecorder()
	if h.ServeHTTP(recorder, r); recorder.Code != http.StatusOK {
		t.Errorf("companion app: %d", recorder.Code)
	}
	const noisy = "192.0.2.1:1" // shuts out itself
	last := 0
	for range 30 {
		last = from(h, noisy, http.MethodPost, "/android/notifications/bad").Code
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("the thirtieth wrong key: %d", last)
	}
}

// TestOneSiteShutsOutNobodyElse: whoever has a /56 of IPv6 has 256 networks, and may
// neither try 256 times as many codes nor close the pages to everybody.
func TestOneSiteShutsOutNobodyElse(t *testing.T) {
	t.Parallel()
	const calm, neighbour = "192.0.2.2:1", "[2001:db8:1:ffff::1]:1"
	for _, tt := range []struct{ name, tried string }{
		{"codes that do not exist", "/enroll/AAAA-AAAA"},
		{"reasons that do not exist", "/access/why/no-such-token"},
		{"a code that is good", "/enroll/" + goodCode},
	} {
		h := public(t, newWorld(t))
		for i := range 256 * 8 {
			from(h, fmt.Sprintf("[2001:db8:1:%x::1]:1", i%256), http.MethodGet, tt.tried)
		}
		if got := from(h, calm, http.MethodGet, "/enroll/"+goodCode).Code; got != http.StatusOK {
			t.Errorf("%s: elsewhere a good link is answered %d", tt.name, got)
		}
		if got := from(h, neighbour, http.MethodGet, "/enroll/"+goodCode).Code; got != http.StatusTooManyRequests {
			t.Errorf("%s: in a new network of the same site a good link is answered %d", tt.name, got)
		}
	}
}

// TestFalseSignupsAreBounded: each leaves a row in the audit trail, and anybody can
// ask.
func TestFalseSignupsAreBounded(t *testing.T) {
	t.Parallel()
	h, calls := keysWorld(t)
	const flood, calm = "192.0.2.1:1", "192.0.2.2:1"
	for range 100 {
		from(h, flood, http.MethodGet, "/android/callback?state=guess&enterpriseToken=t")
	}
	if *calls > 20 {
		t.Errorf("%d false sign-ups of one network were looked at", *calls)
	}
	if got := from(h, calm, http.MethodGet, "/android/callback?state=good&enterpriseToken=t").Code; got != http.StatusOK {
		t.Errorf("the administrator: %d", got)
	}
}
