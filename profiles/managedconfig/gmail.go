package managedconfig

import (
	"maps"
	"strings"

	"sallyport/profiles"
)

// Gmail writes an expanded account for Gmail on Android, and reports what became
// of every setting. It refuses an account that Gmail could not set up.
func Gmail(a profiles.ExchangeAccount) (Bundle, profiles.Report, error) { return gmail(a, Inputs{}) }

func gmail(a profiles.ExchangeAccount, in Inputs) (Bundle, profiles.Report, error) {
	if err := checkAccount(a); err != nil {
		return nil, nil, err
	}
	b := Bundle{}
	report := in.apply(GmailPackage, a, gmailRules(in), b)
	if in.DeviceID != "" {
		in.keep(GmailPackage, Bundle{exchangeDeviceID: in.DeviceID}, b, profiles.Fidelity{})
	}
	if err := in.schema(GmailPackage).Validate(b); err != nil {
		return nil, nil, err
	}
	return b, report, nil
}

func gmailRules(in Inputs) map[string]rule {
	type account = profiles.ExchangeAccount
	rules := map[string]rule{
		"name":      never("Gmail shows the mail address as the account's name", ""),
		"host_type": derivedHostType("Gmail"),
		"host":      put(exchangeHost, func(a account) any { return a.Host }),
		"user_name": put(exchangeUser, func(a account) any { return a.Login() }),
		"domain": func(account, Bundle) profiles.Fidelity {
			return degraded(`Gmail has no key for it: it stands before the user name, as DOMAIN\user`, "")
		},
		"email":                put(emailAddress, func(a account) any { return a.Email }),
		"ssl":                  gmailSSL,
		"identity":             gmailIdentity(in.Alias),
		"pkcs12":               never(noCompanion("Gmail"), ""),
		"oauth.enabled":        gmailOAuth(in),
		"days_to_keep_offline": gmailDays,
		"sync.mail":            alwaysMail("Gmail"),
	}
	for field, what := range map[string]string{"sync.contacts": "contacts", "sync.calendar": "calendars", "sync.reminders": "reminders", "sync.notes": "notes"} {
		rules[field] = never("Gmail has no key that switches or locks the sync of "+what, "")
	}
	for _, s := range settings() {
		if strings.HasPrefix(s.field, "smime.") {
			rules[s.field] = never("Gmail has no keys for S/MIME", "give these users Outlook, which has keys for S/MIME")
		}
	}
	maps.Copy(rules, appleOnly(Android))
	maps.Copy(rules, noSecrets("Gmail"))
	return rules
}

// gmailIdentity writes the alias of a key that a companion app installs.
func gmailIdentity(alias string) rule {
	return func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
		switch {
		case a.Identity == profiles.IdentityNone:
			return applied("")
		case alias == "":
			return unsupported(noCompanion("Gmail"), "the user signs in with a password")
		case a.Identity != profiles.IdentitySCEP:
			return unsupported(onlySCEP, "identity: scep")
		}
		b[exchangeAlias] = alias
		return degraded(byCompanion, "")
	}
}

// gmailSSL: without encryption and a port Gmail goes to port 80.
func gmailSSL(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
	b[exchangeSSL] = a.UsesSSL()
	switch {
	case a.UsesSSL():
		return applied("")
	case strings.HasSuffix(a.Host, ":443"):
		return degraded("Gmail encrypts nevertheless where the host names port 443", "name the server's other port in the host")
	}
	return applied("without a port in the host, Gmail goes to port 80")
}

// gmailOAuth: the label "Authentication types" is published, its key is not: it
// is read from the app's own schema. By its default Gmail offers modern sign-in.
func gmailOAuth(in Inputs) rule {
	return func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
		if in.live() {
			if f, written := gmailAuthentication(a, in.Schema.Keys, b); written {
				return f
			}
		}
		if a.UsesOAuth() {
			return degraded("the name of Gmail's key for it is not published: Gmail offers modern sign-in by default, but basic sign-in is not ruled out",
				"switch basic sign-in off on the server, and install Chrome (com.android.chrome) beside Gmail: sign-in fails without it")
		}
		return degraded("the name of Gmail's key for it is not published: Gmail chooses itself, and modern sign-in by default", "")
	}
}

// gmailAuthentication writes the kind of sign-in where Gmail's own schema has one
// list of kinds, and one kind of each name in it.
func gmailAuthentication(a profiles.ExchangeAccount, keys []Key, b Bundle) (profiles.Fidelity, bool) {
	k, known := labelled(keys, "Authentication types")
	if !known || k.Type != MultiSelect {
		return profiles.Fidelity{}, false
	}
	wanted := "basic"
	if a.UsesOAuth() {
		wanted = "modern"
	}
	value, offered := k.entry(func(label string) bool { return strings.Contains(label, wanted) })
	if !offered {
		return profiles.Fidelity{}, false
	}
	b[k.Name] = []string{value}
	if a.UsesOAuth() {
		return degraded("Gmail finds the pages of sign-in itself, and shows them in Chrome (com.android.chrome), which has to be installed beside it", ""), true
	}
	return applied(""), true
}

// gmailDays: Gmail ignores codes that it does not know.
func gmailDays(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
	code, known := gmailWindow(*a.DaysToKeepOffline)
	if !known {
		return unsupported("Gmail offers no such span", "0 (no limit), 1, 3, 7, 14 or 31 days")
	}
	b[exchangeWindow] = code
	return applied("")
}
