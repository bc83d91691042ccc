package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sallyport/internal/secret"
)

const (
	secretPrefix = "whsec_"
	postTime     = 10 * time.Second
	maxReceipt   = 64 << 10
)

// errPrivate is why nothing is sent to where it would get behind a firewall.
var errPrivate = errors.New("the address is in a private network, and webhook_private is not set")

// Sender posts messages as Standard Webhooks 1.0 says. It looks at the address
// that it connects to, after DNS, so that no name leads into our own network
// unless Private is set; it follows no redirect, and uses no proxy.
type Sender struct {
	Private bool
	client  *http.Client
}

// NewSender makes a Sender. transport may be nil; its DialContext is replaced.
func NewSender(private bool, transport *http.Transport) Sender {
	if transport == nil {
		transport = &http.Transport{}
	}
	dialer := &net.Dialer{Timeout: postTime, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if !private && !public(to.Addr()) {
			return errPrivate
		}
		return nil
	}}
	transport.Proxy, transport.DialContext = nil, dialer.DialContext
	transport.TLSHandshakeTimeout, transport.IdleConnTimeout, transport.MaxIdleConnsPerHost = postTime, time.Minute, deliverers
	transport.MaxResponseHeaderBytes = maxReceipt
	return Sender{Private: private, client: &http.Client{
		Transport: transport, Timeout: postTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close gives back what idle connections hold.
func (s Sender) Close() { s.client.CloseIdleConnections() }

// Post sends one message. The error is for an admin: it names no path of the
// address, where receivers like to have keys.
func (s Sender) Post(ctx context.Context, address string, key secret.Value, id string, at time.Time, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return errors.New("the address cannot be used")
	}
	signature, err := sign(key, id, at, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Sallyport-Webhook")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("Webhook-Signature", signature)
	answer, err := s.client.Do(req)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil { // without the address, which url.Error repeats
			err = inner
		}
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxReceipt) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the receiver answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return nil
}

// sign makes the value of Webhook-Signature.
func sign(key secret.Value, id string, at time.Time, body string) (string, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(key.Reveal(), secretPrefix))
	if err != nil || len(raw) == 0 {
		return "", errors.New("the webhook's secret is damaged: remove the webhook and add it anew")
	}
	mac := hmac.New(sha256.New, raw)
	_, _ = fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// public reports whether an address is of the public internet.
func public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.Zone() != "" {
		return false
	}
	return !slices.ContainsFunc(inside(), func(network string) bool { return netip.MustParsePrefix(network).Contains(ip) })
}

// inside are networks that are no part of the public internet, beside those that
// netip knows (IANA special-purpose registries), and those that hold IPv4 ones.
func inside() []string {
	return []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10",
	}
}
