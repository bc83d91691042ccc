package limit

import (
	"container/list"
	"math"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is so many events per second, with Burst of them at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Boundless is the rate of all keys where only each one is held to anything.
func Boundless() Rate { return Rate{PerSecond: math.MaxFloat64, Burst: 1} }

// maxKeys bounds the memory: about 2 MB. When it is full the key that has not
// been used for longest is forgotten; the rate for all keys still holds then.
const maxKeys = 10_000

// Limiter counts events by key. It is safe for concurrent use.
type Limiter struct {
	perKey Rate
	now    func() time.Time

	mu   sync.Mutex
	all  *rate.Limiter
	keys map[string]*list.Element
	used *list.List // of *entry, the latest first
}

type entry struct {
	key    string
	bucket *rate.Limiter
}

// New makes a limiter. now nil means time.Now.
func New(perKey, all Rate, now func() time.Time) *Limiter {
	if now == nil {
		now = time.Now
	}
	return &Limiter{
		perKey: perKey,
		now:    now,
		all:    bucket(all),
		keys:   make(map[string]*list.Element),
		used:   list.New(),
	}
}

func bucket(r Rate) *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }

// Allow takes one event of key and reports whether there was one left. An event
// that key may not have is not taken from the others.
func (l *Limiter) Allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return l.bucketOf(key).AllowN(now, 1) && l.all.AllowN(now, 1)
}

// Return gives back an event that Allow took and that turned out not to count.
// Taking first and giving back keeps many at once from passing together.
func (l *Limiter) Return(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, b := range []*rate.Limiter{l.bucketOf(key), l.all} {
		b.AllowN(now, -1) // a bucket that is full stays so: rate caps it at its burst
	}
}

// Wait is how long Allow will go on saying no; zero when it would say yes.
func (l *Limiter) Wait(key string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	wait := until(l.all, now)
	if element, known := l.keys[key]; known {
		wait = max(wait, until(element.Value.(*entry).bucket, now))
	}
	return wait
}

// until is how long the bucket takes to hold one event.
func until(b *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - b.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	if b.Limit() <= 0 {
		return never
	}
	return min(never, time.Duration(math.Ceil(missing/float64(b.Limit())*float64(time.Second))))
}

// never stands for a wait without an end.
const never = 24 * time.Hour

// Spent reports whether Allow would say no, and takes nothing.
func (l *Limiter) Spent(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.all.TokensAt(now) < 1 {
		return true
	}
	element, known := l.keys[key]
	return known && element.Value.(*entry).bucket.TokensAt(now) < 1
}

func (l *Limiter) bucketOf(key string) *rate.Limiter {
	if element, known := l.keys[key]; known {
		l.used.MoveToFront(element)
		return element.Value.(*entry).bucket
	}
	if l.used.Len() >= maxKeys {
		oldest := l.used.Back()
		delete(l.keys, oldest.Value.(*entry).key)
		l.used.Remove(oldest)
	}
	e := &entry{key: key, bucket: bucket(l.perKey)}
	l.keys[key] = l.used.PushFront(e)
	return e.bucket
}

// Address is the address of r's caller, without its port. Where a reverse proxy
// of ours stands in between, package peer has put the caller in its place; no
// header of the request has a say in it any more.
func Address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Local reports whether r comes from this machine: from ourselves, or from a proxy
// of ours that does not tell whom it speaks for, and has no share of its own.
func Local(r *http.Request) bool {
	address, err := netip.ParseAddr(Address(r))
	return err == nil && address.Unmap().IsLoopback()
}

// Network is the key of r's peer: its IPv4 address, or its IPv6 /64, which is
// what one customer has at the least.
func Network(r *http.Request) string {
	address, err := netip.ParseAddr(Address(r))
	if err != nil {
		return Address(r)
	}
	address = address.Unmap().WithZone("")
	if address.Is4() {
		return address.String()
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return address.String()
	}
	return prefix.String()
}
