package agent

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"sallyport/internal/secret"
)

// Story hears what the phone does, as it happens: step is a short constant
// phrase ("page fetched", "command"), text the particulars in plain words.
// Neither ever holds an invitation code or another secret.
type Story func(step, text string)

// Options say which phone to take and how it reaches the world. The zero
// Options are a phone in memory that trusts the system's roots.
type Options struct {
	Dir      string              // where the phone is kept; empty: in memory, gone with the Phone
	Existing bool                // refuse to make a new phone (ErrNoPhone)
	CA       []*x509.Certificate // roots that the owner trusts by hand, instead of the system's; remembered
	HTTP     *http.Client        // carries every request; nil: one that trusts what the phone trusts
	PIN      secret.Value        // of the invitation, when it asks for one
	As       Kind                // of a new phone; empty: IPhone
	AMAPI    string              // Android: address of the stand-in for the Android Management API; remembered
	Code     secret.Value        // Android: of the invitation, where a sign-in page asks for it
	Story    Story               // nil: nobody listens
	Retry    Retry
	Now      func() time.Time // nil: time.Now
	Keys     *KeyPool         // nil: a new key for every certificate

	tally *tally // nil: nobody counts
}

// Phone is one iPhone or Android phone in software. Its methods may be called from several
// goroutines; they take turns. Phones share nothing with each other.
type Phone struct {
	o    Options
	disk *disk

	mu   sync.Mutex
	s    *state       // read at the start of every operation, let go of at its end
	http *http.Client // built from the trusted roots; nil after they changed
}

// New takes the phone that is kept in o.Dir, or makes a new one there.
func New(o Options) (*Phone, error) {
	if o.Story == nil {
		o.Story = func(string, string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Retry = o.Retry.withDefaults()
	p := &Phone{o: o, disk: &disk{dir: o.Dir, pool: o.Keys}}
	if o.Dir != "" && !o.Existing {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("make phone: %w", err)
		}
	}
	if o.Dir != "" && o.Existing {
		if s, err := p.disk.load(); err != nil {
			return nil, err
		} else if s == nil {
			return nil, ErrNoPhone
		}
	}
	end, err := p.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	changed := false
	for _, ca := range o.CA {
		changed = addDER(&p.s.Trusted, ca.Raw) || changed
	}
	if p.s.Stage == "" {
		p.s.Stage = StageNone
		changed = true
	}
	if changed {
		return p, p.save()
	}
	return p, nil
}

// Load takes the phone that is kept in dir. ErrNoPhone when there is none.
func Load(dir string) (*Phone, error) { return New(Options{Dir: dir, Existing: true}) }

// Close lets go of idle connections. The phone can be used again.
func (p *Phone) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropConnections()
}

// begin starts an operation: it waits for its turn, within this process and
// among others, and reads the newest state.
func (p *Phone) begin() (end func(), err error) {
	p.mu.Lock()
	unlock, err := p.disk.lock(10 * time.Second)
	if err != nil {
		p.mu.Unlock()
		return nil, fmt.Errorf("use phone: %w", err)
	}
	end = func() { p.s = nil; unlock(); p.mu.Unlock() }
	s, err := p.disk.load()
	if err != nil {
		end()
		return nil, err
	}
	if s == nil {
		s = newState(p.o.As)
	}
	p.s = s
	return end, nil
}

func (p *Phone) save() error { return p.disk.save(p.s) }

// now is what the phone's clock says.
func (p *Phone) now() time.Time { return p.o.Now().Add(p.s.Facts.Clock) }

func (p *Phone) tell(step, format string, args ...any) {
	p.o.Story(step, fmt.Sprintf(format, args...))
}

// pool is what the phone trusts: the roots given by hand, or the system's
// where there are none, and the roots that installed profiles brought.
func (p *Phone) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	if len(p.s.Trusted) == 0 {
		if system, err := x509.SystemCertPool(); err == nil {
			pool = system
		}
	}
	for _, der := range p.s.Trusted {
		addCert(pool, der)
	}
	for _, a := range p.s.Authorities {
		addCert(pool, a.Certificate)
	}
	return pool
}

func addCert(pool *x509.CertPool, der []byte) {
	if c, err := x509.ParseCertificate(der); err == nil {
		pool.AddCert(c)
	}
}

func addDER(list *[][]byte, der []byte) (added bool) {
	for _, have := range *list {
		if string(have) == string(der) {
			return false
		}
	}
	*list = append(*list, der)
	return true
}

func (p *Phone) client() *http.Client {
	if p.o.HTTP != nil {
		return p.o.HTTP
	}
	if p.http == nil {
		wrong := p.s.Facts.Clock // a phone judges TLS by its own clock
		p.http = &http.Client{Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment,
			TLSClientConfig: &tls.Config{RootCAs: p.pool(), MinVersion: tls.VersionTLS12,
				Time: func() time.Time { return time.Now().Add(wrong) }},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: 2,
			IdleConnTimeout:     30 * time.Second,
			TLSHandshakeTimeout: 15 * time.Second,
		}}
	}
	return p.http
}

// dropConnections makes the next request use the roots that are trusted then.
func (p *Phone) dropConnections() {
	if p.http != nil {
		p.http.CloseIdleConnections()
		p.http = nil
	}
}

// newFacts makes a phone as it leaves the shop: an iPhone 13 with a passcode.
func newFacts() facts {
	const hex, alnum = "0123456789ABCDEF", "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return facts{
		UDID:        "00008110-" + random(hex, 16),
		Serial:      random("0123456789CDFGHJKLMNPQRTVWXY", 10),
		EASDeviceID: random(alnum, 26),
		IMEI:        imei(),
		Product:     "iPhone14,5",
		Name:        "iPhone",
		OS:          "26.1",
		Passcode:    true,
	}
}

func random(alphabet string, n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[randomBelow(len(alphabet))]
	}
	return string(out)
}

// randomBelow draws without bias; n is at most 256.
func randomBelow(n int) int {
	var b [1]byte
	for limit := 256 - 256%n; ; {
		_, _ = rand.Read(b[:]) // never fails (crypto/rand)
		if int(b[0]) < limit {
			return int(b[0]) % n
		}
	}
}

// imei ends in the check digit of Luhn's formula, as 3GPP TS 23.003 asks, and
// is written as iOS writes it.
func imei() string {
	d := "35" + random("0123456789", 12)
	sum := 0
	for i, r := range d {
		n := int(r - '0')
		if i%2 == 1 {
			if n *= 2; n > 9 {
				n -= 9
			}
		}
		sum += n
	}
	d += string(rune('0' + (10-sum%10)%10))
	return d[:2] + " " + d[2:8] + " " + d[8:14] + " " + d[14:]
}
