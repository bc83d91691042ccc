package apns

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/internal/bounded"
	"sallyport/mdm"
)

// ErrNoCertificate says that there is no push certificate yet.
var ErrNoCertificate = errors.New("no push certificate")

const (
	// DefaultURL is Apple's push service for devices of customers.
	DefaultURL = "https://api.push.apple.com"

	lifetime     = 7 * 24 * time.Hour // how long the service keeps a push for a phone that is off
	pushTime     = 20 * time.Second   // for one push with its answer
	maxAnswer    = 4 << 10
	maxPushToken = 256 // bytes; they have 32 today, and Apple says not to rely on it
)

// Client sends pushes. It holds one HTTP/2 connection, which any number of
// callers may use at once. Its fields are its configuration.
type Client struct {
	URL string // empty means DefaultURL
	// Identity is the push certificate with its key, asked for at each push, so
	// that an import counts at once; ErrNoCertificate when there is none.
	Identity func(ctx context.Context) (tls.Certificate, error)
	Roots    *x509.CertPool   // whom to trust; nil means the system's
	Now      func() time.Time // nil means time.Now

	mu     sync.Mutex
	shown  [sha256.Size]byte // the certificate of the connection
	client *http.Client
}

// Push wakes one phone. All trouble is in the result.
func (c *Client) Push(ctx context.Context, p mdm.Push) Result {
	if n := len(p.Token.Reveal()); n == 0 || n > maxPushToken || p.Magic.IsZero() {
		return Result{Outcome: Refused, Reason: ReasonNoToken}
	}
	client, err := c.connect(ctx)
	if errors.Is(err, ErrNoCertificate) {
		return Result{Outcome: BadCertificate, Reason: ReasonNoCertificate}
	}
	if err != nil {
		return Result{Outcome: Later, Reason: ReasonUnreachable}
	}
	ctx, cancel := context.WithTimeout(ctx, pushTime)
	defer cancel()
	request, err := c.request(ctx, p)
	if err != nil {
		return Result{Outcome: Refused, Reason: ReasonNoToken}
	}
	answer, err := client.Do(request)
	if err != nil {
		// The error itself is an *url.Error with the token in its URL: it goes nowhere.
		return broken(err)
	}
	defer answer.Body.Close()
	return c.read(answer)
}

// request is exactly what Apple asks for: nothing else may be in the payload.
func (c *Client) request(ctx context.Context, p mdm.Push) (*http.Request, error) {
	body, err := json.Marshal(struct {
		MDM string `json:"mdm"`
	}{p.Magic.Reveal()})
	if err != nil {
		return nil, err
	}
	base := c.URL
	if base == "" {
		base = DefaultURL
	}
	url := strings.TrimSuffix(base, "/") + "/3/device/" + hex.EncodeToString([]byte(p.Token.Reveal()))
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Apns-Topic", p.Topic)
	r.Header.Set("Apns-Push-Type", "mdm")
	r.Header.Set("Apns-Priority", "10")
	r.Header.Set("Apns-Expiration", strconv.FormatInt(c.now().Add(lifetime).Unix(), 10))
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// read turns an answer into a result. Its body is a stranger's: a reason that
// is not a plain word is not passed on.
func (c *Client) read(answer *http.Response) Result {
	r := Result{Status: answer.StatusCode, APNSID: word(answer.Header.Get("Apns-Id")), RetryAfter: c.retryAfter(answer.Header.Get("Retry-After"))}
	if answer.StatusCode != http.StatusOK {
		body, err := bounded.Read(answer.Body, maxAnswer)
		if err != nil {
			body = nil
		}
		r.Reason, r.InvalidSince = parseReason(body)
	} else {
		_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // so that the stream ends in order
	}
	r.Outcome = outcome(r.Status, r.Reason)
	return r
}

// parseReason reads the body of a refusal
// (https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns).
func parseReason(body []byte) (reason string, since time.Time) {
	var said struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"` // milliseconds since 1970; with 410 alone
	}
	if json.Unmarshal(body, &said) != nil || word(said.Reason) == "" {
		return ReasonUnreadable, time.Time{}
	}
	if said.Timestamp > 0 && said.Timestamp < 1<<43 { // until the year 2248
		since = time.UnixMilli(said.Timestamp).UTC()
	}
	return said.Reason, since
}

// word returns s when it is one short word, or nothing.
func word(s string) string {
	const longest = 64
	if len(s) > longest || strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	}) {
		return ""
	}
	return s
}

// retryAfter reads either form (RFC 9110, section 10.2.3); 0 for any other.
func (c *Client) retryAfter(value string) time.Duration {
	const longest = 24 * time.Hour
	after := time.Duration(0)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		after = at.Sub(c.now())
	}
	return min(max(after, 0), longest)
}

// broken is a push without an answer. A server that ends the handshake because
// of our certificate says so in an alert.
func broken(err error) Result {
	if certificateAlert(err) {
		return Result{Outcome: BadCertificate, Reason: ReasonCertificateRefused}
	}
	return Result{Outcome: Later, Reason: ReasonUnreachable}
}

// certificateAlert reports whether the peer sent one of the alerts about
// certificates (RFC 8446, section 6.2). crypto/tls gives an alert from the peer
// a type of its own that it does not export: its kind is what can be asked.
func certificateAlert(err error) bool {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" {
		return false
	}
	alert := reflect.ValueOf(remote.Err)
	return alert.Kind() == reflect.Uint8 && slices.Contains([]uint64{
		42, 43, 44, 45, 46, 48, 49, 116, // bad, unsupported, revoked, expired, unknown; unknown CA, access denied, certificate required
	}, alert.Uint())
}

// connect returns the client of the certificate that counts now. When that has
// changed, what was begun under the old one may still end there.
func (c *Client) connect(ctx context.Context) (*http.Client, error) {
	identity, err := c.Identity(ctx)
	if err != nil {
		return nil, err
	}
	if len(identity.Certificate) == 0 {
		return nil, ErrNoCertificate
	}
	shown := sha256.Sum256(identity.Certificate[0])
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil && shown == c.shown {
		return c.client, nil
	}
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
	c.client, c.shown = c.newClient(identity), shown
	return c.client, nil
}

func (c *Client) newClient(identity tls.Certificate) *http.Client {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots}
	// It is shown whatever authorities the server names: an answer that says what
	// is wrong with it helps more than one to a caller without any.
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &identity, nil }
	var only http.Protocols
	only.SetHTTP2(true) // the service speaks nothing else
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			Protocols:              &only,
			HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 10 * time.Second},
			TLSClientConfig:        conf,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  pushTime,
			IdleConnTimeout:        5 * time.Minute,
			MaxResponseHeaderBytes: bounded.MaxHeader,
		},
		// The service never redirects: following one would tell a stranger the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Close lets go of the connection. The client can be used again.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		c.client.CloseIdleConnections()
		c.client = nil
	}
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
