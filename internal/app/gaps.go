package app

import (
	"net"
	"net/url"
	"strings"

	"sallyport/internal/config"
)

// Gap is something that a real phone needs and this installation lacks. While
// there is one, the server is for rehearsals: the enrolment page says so.
type Gap struct {
	Name    string `json:"name"`    // public_url, tls_certificate, signing_certificate, push_certificate
	Problem string `json:"problem"` // what it means for a phone
	Next    string `json:"next"`    // what to do about it
}

// gaps names what is missing, in the order in which to mend it.
func gaps(c config.Config, publicURL string, placeholderTopic bool) []Gap {
	found := []Gap{}
	if private(publicURL) {
		found = append(found, Gap{"public_url",
			"phones elsewhere cannot reach " + publicURL + ", and it is fixed for this data directory",
			"start a new data directory with --public-url https://YOUR.NAME, a name that public DNS knows"})
	}
	if c.TLSCert == "" {
		found = append(found, Gap{"tls_certificate",
			"the server's certificate comes from its own CA, which a phone does not trust before it enrols",
			"get a certificate from a public CA and start with --tls-cert FILE --tls-key FILE"})
	}
	if c.SigningCert == "" {
		found = append(found, Gap{"signing_certificate",
			"phones show the profile as Not Verified: it is signed by our own CA",
			"start with --signing-cert FILE --signing-key FILE; the TLS certificate will do"})
	}
	if placeholderTopic {
		found = append(found, Gap{"push_certificate",
			"without Apple's MDM push certificate a phone that enrols now can never be woken and must enrol again later",
			"importing one comes in a later release; until then enrol software phones only"})
	}
	return found
}

// private reports whether a URL's host means nothing outside this machine or network.
func private(publicURL string) bool {
	u, err := url.Parse(publicURL)
	if err != nil {
		return true
	}
	host := strings.ToLower(u.Hostname())
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
	}
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range []string{".localhost", ".test", ".example", ".invalid", ".local", ".internal"} { // RFC 6761, RFC 6762
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}
