package config

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/internal/refusal"
)

const (
	maxInquiryAge = 30 * 24 * time.Hour

	maxMailboxDevices = 1000
	// A phone may be off for a week; and what is renewed after half a year is renewed for ever.
	minRenewalWindow = 7 * 24 * time.Hour
	maxRenewalWindow = 180 * 24 * time.Hour
	// maxOrganization is what a certificate holds: ub-organization-name, RFC 5280 appendix A.1.
	maxOrganization = 64
)

// Validate reports all faults at once, as a refusal.List.
func (c Config) Validate() error {
	var faults refusal.List
	refuse := func(key, reason, remedy string) {
		faults = append(faults, refusal.New(ErrInvalid, key, reason, remedy))
	}
	if c.Data == "" {
		refuse("data", "is empty", "name a directory, for example var")
	}
	c.checkKeys(refuse)
	c.checkDatabase(refuse)
	c.checkListeners(refuse)
	checkPublicURL(c.PublicURL, refuse)
	if n := utf8.RuneCountInString(c.Organization); n < 1 || n > maxOrganization {
		refuse("organization", fmt.Sprintf("must be 1 to %d characters", maxOrganization), "the name that people know you by")
	} else {
		faults.Add(refusal.Line(ErrInvalid, "organization", c.Organization, maxOrganization*utf8.UTFMax))
	}
	checkPair(refuse, "tls_cert", c.TLSCert, "tls_key", c.TLSKey)
	checkPair(refuse, "signing_cert", c.SigningCert, "signing_key", c.SigningKey)
	checkHTTPURL(c.HTTPURL, refuse)
	if c.RenewalWindow != 0 && (c.RenewalWindow < minRenewalWindow || c.RenewalWindow > maxRenewalWindow) {
		refuse("renewal_window", "must be 0, or between 7d and 180d", "0 is a good value: the last third of a certificate's life")
	}
	if c.InquiryMaxAge < 0 || c.InquiryMaxAge > maxInquiryAge {
		refuse("inquiry_max_age", "must be between 0 and 720h", "1h is a good value; 0 asks at every contact")
	}
	if c.AccessMaxStale < 0 || c.AccessMaxStale > time.Hour {
		refuse("access_max_stale", "must be between 0 and 1h", "300s is a good value; 0 asks the database before every decision")
	}
	if c.AccessDenialsKeep != 0 && c.AccessDenialsKeep < 24*time.Hour {
		refuse("access_denials_keep", "must be 0, or at least 1d", "90d is a good value; 0 keeps them for ever")
	}
	if c.MailboxDeviceLimit < 0 || c.MailboxDeviceLimit > maxMailboxDevices {
		refuse("mailbox_device_limit", "must be between 0 and 1000", "use what the mail server takes: 10 on Exchange 2010 and 2013; 0 is no limit")
	}
	checkPush(refuse, c)
	faults = append(faults, c.checkMail()...)
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		refuse("log_level", "unknown level", "use debug, info, warn or error")
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		refuse("log_format", "unknown format", "use text or json")
	}
	return faults.OrNil()
}

// normalize gives what means the same the same spelling: the public URL is
// compared with the one of the first start.
func (c *Config) normalize() {
	c.HTTPURL = strings.TrimSuffix(c.HTTPURL, "/")
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme == "" || u.Host == "" || strings.Contains(c.PublicURL, "#") {
		return // Validate says why
	}
	u.Host = strings.TrimSuffix(strings.ToLower(u.Host), ":443")
	if u.Path == "/" {
		u.Path = ""
	}
	c.PublicURL = u.String()
}

func (c Config) checkListeners(refuse func(key, reason, remedy string)) {
	if c.Listen == "" {
		refuse("listen", "is empty", "for example localhost:8443, or :443 for all addresses")
	}
	taken := map[string]string{}
	for _, l := range []struct{ key, address string }{{"listen", c.Listen}, {"listen_http", c.ListenHTTP}, {"admin_listen", c.AdminListen}} {
		if l.address == "" {
			continue
		}
		_, port, err := net.SplitHostPort(l.address)
		if err != nil {
			refuse(l.key, "is not host:port", "for example localhost:8443; an IPv6 address goes in brackets")
			continue
		}
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			refuse(l.key, "has no port from 0 to 65535", "0 lets the system choose a free one")
			continue
		}
		if other := taken[l.address]; other != "" && port != "0" {
			refuse(l.key, "is the same address as "+other, "give each listener its own port")
		}
		taken[l.address] = l.key
	}
}

func checkPublicURL(text string, refuse func(key, reason, remedy string)) {
	checkURL("public_url", text, "https://mdm.example.com", refuse, func(u *url.URL) string {
		if u.Scheme != "https" {
			return "must begin with https://: phones refuse anything else"
		}
		return ""
	})
}

func checkHTTPURL(text string, refuse func(key, reason, remedy string)) {
	checkURL("http_url", text, "http://mdm.example.com", refuse, func(u *url.URL) string {
		if u.Scheme != "http" && u.Scheme != "https" {
			return "must begin with http:// or https://"
		}
		return ""
	})
}

// checkURL wants scheme, host and port and nothing else; wrong is the reason to
// refuse the scheme.
func checkURL(key, text, example string, refuse func(key, reason, remedy string), wrong func(*url.URL) string) {
	remedy := "only scheme, host and port, for example " + example
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	if err != nil {
		refuse(key, "is not a URL", remedy)
		return
	}
	switch reason := wrong(u); {
	case reason != "":
		refuse(key, reason, remedy)
	case u.Hostname() == "":
		refuse(key, "names no host", remedy)
	case u.User != nil:
		refuse(key, "must not hold a user name or password", remedy)
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, strings.Contains(text, "#"):
		refuse(key, "must not have a path, a query or a fragment", remedy)
	}
}

func checkPair(refuse func(key, reason, remedy string), certKey, cert, keyKey, key string) {
	const remedy = "a certificate and its key come together"
	if cert == "" && key != "" {
		refuse(certKey, fmt.Sprintf("is missing while %s is set", keyKey), remedy)
	}
	if cert != "" && key == "" {
		refuse(keyKey, fmt.Sprintf("is missing while %s is set", certKey), remedy)
	}
}
