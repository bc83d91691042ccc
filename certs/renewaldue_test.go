package certs_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/certs"
)

// TestRenewalDueLiesInTheWindow for any certificate and any window within its life.
func TestRenewalDueLiesInTheWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		from := time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "from"), 0).UTC()
		life := time.Duration(rapid.Int64Range(1, 20*365*24*3600).Draw(t, "life")) * time.Second
		window := time.Duration(rapid.Int64Range(1, int64(life/time.Second)).Draw(t, "window")) * time.Second
		key := rapid.String().Draw(t, "key")
		to := from.Add(life)
		due := certs.RenewalDue(from, to, window, key)
		if due.Before(to.Add(-window)) || due.After(to.Add(-window/2)) {
			t.Errorf("due %v, want it from %v to %v", due, to.Add(-window), to.Add(-window/2))
		}
		if key == "" && !due.Equal(to.Add(-window)) {
			t.Errorf("due %v without a key for jitter", due)
		}
		if again := certs.RenewalDue(from, to, window, key); !again.Equal(due) {
			t.Errorf("due %v, and %v", due, again)
		}
		third := certs.RenewalDue(from, to, 0, key)
		if third.Before(to.Add(-life/3)) || third.After(to.Add(-life/3/2)) {
			t.Errorf("with the default window due %v", third)
		}
	})
}
