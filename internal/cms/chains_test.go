package cms

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"
)

// What is remembered of a chain excuses nobody from the checks whose outcome may change.
func TestChains(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	known := &Chains{}
	content := []byte("a message")
	check := func(name string, id Identity, change func(*Trust), want error) {
		t.Helper()
		trust := p.trust()
		trust.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if change != nil {
			change(&trust)
		}
		sig, err := SignDetached(content, id)
		if err != nil {
			t.Fatal(err)
		}
		anew := trust
		trust.Known = known
		for _, trust := range []Trust{anew, trust, trust} { // learns, then knows
			if _, err := VerifyDetached(sig, content, trust); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", name, err, want)
			}
		}
	}
	key := ecKey()
	id := p.identity(t, key, x509.ExtKeyUsageClientAuth)
	other := newPKI(t)
	check("good", id, nil, nil)
	check("later", id, func(t *Trust) { t.Now = t.Now.Add(24*time.Hour + time.Second) }, ErrUntrusted)
	check("earlier", id, func(t *Trust) { t.Now = t.Now.Add(-time.Hour - time.Second) }, ErrUntrusted)
	check("on the last second", id, func(t *Trust) { t.Now = id.Certificate.NotAfter }, nil)
	check("other roots", id, func(t *Trust) { t.Roots = other.trust().Roots }, ErrUntrusted)
	check("no roots", id, func(t *Trust) { t.Roots = nil }, ErrUntrusted)
	check("another usage", id, func(t *Trust) { t.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, ErrUntrusted)
	check("good again", id, nil, nil)
	check("issuer comes along", id, func(t *Trust) { t.Intermediates = nil }, nil)
	check("issuer comes along where it is closed", id, func(t *Trust) { t.Intermediates, t.Closed = nil, true }, ErrUntrusted)
	check("a stranger's", other.identity(t, key, x509.ExtKeyUsageClientAuth), nil, ErrUntrusted)

	// The issuing certificate ends before the one that it issued.
	p.sub = p.issue(t, "sub", p.subKey.Public(), p.root, p.rootKey, true, 12*time.Hour)
	id = p.identity(t, key, x509.ExtKeyUsageClientAuth)
	check("issuer valid", id, nil, nil)
	check("issuer over", id, func(t *Trust) { t.Now = p.sub.NotAfter.Add(time.Second) }, ErrUntrusted)

	// A known certificate vouches for no message.
	sig, err := SignDetached(content, id)
	if err != nil {
		t.Fatal(err)
	}
	trust := p.trust()
	trust.Known = known
	if _, err := VerifyDetached(sig, []byte("another"), trust); !errors.Is(err, ErrSignature) {
		t.Errorf("another message: got %v", err)
	}
}

// Only so much is remembered, and what is in use stays.
func TestChainsKeptAreBounded(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	used := p.identity(t, ecKey()).Certificate
	k, trust := &Chains{}, p.trust()
	k.learn(used, trust, []*x509.Certificate{used, p.sub, p.root})
	for i := range 3 * chainsKept {
		k.learn(&x509.Certificate{Raw: []byte{byte(i), byte(i >> 8), byte(i >> 16)}, NotAfter: p.now}, trust, nil)
		if i%1000 == 0 && !k.knows(used, trust) {
			t.Fatal("forgotten while in use")
		}
	}
	if n := len(k.young) + len(k.old); n > 2*chainsKept {
		t.Errorf("%d are kept", n)
	}
}
