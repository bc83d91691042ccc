package managedconfig

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"sallyport/profiles"
)

var update = flag.Bool("update", false, "rewrite the golden files and the table in docs")

type account = profiles.ExchangeAccount

// base is the account that the cases change: on premises, with a password that
// the user types.
func base() account {
	return account{Name: "Company mail", Host: "mail.example.test", UserName: "alice", Email: "alice@example.test"}.WithDefaults()
}

func online() account {
	return account{Name: "Company mail", HostType: profiles.Office365, UserName: "alice@example.test", Email: "alice@example.test"}.WithDefaults()
}

func pointer[T any](v T) *T { return &v }

// example sets one setting. The settings that it needs beside it are set too.
type example struct {
	name  string // of its golden file
	field string // the setting that it is about
	value string // for the table in docs; empty: not in it
	set   func(a *account)
}

func examples() []example {
	off := func(locked bool) profiles.Service { return profiles.Service{Enabled: pointer(false), Locked: locked} }
	return []example{
		{"name", "name", "Company mail", func(*account) {}},
		{"name_oauth", "name", "Company mail with OAuth", func(a *account) { a.OAuth.Enabled = pointer(true) }},
		{"host_type_on_premises", "host_type", "on_premises", func(*account) {}},
		{"host_type_office365", "host_type", "office365", func(a *account) { *a = online() }},
		{"host", "host", "mail.example.test", func(*account) {}},
		{"host_port_443", "host", "mail.example.test:443", func(a *account) { a.Host += ":443" }},
		{"host_port", "host", "mail.example.test:8443", func(a *account) { a.Host += ":8443" }},
		{"host_address", "host", "192.0.2.1", func(a *account) { a.Host = "192.0.2.1" }},
		{"host_address_6", "host", "[2001:db8::443]", func(a *account) { a.Host = "[2001:db8::443]" }},
		{"host_sovereign_cloud", "host", "partner.outlook.cn with office365", func(a *account) { *a = online(); a.Host = "partner.outlook.cn" }},
		{"user_name", "user_name", "alice", func(*account) {}},
		{"user_name_oauth", "user_name", "alice@example.test with office365", func(a *account) { *a = online() }},
		{"user_name_no_upn", "user_name", "alice with office365", func(a *account) { *a = online(); a.UserName = "alice" }},
		{"domain", "domain", "EXAMPLE", func(a *account) { a.Domain = "EXAMPLE" }},
		{"domain_oauth", "domain", "EXAMPLE with OAuth", func(a *account) { a.Domain, a.OAuth.Enabled = "EXAMPLE", pointer(true) }},
		{"email", "email", "alice@example.test", func(*account) {}},
		{"ssl_on", "ssl", "true", func(*account) {}},
		{"ssl_off", "ssl", "false", func(a *account) { a.SSL = pointer(false) }},
		{"ssl_off_443", "ssl", "false, and port 443", func(a *account) { a.SSL, a.Host = pointer(false), "mail.example.test:443" }},
		{"password", "password.secret", "a stored one", func(a *account) { a.Password = &profiles.PasswordSource{Secret: "mail-password"} }},
		{"override_previous_password", "override_previous_password", "true", func(a *account) { a.OverridePreviousPassword = true }},
		{"identity_none", "identity", "none", func(*account) {}},
		{"identity_scep", "identity", "scep", func(a *account) { a.Identity = profiles.IdentitySCEP }},
		{"identity_pkcs12", "identity", "pkcs12", func(a *account) { a.Identity, a.PKCS12 = profiles.IdentityPKCS12, "alice" }},
		{"pkcs12", "pkcs12", "a stored one", func(a *account) { a.Identity, a.PKCS12 = profiles.IdentityPKCS12, "alice" }},
		{"oauth_on", "oauth.enabled", "true", func(a *account) { a.OAuth.Enabled = pointer(true) }},
		{"oauth_off", "oauth.enabled", "false", func(a *account) { a.OAuth.Enabled = pointer(false) }},
		{"oauth_off_office365", "oauth.enabled", "false with office365", func(a *account) { *a = online(); a.OAuth.Enabled = pointer(false) }},
		{"oauth_sign_in_url", "oauth.sign_in_url", "a URL", func(a *account) {
			a.OAuth = profiles.OAuth{Enabled: pointer(true), SignInURL: "https://login.example.test/authorize"}
		}},
		{"oauth_token_url", "oauth.token_url", "a URL", func(a *account) {
			a.OAuth = profiles.OAuth{Enabled: pointer(true), SignInURL: "https://login.example.test/authorize", TokenURL: "https://login.example.test/token"}
		}},
		{"prevent_move", "prevent_move", "true", func(a *account) { a.PreventMove = true }},
		{"block_non_mail_apps", "block_non_mail_apps", "true", func(a *account) { a.BlockNonMailApps = true }},
		{"disable_recents_sync", "disable_recents_sync", "true", func(a *account) { a.DisableRecentsSync = true }},
		{"allow_mail_drop", "allow_mail_drop", "true", func(a *account) { a.AllowMailDrop = true }},
		{"audio_call_app", "audio_call_app", "an app", func(a *account) { a.AudioCallApp = "com.example.phone" }},
		{"smime_sign", "smime.sign.enabled", "true", func(a *account) { a.SMIME.Sign.Enabled = true }},
		{"smime_sign_locked_encrypt_open", "smime.sign.enabled", "true, encryption left to the user", func(a *account) {
			a.SMIME = profiles.SMIME{Sign: profiles.SMIMESign{Enabled: true}, Encrypt: profiles.SMIMEEncrypt{ByDefault: true, UserMayChange: true}}
		}},
		{"smime_sign_identity", "smime.sign.identity", "pkcs12", func(a *account) {
			a.SMIME.Sign = profiles.SMIMESign{Enabled: true, Identity: profiles.IdentityPKCS12, PKCS12: "alice"}
		}},
		{"smime_sign_identity_on_record", "smime.sign.identity", "smime", func(a *account) {
			a.SMIME.Sign = profiles.SMIMESign{Enabled: true, Identity: profiles.IdentitySMIME}
		}},
		{"smime_sign_pkcs12", "smime.sign.pkcs12", "a stored one", func(a *account) {
			a.SMIME.Sign.Identity, a.SMIME.Sign.PKCS12 = profiles.IdentityPKCS12, "alice"
		}},
		{"smime_sign_user_may_change", "smime.sign.user_may_change", "true", func(a *account) { a.SMIME.Sign.UserMayChange = true }},
		{"smime_sign_user_may_change_identity", "smime.sign.user_may_change_identity", "true", func(a *account) { a.SMIME.Sign.UserMayChangeIdentity = true }},
		{"smime_encrypt", "smime.encrypt.by_default", "true", func(a *account) { a.SMIME.Encrypt.ByDefault = true }},
		{"smime_encrypt_identity", "smime.encrypt.identity", "pkcs12", func(a *account) {
			a.SMIME.Encrypt = profiles.SMIMEEncrypt{ByDefault: true, Identity: profiles.IdentityPKCS12, PKCS12: "alice"}
		}},
		{"smime_encrypt_identity_on_record", "smime.encrypt.identity", "smime", func(a *account) {
			a.SMIME.Encrypt = profiles.SMIMEEncrypt{ByDefault: true, Identity: profiles.IdentitySMIME}
		}},
		{"smime_encrypt_pkcs12", "smime.encrypt.pkcs12", "a stored one", func(a *account) {
			a.SMIME.Encrypt.Identity, a.SMIME.Encrypt.PKCS12 = profiles.IdentityPKCS12, "alice"
		}},
		{"smime_encrypt_user_may_change", "smime.encrypt.user_may_change", "true", func(a *account) { a.SMIME.Encrypt.UserMayChange = true }},
		{"smime_encrypt_user_may_change_identity", "smime.encrypt.user_may_change_identity", "true", func(a *account) { a.SMIME.Encrypt.UserMayChangeIdentity = true }},
		{"smime_encrypt_per_message_switch", "smime.encrypt.per_message_switch", "true", func(a *account) { a.SMIME.Encrypt.PerMessageSwitch = true }},
		{"sync_mail_on", "sync.mail", "on", func(a *account) { a.Sync.Mail.Enabled = pointer(true) }},
		{"sync_mail_locked", "sync.mail", "on, locked", func(a *account) { a.Sync.Mail.Locked = true }},
		{"sync_mail_off", "sync.mail", "off", func(a *account) { a.Sync.Mail = off(false) }},
		{"sync_contacts_off", "sync.contacts", "off", func(a *account) { a.Sync.Contacts = off(false) }},
		{"sync_contacts_off_locked", "sync.contacts", "off, locked", func(a *account) { a.Sync.Contacts = off(true) }},
		{"sync_contacts_locked", "sync.contacts", "on, locked", func(a *account) { a.Sync.Contacts.Locked = true }},
		{"sync_calendar_off", "sync.calendar", "off", func(a *account) { a.Sync.Calendar = off(false) }},
		{"sync_reminders_off", "sync.reminders", "off", func(a *account) { a.Sync.Reminders = off(false) }},
		{"sync_notes_off", "sync.notes", "off", func(a *account) { a.Sync.Notes = off(false) }},
		{"days_0", "days_to_keep_offline", "0", func(a *account) { a.DaysToKeepOffline = pointer(0) }},
		{"days_1", "days_to_keep_offline", "1", func(a *account) { a.DaysToKeepOffline = pointer(1) }},
		{"days_3", "days_to_keep_offline", "3", func(a *account) { a.DaysToKeepOffline = pointer(3) }},
		{"days_7", "days_to_keep_offline", "7", func(a *account) { a.DaysToKeepOffline = pointer(7) }},
		{"days_14", "days_to_keep_offline", "14", func(a *account) { a.DaysToKeepOffline = pointer(14) }},
		{"days_31", "days_to_keep_offline", "31", func(a *account) { a.DaysToKeepOffline = pointer(31) }},
		{"hostile_values", "name", "", func(a *account) {
			a.Name = "</string><key>x</key>%Password%$(id){{.}}\u202e"
			a.UserName = "%username%$(id){{.}}"
		}},
	}
}

// target is one app on one platform.
type target struct {
	name string
	app  Package
	make func(account) (Bundle, profiles.Report, error)
	in   Inputs
}

func targets() []target {
	outlook := func(p Platform) func(account) (Bundle, profiles.Report, error) {
		return func(a account) (Bundle, profiles.Report, error) { return Outlook(a, p) }
	}
	draft := func(name string, app App, in Inputs) target {
		return target{name, app.Package(), func(a account) (Bundle, profiles.Report, error) {
			r, err := Draft(app, a, in)
			return r.Bundle, r.Report, err
		}, in}
	}
	return []target{
		{"gmail", GmailPackage, Gmail, Inputs{}},
		{"outlook-android", OutlookPackage, outlook(Android), Inputs{}},
		{"outlook-ios", OutlookBundleID, outlook(IOS), Inputs{}},
		draft("samsung", AppSamsung, Inputs{}),
		draft("nine", AppNine, Inputs{}),
		draft("gmail-schema", AppGmail, liveInputs(GmailPackage)),
		draft("samsung-schema", AppSamsung, liveInputs(SamsungPackage)),
		draft("nine-schema", AppNine, liveInputs(NinePackage)),
	}
}

// liveInputs are those of a phone with a companion app, and with the app's own
// schema as these tests make it up: the machine keys of Samsung Email and of most
// of Nine Work are not published.
func liveInputs(app Package) Inputs {
	in := Inputs{DeviceID: "sply0123456789abcdef0123456789ab", Alias: "sallyport-mail"}
	switch app {
	case GmailPackage:
		s := gmailSchema()
		in.Schema = &s
	case SamsungPackage:
		s := samsungSchema()
		in.Schema = &s
	case NinePackage:
		s := nineSchema()
		in.Schema = &s
	}
	return in
}

func gmailSchema() Schema {
	keys := append(gmailKeys(), Key{Name: "madeup_authentication", Title: "Authentication types", Type: MultiSelect,
		Entries: []any{"m", "b"}, Labels: []string{"Modern token-based (default)", "Basic"}})
	for i := range keys {
		keys[i].Confidence = Published
		if keys[i].Name == exchangeWindow { // stores show numbers as they are, or as choices
			keys[i].Entries = nil
		}
	}
	return Schema{App: GmailPackage, Keys: keys, Live: true}
}

func samsungSchema() Schema {
	text := func(name, title string) Key { return Key{Name: name, Title: title, Type: String} }
	return Schema{App: SamsungPackage, Live: true, Keys: []Key{{Name: "accounts", Title: samsungAccounts, Type: BundleArray, Nested: []Key{
		text("k1", samsungEmail), text("k2", samsungUser), text("k3", "Account password"), text("k4", samsungDomain), text("k5", samsungHost),
		{Name: "k6", Title: samsungSSL, Type: Bool}, {Name: "k7", Title: "Trust all", Type: Bool}, text("k8", samsungAlias), text("k9", samsungName),
		{Name: "k10", Title: samsungPeriod, Type: Choice, Entries: []any{"0", "1", "2", "3", "4", "5"},
			Labels: []string{"All time", "1 day", "3 days", "1 week", "2 weeks", "1 month"}},
	}}}}
}

func nineSchema() Schema {
	keys := nineKeys()
	for _, label := range []string{"Username", "Email", "Domain", "DisplayName"} {
		keys = append(keys, Key{Name: "madeup" + label, Title: label, Type: String})
	}
	return Schema{App: NinePackage, Live: true, Keys: append(keys, Key{Name: "madeupSSL", Title: "UseSSL", Type: Bool})}
}

// above walks up to the directory that holds path, and skips the test, loudly,
// if none does.
func above(t *testing.T, path string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		full := filepath.Join(dir, filepath.FromSlash(path))
		if _, err := os.Stat(full); err == nil {
			return full
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Skipf("SKIPPED, NOT TESTED: no %s in any directory above", path)
		}
		dir = parent
	}
}
