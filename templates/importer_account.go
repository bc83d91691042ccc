package templates

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/profiles"
)

// accountReader takes known keys out of one account's payload. What it does not
// take is kept.
type accountReader struct {
	im   *importer
	path string
	rest map[string]any
}

func (im *importer) account(payload map[string]any) {
	r := &accountReader{im: im, path: fmt.Sprintf("accounts[%d].", len(im.out.Spec.Accounts)), rest: map[string]any{}}
	for key, value := range payload {
		if !headKeys[key] {
			r.rest[key] = value
		}
	}
	a := profiles.ExchangeAccount{Name: im.text(r.path+"name", asString(payload["PayloadDisplayName"]))}
	if a.Name == "" {
		a.Name = "Mail"
	}
	r.server(&a)
	r.login(&a)
	r.secrets(&a)
	r.switches(&a)
	r.sync(&a)
	r.smime(&a)
	r.dropTaken()
	im.out.Spec.Accounts = append(im.out.Spec.Accounts, a)
	im.kept.accounts = append(im.kept.accounts, im.withoutSecrets(easType, r.rest))
}

// string, bool and days take a key if it is there and of its type.
func (r *accountReader) string(key string) string {
	value, ok := r.rest[key].(string)
	if ok {
		delete(r.rest, key)
	}
	return value
}

func (r *accountReader) bool(key string) bool {
	value, ok := r.rest[key].(bool)
	if ok {
		delete(r.rest, key)
	}
	return value
}

// dropTaken leaves keys out that have a field in the template and are still
// there, since they are not of Apple's type.
func (r *accountReader) dropTaken() {
	for _, key := range slices.Sorted(maps.Keys(r.rest)) {
		if accountKeys[key] != "" {
			delete(r.rest, key)
			r.im.suggest(Suggestion{Field: strings.TrimSuffix(r.path, "."), Text: key + " is not of the type that it has in Apple's profiles, and is left out"})
		}
	}
}

// server reads Host, SSL and OAuth. Apple's defaults are not those of a
// template: SSL is off where a profile does not name it.
func (r *accountReader) server(a *profiles.ExchangeAccount) {
	host, oauth, ssl := r.string("Host"), r.bool("OAuth"), r.bool("SSL")
	a.OAuth.SignInURL = r.im.plain(r.path+"oauth.sign_in_url", r.string("OAuthSignInURL"))
	a.OAuth.TokenURL = r.im.plain(r.path+"oauth.token_url", r.string("OAuthTokenRequestURL"))
	a.Host = r.im.plain(r.path+"host", host)
	if strings.EqualFold(host, profiles.Office365Host) || host == "" && oauth {
		a.HostType, a.Host = profiles.Office365, ""
		if !oauth {
			a.OAuth.Enabled = &oauth
		}
		if !ssl {
			r.im.suggest(Suggestion{Field: r.path + "ssl", Text: "the profile does not switch SSL on; Exchange Online answers on TLS only, so the template does"})
		}
		return
	}
	a.HostType = profiles.OnPremises
	if oauth {
		a.OAuth.Enabled = &oauth
	}
	if !ssl {
		a.SSL = &ssl
		r.im.suggest(Suggestion{Field: r.path + "ssl", Text: "the profile does not switch SSL on (Apple's default is off), and the template says the same; remove the line to encrypt"})
	}
}

// login reads who the mailbox belongs to: values of one user, which become
// variables.
func (r *accountReader) login(a *profiles.ExchangeAccount) {
	name := r.string("UserName")
	if domain, user, ok := strings.Cut(name, `\`); ok {
		a.Domain, name = r.im.domain(r.path+"domain", domain), user
	}
	a.UserName = r.im.person(r.path+"user_name", name)
	a.Email = r.im.person(r.path+"email", r.string("EmailAddress"))
}

// secrets leaves passwords and keys out and says how to bring them along.
func (r *accountReader) secrets(a *profiles.ExchangeAccount) {
	if r.string("Password") != "" {
		r.im.suggest(Suggestion{
			Field: r.path + "password", Text: "the profile holds a password; it is left out, and the phone asks for one. To send each user's, seal it and name it here",
			Now: "{secret: mail-password}", Command: "sallyport secret set mail-password --user UPN --file FILE",
		})
	}
	a.OverridePreviousPassword = r.bool("OverridePreviousPassword")
	if uuid, ok := r.rest["PayloadCertificateUUID"].(string); ok {
		a.Identity, a.PKCS12 = r.identity("PayloadCertificateUUID", r.path+"identity", uuid)
	}
	delete(r.rest, "CertificateName")
	delete(r.rest, "CertificatePassword")
	if inline, ok := r.rest["Certificate"].([]byte); ok {
		delete(r.rest, "Certificate")
		if len(inline) == 0 {
			return
		}
		if a.Identity == "" {
			a.Identity, a.PKCS12 = profiles.IdentityPKCS12, r.sealPKCS12(r.path+"pkcs12", "")
		}
	}
}

// identity turns a reference to an identity payload into a setting, where there
// is one for it. Otherwise payload and reference are kept.
func (r *accountReader) identity(key, field, uuid string) (profiles.IdentitySource, string) {
	i := slices.IndexFunc(r.im.payloads, func(p map[string]any) bool {
		return strings.EqualFold(asString(p["PayloadUUID"]), uuid)
	})
	if i < 0 {
		delete(r.rest, key)
		r.im.suggest(Suggestion{Field: field, Text: "the profile refers to a certificate that it does not hold; the reference is left out"})
		return "", ""
	}
	payload := r.im.payloads[i]
	switch kind := asString(payload["PayloadType"]); {
	case kind == "com.apple.security.pkcs12":
		delete(r.rest, key)
		r.im.used[asString(payload["PayloadUUID"])] = true
		if key != "PayloadCertificateUUID" {
			r.im.suggest(Suggestion{Field: field, Text: "S/MIME certificates can be on record for each user instead, with all earlier ones, so that old mail stays readable on a new phone: import them (docs/smime.md), and write identity: smime without pkcs12"})
		}
		return profiles.IdentityPKCS12, r.sealPKCS12(strings.TrimSuffix(field, "identity")+"pkcs12", uuid)
	case kind == "com.apple.security.scep" && key == "PayloadCertificateUUID":
		delete(r.rest, key)
		r.im.used[asString(payload["PayloadUUID"])] = true
		r.im.suggest(Suggestion{Field: field, Text: "the profile fetches its certificate from another CA by SCEP; the template has it issued by this server's own CA, which the mail server must trust", Now: "scep"})
		return profiles.IdentitySCEP, ""
	}
	return "", ""
}

// sealPKCS12 names the secret that takes a file's place: one name a file, also
// where several settings use it.
func (r *accountReader) sealPKCS12(field, uuid string) string {
	if name, known := r.im.sealed[uuid]; known && uuid != "" {
		return name
	}
	name := "mail-certificate"
	if n := len(r.im.sealed); n > 0 {
		name = fmt.Sprintf("mail-certificate-%d", n+1)
	}
	r.im.sealed[cmp.Or(uuid, name)] = name
	r.im.suggest(Suggestion{
		Field: field, Text: "the profile holds a certificate with its private key; it is left out. Upload each user's", Now: name,
		Command: "sallyport secret set " + name + " --user UPN --pkcs12 FILE --password-file FILE",
	})
	return name
}

func (r *accountReader) switches(a *profiles.ExchangeAccount) {
	a.PreventMove = r.bool("PreventMove")
	a.BlockNonMailApps = r.bool("PreventAppSheet")
	a.DisableRecentsSync = r.bool("disableMailRecentsSyncing")
	a.AllowMailDrop = r.bool("allowMailDrop")
	if app := audioCall(r.rest["CommunicationServiceRules"]); app != "" {
		a.AudioCallApp = app
		delete(r.rest, "CommunicationServiceRules")
	}
	if days, ok := wholeNumber(r.rest["MailNumberOfPastDaysToSync"]); ok {
		a.DaysToKeepOffline = &days
		delete(r.rest, "MailNumberOfPastDaysToSync")
	}
}

// audioCall reads rules that say no more than a template can.
func audioCall(rules any) string {
	outer, _ := rules.(map[string]any)
	inner, _ := outer["DefaultServiceHandlers"].(map[string]any)
	app, _ := inner["AudioCall"].(string)
	if len(outer) != 1 || len(inner) != 1 {
		return ""
	}
	return app
}

func wholeNumber(v any) (int, bool) {
	switch n := v.(type) {
	case uint64:
		return int(n), n < 1<<31
	case int64:
		return int(n), n > -1<<31 && n < 1<<31
	}
	return 0, false
}

func (r *accountReader) sync(a *profiles.ExchangeAccount) {
	for _, s := range []struct {
		key     string
		service *profiles.Service
	}{
		{"EnableMail", &a.Sync.Mail},
		{"EnableContacts", &a.Sync.Contacts},
		{"EnableCalendars", &a.Sync.Calendar},
		{"EnableReminders", &a.Sync.Reminders},
		{"EnableNotes", &a.Sync.Notes},
	} {
		if on, ok := r.rest[s.key].(bool); ok {
			s.service.Enabled = &on
			delete(r.rest, s.key)
		}
		if free, ok := r.rest[s.key+"UserOverridable"].(bool); ok {
			s.service.Locked = !free
			delete(r.rest, s.key+"UserOverridable")
		}
	}
}

func (r *accountReader) smime(a *profiles.ExchangeAccount) {
	sign, encrypt := &a.SMIME.Sign, &a.SMIME.Encrypt
	sign.Enabled = r.bool("SMIMESigningEnabled")
	sign.UserMayChange = r.bool("SMIMESigningUserOverrideable")
	sign.UserMayChangeIdentity = r.bool("SMIMESigningCertificateUUIDUserOverrideable")
	encrypt.ByDefault = r.bool("SMIMEEncryptByDefault")
	encrypt.UserMayChange = r.bool("SMIMEEncryptByDefaultUserOverrideable")
	encrypt.UserMayChangeIdentity = r.bool("SMIMEEncryptionCertificateUUIDUserOverrideable")
	encrypt.PerMessageSwitch = r.bool("SMIMEEnableEncryptionPerMessageSwitch")
	if uuid, ok := r.rest["SMIMESigningCertificateUUID"].(string); ok {
		sign.Identity, sign.PKCS12 = r.identity("SMIMESigningCertificateUUID", r.path+"smime.sign.identity", uuid)
	}
	if uuid, ok := r.rest["SMIMEEncryptionCertificateUUID"].(string); ok {
		encrypt.Identity, encrypt.PKCS12 = r.identity("SMIMEEncryptionCertificateUUID", r.path+"smime.encrypt.identity", uuid)
	}
}
