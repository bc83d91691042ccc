package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/secret"
)

// setting ties a key to its place in Config. The key is what YAML says; the
// flag is the same with dashes, the variable SALLYPORT_ and upper case.
type setting struct {
	key  string
	help string
	at   func(*Config) any // pointer to the field
}

// settings lists every setting in the order in which they are shown.
func settings() []setting {
	return []setting{
		{"data", "directory that holds everything: database, keys, tokens", func(c *Config) any { return &c.Data }},
		{kekFile, "file of the key under which secrets in the database are sealed, made at the first start; empty = the file kek in data; or SALLYPORT_KEK holds the key itself", func(c *Config) any { return &c.KEKFile }},
		{"database", "PostgreSQL in place of a file in data, postgres://USER@HOST/DATABASE", func(c *Config) any { return &c.Database }},
		{"database_max_connections", "most connections of this process to PostgreSQL", func(c *Config) any { return &c.DatabaseMaxConnections }},
		{"listen", "where HTTPS is served, host:port", func(c *Config) any { return &c.Listen }},
		{"listen_http", "another address, host:port, that serves /scep, /crl and /healthz alone, without TLS; empty = off", func(c *Config) any { return &c.ListenHTTP }},
		{"http_url", "what others call for CRLs and for SCEP by hand, http:// or https://; empty = with the port of listen_http, or else public_url", func(c *Config) any { return &c.HTTPURL }},
		{"admin_listen", "HTTPS listener of its own for /api and /metrics; empty = same as listen", func(c *Config) any { return &c.AdminListen }},
		{"public_url", "what phones call, fixed at first start; empty = derived from listen", func(c *Config) any { return &c.PublicURL }},
		{"trusted_proxies", "addresses or networks of our own reverse proxies, which alone may say who calls, for example 192.0.2.7, 10.0.0.0/8; empty = none", func(c *Config) any { return &c.TrustedProxies }},
		{"organization", "name that people read in profiles, pages and certificates; left away = the one that the authority was made with", func(c *Config) any { return &c.Organization }},
		{"tls_cert", "PEM file of the server certificate with its chain; empty = from our own CA", func(c *Config) any { return &c.TLSCert }},
		{"tls_key", "PEM file of its key", func(c *Config) any { return &c.TLSKey }},
		{"signing_cert", "PEM file of the certificate that signs profiles; empty = from our own CA", func(c *Config) any { return &c.SigningCert }},
		{"signing_key", "PEM file of its key", func(c *Config) any { return &c.SigningKey }},
		{"renewal_window", "how long before its end an identity is renewed, for example 30d; 0 = a third of its life", func(c *Config) any { return &c.RenewalWindow }},
		{"scep_legacy", "true: take SHA-1 and single DES from SCEP clients that know nothing better", func(c *Config) any { return &c.SCEPLegacy }},
		{"inquiry_max_age", "how old a phone's facts may be before it is asked again", func(c *Config) any { return &c.InquiryMaxAge }},
		{"apns_url", "push service that wakes phones; another than Apple's is a stand-in for rehearsals", func(c *Config) any { return &c.APNsURL }},
		{"apns_ca", "PEM file of the authority to trust for apns_url; empty = the system's roots", func(c *Config) any { return &c.APNsCA }},
		{"amapi_url", "Android Management API; another than Google's is a stand-in for rehearsals; empty = Google's", func(c *Config) any { return &c.AMAPIURL }},
		{"wake_interval", "how long a phone may be silent before it is woken for a report; 0 = never", func(c *Config) any { return &c.WakeInterval }},
		{"second_owner", "true: wipe and retire wait until an admin whose token has another owner agrees", func(c *Config) any { return &c.SecondOwner }},
		{"access_max_stale", "how long decisions about mailboxes go on without a word from the database; 0 = each asks it first", func(c *Config) any { return &c.AccessMaxStale }},
		{"access_denials_keep", "how long a refusal of a mail client stays on record after it was last repeated, for example 90d; 0 = for ever", func(c *Config) any { return &c.AccessDenialsKeep }},
		{"mailbox_device_limit", "how many devices the mail server takes for one mailbox: at that many a new phone's mail profile waits; 0 = no limit", func(c *Config) any { return &c.MailboxDeviceLimit }},
		{"webhook_private", "true: webhooks may be sent into private networks and to this machine", func(c *Config) any { return &c.WebhookPrivate }},
		{"smtp_url", "mail server for mails to users and admins, smtp://HOST:587 (STARTTLS), smtps://HOST:465, or smtp://localhost:25; empty = no mails", func(c *Config) any { return &c.SMTPURL }},
		{"smtp_user", "user name there; empty = without signing in", func(c *Config) any { return &c.SMTPUser }},
		{smtpPassword, "its password, in the settings file or SALLYPORT_SMTP_PASSWORD", func(c *Config) any { return &c.SMTPPassword }},
		{"mail_from", "address that mails are from", func(c *Config) any { return &c.MailFrom }},
		{"mail_admins", "addresses that get the digest of mail clients that were shut out, with commas between; empty = nobody", func(c *Config) any { return &c.MailAdmins }},
		{"log_level", "debug, info, warn or error", func(c *Config) any { return &c.LogLevel }},
		{"log_format", "text or json", func(c *Config) any { return &c.LogFormat }},
	}
}

// Keys returns the known keys in the order in which they are shown.
func Keys() []string {
	var keys []string
	for _, s := range settings() {
		keys = append(keys, s.key)
	}
	return keys
}

// assign writes text into the field that dst points to.
func assign(dst any, text string) error {
	switch dst := dst.(type) {
	case *string:
		*dst = text
	case *secret.Value:
		*dst = secret.New(text)
	case *DatabaseURL:
		*dst = NewDatabaseURL(text)
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("not a whole number")
		}
		*dst = n
	case *bool:
		if text != "true" && text != "false" {
			return errors.New("neither true nor false")
		}
		*dst = text == "true"
	case *time.Duration:
		d, err := ParseSpan(text)
		if err != nil {
			return errors.New("not a duration such as 30d, 1h or 90m")
		}
		*dst = d
	case *[]string:
		*dst = words(text)
	case *[]netip.Prefix:
		networks, err := networks(text)
		if err != nil {
			return err
		}
		*dst = networks
	default:
		return fmt.Errorf("no way to set a %T", dst)
	}
	return nil
}

// render writes the field that src points to; a secret prints as [redacted].
func render(src any) string {
	switch src := src.(type) {
	case *string:
		return *src
	case *DatabaseURL:
		return src.String()
	case *int:
		return strconv.Itoa(*src)
	case *bool:
		return strconv.FormatBool(*src)
	case *secret.Value:
		if src.IsZero() {
			return ""
		}
		return src.String()
	case *time.Duration:
		return src.String()
	case *[]string:
		return strings.Join(*src, ", ")
	case *[]netip.Prefix:
		return spell(*src)
	default:
		return fmt.Sprintf("no way to show a %T", src)
	}
}

// scalar reads a value as YAML, a variable or a flag hold it. Lists and
// mappings are no value, and neither is nothing at all: "listen:" in a file is
// more likely a slip than a wish.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", errors.New("has no value")
	case string:
		return strings.TrimSpace(v), nil
	case fmt.Stringer: // time.Duration
		return v.String(), nil
	case bool, int, int64, uint64, float64:
		return fmt.Sprint(v), nil
	default:
		return "", errors.New("must be one plain value")
	}
}
