package managedconfig

import (
	"maps"
	"strconv"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

const (
	nineHost      = "AppServiceHost"
	ninePort      = "AppServicePort"
	ninePublisher = "AppServicePublisher"
	publisher     = "Sallyport"
	defaultPort   = 443
)

// nineKeys is what is documented of Nine Work's schema: its part about the
// server. The rest is known by its labels, and read from the app's own schema.
func nineKeys() []Key {
	return []Key{
		stringKey(ninePublisher, sourceNine).required(),
		stringKey(nineHost, sourceNine).required(),
		stringKey("AppServiceHosts", sourceNine),
		stringKey("AppServiceSecondaryHost", sourceNine),
		stringKey("AppServiceSecondaryHosts", sourceNine),
		stringKey("AppSecondaryEmailDomains", sourceNine),
		Key{Name: ninePort, Type: Integer, Confidence: Documented, Source: []string{sourceNine}}.defaults(float64(defaultPort)),
	}
}

// nine writes an account for Nine Work.
func nine(a profiles.ExchangeAccount, in Inputs) (Bundle, profiles.Report, error) {
	if err := checkAccount(a); err != nil {
		return nil, nil, err
	}
	if refused := nineRefusals(a, in); refused != nil {
		return nil, nil, refused
	}
	b := Bundle{ninePublisher: publisher}
	report := in.apply(NinePackage, a, nineRules(in), b)
	if err := in.schema(NinePackage).Validate(b); err != nil {
		return nil, nil, err
	}
	return b, report, nil
}

func nineRules(in Inputs) map[string]rule {
	type account = profiles.ExchangeAccount
	const app = "Nine Work"
	var keys []Key
	if in.live() {
		keys = in.Schema.Keys
	}
	l := labels{keys: keys, app: app}
	rules := map[string]rule{
		"name":                 l.text("DisplayName", func(a account) string { return a.Name }),
		"host_type":            derivedHostType(app),
		"host":                 nineServer,
		"user_name":            l.text("Username", func(a account) string { return a.UserName }),
		"domain":               l.text("Domain", func(a account) string { return a.Domain }),
		"email":                l.text("Email", func(a account) string { return a.Email }),
		"ssl":                  l.flag("UseSSL", func(a account) bool { return a.UsesSSL() }),
		"identity":             noIdentity("the name of Nine Work's key for a client certificate is not published", "the user picks the certificate in the app"),
		"days_to_keep_offline": never("the name of Nine Work's key for it is not published", "the user sets it in the app"),
		"sync.mail":            alwaysMail(app),
	}
	l.unnamed(rules)
	rules["sync.notes"] = never(app+" has no key for notes", "")
	maps.Copy(rules, appleOnly(Android))
	maps.Copy(rules, noSecrets(app))
	return rules
}

// nineServer: host and port are two keys.
func nineServer(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
	host, port := hostPort(a.Host)
	b[nineHost] = host
	if port == "" {
		return applied("")
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return unsupported("the port is no number", "")
	}
	if n != defaultPort {
		b[ninePort] = n
	}
	return applied("")
}

// nineRefusals: without TLS there is no documented key, and mail in clear text
// is no fallback.
func nineRefusals(a profiles.ExchangeAccount, in Inputs) *refusal.Error {
	if a.UsesSSL() || in.live() {
		return nil
	}
	return refusal.New(profiles.ErrInvalid, "ssl", "is switched off, and Nine Work's key for it is read from the app's own schema alone", "switch TLS on at the server")
}
