package managedconfig

import (
	"sallyport/internal/refusal"
	"sallyport/profiles"
)

// setting is one thing that an admin can set. The two switches of a service are
// one setting.
type setting struct {
	field string // path in a template
	made  func(a profiles.ExchangeAccount) bool
}

// settings lists all of them in the order of the account's fields. A setting
// that follows from another one counts as made: OAuth from the host type.
func settings() []setting {
	type account = profiles.ExchangeAccount
	return []setting{
		{"name", func(a account) bool { return a.Name != "" }},
		{"host_type", func(a account) bool { return a.HostType != "" }},
		{"host", func(a account) bool { return a.Host != "" }},
		{"user_name", func(a account) bool { return a.UserName != "" }},
		{"domain", func(a account) bool { return a.Domain != "" }},
		{"email", func(a account) bool { return a.Email != "" }},
		{"ssl", func(a account) bool { return a.SSL != nil }},
		{"password.secret", func(a account) bool { return a.Password != nil }},
		{"override_previous_password", func(a account) bool { return a.OverridePreviousPassword }},
		{"identity", func(a account) bool { return a.Identity != "" }},
		{"pkcs12", func(a account) bool { return a.PKCS12 != "" }},
		{"oauth.enabled", func(a account) bool { return a.OAuth.Enabled != nil || a.UsesOAuth() }},
		{"oauth.sign_in_url", func(a account) bool { return a.OAuth.SignInURL != "" }},
		{"oauth.token_url", func(a account) bool { return a.OAuth.TokenURL != "" }},
		{"prevent_move", func(a account) bool { return a.PreventMove }},
		{"block_non_mail_apps", func(a account) bool { return a.BlockNonMailApps }},
		{"disable_recents_sync", func(a account) bool { return a.DisableRecentsSync }},
		{"allow_mail_drop", func(a account) bool { return a.AllowMailDrop }},
		{"audio_call_app", func(a account) bool { return a.AudioCallApp != "" }},
		{"smime.sign.enabled", func(a account) bool { return a.SMIME.Sign.Enabled }},
		{"smime.sign.identity", func(a account) bool { return identityMade(a.SMIME.Sign.Identity) }},
		{"smime.sign.pkcs12", func(a account) bool { return a.SMIME.Sign.PKCS12 != "" }},
		{"smime.sign.user_may_change", func(a account) bool { return a.SMIME.Sign.UserMayChange }},
		{"smime.sign.user_may_change_identity", func(a account) bool { return a.SMIME.Sign.UserMayChangeIdentity }},
		{"smime.encrypt.by_default", func(a account) bool { return a.SMIME.Encrypt.ByDefault }},
		{"smime.encrypt.identity", func(a account) bool { return identityMade(a.SMIME.Encrypt.Identity) }},
		{"smime.encrypt.pkcs12", func(a account) bool { return a.SMIME.Encrypt.PKCS12 != "" }},
		{"smime.encrypt.user_may_change", func(a account) bool { return a.SMIME.Encrypt.UserMayChange }},
		{"smime.encrypt.user_may_change_identity", func(a account) bool { return a.SMIME.Encrypt.UserMayChangeIdentity }},
		{"smime.encrypt.per_message_switch", func(a account) bool { return a.SMIME.Encrypt.PerMessageSwitch }},
		{"sync.mail", func(a account) bool { return serviceMade(a.Sync.Mail) }},
		{"sync.contacts", func(a account) bool { return serviceMade(a.Sync.Contacts) }},
		{"sync.calendar", func(a account) bool { return serviceMade(a.Sync.Calendar) }},
		{"sync.reminders", func(a account) bool { return serviceMade(a.Sync.Reminders) }},
		{"sync.notes", func(a account) bool { return serviceMade(a.Sync.Notes) }},
		{"days_to_keep_offline", func(a account) bool { return a.DaysToKeepOffline != nil }},
	}
}

func identityMade(source profiles.IdentitySource) bool {
	return source != "" && source != profiles.IdentityNone
}

func serviceMade(s profiles.Service) bool { return s.Enabled != nil || s.Locked }

// rule writes one setting into the bundle and says what became of it.
type rule func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity

// apply runs the rule of every setting that the account makes, in order. There
// is a rule for each setting.
func apply(a profiles.ExchangeAccount, rules map[string]rule, b Bundle) profiles.Report {
	var report profiles.Report
	for _, s := range settings() {
		if !s.made(a) {
			continue
		}
		f := rules[s.field](a, b)
		f.Field = s.field
		report = append(report, f)
	}
	return report
}

// apply is apply for an app whose own schema may be known: what a rule writes
// and the schema lacks is left out.
func (in Inputs) apply(app Package, a profiles.ExchangeAccount, rules map[string]rule, b Bundle) profiles.Report {
	held := make(map[string]rule, len(rules))
	for field, r := range rules {
		held[field] = func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
			written := Bundle{}
			return in.keep(app, written, b, r(a, written))
		}
	}
	return apply(a, held, b)
}

// checkAccount refuses an account that no phone could use, and one whose
// variables nobody has expanded.
func checkAccount(a profiles.ExchangeAccount) error {
	if err := a.Validate(); err != nil {
		return err
	}
	if blank := (profiles.ExchangeAccount{}).WithDefaults(); a.UserName == blank.UserName {
		return refusal.New(profiles.ErrInvalid, "user_name", "is a variable and not yet a value", "render the template for a user first")
	}
	return nil
}

func applied(why string) profiles.Fidelity {
	return profiles.Fidelity{Status: profiles.Applied, Why: why}
}

func degraded(why, substitute string) profiles.Fidelity {
	return profiles.Fidelity{Status: profiles.Degraded, Why: why, Substitute: substitute}
}

func unsupported(why, substitute string) profiles.Fidelity {
	return profiles.Fidelity{Status: profiles.Unsupported, Why: why, Substitute: substitute}
}

// put writes a key for a setting that the app has in the same meaning.
func put(key string, value func(a profiles.ExchangeAccount) any) rule {
	return func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
		b[key] = value(a)
		return applied("")
	}
}

// noIdentity is the rule of the client certificate where the app takes none.
func noIdentity(why, substitute string) rule {
	return func(a profiles.ExchangeAccount, _ Bundle) profiles.Fidelity {
		if a.Identity == profiles.IdentityNone {
			return applied("")
		}
		return unsupported(why, substitute)
	}
}

// never is the rule of a setting that the app has no key for.
func never(why, substitute string) rule {
	return func(profiles.ExchangeAccount, Bundle) profiles.Fidelity { return unsupported(why, substitute) }
}

// alwaysMail is the rule of mail itself: a mail app without mail makes no sense.
func alwaysMail(app string) rule {
	return func(a profiles.ExchangeAccount, _ Bundle) profiles.Fidelity {
		switch {
		case !a.Sync.Mail.On():
			return unsupported(app+" always syncs mail", "leave this app without the account")
		case a.Sync.Mail.Locked:
			return degraded(app+" always syncs mail, but no key keeps the user from switching it off", "")
		}
		return applied(app + " always syncs mail")
	}
}
