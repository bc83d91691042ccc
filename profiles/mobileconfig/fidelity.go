package mobileconfig

import (
	"strconv"
	"strings"

	"sallyport/profiles"
)

// Fidelity tells what iOS makes of each setting of an account, one row for each
// setting that is made. osVersion is that of the phone, as it reports it
// ("17.5.1"); empty is the current one.
// The versions are those of Apple's schema for com.apple.eas.account.
func Fidelity(a profiles.ExchangeAccount, osVersion string) profiles.Report {
	r := report{os: parseVersion(osVersion)}
	basics(&r, a)
	signIn(&r, a)
	habits(&r, a)
	smime(&r, a.SMIME)
	syncing(&r, a)
	return r.rows
}

// report gathers rows for one version of iOS.
type report struct {
	os   version
	rows profiles.Report
}

func (r *report) add(made bool, row profiles.Fidelity) {
	if made {
		r.rows = append(r.rows, row)
	}
}

// since adds row, or what an iOS before that version makes of it.
func (r *report) since(made bool, v version, row, before profiles.Fidelity) {
	if r.os.before(v) {
		row = before
	}
	r.add(made, row)
}

// needs adds field as applied; a phone before that version passes over it.
func (r *report) needs(made bool, v version, field, why, substitute string) {
	r.since(made, v, applied(field, ""), unsupported(field, "iOS before "+v.String()+" "+why, substitute))
}

func applied(field, why string) profiles.Fidelity {
	return profiles.Fidelity{Field: field, Status: profiles.Applied, Why: why}
}

func degraded(field, why, substitute string) profiles.Fidelity {
	return profiles.Fidelity{Field: field, Status: profiles.Degraded, Why: why, Substitute: substitute}
}

func unsupported(field, why, substitute string) profiles.Fidelity {
	return profiles.Fidelity{Field: field, Status: profiles.Unsupported, Why: why, Substitute: substitute}
}

func basics(r *report, a profiles.ExchangeAccount) {
	r.add(a.Name != "", applied("name", "as the name of the payload: Apple has no key for the account's name"))
	r.add(a.HostType != "", applied("host_type", "through host, ssl and oauth: Apple has no key for it"))
	searches := a.UsesOAuth() && a.OAuth.SignInURL == "" && a.Host != profiles.Office365Host
	if searches {
		r.add(a.Host != "", degraded("host", "with OAuth and no sign_in_url iPhones look for the server by Autodiscover and may pass over the host", "give oauth.sign_in_url"))
	} else {
		r.add(a.Host != "", applied("host", ""))
	}
	r.add(a.UserName != "", applied("user_name", ""))
	r.add(a.Domain != "", applied("domain", `before the user name, as DOMAIN\user: Apple has no key for it`))
	r.add(a.Email != "", applied("email", ""))
	r.add(a.SSL != nil, applied("ssl", ""))
}

func signIn(r *report, a profiles.ExchangeAccount) {
	r.add(a.Password != nil, applied("password.secret", "the profile is sent encrypted to the phone only"))
	r.needs(a.OverridePreviousPassword, version{14, 0}, "override_previous_password", "keeps the stored password when the profile changes", "the user enters the new password in Settings")
	r.add(a.Identity == profiles.IdentityNone, applied("identity", ""))
	r.add(a.Identity == profiles.IdentitySCEP, applied("identity", "the phone makes the key and asks our CA for the certificate"))
	r.add(a.Identity == profiles.IdentityPKCS12, applied("identity", "the profile is sent encrypted to the phone only"))
	r.add(a.PKCS12 != "", applied("pkcs12", ""))
	if a.OAuth.Enabled != nil && !*a.OAuth.Enabled {
		r.add(true, applied("oauth.enabled", ""))
	} else {
		r.needs(a.UsesOAuth(), version{12, 0}, "oauth.enabled", "knows no OAuth and asks for a password, which Exchange Online refuses", "update the phone, or use Outlook for iOS")
	}
	const found = "finds its sign-in page by Autodiscover only"
	r.needs(a.OAuth.SignInURL != "", version{13, 0}, "oauth.sign_in_url", found, "publish Autodiscover")
	r.needs(a.OAuth.TokenURL != "", version{13, 0}, "oauth.token_url", found, "publish Autodiscover")
}

func habits(r *report, a profiles.ExchangeAccount) {
	r.needs(a.PreventMove, version{5, 0}, "prevent_move", "lets mail move to other accounts", "")
	r.needs(a.BlockNonMailApps, version{5, 0}, "block_non_mail_apps", "lets every app send with the account", "")
	r.add(a.DisableRecentsSync, applied("disable_recents_sync", ""))
	r.needs(a.AllowMailDrop, version{9, 2}, "allow_mail_drop", "has no Mail Drop for managed accounts", "")
	r.needs(a.AudioCallApp != "", version{10, 0}, "audio_call_app", "calls with Phone and FaceTime only", "")
}

// olderKeys is why an old iOS passes over S/MIME.
const olderKeys = "reads older S/MIME keys, which are not written"

func smimeIdentity(r *report, field string, source profiles.IdentitySource) {
	row := applied(field, "")
	if source == profiles.IdentitySMIME {
		row.Why = "key and certificate come along, in a profile that is encrypted to the phone only"
	}
	made := source == profiles.IdentityPKCS12 || source == profiles.IdentitySMIME
	r.since(made, version{5, 0}, row, unsupported(field, "iOS before 5.0 "+olderKeys, ""))
}

func smime(r *report, s profiles.SMIME) {
	const old = olderKeys
	r.needs(s.Sign.Enabled, version{10, 3}, "smime.sign.enabled", old, "update the phone")
	smimeIdentity(r, "smime.sign.identity", s.Sign.Identity)
	r.needs(s.Sign.PKCS12 != "", version{5, 0}, "smime.sign.pkcs12", old, "")
	r.needs(s.Sign.UserMayChange, version{12, 0}, "smime.sign.user_may_change", "gives the user no such switch", "update the phone")
	r.needs(s.Sign.UserMayChangeIdentity, version{12, 0}, "smime.sign.user_may_change_identity", "gives the user no such choice", "update the phone")
	r.needs(s.Encrypt.ByDefault, version{12, 0}, "smime.encrypt.by_default", old, "update the phone")
	smimeIdentity(r, "smime.encrypt.identity", s.Encrypt.Identity)
	r.needs(s.Encrypt.PKCS12 != "", version{5, 0}, "smime.encrypt.pkcs12", old, "")
	changes := applied("smime.encrypt.user_may_change", "")
	if !s.Encrypt.PerMessageSwitch {
		changes = degraded("smime.encrypt.user_may_change", "without per_message_switch iPhones keep the default as it is", "set smime.encrypt.per_message_switch")
	}
	r.since(s.Encrypt.UserMayChange, version{12, 0}, changes, unsupported("smime.encrypt.user_may_change", "iOS before 12.0 gives the user no such switch", "update the phone"))
	r.needs(s.Encrypt.UserMayChangeIdentity, version{12, 0}, "smime.encrypt.user_may_change_identity", "gives the user no such choice", "update the phone")
	r.needs(s.Encrypt.PerMessageSwitch, version{12, 0}, "smime.encrypt.per_message_switch", "reads an older key, which is not written", "update the phone")
}

func syncing(r *report, a profiles.ExchangeAccount) {
	for _, s := range []struct {
		profiles.Service
		field string
	}{
		{a.Sync.Mail, "sync.mail"}, {a.Sync.Contacts, "sync.contacts"}, {a.Sync.Calendar, "sync.calendar"},
		{a.Sync.Reminders, "sync.reminders"}, {a.Sync.Notes, "sync.notes"},
	} {
		before := unsupported(s.field, "iOS before 13.0 turns every service on and lets the user change it", "update the phone")
		if s.On() && !s.Locked {
			before = applied(s.field, "")
		}
		r.since(s.Enabled != nil || s.Locked, version{13, 0}, applied(s.field, ""), before)
	}
	r.add(a.DaysToKeepOffline != nil, applied("days_to_keep_offline", "Apple begins anew with it whenever the profile changes, also where the user chose another span"))
}

// version is major and minor of an iOS release; zero is the current one.
type version struct{ major, minor int }

// parseVersion reads "17.5.1". What is not a version counts as the current one.
func parseVersion(s string) version {
	major, rest, _ := strings.Cut(strings.TrimSpace(s), ".")
	minor, _, _ := strings.Cut(rest, ".")
	var v version
	v.major, _ = strconv.Atoi(major)
	v.minor, _ = strconv.Atoi(minor)
	return v
}

func (v version) before(o version) bool {
	if v.major <= 0 {
		return false
	}
	return v.major < o.major || v.major == o.major && v.minor < o.minor
}

func (v version) String() string { return strconv.Itoa(v.major) + "." + strconv.Itoa(v.minor) }
