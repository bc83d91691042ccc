package peer

import (
	"context"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks in which our own reverse proxies stand. None means
// that every caller comes by itself.
type Proxies []netip.Prefix

// claims are the headers in which a proxy says who its caller is. No handler
// gets to see them: what of them is true is in RemoteAddr and Certificate.
// Forwarded (RFC 7239) and X-Real-IP are not read at all: one header to set and
// to check is enough, and every proxy has X-Forwarded-For.
var claims = [...]string{forwardedFor, "Forwarded", "X-Real-Ip", clientCert, "Client-Cert-Chain"}

const (
	forwardedFor = "X-Forwarded-For"
	clientCert   = "Client-Cert"
)

// shown is the proof of a client certificate that came with a request: what TLS
// has verified, or the lines of a header that one of our proxies has set.
type shown struct {
	certificate *x509.Certificate
	header      []string
}

type shownKey struct{}

// Behind gives next requests whose RemoteAddr is the caller, and for which
// Certificate tells what the caller has shown.
func (p Proxies) Behind(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, p.resolve(r))
	})
}

func (p Proxies) resolve(r *http.Request) *http.Request {
	var s shown
	direct, known := address(r.RemoteAddr)
	ours := known && p.contain(direct)
	switch {
	case ours:
		// A certificate of this TLS connection would be the proxy's own.
		s.header = r.Header.Values(clientCert)
	case r.TLS != nil && len(r.TLS.PeerCertificates) > 0:
		s.certificate = r.TLS.PeerCertificates[0]
	}
	resolved := r.WithContext(context.WithValue(r.Context(), shownKey{}, s))
	if ours {
		caller := p.caller(direct, r.Header.Values(forwardedFor))
		resolved.RemoteAddr = net.JoinHostPort(caller.String(), "0")
	}
	if slices.ContainsFunc(claims[:], func(name string) bool { return r.Header[name] != nil }) {
		resolved.Header = maps.Clone(r.Header) // the server's own is not ours to change
		for _, name := range claims {
			delete(resolved.Header, name)
		}
	}
	return resolved
}

// maxHops is more than any chain of proxies has.
const maxHops = 16

// caller is the right-most address that is not one of our proxies: each proxy
// adds the address it was called from at the right, so everything to the left
// of the first stranger is hearsay. Where the header cannot be read up to
// there, it is the proxy itself: an address that was made up must not get a
// share of its own of any limit.
func (p Proxies) caller(proxy netip.Addr, lines []string) netip.Addr {
	last := proxy
	hops := strings.Split(strings.Join(lines, ","), ",")
	if len(hops) == 1 && strings.TrimSpace(hops[0]) == "" {
		return proxy
	}
	for i := range min(len(hops), maxHops) {
		hop, ok := address(strings.TrimSpace(hops[len(hops)-1-i]))
		if !ok {
			return proxy
		}
		if !p.contain(hop) {
			return hop
		}
		last = hop
	}
	if len(hops) > maxHops {
		return proxy
	}
	return last // all of them are ours: the one where it began
}

func (p Proxies) contain(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(a) })
}

// address reads an address with or without a port, as RemoteAddr and proxies
// write it. An IPv4 address in IPv6 form is the IPv4 address; zones mean
// nothing on any other machine.
func address(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		a = withPort.Addr()
	}
	return a.Unmap().WithZone(""), true
}
