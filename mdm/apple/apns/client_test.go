package apns_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/apple/apns"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const topic = "com.apple.mgmt.External.0d6f1c1e-3b1f-4a0e-9c53-1e6f5c0f5f10"

var token = strings.Repeat("\xA5\x01", 16)

func push() mdm.Push {
	return mdm.Push{Topic: topic, Token: secret.New(token), Magic: secret.New("MAGIC-1")}
}

// service is a push service that answers with h over HTTP/2 and asks for a
// client certificate.
func service(t *testing.T, h http.HandlerFunc) (*httptest.Server, *apns.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	pair := newWorld(t).pair(t, topic)
	c := &apns.Client{
		URL: s.URL, Roots: pool, Now: func() time.Time { return noon },
		Identity: func(context.Context) (tls.Certificate, error) { return pair, nil },
	}
	t.Cleanup(c.Close)
	return s, c
}

func TestPushIsExactlyWhatAppleAsksFor(t *testing.T) {
	t.Parallel()
	_, c := service(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for what, pair := range map[string][2]string{
			"protocol":   {r.Proto, "HTTP/2.0"},
			"method":     {r.Method, "POST"},
			"path":       {r.URL.Path, "/3/device/" + hex.EncodeToString([]byte(token))},
			"query":      {r.URL.RawQuery, ""},
			"body":       {string(body), `{"mdm":"MAGIC-1"}`},
			"topic":      {r.Header.Get("apns-topic"), topic},
			"type":       {r.Header.Get("apns-push-type"), "mdm"},
			"priority":   {r.Header.Get("apns-priority"), "10"},
			"expiration": {r.Header.Get("apns-expiration"), fmt.Sprint(noon.AddDate(0, 0, 7).Unix())},
			"uid":        {r.TLS.PeerCertificates[0].Subject.Names[0].Value.(string), topic},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s: got %q, want %q", what, pair[0], pair[1])
			}
		}
		w.Header().Set("apns-id", "EABE4F0C-1")
	})
	got := c.Push(t.Context(), push())
	if want := (apns.Result{Outcome: apns.Accepted, Status: 200, APNSID: "EABE4F0C-1"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status     int
		body       string
		retryAfter string
		want       apns.Result
		everyone   bool
	}{
		{410, `{"reason":"Unregistered","timestamp":1795348800000}`, "", apns.Result{Outcome: apns.Dead, Reason: "Unregistered", InvalidSince: time.UnixMilli(1795348800000).UTC()}, false},
		{410, `{"reason":"Unregistered","timestamp":-5}`, "", apns.Result{Outcome: apns.Dead, Reason: "Unregistered"}, false},
		{410, `{"reason":"ExpiredToken"}`, "", apns.Result{Outcome: apns.Dead, Reason: "ExpiredToken"}, false},
		{400, `{"reason":"BadDeviceToken"}`, "", apns.Result{Outcome: apns.Refused, Reason: "BadDeviceToken"}, false},
		{400, `{"reason":"DeviceTokenNotForTopic"}`, "", apns.Result{Outcome: apns.WrongTopic, Reason: "DeviceTokenNotForTopic"}, false},
		{400, `{"reason":"TopicDisallowed"}`, "", apns.Result{Outcome: apns.WrongTopic, Reason: "TopicDisallowed"}, false},
		{400, `{"reason":"IdleTimeout"}`, "", apns.Result{Outcome: apns.Later, Reason: "IdleTimeout"}, true},
		{403, `{"reason":"BadCertificate"}`, "", apns.Result{Outcome: apns.BadCertificate, Reason: "BadCertificate"}, true},
		{403, `{"reason":"BadCertificateEnvironment"}`, "", apns.Result{Outcome: apns.BadCertificate, Reason: "BadCertificateEnvironment"}, true},
		{404, `{"reason":"BadPath"}`, "", apns.Result{Outcome: apns.Refused, Reason: "BadPath"}, false},
		{413, `{"reason":"PayloadTooLarge"}`, "", apns.Result{Outcome: apns.Refused, Reason: "PayloadTooLarge"}, false},
		{429, `{"reason":"TooManyRequests"}`, "90", apns.Result{Outcome: apns.Later, Reason: "TooManyRequests", RetryAfter: 90 * time.Second}, false},
		{500, `{"reason":"InternalServerError"}`, "", apns.Result{Outcome: apns.Later, Reason: "InternalServerError"}, true},
		{503, `{"reason":"Shutdown"}`, "Sun, 22 Nov 2026 12:05:00 GMT", apns.Result{Outcome: apns.Later, Reason: "Shutdown", RetryAfter: 5 * time.Minute}, true},
		{503, `{"reason":"ServiceUnavailable"}`, "99999999", apns.Result{Outcome: apns.Later, Reason: "ServiceUnavailable", RetryAfter: 24 * time.Hour}, true},
		{503, `<html>`, "soon", apns.Result{Outcome: apns.Later, Reason: apns.ReasonUnreadable}, true},
		{400, `{"reason":"a line\nof its own"}`, "", apns.Result{Outcome: apns.Refused, Reason: apns.ReasonUnreadable}, false},
		{400, strings.Repeat(" ", 8<<10) + `{"reason":"BadPath"}`, "", apns.Result{Outcome: apns.Refused, Reason: apns.ReasonUnreadable}, false},
		{307, ``, "", apns.Result{Outcome: apns.Refused, Reason: apns.ReasonUnreadable}, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status, tt.want.Reason), func(t *testing.T) {
			t.Parallel()
			_, c := service(t, func(w http.ResponseWriter, _ *http.Request) {
				if tt.retryAfter != "" {
					w.Header().Set("Retry-After", tt.retryAfter)
				}
				w.Header().Set("Location", "https://elsewhere.example.test/")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			tt.want.Status = tt.status
			got := c.Push(t.Context(), push())
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if got.Everyone() != tt.everyone {
				t.Errorf("everyone: got %t, want %t", got.Everyone(), tt.everyone)
			}
		})
	}
}

// Whatever happens, the token and the magic stay inside.
func TestTroubleNamesNoSecret(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler()) // no TLS at all
	t.Cleanup(plain.Close)
	old := httptest.NewTLSServer(http.NotFoundHandler()) // HTTP/1.1 alone
	t.Cleanup(old.Close)
	_, good := service(t, func(http.ResponseWriter, *http.Request) {})
	hang, cut := context.WithCancel(t.Context())
	cut()
	for name, tt := range map[string]struct {
		ctx  context.Context
		url  string
		push mdm.Push
		want apns.Result
	}{
		"nobody there":    {t.Context(), "https://127.0.0.1:1", push(), apns.Result{Outcome: apns.Later, Reason: apns.ReasonUnreachable}},
		"no TLS":          {t.Context(), strings.Replace(plain.URL, "http:", "https:", 1), push(), apns.Result{Outcome: apns.Later, Reason: apns.ReasonUnreachable}},
		"HTTP/1.1":        {t.Context(), old.URL, push(), apns.Result{Outcome: apns.Later, Reason: apns.ReasonUnreachable}},
		"no URL":          {t.Context(), "https://\x7f", push(), apns.Result{Outcome: apns.Refused, Reason: apns.ReasonNoToken}},
		"cancelled":       {hang, good.URL, push(), apns.Result{Outcome: apns.Later, Reason: apns.ReasonUnreachable}},
		"no token":        {t.Context(), good.URL, mdm.Push{Topic: topic, Magic: secret.New("M")}, apns.Result{Outcome: apns.Refused, Reason: apns.ReasonNoToken}},
		"a monster token": {t.Context(), good.URL, mdm.Push{Topic: topic, Token: secret.New(strings.Repeat("a", 300)), Magic: secret.New("M")}, apns.Result{Outcome: apns.Refused, Reason: apns.ReasonNoToken}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &apns.Client{URL: tt.url, Roots: good.Roots, Identity: good.Identity}
			defer c.Close()
			got := c.Push(tt.ctx, tt.push)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if text := fmt.Sprintf("%+v", got); strings.Contains(text, hex.EncodeToString([]byte(token))) || strings.Contains(text, "MAGIC") {
				t.Errorf("a secret leaked: %s", text)
			}
		})
	}
}

// A new certificate counts from the next push on, over a connection of its own.
func TestCertificateIsChangedWhileRunning(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	s, c := service(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.TLS.PeerCertificates[0].SerialNumber.String())
	})
	w := newWorld(t)
	first, second := w.pair(t, topic), w.pair(t, topic)
	now := first
	c.Identity = func(context.Context) (tls.Certificate, error) { return now, nil }
	for range 2 {
		c.Push(t.Context(), push())
	}
	now = second
	c.Push(t.Context(), push())
	now = tls.Certificate{}
	if got := c.Push(t.Context(), push()); got.Outcome != apns.BadCertificate || got.Reason != apns.ReasonNoCertificate {
		t.Errorf("without a certificate: got %+v", got)
	}
	if len(seen) != 3 || seen[0] != seen[1] || seen[1] == seen[2] {
		t.Errorf("%s saw the certificates %v, want the first twice, then the second", s.URL, seen)
	}
}

func TestRefusedCertificateIsTold(t *testing.T) {
	t.Parallel()
	s, c := service(t, func(http.ResponseWriter, *http.Request) {})
	s.TLS.ClientAuth = tls.RequireAndVerifyClientCert
	s.TLS.ClientCAs = x509.NewCertPool()
	// The end of the connection may overtake the alert that says why.
	for range 20 {
		got := c.Push(t.Context(), push())
		if got.Outcome == apns.BadCertificate && got.Reason == apns.ReasonCertificateRefused {
			return
		}
		if !got.Everyone() {
			t.Fatalf("got %+v", got)
		}
	}
	t.Errorf("never told %s", apns.ReasonCertificateRefused)
}
