package peer

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"sallyport/internal/bounded"
	"sallyport/internal/cms"
)

// ErrCertificate says that a proxy of ours has set Client-Cert to something
// that is no certificate.
var ErrCertificate = errors.New("certificate from the proxy cannot be read")

// Certificate is what the caller has shown: in TLS, or through one of our
// proxies in Client-Cert (RFC 9440, section 2.2). The caller has proven to hold
// its key, and nothing else is known of it: neither who issued it nor whether
// it is still valid. Nil when there is none.
func Certificate(r *http.Request) (*x509.Certificate, error) {
	s, _ := r.Context().Value(shownKey{}).(shown)
	switch {
	case s.certificate != nil:
		return s.certificate, nil
	case len(s.header) == 0:
		return nil, nil
	case len(s.header) > 1:
		// A proxy that adds its own to what the caller has sent lets everybody in.
		return nil, fmt.Errorf("%w: %d of them, want one: the proxy must replace what it was sent", ErrCertificate, len(s.header))
	}
	return decode(s.header[0])
}

// decode reads the DER of one certificate. An empty byte sequence is what some
// proxies write for a caller without a certificate.
func decode(field string) (*x509.Certificate, error) {
	if strings.Trim(field, " ") == "" {
		return nil, nil
	}
	der, err := byteSequence(field)
	if err != nil || len(der) == 0 {
		return nil, err
	}
	if err := bounded.DER(der, bounded.MaxHeader, bounded.MaxDepth); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if err := cms.CheckKeySize(c.PublicKey); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return c, nil
}

// byteSequence reads an item that is a byte sequence without parameters, and
// nothing around it but spaces (RFC 8941, sections 4.2 and 4.2.7). As there,
// padding may be missing; everything else must be in its place.
func byteSequence(field string) ([]byte, error) {
	if len(field) > bounded.MaxHeader {
		return nil, fmt.Errorf("%w: longer than a header may be", ErrCertificate)
	}
	inner, opened := strings.CutPrefix(strings.Trim(field, " "), ":")
	inner, closed := strings.CutSuffix(inner, ":")
	if !opened || !closed {
		return nil, fmt.Errorf("%w: not a byte sequence between colons", ErrCertificate)
	}
	for _, c := range []byte(inner) { // the decoder would pass over line breaks
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '+' && c != '/' && c != '=' {
			return nil, fmt.Errorf("%w: not base64", ErrCertificate)
		}
	}
	coding := base64.StdEncoding
	if len(inner)%4 != 0 && !strings.HasSuffix(inner, "=") {
		coding = base64.RawStdEncoding
	}
	value, err := coding.DecodeString(inner)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64", ErrCertificate)
	}
	return value, nil
}
