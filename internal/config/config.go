package config

import (
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"sallyport/internal/secret"
)

// ErrInvalid says that the settings cannot be used; the refusals name them.
var ErrInvalid = errors.New("invalid settings")

// Config is what `sallyport serve` is told from outside. The doc comments are
// the manual: `config show` and the docs say the same in the same words.
type Config struct {
	// Data is the directory that holds everything: database, keys, tokens.
	Data string
	// KEKFile holds the key-encryption key, under which secrets in the database are
	// sealed; it is made at the first start. Empty = the file kek in Data.
	KEKFile string
	// KEK takes the place of the file, and KEKNew is the key that ca rotate-kek goes
	// to. They come from the environment alone (SALLYPORT_KEK, SALLYPORT_KEK_NEW): a
	// command line and a settings file are no places for them.
	KEK, KEKNew secret.Value
	// Database is a PostgreSQL database in place of the file in Data, which then
	// holds the key-encryption key and what the command line needs; several
	// servers may share it. Its password does not belong on the command line.
	Database DatabaseURL
	// DatabaseMaxConnections bounds the connections of this process to PostgreSQL, beside one that listens and one for locks.
	DatabaseMaxConnections int
	// Listen is where HTTPS is served: "host:port".
	Listen string
	// ListenHTTP serves /scep, /crl and /healthz without TLS on an address of its own, for SCEP clients that cannot do TLS; empty = off.
	ListenHTTP string
	// HTTPURL is what others are told to call for CRLs and for SCEP by hand, both
	// of which protect themselves: it stands in every certificate. Empty =
	// http:// with the host of PublicURL and the port of ListenHTTP where that is
	// set, or else PublicURL.
	HTTPURL string
	// AdminListen splits /api and /metrics off to an HTTPS listener of their own; empty = same as Listen.
	AdminListen string
	// PublicURL is what phones are told to call: "https://mdm.example.com". It is
	// fixed at first start, as Apple freezes it into every enrolment; empty =
	// derived from Listen, which is good for rehearsals only.
	PublicURL string
	// TrustedProxies are the addresses of our own reverse proxies: they alone are
	// believed who calls (X-Forwarded-For), and with which client certificate
	// (Client-Cert); none = every caller comes by itself.
	TrustedProxies []netip.Prefix
	// Organization is the name that people read in profiles, pages and certificates.
	// Where it is not Given, it is the one that the authority was made with.
	Organization string
	// TLSCert and TLSKey are PEM files of the server certificate with its chain; empty = one from our own CA.
	TLSCert, TLSKey string
	// SigningCert and SigningKey are PEM files that sign profiles; empty = one from our own CA, which phones show as "Not Verified" until our root is installed.
	SigningCert, SigningKey string
	// RenewalWindow is how long before its end an identity is renewed; 0 = a third of its life.
	RenewalWindow time.Duration
	// SCEPLegacy also takes SHA-1 and single DES from SCEP clients that know nothing better.
	SCEPLegacy bool
	// InquiryMaxAge is how old a phone's facts may be before it is asked again at its next contact.
	InquiryMaxAge time.Duration
	// APNsURL is the push service that wakes phones; another one than Apple's is
	// a stand-in for rehearsals, and APNsCA the PEM file of whom to trust for it;
	// empty = the system's roots.
	APNsURL, APNsCA string
	// AMAPIURL is where the Android Management API is called: empty means Google's, and
	// another one is a stand-in for rehearsals.
	AMAPIURL string
	// WakeInterval is how long a phone may be silent before it is woken for a report; 0 = never.
	WakeInterval time.Duration
	// SecondOwner makes wipe and retire wait until an admin whose token has another owner agrees.
	SecondOwner bool
	// AccessMaxStale is how long decisions about mailboxes go on without a word from the database; 0 = each asks it first.
	AccessMaxStale time.Duration
	// MailboxDeviceLimit is how many devices the mail server takes for one mailbox: at
	// that many a new phone's mail profile waits; 0 = nobody knows, and nothing waits.
	MailboxDeviceLimit int
	// AccessDenialsKeep is how long a refusal of a mail client stays on record after it was last repeated; 0 = for ever.
	AccessDenialsKeep time.Duration
	// WebhookPrivate lets webhooks be sent into private networks and to this machine.
	WebhookPrivate bool
	// SMTPURL is the mail server that takes mails to users and admins: smtp:// with
	// STARTTLS, smtps://, or smtp:// to this machine without TLS; empty = no mails.
	SMTPURL string
	// SMTPUser and SMTPPassword sign in there; empty = without. The password has no
	// flag: a command line is no place for it.
	SMTPUser     string
	SMTPPassword secret.Value
	// MailFrom is whom mails are from, and MailAdmins are who gets the digest.
	MailFrom   string
	MailAdmins []string
	// LogLevel is debug, info, warn or error; LogFormat is text or json.
	LogLevel, LogFormat string

	origin map[string]Origin
}

// Default returns the settings of a first try on one's own machine.
func Default() Config {
	return Config{
		Data:          "var",
		Listen:        "localhost:8443",
		Organization:  "Sallyport",
		InquiryMaxAge: time.Hour,
		APNsURL:       "https://api.push.apple.com",
		WakeInterval:  4 * time.Hour,

		AccessMaxStale: 300 * time.Second,

		AccessDenialsKeep:  90 * 24 * time.Hour,
		MailboxDeviceLimit: 10, // EasMaxDevices of Exchange 2010 and 2013

		DatabaseMaxConnections: 10,

		LogLevel:  "info",
		LogFormat: "text",
	}
}

// Level is LogLevel as slog knows it; info where it is not valid.
func (c Config) Level() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(c.LogLevel)) != nil {
		return slog.LevelInfo
	}
	return level
}
