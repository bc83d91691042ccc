package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sallyport/internal/bounded"
)

// Retry bounds how long a phone keeps asking. A server may die before or after
// it committed what a request asked for, so the same bytes are sent again; the
// server must take that for the same request.
type Retry struct {
	Attempts int           // at most so many sends of one request; 0: 60
	First    time.Duration // pause before the second send, doubled each time; 0: 200 ms
	Max      time.Duration // longest pause; 0: 3 s
	Total    time.Duration // no new send after this; 0: 60 s
	Request  time.Duration // time limit of one send; 0: 30 s
}

func (r Retry) withDefaults() Retry {
	if r.Attempts <= 0 {
		r.Attempts = 60
	}
	if r.First <= 0 {
		r.First = 200 * time.Millisecond
	}
	if r.Max <= 0 {
		r.Max = 3 * time.Second
	}
	if r.Total <= 0 {
		r.Total = time.Minute
	}
	if r.Request <= 0 {
		r.Request = 30 * time.Second
	}
	return r
}

const maxPage = 1 << 20 // bytes of any answer

// request is one HTTP request that may be sent several times.
type request struct {
	what   string // for people: "enrolment page", "Authenticate"
	method string
	url    string
	header map[string]string
	body   []byte
	follow bool // redirects; a phone follows none with MDM and SCEP
	once   bool // best effort: no second send

	losable bool // a script may lose the answer

	identity *tls.Certificate // presented in TLS to a server that asks; nil: none
}

type answer struct {
	status int
	header http.Header
	body   []byte
	url    *url.URL
}

// errTransient marks an outcome after which the same request is sent again.
type errTransient struct {
	err   error
	after time.Duration // what the server asked for, or 0
	told  bool          // the server asked for exactly that: sooner is of no use (429)
}

func (e *errTransient) Error() string { return e.err.Error() }
func (e *errTransient) Unwrap() error { return e.err }

// send sends r until it gets an answer that is final. An answer of 400 and
// above that is not transient comes back without error: its meaning differs
// from protocol to protocol.
func (p *Phone) send(ctx context.Context, r request) (*answer, error) {
	retry, pause, start := p.o.Retry, p.o.Retry.First, time.Now()
	for attempt := 1; ; attempt++ {
		a, err := p.sendOnce(ctx, r)
		var transient *errTransient
		if err == nil || !errors.As(err, &transient) {
			return a, err
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s: %w", r.what, ctx.Err())
		}
		wait := max(pause, min(transient.after, retry.Max))
		if transient.told {
			wait = max(pause, transient.after)
			if r.once || time.Since(start)+wait > retry.Total {
				return nil, fmt.Errorf("%s: %w: wait %s", r.what, ErrTooMany, inWords(transient.after))
			}
		}
		if r.once || attempt >= retry.Attempts || time.Since(start)+wait > retry.Total {
			return nil, fmt.Errorf("%s: %w: %w (asked %d times)", r.what, ErrUnreachable, transient.err, attempt)
		}
		if attempt == 1 {
			p.tell("waiting", "%s: %v; asking again", r.what, transient.err)
		}
		// Up to a quarter of jitter: a fleet must not come back in one wave.
		// Never less than what the server named.
		jitter := time.Duration(rand.Int64N(int64(wait)/4 + 1))
		if transient.told {
			jitter = -jitter / 4
		}
		timer := time.NewTimer(wait - jitter)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%s: %w", r.what, ctx.Err())
		case <-timer.C:
		}
		pause = min(pause*2, retry.Max)
	}
}

func (p *Phone) sendOnce(ctx context.Context, r request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Retry.Request)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w: address cannot be used", r.what, ErrProtocol)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	client := *p.client()
	if r.identity != nil {
		if own, ok := client.Transport.(*http.Transport); ok && p.o.HTTP == nil {
			presenting := own.Clone()
			presenting.TLSClientConfig.Certificates = []tls.Certificate{*r.identity}
			defer presenting.CloseIdleConnections()
			client.Transport = presenting
		}
	}
	if !r.follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, networkError(r.what, err)
	}
	defer resp.Body.Close()
	body, err := bounded.Read(resp.Body, maxPage)
	if errors.Is(err, bounded.ErrTooLarge) {
		return nil, fmt.Errorf("%s: %w: answer of more than %d bytes", r.what, ErrProtocol, maxPage)
	}
	if err != nil {
		return nil, &errTransient{err: errors.New("connection lost in the middle of the answer")}
	}
	if p.loseAnswer(r) {
		if err := p.save(); err != nil {
			return nil, err
		}
		return nil, &errTransient{err: errLost}
	}
	if after := retryAfter(resp.Header); resp.StatusCode == http.StatusTooManyRequests && after > 0 {
		return nil, &errTransient{err: errors.New("server asks to wait"), after: after, told: true}
	}
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout {
		return nil, &errTransient{err: fmt.Errorf("server answered %s", resp.Status), after: retryAfter(resp.Header)}
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body, url: resp.Request.URL}, nil
}

// networkError hides the URL, which may hold an invitation code, and tells a
// server that cannot be reached from one that cannot be trusted.
func networkError(what string, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	if errors.As(err, &verification) || errors.As(err, &unknown) || errors.As(err, &host) || errors.As(err, &invalid) {
		return fmt.Errorf("%s: server certificate %w: %w", what, ErrUntrusted, err)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("connection closed without an answer")
	}
	return &errTransient{err: err}
}

// retryAfter reads the form in seconds, the only one that we wait for.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 7*24*3600 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// inWords rounds up, so that who waits so long is not early.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		from time.Duration // the unit is used from here on
		name string
	}{{time.Hour, 2 * time.Hour, "hours"}, {time.Minute, 2 * time.Minute, "minutes"}} {
		if d >= unit.from {
			return fmt.Sprintf("%d %s", (d+unit.of-1)/unit.of, unit.name)
		}
	}
	return fmt.Sprintf("%d seconds", (d+time.Second-1)/time.Second)
}
