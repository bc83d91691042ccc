package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// FleetOptions say how many phones there are and what they do. Phones are kept
// in memory and are gone with the fleet; the server keeps their rows.
type FleetOptions struct {
	Invitations []Invitation
	Phones      int                 // enrol, and poll until the end
	Rows        int                 // enrol, and are never heard of again: rows in the server's database
	Server      string              // base URL that every invitation must lead to; empty: any
	CA          []*x509.Certificate // roots to trust instead of the system's
	Rate        float64             // enrolments begun in a second, at most; 0: 10
	Every       time.Duration       // pause of a phone between two polls, a quarter more or less; 0: 30 s
	Duration    time.Duration       // polling goes on for so long after the last enrolment; each enrolment polls once
	Forwarded   bool                // each phone names an address of its own in X-Forwarded-For, for a server that trusts this machine as its proxy
	Retry       Retry               // of each request
	Story       Story               // of all phones, mixed; nil: nobody listens
	Progress    func(FleetReport)   // every five seconds; nil: nobody listens
}

// FleetReport is what became of a fleet, or what has so far.
type FleetReport struct {
	Phones     int               `json:"phones"`     // that shall poll
	Rows       int               `json:"rows"`       // that shall be silent
	Enrolled   int               `json:"enrolled"`   // of the phones
	Silent     int               `json:"silent"`     // of the rows: enrolled, and let go of
	Configured int               `json:"configured"` // phones with a managed mail account
	Polls      int               `json:"polls"`      // rounds that ended with nothing left to do
	Commands   int               `json:"commands"`   // answered
	Refused    int               `json:"refused"`    // of them, with an error
	Twice      int               `json:"executed_twice"`
	Errors     map[string]int    `json:"errors"` // rounds and enrolments that failed, by kind
	Requests   map[string]Timing `json:"requests"`
	Seconds    float64           `json:"seconds"`
	MemoryMB   float64           `json:"memory_mb"` // of this program, as its runtime counts it
}

const (
	defaultRate  = 10
	defaultEvery = 30 * time.Second
	reportEvery  = 5 * time.Second
	maxFleet     = 100_000 // phones in one process
)

// fleet is a run.
type fleet struct {
	o      FleetOptions
	client *http.Client
	watch  *stopwatch
	keys   *KeyPool
	tally  *tally
	start  time.Time

	enrolled, silent, configured, twice atomic.Int64

	mu     sync.Mutex
	errors map[string]int
}

// RunFleet enrols the phones and lets them poll. When ctx ends first, the report
// is of what was done until then, with ctx's error. Phones that fail are in the
// report; they are no error.
func RunFleet(ctx context.Context, o FleetOptions) (FleetReport, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return FleetReport{}, err
	}
	f := newFleet(o)
	defer f.client.CloseIdleConnections()
	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { f.progress(watching) })
	f.run(ctx)
	stop()
	watcher.Wait()
	return f.report(), ctx.Err()
}

func (o FleetOptions) withDefaults() FleetOptions {
	if o.Rate <= 0 {
		o.Rate = defaultRate
	}
	if o.Every <= 0 {
		o.Every = defaultEvery
	}
	return o
}

func (o FleetOptions) check() error {
	switch {
	case o.Phones < 0 || o.Rows < 0 || o.Phones+o.Rows == 0:
		return fmt.Errorf("%w: a fleet has at least one phone", ErrInvalid)
	case o.Phones > maxFleet:
		return fmt.Errorf("%w: %d phones are too many for one process; at most %d", ErrInvalid, o.Phones, maxFleet)
	case len(o.Invitations) < o.Phones+o.Rows:
		return fmt.Errorf("%w: %d invitations for %d phones and %d rows", ErrInvalid, len(o.Invitations), o.Phones, o.Rows)
	case o.Server == "":
		return nil
	}
	base, err := url.Parse(o.Server)
	if err != nil || base.Scheme != "https" || base.Host == "" {
		return fmt.Errorf("%w: server: an address that begins with https://", ErrInvalid)
	}
	for _, i := range o.Invitations[:o.Phones+o.Rows] {
		if u, err := url.Parse(i.URL); err != nil || u.Host != base.Host {
			return fmt.Errorf("%w: an invitation does not lead to %s", ErrInvalid, base.Host)
		}
	}
	return nil
}

func newFleet(o FleetOptions) *fleet {
	var roots *x509.CertPool // nil: the system's
	if len(o.CA) > 0 {
		roots = x509.NewCertPool()
		for _, c := range o.CA {
			roots.AddCert(c)
		}
	}
	watch := newStopwatch(&http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true, // many phones share a connection: this measures requests, not handshakes
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 15 * time.Second,
	})
	return &fleet{
		o: o, client: &http.Client{Transport: watch}, watch: watch, keys: NewKeyPool(), tally: &tally{}, start: time.Now(), errors: map[string]int{},
	}
}

// run starts one enrolment after the other at the given rate, rows last, and
// ends when every phone has.
func (f *fleet) run(ctx context.Context) {
	var enrolling, polling sync.WaitGroup
	pollUntil := make(chan struct{}) // closed when no phone shall begin another round
	pace := time.NewTicker(time.Duration(float64(time.Second) / f.o.Rate))
	defer pace.Stop()
	room := make(chan struct{}, 8*runtime.GOMAXPROCS(0)) // enrolments at a time: they cost CPU
	for i, invitation := range f.o.Invitations[:f.o.Phones+f.o.Rows] {
		select {
		case <-ctx.Done():
		case <-pace.C:
		}
		if ctx.Err() != nil {
			break
		}
		room <- struct{}{}
		enrolling.Go(func() {
			defer func() { <-room }()
			if i >= f.o.Phones {
				f.row(ctx, i, invitation)
			} else if p := f.phone(ctx, i, invitation); p != nil {
				polling.Go(func() { f.live(ctx, p, pollUntil) })
			}
		})
	}
	enrolling.Wait()
	timer := time.NewTimer(f.o.Duration)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	close(pollUntil)
	polling.Wait()
}

func (f *fleet) make(n int, i Invitation) (*Phone, error) {
	client := f.client
	if f.o.Forwarded {
		client = &http.Client{Transport: forwarded{next: f.watch, address: benchmarkAddress(n)}}
	}
	return New(Options{CA: f.o.CA, HTTP: client, PIN: i.PIN, Story: f.o.Story, Retry: f.o.Retry, Keys: f.keys, tally: f.tally})
}

// phone is one that enrolled; nil when it could not.
func (f *fleet) phone(ctx context.Context, n int, i Invitation) *Phone {
	p, err := f.make(n, i)
	if err == nil {
		err = p.Enroll(ctx, i.URL)
	}
	if f.failed(ctx, err) {
		return nil
	}
	f.enrolled.Add(1)
	return p
}

// row enrols a phone that is then let go of.
func (f *fleet) row(ctx context.Context, n int, i Invitation) {
	p, err := f.make(n, i)
	if err == nil {
		err = p.enrol(ctx, i.URL, func(context.Context) error { return nil })
	}
	if !f.failed(ctx, err) {
		f.silent.Add(1)
	}
}

// live polls until the end.
func (f *fleet) live(ctx context.Context, p *Phone, end <-chan struct{}) {
	configured := false
	note := func() {
		if !configured && p.hasMail() {
			configured = true
			f.configured.Add(1)
		}
	}
	note()
	for f.rest(ctx, end) {
		f.failed(ctx, p.Connect(ctx))
		note()
	}
	if s, err := p.Show(); err == nil {
		f.twice.Add(int64(s.ExecutedTwice))
	}
}

// rest waits between two rounds; false when there shall be no other.
func (f *fleet) rest(ctx context.Context, end <-chan struct{}) bool {
	quarter := f.o.Every / 4
	pause := time.NewTimer(f.o.Every - quarter + rand.N(2*quarter+1))
	defer pause.Stop()
	select {
	case <-ctx.Done():
	case <-end:
	case <-pause.C:
		return true
	}
	return false
}

// hasMail reports whether a profile brought a mail account.
func (p *Phone) hasMail() bool {
	end, err := p.begin()
	if err != nil {
		return false
	}
	defer end()
	for _, a := range p.s.Accounts {
		if a.Profile != "" {
			return true
		}
	}
	return false
}

// failed counts an error. What was stopped has not failed.
func (f *fleet) failed(ctx context.Context, err error) bool {
	if err == nil {
		return false
	}
	if ctx.Err() == nil {
		f.mu.Lock()
		f.errors[kindOfError(err)]++
		f.mu.Unlock()
	}
	return true
}

// kindOfError is the sentinel's text: an error's own text may hold an address.
func kindOfError(err error) string {
	for _, kind := range []error{ErrTooMany, ErrDismissed, ErrPINNeeded, ErrUntrusted, ErrUnreachable, ErrRefused, ErrProfile, ErrProtocol, ErrNotEnrolled, ErrInvalid} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return "other"
}

func (f *fleet) progress(ctx context.Context) {
	if f.o.Progress == nil {
		return
	}
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.o.Progress(f.report())
		}
	}
}

func (f *fleet) report() FleetReport {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	f.mu.Lock()
	failures := maps.Clone(f.errors)
	f.mu.Unlock()
	return FleetReport{
		Phones: f.o.Phones, Rows: f.o.Rows, Enrolled: int(f.enrolled.Load()), Silent: int(f.silent.Load()), Configured: int(f.configured.Load()),
		Polls: int(f.tally.polls.Load()), Commands: int(f.tally.commands.Load()), Refused: int(f.tally.refused.Load()), Twice: int(f.twice.Load()),
		Errors: failures, Requests: f.watch.summary(), Seconds: time.Since(f.start).Round(time.Millisecond).Seconds(),
		MemoryMB: float64((memory.Sys-memory.HeapReleased)>>10) / 1024,
	}
}
