package peer

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"net/netip"
	"testing"
	"time"
)

func newCertificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Unix(1<<31, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func header(der []byte) string { return ":" + base64.StdEncoding.EncodeToString(der) + ":" }

// FuzzClientCert: whatever the header says, the answer is a certificate whose
// own bytes the header holds, none, or a refusal.
func FuzzClientCert(f *testing.F) {
	for _, seed := range []string{"", "::", ":", ":AA==:", ":AAA:", ":AB=A:", "AAAA", ":AAAA:;p", header(newCertificate(f, "seed").Raw)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		c, err := decode(field)
		switch {
		case err != nil && (c != nil || !errors.Is(err, ErrCertificate)):
			t.Fatalf("got %v, %v", c, err)
		case c == nil:
			return
		}
		der, err := byteSequence(field)
		if err != nil || !bytes.Equal(der, c.Raw) {
			t.Fatalf("the certificate is not what the header holds: %v", err)
		}
	})
}

// FuzzForwardedFor: no header makes anybody one of our proxies' neighbours but
// an address that stands in it, and none stops the server.
func FuzzForwardedFor(f *testing.F) {
	for _, seed := range []string{"", ",", "203.0.113.9", "a, 203.0.113.9:1, [2001:db8::1]", "10.1.1.1,10.2.2.2", "fe80::1%eth0"} {
		f.Add(seed)
	}
	proxy := netip.MustParseAddr("10.0.0.1")
	f.Fuzz(func(t *testing.T, line string) {
		got := ours.caller(proxy, []string{line})
		if !got.IsValid() || got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%q: got %v", line, got)
		}
		if whole := ours.caller(proxy, []string{"198.18.0.1", line}); whole != got && ours.contain(whole) {
			t.Fatalf("%q: what stands at the left turned %v into %v", line, got, whole)
		}
	})
}
