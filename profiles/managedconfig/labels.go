package managedconfig

import (
	"strings"

	"sallyport/profiles"
)

// labels writes the keys of an app whose documentation names them by their
// labels alone: the name is read from the app's own schema.
type labels struct {
	keys []Key // of that schema; nil: it is not known
	app  string
}

// missing is what becomes of a setting whose key is not found.
func (l labels) missing(label string) profiles.Fidelity {
	if l.keys == nil {
		return unsupported(`the name of `+l.app+`'s key for it ("`+label+`") is told by the app's own schema alone, which is read from Google once Android is set up`, "")
	}
	return unsupported(`the version of `+l.app+` that is in the store has nothing that it calls "`+label+`"`, "the user sets it in the app")
}

// find gives the key to write, if it is of one of the types.
func (l labels) find(label string, types ...Type) (Key, bool) {
	k, known := labelled(l.keys, label)
	if !known {
		return Key{}, false
	}
	for _, t := range types {
		if k.Type == t {
			return k, true
		}
	}
	return Key{}, false
}

func (l labels) text(label string, value func(profiles.ExchangeAccount) string) rule {
	return func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
		k, known := l.find(label, String)
		if !known {
			return l.missing(label)
		}
		b[k.Name] = value(a)
		return applied("")
	}
}

func (l labels) flag(label string, value func(profiles.ExchangeAccount) bool) rule {
	return func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
		k, known := l.find(label, Bool)
		if !known {
			return l.missing(label)
		}
		b[k.Name] = value(a)
		return applied("")
	}
}

// identity writes the alias of a key that something on the phone has installed.
func (l labels) identity(label, alias string) rule {
	return func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
		switch k, known := l.find(label, String); {
		case a.Identity == profiles.IdentityNone:
			return applied("")
		case a.Identity != profiles.IdentitySCEP:
			return unsupported(onlySCEP, "identity: scep")
		case !known:
			return l.missing(label)
		case alias == "":
			return unsupported(noCompanion(l.app), "the user signs in with a password")
		default:
			b[k.Name] = alias
			return degraded(byCompanion, "")
		}
	}
}

const (
	byCompanion = "by the alias of a key that the companion app fetches: the account works once it is there, which takes some minutes"
	onlySCEP    = "only a certificate that the phone itself gets by SCEP reaches an app on Android"
)

func noCompanion(app string) string {
	return app + " takes a certificate by its alias in the phone's key store, and without a companion app on the phone nothing can put it there"
}

// periods are Samsung Email's words for so many days of mail.
var periods = map[int]string{0: "alltime", 1: "1day", 3: "3days", 7: "1week", 14: "2weeks", 31: "1month"}

func (l labels) days(label string) rule {
	return func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
		k, known := l.find(label, Choice)
		if !known {
			return l.missing(label)
		}
		value, offered := k.entry(func(entry string) bool { return entry == periods[*a.DaysToKeepOffline] })
		if !offered {
			return unsupported(l.app+" offers no such span", "")
		}
		b[k.Name] = value
		return applied("")
	}
}

// unnamed adds the rules of settings that the app may have, and whose labels
// even are not published.
func (l labels) unnamed(rules map[string]rule) {
	why := "what " + l.app + " calls it is not published, and a key is never guessed"
	for _, s := range settings() {
		if rules[s.field] != nil {
			continue
		}
		switch {
		case s.field == "pkcs12":
			rules[s.field] = never(onlySCEP, "identity: scep")
		case s.field == "oauth.enabled":
			rules[s.field] = func(a profiles.ExchangeAccount, _ Bundle) profiles.Fidelity {
				return degraded(why+": the app chooses the kind of sign-in itself", "")
			}
		case strings.HasPrefix(s.field, "smime."), strings.HasPrefix(s.field, "sync."):
			rules[s.field] = never(why, "the user sets it in the app")
		}
	}
}

// derivedHostType: the host, and by it the server, says all that the app needs
// but how to sign in.
func derivedHostType(app string) rule {
	return func(a profiles.ExchangeAccount, _ Bundle) profiles.Fidelity {
		if a.HostType == profiles.Office365 {
			return degraded(app+" has no key for it: the host alone leads to Exchange Online, and "+app+" chooses the kind of sign-in", "")
		}
		return applied(app + " has no key for it and needs none: it follows from the host")
	}
}
