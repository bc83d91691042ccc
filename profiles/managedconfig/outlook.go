package managedconfig

import (
	"maps"
	"net/netip"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

// Outlook writes an expanded account for Outlook on one platform, and reports
// what became of every setting. It refuses an account that Outlook could not
// set up.
func Outlook(a profiles.ExchangeAccount, p Platform) (Bundle, profiles.Report, error) {
	return outlook(a, p, Inputs{})
}

func outlook(a profiles.ExchangeAccount, p Platform, in Inputs) (Bundle, profiles.Report, error) {
	var app Package
	switch p {
	case Android:
		app = OutlookPackage
	case IOS:
		app = OutlookBundleID
	default:
		return nil, nil, refusal.New(profiles.ErrInvalid, "platform", "is none that Outlook is configured on", "use android or ios")
	}
	if err := checkAccount(a); err != nil {
		return nil, nil, err
	}
	if err := outlookRefusals(a).OrNil(); err != nil {
		return nil, nil, err
	}
	b := outlookAccount(a)
	report := in.apply(app, a, outlookRules(p), b)
	if err := in.schema(app).Validate(b); err != nil {
		return nil, nil, err
	}
	return b, report, nil
}

// modern reports whether the user signs in on the provider's page. Exchange
// Online takes nothing else.
func modern(a profiles.ExchangeAccount) bool {
	return a.UsesOAuth() || a.HostType == profiles.Office365
}

func outlookRefusals(a profiles.ExchangeAccount) refusal.List {
	var list refusal.List
	if !a.UsesSSL() {
		list.Add(refusal.New(profiles.ErrInvalid, "ssl", "is switched off, and Outlook always encrypts: it has no key for it",
			"switch TLS on at the server and remove the setting, or use Gmail for this server"))
	}
	if _, port := hostPort(a.Host); !modern(a) && port != "" && port != "443" {
		list.Add(refusal.New(profiles.ErrInvalid, "host", "names a port, and Outlook takes a host name alone", "offer ActiveSync on port 443, or use Gmail for this server"))
	}
	return list
}

// outlookAccount holds what depends on the kind of sign-in alone. Microsoft's
// pages show ServerAuthentication in every BasicAuth profile, so it is written
// although it has one value.
func outlookAccount(a profiles.ExchangeAccount) Bundle {
	if modern(a) {
		return Bundle{accountType: modernAuth}
	}
	return Bundle{accountType: basicAuth, serverAuth: usernameAndPassword}
}

func outlookRules(p Platform) map[string]rule {
	const cloud = "Outlook signs in with no client certificate: the connection to the server starts in Microsoft's cloud"
	type account = profiles.ExchangeAccount
	rules := map[string]rule{
		"name":           basicKey(profileName, func(a account) any { return a.Name }, "Outlook names accounts with modern sign-in itself", ""),
		"host_type":      outlookHostType,
		"host":           outlookHost,
		"user_name":      outlookUser,
		"domain":         basicKey(profileDomain, func(a account) any { return a.Domain }, "modern sign-in knows no Windows domain", "a UPN as user_name"),
		"email":          put(profileAddress, func(a account) any { return a.Email }),
		"ssl":            func(account, Bundle) profiles.Fidelity { return applied("Outlook always encrypts") },
		"identity":       noIdentity(cloud, "modern sign-in (oauth.enabled)"),
		"pkcs12":         never(cloud, ""),
		"oauth.enabled":  outlookOAuth,
		"sync.mail":      alwaysMail("Outlook"),
		"sync.contacts":  exported(contactsSync, "contacts", func(a account) profiles.Service { return a.Sync.Contacts }),
		"sync.calendar":  exported(calendarSync, "calendars", func(a account) profiles.Service { return a.Sync.Calendar }),
		"sync.reminders": never("Outlook has no key for reminders", ""),
		"sync.notes":     never("Outlook has no key for notes", ""),
		"days_to_keep_offline": never("Outlook has no key for it: it decides itself how much mail it keeps on the phone",
			"Gmail on Android has a key for it"),
	}
	if p == IOS {
		rules["sync.calendar"] = never("Outlook copies calendars to the phone's own calendar on Android only", "")
	}
	maps.Copy(rules, outlookSMIME())
	maps.Copy(rules, appleOnly(p))
	maps.Copy(rules, noSecrets("Outlook"))
	return rules
}

// basicKey writes a key that Outlook reads with BasicAuth only.
func basicKey(key string, value func(profiles.ExchangeAccount) any, why, substitute string) rule {
	return func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
		if modern(a) {
			return unsupported(why, substitute)
		}
		b[key] = value(a)
		return applied("")
	}
}

func outlookHostType(a profiles.ExchangeAccount, _ Bundle) profiles.Fidelity {
	if modern(a) {
		return degraded("Outlook knows the kind of sign-in only, here ModernAuth, and finds out itself where the mailbox is", "")
	}
	return applied("as BasicAuth")
}

// outlookHost: the port of TLS is what Outlook uses anyway, so it is left away;
// other ports are refused before.
func outlookHost(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
	if modern(a) {
		return degraded("with modern sign-in Outlook finds the server by the mail address", "let Autodiscover of the address's domain lead to this host")
	}
	name, _ := hostPort(a.Host)
	b[profileHost] = name
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		return degraded("Outlook is documented to take a name, not an address", "give the server a host name")
	}
	return applied("")
}

// hostPort takes the port off a host that Validate has seen.
func hostPort(host string) (name, port string) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host, ""
	}
	return host[:i], host[i+1:]
}

func outlookUser(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
	b[profileUPN] = a.UserName
	if modern(a) && !strings.Contains(a.UserName, "@") {
		return degraded("modern sign-in asks for a UPN, and this is none: the user has to correct it", "user_name %upn%")
	}
	return applied("")
}

func outlookOAuth(a profiles.ExchangeAccount, _ Bundle) profiles.Fidelity {
	if a.UsesOAuth() {
		return degraded("as ModernAuth: Outlook finds the pages of sign-in itself", "")
	}
	if a.HostType == profiles.Office365 {
		return unsupported("Outlook signs in to Exchange Online with modern sign-in only", "")
	}
	return applied("as BasicAuth")
}

// exported writes a switch that means something else in Outlook: the app always
// shows what the mailbox holds.
func exported(key, what string, service func(profiles.ExchangeAccount) profiles.Service) rule {
	return func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
		s := service(a)
		b[key] = s.On()
		b[key+mayChange] = !s.Locked
		return degraded("Outlook always shows the mailbox's "+what+": the switch decides whether it copies them to the phone's own app", "")
	}
}
