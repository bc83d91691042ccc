package managedconfig

import "sallyport/profiles"

// outlookSMIME: Outlook's users may change what Apple's may not unless they are
// told so, so that both keys of a pair are always written.
func outlookSMIME() map[string]rule {
	const (
		picked   = "Outlook picks the certificate by the mail address, among those that the phone has"
		delivery = "the user imports the certificate, or Intune delivers it"
	)
	sign := func(a profiles.ExchangeAccount, b Bundle) {
		smime(a, b)
		b[smimeSign] = a.SMIME.Sign.Enabled
		b[smimeSign+mayChange] = a.SMIME.Sign.UserMayChange
	}
	encrypt := func(a profiles.ExchangeAccount, b Bundle) {
		smime(a, b)
		b[smimeEncrypt] = a.SMIME.Encrypt.ByDefault
		b[smimeEncrypt+mayChange] = a.SMIME.Encrypt.UserMayChange
	}
	return map[string]rule{
		"smime.sign.enabled":                     writes(sign, degraded(picked, delivery)),
		"smime.sign.identity":                    never(picked, delivery),
		"smime.sign.pkcs12":                      never(picked, ""),
		"smime.sign.user_may_change":             writes(sign, applied("")),
		"smime.sign.user_may_change_identity":    never(picked, ""),
		"smime.encrypt.by_default":               writes(encrypt, degraded(picked, delivery)),
		"smime.encrypt.identity":                 never(picked, delivery),
		"smime.encrypt.pkcs12":                   never(picked, ""),
		"smime.encrypt.user_may_change":          writes(encrypt, applied("")),
		"smime.encrypt.user_may_change_identity": never(picked, ""),
		"smime.encrypt.per_message_switch":       never("Outlook has no key for a switch in each message", "smime.encrypt.user_may_change"),
	}
}

// smime switches S/MIME on. Its own switch is open to users only where they may
// switch off all that it would take away.
func smime(a profiles.ExchangeAccount, b Bundle) {
	sign, encrypt := a.SMIME.Sign, a.SMIME.Encrypt
	b[smimeEnabled] = true
	b[smimeEnabled+mayChange] = (!sign.Enabled || sign.UserMayChange) && (!encrypt.ByDefault || encrypt.UserMayChange)
}

func writes(write func(profiles.ExchangeAccount, Bundle), f profiles.Fidelity) rule {
	return func(a profiles.ExchangeAccount, b Bundle) profiles.Fidelity {
		write(a, b)
		return f
	}
}
