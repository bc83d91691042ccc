package profiles

import "sallyport/internal/refusal"

// Warnings names, by field, what can be set up as described but will hardly do
// what the admin means. They have the form of refusals and refuse nothing.
func (a ExchangeAccount) Warnings() []*refusal.Error {
	var list refusal.List
	list.Add(signInWarnings(a)...)
	list.Add(oauthWarnings(a)...)
	list.Add(signWarnings(a.SMIME.Sign)...)
	list.Add(encryptWarnings(a.SMIME.Encrypt)...)
	return list
}

func warn(when bool, field, reason, remedy string) *refusal.Error {
	if !when {
		return nil
	}
	return refusal.New(ErrInvalid, field, reason, remedy)
}

func signInWarnings(a ExchangeAccount) refusal.List {
	var list refusal.List
	certificate := a.Identity == IdentitySCEP || a.Identity == IdentityPKCS12
	list.Add(
		warn(!a.UsesSSL(), "ssl", "is off: password and mail travel in the clear", "remove it unless the server cannot do better"),
		warn(a.Domain != "" && holdsDomain(a.UserName), "domain", `is written before a user name that holds a domain itself: DOMAIN\user@domain`,
			"remove domain, or use %username% as user name"),
		warn(a.Password != nil && certificate, "password", "is sent beside a client certificate; servers that take the certificate never ask for it",
			"remove password unless the server wants both"),
		warn(a.OverridePreviousPassword && a.Password == nil, "override_previous_password", "has no effect, since no password is sent that could replace the stored one",
			"give password.secret, or remove it"),
	)
	return list
}

func oauthWarnings(a ExchangeAccount) refusal.List {
	var list refusal.List
	certificate := a.Identity == IdentitySCEP || a.Identity == IdentityPKCS12
	list.Add(
		warn(a.UsesOAuth() && a.HostType != Office365, "oauth.enabled", "is on for a server of your own, which must know modern authentication (Exchange 2019 with AD FS or hybrid)",
			"switch it off unless the server is set up for it"),
		warn(a.UsesOAuth() && a.HostType != Office365 && a.OAuth.SignInURL == "", "oauth.sign_in_url", "is missing, so the phone looks for server and sign-in page by Autodiscover and may pass over host",
			"give sign_in_url and token_url of the provider"),
		warn(a.OAuth.TokenURL != "" && a.OAuth.SignInURL == "", "oauth.token_url", "stands without sign_in_url: the sign-in page is still found by Autodiscover",
			"give sign_in_url as well"),
		warn(a.UsesOAuth() && certificate, "identity", "has no part in an OAuth sign-in; the provider asks for a certificate by its own rules", "remove it unless a gateway in front of the server asks for it"),
		warn(!a.UsesOAuth() && a.HostType == Office365 && !certificate, "oauth.enabled", "is off, but Exchange Online has refused passwords over ActiveSync since October 2022",
			"remove it; OAuth is the default"),
	)
	return list
}

func signWarnings(s SMIMESign) refusal.List {
	var list refusal.List
	has := s.Identity == IdentityPKCS12 || s.Identity == IdentitySMIME
	list.Add(
		warn(s.Enabled && !has && !s.UserMayChangeIdentity, "smime.sign.enabled", "is on, but there is no certificate to sign with and the user may not choose one: nothing will be signed",
			"give smime.sign.identity, or set user_may_change_identity"),
		warn(has && !s.Enabled && !s.UserMayChange, "smime.sign.identity", "is never used: signing is off and the user may not switch it on", "set smime.sign.enabled or user_may_change"),
	)
	return list
}

func encryptWarnings(s SMIMEEncrypt) refusal.List {
	var list refusal.List
	has := s.Identity == IdentityPKCS12 || s.Identity == IdentitySMIME
	encrypts := s.ByDefault || s.PerMessageSwitch
	list.Add(
		warn(encrypts && !has && !s.UserMayChangeIdentity, "smime.encrypt.identity", "is missing and the user may not choose one: the phone can neither read encrypted answers nor its own sent copies",
			"give smime.encrypt.identity, or set user_may_change_identity"),
		warn(s.UserMayChange && !s.PerMessageSwitch, "smime.encrypt.user_may_change", "needs per_message_switch: without it iPhones keep the default as it is", "set smime.encrypt.per_message_switch"),
	)
	return list
}
