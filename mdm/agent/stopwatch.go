package agent

import (
	"math"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// timings are the durations of one kind of request, in little memory however
// many there are: counts by logarithmic class, exact to 5 %.
type timings struct {
	mu      sync.Mutex
	classes [classes]uint32
	count   int
	failed  int
	limited int
	longest time.Duration
}

// From 10 µs on in steps of 5 %: the last class begins beyond half an hour.
const (
	classes   = 400
	firstStep = 10 * time.Microsecond
	step      = 1.05
)

// add counts one request; status 0 is no answer.
func (t *timings) add(d time.Duration, status int) {
	class := 0
	if d > firstStep {
		class = min(int(math.Log(float64(d)/float64(firstStep))/math.Log(step)), classes-1)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.classes[class]++
	t.count++
	t.longest = max(t.longest, d)
	switch {
	case status == http.StatusTooManyRequests:
		t.limited++
	case status == 0 || status >= http.StatusBadRequest:
		t.failed++
	}
}

// below is the duration that a share of all requests stayed below.
func (t *timings) below(share float64) time.Duration {
	want := int(math.Ceil(share * float64(t.count)))
	sum := 0
	for class, n := range t.classes {
		if sum += int(n); sum >= want && n > 0 {
			upper := float64(firstStep) * math.Pow(step, float64(class+1))
			return min(time.Duration(upper), t.longest)
		}
	}
	return 0
}

// Timing sums up the requests of one kind. A request takes from its first byte
// to the header of its answer.
type Timing struct {
	Requests int     `json:"requests"`
	Failed   int     `json:"failed"`  // no answer, or 400 and above
	Limited  int     `json:"limited"` // told to wait (429)
	P50      float64 `json:"p50_ms"`
	P95      float64 `json:"p95_ms"`
	Max      float64 `json:"max_ms"`
}

func (t *timings) summary() Timing {
	t.mu.Lock()
	defer t.mu.Unlock()
	ms := func(d time.Duration) float64 { return math.Round(float64(d)/float64(time.Microsecond)) / 1000 }
	return Timing{Requests: t.count, Failed: t.failed, Limited: t.limited, P50: ms(t.below(0.5)), P95: ms(t.below(0.95)), Max: ms(t.longest)}
}

// Kinds of request that a fleet times.
const (
	kindPoll    = "poll" // Idle and results
	kindCheckIn = "check-in"
	kindSCEP    = "certificate"
	kindPage    = "page" // enrolment page and profile
)

// stopwatch times the requests of a fleet by kind.
type stopwatch struct {
	next  http.RoundTripper
	kinds map[string]*timings
}

func newStopwatch(next http.RoundTripper) *stopwatch {
	return &stopwatch{next: next, kinds: map[string]*timings{kindPoll: {}, kindCheckIn: {}, kindSCEP: {}, kindPage: {}}}
}

// RoundTrip implements http.RoundTripper.
func (s *stopwatch) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	resp, err := s.next.RoundTrip(r)
	status := 0
	if err == nil {
		status = resp.StatusCode
	}
	s.kinds[kindOf(r)].add(time.Since(start), status)
	return resp, err
}

func kindOf(r *http.Request) string {
	switch kind := r.Header.Get("Content-Type"); {
	case kind == commandType:
		return kindPoll
	case kind == checkInType:
		return kindCheckIn
	case strings.HasSuffix(r.URL.Path, "/scep"):
		return kindSCEP
	}
	return kindPage
}

func (s *stopwatch) summary() map[string]Timing {
	out := map[string]Timing{}
	for kind, t := range s.kinds {
		out[kind] = t.summary()
	}
	return out
}

// forwarded gives a phone an address of its own, as a reverse proxy would.
type forwarded struct {
	next    http.RoundTripper
	address string
}

// RoundTrip implements http.RoundTripper.
func (f forwarded) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", f.address)
	return f.next.RoundTrip(r)
}

// benchmarkAddress is number n of the networks that are kept for such tests
// (RFC 2544, appendix C.2.2); after 131,072 they come again.
func benchmarkAddress(n int) string {
	return netip.AddrFrom4([4]byte{198, 18 | byte(n>>16&1), byte(n >> 8), byte(n)}).String()
}
