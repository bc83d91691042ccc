package certs

import "testing"

// TestNamesOfCertificates: case does not count, and a Kelvin sign is no k.
func TestNamesOfCertificates(t *testing.T) {
	t.Parallel()
	for held, want := range map[string]bool{"Mike@Example.test": true, "mi\u212ae@example.test": false} {
		if got := holdsName([]string{"x@example.test", held}, "mike@example.test"); got != want {
			t.Errorf("%q: %v, want %v", held, got, want)
		}
	}
}
