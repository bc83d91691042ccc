package app

import (
	"crypto/x509"
	"net"
	"strings"
	"testing"

	"sallyport/mdm"
)

func TestGaps(t *testing.T) {
	t.Parallel()
	rehearsal := append(gaps("https://localhost:8443", given{}, nil), pushGap())
	if len(rehearsal) != 4 {
		t.Errorf("got %d gaps, want 4: %v", len(rehearsal), rehearsal)
	}
	for _, g := range rehearsal {
		if g.Name == "" || g.Problem == "" || g.Next == "" {
			t.Errorf("incomplete gap %+v", g)
		}
	}
}

// A certificate closes its gap when it leads to a public root, and not by being there.
func TestGivenCertificatesMustLeadToAPublicRoot(t *testing.T) {
	t.Parallel()
	certFile, keyFile := pair(t, t.TempDir(), "mdm.example.com", clock, clock.AddDate(0, 3, 0))
	loaded, err := loadPair("tls_cert", certFile, keyFile, clock)
	if err != nil {
		t.Fatal(err)
	}
	both := given{tls: chainOf(loaded), signing: chainOf(loaded)}
	none := x509.NewCertPool()
	found := gaps("https://mdm.example.com", both, publicly(none, clock))
	if len(found) != 2 || found[0].Name != "tls_certificate" || found[1].Name != "signing_certificate" {
		t.Fatalf("signed by itself: got %v", found)
	}
	for _, g := range found {
		if !strings.Contains(g.Problem, "issued by itself") || !strings.Contains(g.Next, "public CA") {
			t.Errorf("gap %+v", g)
		}
	}
	none.AddCert(loaded.Leaf)
	if found := gaps("https://mdm.example.com", both, publicly(none, clock)); found == nil || len(found) != 0 {
		t.Errorf("with its root trusted: got %v, want an empty list", found)
	}
	if found := gaps("https://mdm.example.com", both, publicly(none, clock.AddDate(1, 0, 0))); len(found) != 2 {
		t.Errorf("when it has expired: got %v", found)
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

// A name for phones and an address for this machine alone do not go together,
// unless a proxy stands between them.
func TestListenGap(t *testing.T) {
	t.Parallel()
	const public = "https://mdm.example.com"
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8443}
	for _, test := range []struct {
		name, url string
		bound     *net.TCPAddr
		proxies   int
		want      bool
	}{
		{"loopback", public, loopback, 0, true},
		{"loopback of IPv6", public, &net.TCPAddr{IP: net.IPv6loopback, Port: 8443}, 0, true},
		{"a name of the house", "https://mdm.corp.internal", loopback, 0, true},
		{"every address", public, &net.TCPAddr{IP: net.IPv6unspecified, Port: 443}, 0, false},
		{"an address of its own", public, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 443}, 0, false},
		{"a proxy", public, loopback, 1, false},
		{"a rehearsal", "https://localhost:8443", loopback, 0, false},
		{"a rehearsal by address", "https://[::1]:8443", loopback, 0, false},
	} {
		found := listenGap(test.url, test.bound, test.proxies)
		if got := len(found) == 1; got != test.want {
			t.Errorf("%s: got %v", test.name, found)
		}
		for _, g := range found {
			if !strings.Contains(g.Problem, test.bound.String()) || !strings.Contains(g.Problem, test.url) || !strings.Contains(g.Next, "--listen") {
				t.Errorf("%s: %+v", test.name, g)
			}
			if g.lacks(mdm.Apple) || g.lacks(mdm.Android) {
				t.Errorf("%s: a phone that has come is told that none can", test.name)
			}
		}
	}
}

// An Android phone shows no profile of ours, and Google wakes it.
func TestGapsOfAndroid(t *testing.T) {
	t.Parallel()
	var names []string
	for _, g := range append(gaps("https://localhost:8443", given{}, nil), pushGap()) {
		if g.lacks(mdm.Android) {
			names = append(names, g.Name)
		}
		if !g.lacks(mdm.Apple) {
			t.Errorf("%s is no gap for an iPhone", g.Name)
		}
	}
	if got := strings.Join(names, " "); got != "public_url tls_certificate" {
		t.Errorf("got %s", got)
	}
}
