package limit

import (
	"container/list"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
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
	perKey  Rate
	perSite Rate // without a burst: sites are not counted
	now     func() time.Time

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

// NewBySite makes a limiter whose keys are those of Network, and which counts the
// networks of one IPv6 site together, too: a customer is given a /56 or a /48, and
// would else have the share of one network 256 or 65,536 times.
func NewBySite(perNetwork, perSite, all Rate, now func() time.Time) *Limiter {
	l := New(perNetwork, all, now)
	l.perSite = perSite
	return l
}

func bucket(r Rate) *rate.Limiter { return rate.NewLimiter(rate.Limit(r.PerSecond), r.Burst) }

// Allow takes one event of key and reports whether there was one left. An event
// that key, or its site, may not have is not taken from the others.
func (l *Limiter) Allow(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, b := range l.buckets(key) {
		if !b.AllowN(now, 1) {
			return false
		}
	}
	return true
}

// Return gives back an event that Allow took and that turned out not to count.
// Taking first and giving back keeps many at once from passing together.
func (l *Limiter) Return(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for _, b := range l.buckets(key) {
		b.AllowN(now, -1) // a bucket that is full stays so: rate caps it at its burst
	}
}

// Wait is how long Allow will go on saying no; zero when it would say yes.
func (l *Limiter) Wait(key string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	wait := time.Duration(0)
	for _, b := range l.begun(key) {
		wait = max(wait, until(b, now))
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
	return slices.ContainsFunc(l.begun(key), func(b *rate.Limiter) bool { return b.TokensAt(now) < 1 })
}

// buckets are those that an event of key is taken from, the narrowest first.
func (l *Limiter) buckets(key string) []*rate.Limiter {
	list := append(make([]*rate.Limiter, 0, 3), l.bucketOf(key, l.perKey))
	if site, ok := l.siteOf(key); ok {
		list = append(list, l.bucketOf(site, l.perSite))
	}
	return append(list, l.all)
}

// begun are those of buckets that something was taken from.
func (l *Limiter) begun(key string) []*rate.Limiter {
	list := append(make([]*rate.Limiter, 0, 3), l.all)
	if element, known := l.keys[key]; known {
		list = append(list, element.Value.(*entry).bucket)
	}
	if site, ok := l.siteOf(key); ok {
		if element, known := l.keys[site]; known {
			list = append(list, element.Value.(*entry).bucket)
		}
	}
	return list
}

// siteOf is the key of the IPv6 /48 around the network that key names, if sites count.
func (l *Limiter) siteOf(key string) (string, bool) {
	if l.perSite.Burst == 0 {
		return "", false
	}
	network, err := netip.ParsePrefix(key)
	if err != nil || network.Bits() <= siteBits {
		return "", false
	}
	return netip.PrefixFrom(network.Addr(), siteBits).Masked().String(), true
}

func (l *Limiter) bucketOf(key string, r Rate) *rate.Limiter {
	if element, known := l.keys[key]; known {
		l.used.MoveToFront(element)
		return element.Value.(*entry).bucket
	}
	if l.used.Len() >= maxKeys {
		oldest := l.used.Back()
		delete(l.keys, oldest.Value.(*entry).key)
		l.used.Remove(oldest)
	}
	e := &entry{key: key, bucket: bucket(r)}
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

const (
	networkBits = 64 // what one customer of IPv6 has at the least
	siteBits    = 48 // and at the most (RFC 6177)
)

// Network is the key of r's peer, as NetworkOf says, or what else stands in
// RemoteAddr.
func Network(r *http.Request) string {
	if network, ok := NetworkOf(Address(r)); ok {
		return network
	}
	return Address(r)
}

// NetworkOf is the network that an address belongs to: itself for IPv4, and its /64
// for IPv6. It is false for what is no address.
func NetworkOf(address string) (network string, ok bool) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return "", false
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String(), true
	}
	return netip.PrefixFrom(ip, networkBits).Masked().String(), true
}
