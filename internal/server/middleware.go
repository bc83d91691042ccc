package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/internal/server/limit"
)

// noRoute stands where no row of the table was found. The path itself is never
// logged: it may hold an invitation's code, also when it was mistyped.
const noRoute = "(none)"

// trace is what a request leaves for the log.
type trace struct{ pattern string }

type traceKey struct{}

func traceOf(ctx context.Context) *trace {
	if t, ok := ctx.Value(traceKey{}).(*trace); ok {
		return t
	}
	return &trace{pattern: noRoute}
}

// middleware is what happens around every request, from the outside in: who is
// calling, its name, its record, the headers, and the net under it.
func (f *front) middleware(next http.Handler) http.Handler {
	return f.cfg.Proxies.Behind(f.record(f.headers(f.recover(next))))
}

// record names the request, and writes one line and two metrics when it is over.
func (f *front) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		id := requestID()
		t := &trace{pattern: noRoute}
		ctx := context.WithValue(audit.WithRequestID(r.Context(), id), traceKey{}, t)
		r = r.WithContext(ctx)
		w.Header().Set("X-Request-ID", id)
		seen := &observed{ResponseWriter: w}
		defer func() { // also when the connection is cut by a panic
			took := time.Since(begin)
			f.metrics.observe(method(r.Method), t.pattern, seen.code(), took)
			f.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "request",
				slog.String(logkey.RequestID, id),
				slog.String(logkey.Method, method(r.Method)),
				slog.String(logkey.Path, t.pattern),
				slog.Int(logkey.Status, seen.code()),
				slog.Duration(logkey.Duration, took),
				slog.String(logkey.RemoteAddr, limit.Address(r)))
		}()
		next.ServeHTTP(seen, r)
	})
}

// headers tells browsers what a page of ours may do: nothing but show itself.
// The referrer stays within the site, for a code stands in the path; "no-referrer"
// would make older Safari send "Origin: null" with the form, which sameOrigin refuses.
func (f *front) headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("X-Robots-Tag", "noindex, nofollow")
		h.Set("Cache-Control", "no-store")
		if f.cfg.HSTS {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// recover keeps one request's panic from being anybody else's.
func (f *front) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == nil {
				return
			}
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			f.cfg.Log.ErrorContext(r.Context(), "panic", append(f.about(r, fmt.Errorf("%v", cause)), "stack", string(debug.Stack()))...)
			if seen, ok := w.(*observed); ok && seen.status != 0 {
				panic(http.ErrAbortHandler) // half an answer is out: make sure that it looks torn
			}
			f.fail(w, r, fmt.Errorf("panic: %v", cause))
		}()
		next.ServeHTTP(w, r)
	})
}

// observed remembers the status that left.
type observed struct {
	http.ResponseWriter
	status int
}

func (o *observed) WriteHeader(status int) {
	if o.status == 0 && status >= http.StatusOK {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Write(p []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	return o.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (o *observed) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func (o *observed) code() int {
	if o.status == 0 {
		return http.StatusOK
	}
	return o.status
}

// requestID is random, ours alone: what a caller would send could be anything.
func requestID() string {
	var raw [12]byte
	_, _ = rand.Read(raw[:]) // never fails: it stops the program instead
	return hex.EncodeToString(raw[:])
}

// method keeps invented methods out of the log and the metrics.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions:
		return m
	}
	return "other"
}

// metrics count requests by route, never by path.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	handler  http.Handler
}

func newMetrics(registry *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_http_requests_total", Help: "Requests by route, method and status.",
		}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sallyport_http_request_duration_seconds", Help: "Time to answer by route.", Buckets: prometheus.DefBuckets,
		}, []string{"route"}),
		handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	for _, c := range []prometheus.Collector{
		m.requests, m.duration, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) observe(method, pattern string, status int, took time.Duration) {
	m.requests.WithLabelValues(pattern, method, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(pattern).Observe(took.Seconds())
}

// serve answers GET /metrics.
func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	m.handler.ServeHTTP(w, r)
	return nil
}
