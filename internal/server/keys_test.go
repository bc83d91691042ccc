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
		network := fmt.Sprintf("[2001:db8:0:%x::1]:1", i)
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
