package agent

import (
	"net"
	"slices"
	"strings"
)

// services of an Exchange account; each is on unless the payload says otherwise.
var services = [...]string{"EnableMail", "EnableContacts", "EnableCalendars", "EnableReminders", "EnableNotes"}

// pastDays are the values that MailNumberOfPastDaysToSync may have; 0: no limit.
var pastDays = []int{0, 1, 3, 7, 14, 31}

// parseEAS reads a com.apple.eas.account payload and refuses what an iPhone
// would refuse when nobody is there to fill the gaps
// (https://developer.apple.com/documentation/devicemanagement/exchangeactivesync).
func parseEAS(p *profile, one payload) (account, error) {
	r := &reader{d: one.keys}
	a := account{
		Profile: p.Identifier, Payload: one.Identifier, UUID: one.UUID, Name: one.DisplayName,
		Email: r.text("EmailAddress"), User: r.text("UserName"), Host: r.text("Host"),
		SSL: r.boolean("SSL", false), OAuth: r.boolean("OAuth", false),
		DaysToSync:  r.integer("MailNumberOfPastDaysToSync", 7),
		IdentityRef: r.text("PayloadCertificateUUID"),
		Password:    r.text("Password") != "",
		Settings:    settings(one.keys),
	}
	signIn := r.text("OAuthSignInURL")
	enabled := false
	for _, s := range services {
		enabled = r.boolean(s, true) || enabled
	}
	if err := payloadField(one.Type, r.err); err != nil {
		return a, err
	}
	// With OAuth and no sign-in address the account finds its host by Autodiscover.
	discovers := a.OAuth && signIn == ""
	switch {
	case a.Host == "" && !discovers:
		return a, refuse(ErrProfile, domainEAS, codeEASNoHost, "The Exchange account has no host name.")
	case a.Host != "" && !validHost(a.Host):
		return a, refuse(ErrProfile, domainPayload, codePayloadBadValue, "The host name of the Exchange account is not a host name.")
	case a.Email == "":
		return a, refuse(ErrProfile, domainPayload, codePayloadMissingField, "The Exchange account has no e-mail address.")
	case a.User == "":
		return a, refuse(ErrProfile, domainPayload, codePayloadMissingField, "The Exchange account has no user name.")
	case strings.ContainsAny(a.Email+a.User, "%"):
		return a, refuse(ErrProfile, domainPayload, codePayloadBadValue, "The Exchange account holds a variable that nobody filled.")
	case !slices.Contains(pastDays, a.DaysToSync):
		return a, refuse(ErrProfile, domainPayload, codePayloadBadValue, "%d days to sync are not offered.", a.DaysToSync)
	case !enabled:
		return a, refuse(ErrProfile, domainEAS, codeEASNoService, "The Exchange account has no service enabled.")
	}
	for _, key := range identityKeys {
		if ref := r.text(key); ref != "" && !p.identifies(ref) {
			return a, refuse(ErrProfile, domainEAS, codeEASNoCert, "The certificate of the Exchange account is not in the same profile.")
		}
	}
	return a, payloadField(one.Type, r.err)
}

// identityKeys name an identity payload of the same profile.
var identityKeys = [...]string{"PayloadCertificateUUID", "SMIMESigningCertificateUUID", "SMIMEEncryptionCertificateUUID"}

// settings are the payload's own keys, without its password.
func settings(keys dict) dict {
	own := dict{}
	for key, value := range keys {
		if key != "Password" && (!strings.HasPrefix(key, "Payload") || key == "PayloadCertificateUUID") {
			own[key] = value
		}
	}
	return own
}

// validHost accepts a host name or an address: no scheme, no path, no blanks.
func validHost(h string) bool {
	return net.ParseIP(strings.Trim(h, "[]")) != nil || !strings.ContainsAny(h, "/\\@ \t\r\n?#%")
}

// mailbox names an account: the same user at the same host is the same mailbox.
func (a account) mailbox() string { return strings.ToLower(a.Email + " " + a.Host) }

// sameMailbox: an account that finds its host by Autodiscover may be at any.
func (a account) sameMailbox(b account) bool {
	return strings.EqualFold(a.Email, b.Email) && (strings.EqualFold(a.Host, b.Host) || a.Host == "" || b.Host == "")
}

// placeAccounts replaces the accounts of profile p by want. An account is
// changed in place when both its PayloadIdentifier and its PayloadUUID are the
// old ones; otherwise it is removed and made anew, which downloads all mail
// again. The same mailbox added by hand or by another profile is in the way.
func (s *state) placeAccounts(p string, want []account) error {
	var kept []account
	for _, have := range s.Accounts {
		if have.Profile == p {
			continue
		}
		for _, w := range want {
			if w.sameMailbox(have) {
				return refuse(ErrProfile, domainEAS, codeEASDuplicate, "The Exchange account is on the phone already.")
			}
		}
		kept = append(kept, have)
	}
	for i, w := range want {
		for _, other := range want[:i] {
			if w.sameMailbox(other) {
				return refuse(ErrProfile, domainEAS, codeEASDuplicate, "The Exchange account is in the profile twice.")
			}
		}
	}
	inPlace := func(old, new account) bool {
		return old.Profile == p && old.Payload == new.Payload && strings.EqualFold(old.UUID, new.UUID)
	}
	removed := 0 // accounts of this profile that do not stay
	for _, have := range s.Accounts {
		if have.Profile == p && !slices.ContainsFunc(want, func(w account) bool { return inPlace(have, w) }) {
			removed++
		}
	}
	recreated, mailboxes := s.Recreated, slices.Clone(s.Mailboxes)
	counted := s.Counts
	for _, w := range want {
		old := slices.IndexFunc(s.Accounts, func(have account) bool { return inPlace(have, w) })
		switch {
		case old >= 0:
			w.Updates = s.Accounts[old].Updates + 1
			if w.asks() && !s.Accounts[old].asks() {
				counted.Prompts++
			}
		case removed > 0 || slices.Contains(mailboxes, w.mailbox()):
			recreated++
			removed--
		}
		if old < 0 {
			counted.Created++
			if w.asks() {
				counted.Prompts++
			}
		}
		if !slices.Contains(mailboxes, w.mailbox()) {
			mailboxes = append(mailboxes, w.mailbox())
		}
		kept = append(kept, w)
	}
	s.Accounts, s.Recreated, s.Mailboxes, s.Counts = kept, recreated, mailboxes, counted
	return nil
}
