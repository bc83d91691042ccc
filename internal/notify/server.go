package notify

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"sallyport/internal/refusal"
)

// security is how the way to a server is kept private.
type security int

const (
	startTLS security = iota // required, RFC 3207
	implicit                 // TLS from the first byte, RFC 8314 section 3.3
	plain                    // to this machine alone
)

// Server says where mails are handed over.
type Server struct {
	Host     string
	Port     int
	security security
}

// Plain reports whether what is sent travels readable, which it does within this machine only.
func (s Server) Plain() bool { return s.security == plain }

func (s Server) String() string {
	scheme := "smtp://"
	if s.security == implicit {
		scheme = "smtps://"
	}
	return scheme + net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
}

// ParseServer reads smtp://HOST:587, with STARTTLS required, or smtps://HOST:465.
// To this machine itself smtp:// goes without TLS.
func ParseServer(field, text string) (Server, *refusal.Error) {
	refuse := func(reason string) (Server, *refusal.Error) {
		return Server{}, refusal.New(ErrInvalid, field, reason, "for example smtp://mail.example.com:587, smtps://mail.example.com:465, or smtp://localhost:25")
	}
	u, err := url.Parse(text)
	if err != nil {
		return refuse("is not a URL")
	}
	s := Server{Host: u.Hostname()}
	defaultPort := 587 // RFC 6409
	switch {
	case u.Scheme == "smtp" && loopback(s.Host):
		s.security, defaultPort = plain, 25
	case u.Scheme == "smtp":
		s.security = startTLS
	case u.Scheme == "smtps":
		s.security, defaultPort = implicit, 465
	default:
		return refuse("must begin with smtp:// or smtps://")
	}
	switch {
	case u.User != nil:
		return refuse("must not hold a user name or password: smtp_user and smtp_password do")
	case s.Host == "":
		return refuse("names no host")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, strings.Contains(text, "#"):
		return refuse("must not have a path, a query or a fragment")
	}
	if fault := refusal.Identifier(ErrInvalid, field, s.Host, maxAddress); fault != nil {
		return Server{}, fault
	}
	s.Port = defaultPort
	if u.Port() != "" {
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil || port == 0 {
			return refuse("has no port from 1 to 65535")
		}
		s.Port = int(port)
	}
	return s, nil
}

// loopback reports whether a host is this machine: localhost resolves to nothing
// else (RFC 6761, section 6.3).
func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}
