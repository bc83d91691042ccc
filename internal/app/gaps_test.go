package app

import (
	"testing"

	"sallyport/internal/config"
)

func TestGaps(t *testing.T) {
	t.Parallel()
	rehearsal := gaps(config.Default(), "https://localhost:8443", true)
	if len(rehearsal) != 4 {
		t.Errorf("got %d gaps, want 4: %v", len(rehearsal), rehearsal)
	}
	for _, g := range rehearsal {
		if g.Name == "" || g.Problem == "" || g.Next == "" {
			t.Errorf("incomplete gap %+v", g)
		}
	}
	c := config.Default()
	c.TLSCert, c.SigningCert = "a.pem", "b.pem"
	if found := gaps(c, "https://mdm.example.com", false); found == nil || len(found) != 0 {
		t.Errorf("got %v, want an empty list", found)
	}
}

func TestPrivate(t *testing.T) {
	t.Parallel()
	for u, want := range map[string]bool{
		"https://localhost:8443": true, "https://mdm": true, "https://10.1.2.3": true, "https://[::1]": true,
		"https://mdm.example.test": true, "https://a.local": true, "https://mdm.example.com": false, "https://192.0.2.7": false,
	} {
		if got := private(u); got != want {
			t.Errorf("private(%s): got %t", u, got)
		}
	}
}
