package managedconfig

import (
	"maps"
	"strings"

	"sallyport/profiles"
)

// Gmail writes an expanded account for Gmail on Android, and reports what became
// of every setting. It refuses an account that Gmail could not set up.
func Gmail(a profiles.ExchangeAccount) (Bundle, profiles.Report, error) {
	if err := checkAccount(a); err != nil {
		return nil, nil, err
	}
	b := Bundle{}
	report := apply(a, gmailRules(), b)
	if err := b.Validate(GmailPackage); err != nil {
		return nil, nil, err
	}
	return b, report, nil
}

func gmailRules() map[string]rule {
	const alias = "Gmail takes a certificate by its alias in the phone's key store, and without a companion app on the phone nothing can put it there"
	type account = profiles.ExchangeAccount
	rules := map[string]rule{
		"name":      never("Gmail shows the mail address as the account's name", ""),
		"host_type": gmailHostType,
		"host":      put(exchangeHost, func(a account) any { return a.Host }),
		"user_name": put(exchangeUser, func(a account) any { return a.Login() }),
		"domain": func(account, Bundle) profiles.Fidelity {
			return degraded(`Gmail has no key for it: it stands before the user name, as DOMAIN\user`, "")
		},
		"email":                put(emailAddress, func(a account) any { return a.Email }),
		"ssl":                  gmailSSL,
		"identity":             noIdentity(alias, "the user signs in with a password"),
		"pkcs12":               never(alias, ""),
		"oauth.enabled":        gmailOAuth,
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

// gmailHostType: the host, and by it the server, says all that Gmail needs but
// how to sign in.
func gmailHostType(a profiles.ExchangeAccount, _ Bundle) profiles.Fidelity {
	if a.HostType == profiles.Office365 {
		return degraded("Gmail has no key for it: the host alone leads to Exchange Online, and Gmail chooses the kind of sign-in", "")
	}
	return applied("Gmail has no key for it and needs none: it follows from the host")
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

// gmailOAuth: the label "Authentication types" is published, its key is not. By
// its default Gmail offers modern sign-in.
func gmailOAuth(a profiles.ExchangeAccount, _ Bundle) profiles.Fidelity {
	if a.UsesOAuth() {
		return degraded("the name of Gmail's key for it is not published: Gmail offers modern sign-in by default, but basic sign-in is not ruled out",
			"switch basic sign-in off on the server, and install Chrome (com.android.chrome) beside Gmail: sign-in fails without it")
	}
	return degraded("the name of Gmail's key for it is not published: Gmail chooses itself, and modern sign-in by default", "")
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
