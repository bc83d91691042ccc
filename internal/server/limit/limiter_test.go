package limit

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func clock() (func() time.Time, func(time.Duration)) {
	var offset atomic.Int64
	begin := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return func() time.Time { return begin.Add(time.Duration(offset.Load())) }, func(d time.Duration) { offset.Add(int64(d)) }
}

func TestPerKey(t *testing.T) {
	now, sleep := clock()
	l := New(Rate{PerSecond: 1, Burst: 3}, Rate{PerSecond: 100, Burst: 100}, now)
	for i := range 5 {
		if got, want := l.Allow("a"), i < 3; got != want {
			t.Errorf("event %d of a: %v, want %v", i, got, want)
		}
	}
	if !l.Spent("a") || l.Spent("b") || !l.Allow("b") {
		t.Error("a key pays for another")
	}
	sleep(time.Second)
	if l.Spent("a") || !l.Allow("a") || l.Allow("a") {
		t.Error("one second does not give one event")
	}
}

func TestWaitIsTheRealTime(t *testing.T) {
	now, sleep := clock()
	l := New(Rate{PerSecond: 0.1, Burst: 2}, Rate{PerSecond: 100, Burst: 100}, now)
	if got := l.Wait("a"); got != 0 {
		t.Errorf("new key: %s", got)
	}
	l.Allow("a")
	l.Allow("a")
	l.Allow("a")
	if got := l.Wait("a"); got != 10*time.Second {
		t.Errorf("spent: %s, want 10s", got)
	}
	sleep(l.Wait("a") - time.Second)
	if got := l.Wait("a"); l.Allow("a") || got < time.Second-time.Millisecond || got > time.Second+time.Millisecond {
		t.Errorf("a second early: %s", got)
	}
	sleep(l.Wait("a"))
	if got := l.Wait("a"); got != 0 || !l.Allow("a") {
		t.Errorf("after the wait: %s", got)
	}
	never := New(Rate{PerSecond: 0, Burst: 1}, Rate{PerSecond: 1, Burst: 1}, now)
	never.Allow("a")
	if got := never.Wait("a"); got < time.Hour {
		t.Errorf("without an end: %s", got)
	}
}

func TestReturnedEventsDoNotCount(t *testing.T) {
	now, sleep := clock()
	l := New(Rate{PerSecond: 1, Burst: 3}, Rate{PerSecond: 1, Burst: 4}, now)
	for i := range 100 {
		sleep(10 * time.Millisecond)
		if !l.Allow("a") {
			t.Fatalf("event %d that never counted is refused", i)
		}
		l.Return("a")
	}
	l.Return("a") // one too many gives nothing beyond the burst
	for i := range 5 {
		if got, want := l.Allow("a"), i < 3; got != want {
			t.Errorf("event %d: %v, want %v", i, got, want)
		}
	}
}

func TestForAllKeys(t *testing.T) {
	now, sleep := clock()
	l := New(Rate{PerSecond: 1, Burst: 100}, Rate{PerSecond: 1, Burst: 5}, now)
	allowed := 0
	for i := range 50 {
		if l.Allow(fmt.Sprint(i)) {
			allowed++
		}
	}
	if allowed != 5 || !l.Spent("new") {
		t.Errorf("%d events of 50 keys, want 5", allowed)
	}
	sleep(time.Second)
	if l.Spent("new") {
		t.Error("one second does not give one event")
	}
}

// A key over its own limit does not use up what belongs to all.
func TestNoisyKeyDoesNotStarveOthers(t *testing.T) {
	now, _ := clock()
	l := New(Rate{PerSecond: 1, Burst: 2}, Rate{PerSecond: 1, Burst: 10}, now)
	for range 1000 {
		l.Allow("noisy")
	}
	for i := range 8 {
		if !l.Allow(fmt.Sprint(i)) {
			t.Fatalf("key %d is refused", i)
		}
	}
}

func TestMapIsBounded(t *testing.T) {
	now, _ := clock()
	l := New(Rate{PerSecond: 0.001, Burst: 1}, Rate{PerSecond: 1e9, Burst: 1e9}, now)
	l.Allow("oldest")
	for i := range maxKeys {
		l.Allow(fmt.Sprint(i))
	}
	if len(l.keys) != maxKeys || l.used.Len() != maxKeys {
		t.Errorf("%d keys and %d entries, want %d", len(l.keys), l.used.Len(), maxKeys)
	}
	if l.Spent("oldest") {
		t.Error("the oldest key was not the one forgotten")
	}
	if !l.Spent(fmt.Sprint(maxKeys - 1)) {
		t.Error("the newest key was forgotten")
	}
}

func TestConcurrentUse(t *testing.T) {
	now, _ := clock()
	l := New(Rate{PerSecond: 0, Burst: 10}, Rate{PerSecond: 0, Burst: 1000}, now)
	var allowed atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				l.Spent("one")
				if l.Allow("one") {
					allowed.Add(1)
				}
			}
		})
	}
	group.Wait()
	if allowed.Load() != 10 {
		t.Errorf("%d events, want 10", allowed.Load())
	}
}

func TestNetwork(t *testing.T) {
	tests := []struct{ remote, address, network string }{
		{"192.0.2.7:1234", "192.0.2.7", "192.0.2.7"},
		{"[::ffff:192.0.2.7]:1234", "::ffff:192.0.2.7", "192.0.2.7"},
		{"[2001:db8:1:2:3:4:5:6]:1234", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"[fe80::1%eth0]:1234", "fe80::1%eth0", "fe80::/64"},
		{"@", "@", "@"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.remote
		r.Header.Set("X-Forwarded-For", "203.0.113.1")
		if got := Address(r); got != tt.address {
			t.Errorf("Address(%s) = %s, want %s", tt.remote, got, tt.address)
		}
		if got := Network(r); got != tt.network {
			t.Errorf("Network(%s) = %s, want %s", tt.remote, got, tt.network)
		}
	}
}

// TestSite: one customer of IPv6 has a /48 at the most, which is 65,536 networks.
func TestSite(t *testing.T) {
	t.Parallel()
	now, sleep := clock()
	l := NewBySite(Rate{PerSecond: 0.01, Burst: 3}, Rate{PerSecond: 1, Burst: 10}, Rate{PerSecond: 1, Burst: 40}, now)
	allowed := 0
	for i := range 500 {
		if l.Allow(fmt.Sprintf("2001:db8:1:%x::/64", i)) {
			allowed++
		}
	}
	if allowed != 10 {
		t.Errorf("a site had %d events, want 10", allowed)
	}
	const fresh = "2001:db8:1:ffff::/64"
	if !l.Spent(fresh) || l.Wait(fresh) != time.Second {
		t.Errorf("a network that its site has spent: %v, wait %s", l.Spent(fresh), l.Wait(fresh))
	}
	for _, other := range []string{"2001:db8:2:ffff::/64", "192.0.2.7"} {
		if l.Spent(other) || l.Wait(other) != 0 || !l.Allow(other) || !l.Allow(other) || !l.Allow(other) || l.Allow(other) {
			t.Errorf("%s has not the share of one network", other)
		}
	}
	for i := range 40 { // what is no IPv6 network has no site
		if got, want := l.Allow(fmt.Sprintf("192.0.2.%d", 100+i)), i < 24; got != want {
			t.Errorf("event %d for all: %v, want %v: what a site may not have is not taken from the others", i, got, want)
		}
	}
	sleep(time.Second)
	if l.Spent(fresh) || !l.Allow(fresh) || l.Allow("2001:db8:1:fffe::/64") {
		t.Error("one second does not give the site one event")
	}
	l.Return(fresh)
	if !l.Allow("2001:db8:1:fffe::/64") {
		t.Error("an event given back is not the site's again")
	}
}

func TestNetworkOf(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "@", "11111111-2222-4333-8444-555555555555", "192.0.2.7:80", "2001:db8::/64"} {
		if got, ok := NetworkOf(address); ok {
			t.Errorf("%q is an address of %s", address, got)
		}
	}
	if got, ok := NetworkOf("2001:db8:1:2:3:4:5:6"); !ok || got != "2001:db8:1:2::/64" {
		t.Errorf("got %q, %v", got, ok)
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "127.9.9.9:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true,
		"192.0.2.1:80": false, "[2001:db8::1]:80": false, "10.0.0.1:80": false, "nobody": false, "": false,
	} {
		if got := Local(&http.Request{RemoteAddr: address}); got != want {
			t.Errorf("%s: got %v", address, got)
		}
	}
}

// TestBoundless: many networks at once are held to their own shares alone.
func TestBoundless(t *testing.T) {
	t.Parallel()
	l := New(Rate{PerSecond: 1, Burst: 2}, Boundless(), func() time.Time { return time.Unix(0, 0) })
	for i := range 5000 {
		key := fmt.Sprint(i)
		first, second, third := l.Allow(key), l.Allow(key), l.Allow(key)
		if !first || !second || third || !l.Spent(key) {
			t.Fatalf("network %d has not its share", i)
		}
	}
	if wait := l.Wait("0"); wait != time.Second {
		t.Errorf("wait %v", wait)
	}
}
