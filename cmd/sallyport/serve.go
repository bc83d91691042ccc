package main

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"

	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/server/adminapi"
)

// settingFlags are the settings as flags. What is not given is left to
// SALLYPORT_… variables, the file and the defaults: nil tells it apart.
type settingFlags struct {
	Config         string  `help:"YAML file with settings (SALLYPORT_… variables outweigh it, flags outweigh both)." placeholder:"FILE"`
	Database       *string `help:"PostgreSQL in place of a file in the data directory; the password in PGPASSFILE, never here." placeholder:"postgres://USER@HOST/DB"`
	DatabaseMax    *string `name:"database-max-connections" help:"Most connections of this server to PostgreSQL (default 10)." placeholder:"N"`
	KEKFile        *string `name:"kek-file" help:"File of the key under which secrets in the database are sealed (default: kek in the data directory; see docs/keys.md)." placeholder:"FILE"`
	Listen         *string `help:"Where HTTPS is served (default localhost:8443)." placeholder:"HOST:PORT"`
	ListenHTTP     *string `name:"listen-http" help:"Also serve /scep, /crl and /healthz there without TLS." placeholder:"HOST:PORT"`
	HTTPURL        *string `name:"http-url" help:"What others call for CRLs and SCEP by hand (default: with the port of --listen-http, or else the public URL)." placeholder:"http://HOST"`
	AdminListen    *string `help:"Serve /api and /metrics on an HTTPS listener of their own." placeholder:"HOST:PORT"`
	PublicURL      *string `name:"public-url" help:"What phones call; fixed at the first start." placeholder:"https://HOST"`
	TrustedProxies *string `name:"trusted-proxies" help:"Addresses or networks of our own reverse proxies (default none)." placeholder:"CIDR,..."`
	Organization   *string `help:"Name that people read in profiles, pages and certificates (default: the one that the authority was made with)." placeholder:"NAME"`
	TLSCert        *string `name:"tls-cert" help:"PEM file of the server certificate with its chain (default: from our own CA)." placeholder:"FILE"`
	TLSKey         *string `name:"tls-key" help:"PEM file of its key." placeholder:"FILE"`
	SigningCert    *string `name:"signing-cert" help:"PEM file of the certificate that signs profiles, with its chain (default: from our own CA)." placeholder:"FILE"`
	SigningKey     *string `name:"signing-key" help:"PEM file of its key." placeholder:"FILE"`
	RenewalWindow  *string `name:"renewal-window" help:"How long before its end an identity is renewed; 0 = a third of its life (default 0)." placeholder:"DURATION"`
	SCEPLegacy     *bool   `name:"scep-legacy" help:"Take SHA-1 and single DES from SCEP clients that know nothing better."`
	InquiryMaxAge  *string `name:"inquiry-max-age" help:"How old a phone's facts may be before it is asked again (default 1h)." placeholder:"DURATION"`
	APNsURL        *string `name:"apns-url" help:"Push service that wakes phones (default Apple's); another is a stand-in for rehearsals." placeholder:"URL"`
	APNsCA         *string `name:"apns-ca" help:"PEM file of the authority to trust for --apns-url (default: the system's)." placeholder:"FILE"`
	AMAPIURL       *string `name:"amapi-url" help:"Android Management API (default Google's); another is a stand-in for rehearsals." placeholder:"URL"`
	WakeInterval   *string `name:"wake-interval" help:"How long a phone may be silent before it is woken for a report; 0 = never (default 4h)." placeholder:"DURATION"`
	SecondOwner    *bool   `name:"second-owner" help:"Wipe and retire wait until an admin whose token has another owner agrees."`
	AccessMaxStale *string `name:"access-max-stale" help:"How long decisions about mailboxes go on without a word from the database; 0 = each asks it first (default 300s)." placeholder:"DURATION"`
	SMTPURL        *string `name:"smtp-url" help:"Mail server for mails to users and admins; its password in SALLYPORT_SMTP_PASSWORD, never here." placeholder:"smtp://HOST:587"`
	SMTPUser       *string `name:"smtp-user" help:"User name there (default: without signing in)." placeholder:"NAME"`
	MailFrom       *string `name:"mail-from" help:"Address that mails are from." placeholder:"ADDRESS"`
	MailAdmins     *string `name:"mail-admins" help:"Who gets the digest of mail clients that were shut out (default nobody)." placeholder:"ADDRESS,..."`
	LogLevel       *string `help:"debug, info, warn or error (default info)." placeholder:"LEVEL"`
	LogFormat      *string `help:"text or json (default text)." placeholder:"FORMAT"`
}

// load reads all settings.
func (f *settingFlags) load(p *program) (config.Config, error) {
	given := map[string]any{}
	for key, value := range map[string]*string{
		"kek_file": f.KEKFile, "database": f.Database, "database_max_connections": f.DatabaseMax,
		"listen": f.Listen, "listen_http": f.ListenHTTP, "admin_listen": f.AdminListen, "public_url": f.PublicURL, "http_url": f.HTTPURL, "trusted_proxies": f.TrustedProxies,
		"organization": f.Organization, "tls_cert": f.TLSCert, "tls_key": f.TLSKey,
		"inquiry_max_age": f.InquiryMaxAge, "renewal_window": f.RenewalWindow, "wake_interval": f.WakeInterval, "access_max_stale": f.AccessMaxStale,
		"signing_cert": f.SigningCert, "signing_key": f.SigningKey, "apns_url": f.APNsURL, "apns_ca": f.APNsCA, "amapi_url": f.AMAPIURL, "smtp_url": f.SMTPURL, "smtp_user": f.SMTPUser, "mail_from": f.MailFrom, "mail_admins": f.MailAdmins, "log_level": f.LogLevel, "log_format": f.LogFormat,
	} {
		if value != nil {
			given[key] = *value
		}
	}
	if f.SCEPLegacy != nil {
		given["scep_legacy"] = *f.SCEPLegacy
	}
	if f.SecondOwner != nil {
		given["second_owner"] = *f.SecondOwner
	}
	return p.settings(f.Config, given)
}

// settings reads all settings, with those that the command line gave.
func (p *program) settings(file string, given map[string]any) (config.Config, error) {
	if p.Data != "" {
		given["data"] = p.Data
	}
	return config.Load(file, p.environ, given)
}

type serveCmd struct{ settingFlags }

func (c *serveCmd) Run(p *program) error {
	if p.Server != "" {
		return usageError{"serve is for this machine: --server does not belong here"}
	}
	cfg, err := c.load(p)
	if err != nil {
		return err
	}
	server, err := app.New(p.ctx, cfg, app.Options{Version: versionText(), Log: logger(p, cfg)})
	if err != nil {
		return err
	}
	defer server.Close()
	return server.Run(p.ctx)
}

func logger(p *program, cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.Level()}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(p.stderr, options))
	}
	return slog.New(slog.NewTextHandler(p.stderr, options))
}

type versionCmd struct{ Output }

func (c versionCmd) Run(p *program) error {
	if c.json() {
		return printJSON(p.stdout, adminapi.Version{Version: versionText(), Go: runtime.Version()})
	}
	_, err := fmt.Fprintln(p.stdout, versionLine())
	return err
}

func versionLine() string { return "sallyport " + versionText() }

func versionText() string {
	if v := strings.TrimSpace(version); v != "" {
		return v
	}
	return "unversioned"
}
