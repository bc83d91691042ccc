package app

import (
	"net"
	"net/url"

	"sallyport/internal/config"
)

// httpURL is what others are told to call for CRLs and for SCEP by hand:
// scheme, host and port. plain is the listener without TLS, or nil.
func httpURL(cfg config.Config, publicURL string, plain net.Listener) string {
	switch {
	case cfg.HTTPURL != "":
		return cfg.HTTPURL
	case plain == nil:
		return publicURL
	}
	u := url.URL{Scheme: "http", Host: hostOf(publicURL)}
	if _, port, err := net.SplitHostPort(plain.Addr().String()); err == nil && port != "80" {
		u.Host = net.JoinHostPort(u.Host, port)
	} else if net.ParseIP(u.Host).To4() == nil && net.ParseIP(u.Host) != nil {
		u.Host = "[" + u.Host + "]"
	}
	return u.String()
}
