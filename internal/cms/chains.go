package cms

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"sync"
	"time"
)

// Chains remembers which certificates were found to lead to a set of roots, so
// that the signatures between them are verified once. They are facts about bytes
// that never change: a certificate is known by the hash of all of it. What does
// change is not remembered: the time is held against every certificate of the
// chain on each check, other roots or intermediates begin anew, and whether a
// certificate was revoked is the caller's to look up, as it always was. A failure
// is not remembered either. The zero value is ready; it may be used by any number
// of goroutines.
type Chains struct {
	mu            sync.Mutex
	roots         *x509.CertPool
	intermediates []*x509.Certificate
	usages        []x509.ExtKeyUsage
	closed        bool
	young, old    map[[sha256.Size]byte]validity
}

// validity is when all certificates of a chain are valid.
type validity struct{ from, until time.Time }

func (v validity) holds(t time.Time) bool { return !t.Before(v.from) && !t.After(v.until) }

// chainsKept bounds each of two generations, the younger of which becomes the
// older when it is full: some 100 bytes for each of up to 64,000 phones.
const chainsKept = 32 << 10

// knows reports whether c was found good for this trust, and is valid now.
func (k *Chains) knows(c *x509.Certificate, t Trust) bool {
	if k == nil {
		return false
	}
	id := sha256.Sum256(c.Raw)
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.same(t) {
		return false
	}
	v, ok := k.young[id]
	if !ok {
		v, ok = k.old[id]
		if ok {
			k.keep(id, v)
		}
	}
	return ok && v.holds(t.Now)
}

// learn notes what was found. A certificate may lead to the roots in several
// ways: the first is as good as any, and when its time is over another is looked for.
func (k *Chains) learn(c *x509.Certificate, t Trust, chain []*x509.Certificate) {
	if k == nil {
		return
	}
	v := validity{c.NotBefore, c.NotAfter}
	for _, link := range chain {
		if link.NotBefore.After(v.from) {
			v.from = link.NotBefore
		}
		if link.NotAfter.Before(v.until) {
			v.until = link.NotAfter
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.same(t) {
		k.roots, k.intermediates, k.usages = t.Roots.Clone(), slices.Clone(t.Intermediates), slices.Clone(t.Usages)
		k.closed = t.Closed
		k.young, k.old = nil, nil
	}
	k.keep(sha256.Sum256(c.Raw), v)
}

// same reports whether what is remembered was measured by this trust.
func (k *Chains) same(t Trust) bool {
	return k.roots != nil && k.roots.Equal(t.Roots) && slices.Equal(k.usages, t.Usages) && k.closed == t.Closed &&
		slices.EqualFunc(k.intermediates, t.Intermediates, func(a, b *x509.Certificate) bool { return a == b || bytes.Equal(a.Raw, b.Raw) })
}

func (k *Chains) keep(id [sha256.Size]byte, v validity) {
	if len(k.young) >= chainsKept {
		k.young, k.old = nil, k.young
	}
	if k.young == nil {
		k.young = map[[sha256.Size]byte]validity{}
	}
	k.young[id] = v
}
