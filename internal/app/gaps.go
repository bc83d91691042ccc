package app

import (
	"bytes"
	"crypto/x509"
	"net"
	"net/url"
	"strings"
	"time"

	"sallyport/mdm"
)

// Gap is something that a real phone needs and this installation lacks. While
// there is one, the server is for rehearsals: the enrolment page says so.
type Gap struct {
	Name    string `json:"name"`    // public_url, listen, tls_certificate, signing_certificate, push_certificate
	Problem string `json:"problem"` // what it means for a phone
	Next    string `json:"next"`    // what to do about it
}

// pushGap is there until a push certificate is imported, which may happen while
// the server runs.
func pushGap() Gap {
	return Gap{"push_certificate",
		"without Apple's MDM push certificate a phone that enrols now can never be woken and must enrol again later",
		"sallyport push csr, then follow docs/push-certificate.md; until then enrol software phones only"}
}

// lacks says whether the gap is one for phones of that platform that came here:
// those have got through. An Android phone installs no profile of ours, and is
// woken by Google.
func (g Gap) lacks(p mdm.Platform) bool {
	if g.Name == listenName {
		return false
	}
	return p != mdm.Android || g.Name == "public_url" || g.Name == "tls_certificate"
}

// listenGap is there when this server alone can call itself, though its name is
// for others: phones get "connection refused", and nothing reaches a log. A proxy
// on this machine is no gap; that there is one, trusted_proxies says.
func listenGap(publicURL string, bound net.Addr, proxies int) []Gap {
	address, ok := bound.(*net.TCPAddr)
	if !ok || !address.IP.IsLoopback() || proxies > 0 || thisMachine(hostOf(publicURL)) {
		return nil
	}
	return []Gap{{listenName,
		"nothing but this machine can connect to " + address.String() + ", and phones are told to call " + publicURL,
		"start with --listen :443 (listen: among the settings); or, behind a proxy on this machine that ends TLS, name it: --trusted-proxies 127.0.0.1, docs/reverse-proxy.md"}}
}

const listenName = "listen"

// thisMachine reports whether a host means the machine that asks.
func thisMachine(host string) bool {
	host = strings.ToLower(host)
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// given are the certificates that came from outside, with their chains; nil
// where our own stand in.
type given struct{ tls, signing []*x509.Certificate }

// gaps names what is missing, in the order in which to mend it. trusted says
// whether a chain leads to a root that phones have from the start.
func gaps(publicURL string, g given, trusted func([]*x509.Certificate) bool) []Gap {
	found := []Gap{}
	if private(publicURL) {
		found = append(found, Gap{"public_url",
			"phones elsewhere cannot reach " + publicURL + ", and it is fixed for this data directory",
			"start a new data directory with --public-url https://YOUR.NAME, a name that public DNS knows"})
	}
	switch {
	case g.tls == nil:
		found = append(found, Gap{"tls_certificate",
			"the server's certificate comes from its own CA, which a phone does not trust before it enrols",
			"get a certificate from a public CA and start with --tls-cert FILE --tls-key FILE"})
	case !trusted(g.tls):
		found = append(found, Gap{"tls_certificate",
			"the certificate in --tls-cert, issued by " + issuer(g.tls) + ", leads to no root that this machine trusts, so a phone will hardly trust it before it enrols",
			"get one from a public CA, and put its whole chain into the file"})
	}
	switch {
	case g.signing == nil:
		found = append(found, Gap{"signing_certificate",
			"phones show the profile as Not Verified: it is signed by our own CA",
			"start with --signing-cert FILE --signing-key FILE; the TLS certificate will do"})
	case !trusted(g.signing):
		found = append(found, Gap{"signing_certificate",
			"phones show the profile as Not Verified: the certificate in --signing-cert, issued by " + issuer(g.signing) + ", leads to no root that this machine trusts",
			"use one from a public CA, and put its whole chain into the file; the TLS certificate will do"})
	}
	return found
}

func issuer(chain []*x509.Certificate) string {
	leaf := chain[0]
	if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
		return "itself"
	}
	return leaf.Issuer.String()
}

// publicly returns the test of a chain against roots at now; nil means those of
// this machine's system, which come closest to those of a phone.
func publicly(roots *x509.CertPool, now time.Time) func([]*x509.Certificate) bool {
	return func(chain []*x509.Certificate) bool {
		between := x509.NewCertPool()
		for _, c := range chain[1:] {
			between.AddCert(c)
		}
		_, err := chain[0].Verify(x509.VerifyOptions{
			Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		return err == nil
	}
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
