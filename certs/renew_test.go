package certs_test

import (
	"fmt"
	"testing"
	"time"

	"sallyport/certs"
)

func TestRenewalDue(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to := from.Add(360 * day)
	for _, tt := range []struct {
		window, before time.Duration
	}{{0, 120 * day}, {-1, 120 * day}, {30 * day, 30 * day}, {400 * day, 120 * day}} {
		if got, want := certs.RenewalDue(from, to, tt.window, ""), to.Add(-tt.before); !got.Equal(want) {
			t.Errorf("window %v: %v, want %v", tt.window, got, want)
		}
	}
	const n = 1000
	early := 0
	for i := range n {
		key := fmt.Sprint(i)
		due := certs.RenewalDue(from, to, 0, key)
		if due.Before(to.Add(-120*day)) || due.After(to.Add(-60*day)) {
			t.Fatalf("%s: due %v", key, due)
		}
		if !due.Equal(certs.RenewalDue(from, to, 0, key)) {
			t.Fatal("a certificate is due at two times")
		}
		if due.Before(to.Add(-90 * day)) {
			early++
		}
	}
	if early < n*4/10 || early > n*6/10 {
		t.Errorf("%d of %d in the first half", early, n)
	}
}
