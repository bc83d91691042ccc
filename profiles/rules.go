package profiles

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"sallyport/internal/refusal"
)

const (
	maxSecretName = 128
	maxURL        = 2048
	maxBundleID   = 155 // Apple's limit
)

// bundleID is Apple's form of an application's name, for example com.apple.mobilephone.
// https://developer.apple.com/documentation/bundleresources/information-property-list/cfbundleidentifier
var bundleID = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)

// offlineDays are the spans that Exchange ActiveSync and Apple know; 0 is no limit.
var offlineDays = []int{0, 1, 3, 7, 14, 31}

func password(a ExchangeAccount) *refusal.Error {
	if a.Password == nil {
		return nil
	}
	if a.UsesOAuth() {
		return refusal.New(ErrInvalid, "password", "is given for an account that signs in by OAuth, where the phone asks the provider and must never hold a password",
			"remove password, or set oauth.enabled to false")
	}
	return secretName("password.secret", a.Password.Secret, "the name of a stored password; leave password away and the phone asks the user")
}

func secretName(field, name, remedy string) *refusal.Error {
	if name == "" {
		return missing(field, remedy)
	}
	return refusal.Line(ErrInvalid, field, name, maxSecretName)
}

// signInIdentity checks where a client certificate comes from.
func signInIdentity(source IdentitySource, pkcs12 string) refusal.List {
	if source == IdentitySMIME {
		return refusal.List{refusal.New(ErrInvalid, "identity", "is a certificate for mail, which proves to no server who signs in",
			"use scep: the phone makes its own key and asks our CA for the certificate")}
	}
	return identity("", source, pkcs12, IdentitySCEP)
}

// identity checks where a certificate comes from: from nowhere, a file, or ours.
// path is that of the dictionary that holds both fields, with a dot at its end.
func identity(path string, source IdentitySource, pkcs12 string, ours IdentitySource) refusal.List {
	var list refusal.List
	known := oneOf(path+"identity", string(source), string(IdentityNone), string(ours), string(IdentityPKCS12))
	list.Add(known)
	switch {
	case source == IdentityPKCS12:
		list.Add(secretName(path+"pkcs12", pkcs12, "identity pkcs12 needs the name of a stored .p12 file"))
	case pkcs12 != "" && known == nil:
		list.Add(refusal.New(ErrInvalid, path+"pkcs12", "names a .p12 file, but identity is "+string(source), "set identity to pkcs12, or remove pkcs12"))
	}
	return list
}

func oauth(a ExchangeAccount) refusal.List {
	var list refusal.List
	for _, u := range []struct{ field, value string }{
		{"oauth.sign_in_url", a.OAuth.SignInURL},
		{"oauth.token_url", a.OAuth.TokenURL},
	} {
		switch {
		case u.value == "":
		case !a.UsesOAuth():
			list.Add(refusal.New(ErrInvalid, u.field, "is set, but the account does not sign in by OAuth, so phones ignore it", "set oauth.enabled to true, or remove the URL"))
		default:
			list.Add(secureURL(u.field, u.value))
		}
	}
	return list
}

func secureURL(field, value string) *refusal.Error {
	if e := refusal.Identifier(ErrInvalid, field, value, maxURL); e != nil {
		return e
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" {
		return refusal.New(ErrInvalid, field, "is not a URL", "for example https://login.microsoftonline.com/common/oauth2/v2.0/authorize")
	}
	if u.Scheme != "https" {
		return refusal.New(ErrInvalid, field, "does not begin with https://, and the user's sign-in would travel in the clear", "give the https:// address")
	}
	if u.User != nil || u.Fragment != "" {
		return refusal.New(ErrInvalid, field, "holds a user name, a password or a #fragment", "give the address alone")
	}
	return nil
}

func audioCallApp(id string) *refusal.Error {
	const field = "audio_call_app"
	if id == "" || (len(id) <= maxBundleID && bundleID.MatchString(id)) {
		return nil
	}
	return refusal.New(ErrInvalid, field, "is not the bundle identifier of an app", "letters, digits, dashes and at least one dot, for example com.example.phone")
}

func smime(s SMIME) refusal.List {
	list := smimeIdentity("smime.sign.", s.Sign.Identity, s.Sign.PKCS12)
	return append(list, smimeIdentity("smime.encrypt.", s.Encrypt.Identity, s.Encrypt.PKCS12)...)
}

func smimeIdentity(path string, source IdentitySource, pkcs12 string) refusal.List {
	switch source {
	case IdentitySCEP:
		return refusal.List{refusal.New(ErrInvalid, path+"identity",
			"has the phone make a key for mail that nobody else holds: with the phone, all mail that was encrypted to it would be lost",
			"use smime: the user's own S/MIME certificate on record, imported or else issued by our CA")}
	case "":
		source = IdentityNone
	}
	return identity(path, source, pkcs12, IdentitySMIME)
}

func services(s Sync) *refusal.Error {
	if s.Mail.On() || s.Contacts.On() || s.Calendar.On() || s.Reminders.On() || s.Notes.On() {
		return nil
	}
	return refusal.New(ErrInvalid, "sync", "switches all five services off, and a phone refuses such an account", "leave at least one on")
}

func days(a ExchangeAccount) *refusal.Error {
	const field = "days_to_keep_offline"
	switch {
	case a.DaysToKeepOffline == nil:
		return nil
	case !slices.Contains(offlineDays, *a.DaysToKeepOffline):
		return refusal.New(ErrInvalid, field, "is none of the spans that phones know", "use 1, 3, 7, 14 or 31, or 0 for no limit")
	case !a.Sync.Mail.On() && a.Sync.Mail.Locked:
		return refusal.New(ErrInvalid, field, "is set, but sync.mail is off and locked, so there is no mail to keep", "remove it, or let the user switch mail on")
	}
	return nil
}

// holdsDomain reports whether a login name is an address: user@domain.
func holdsDomain(login string) bool { return strings.Contains(login, "@") }
