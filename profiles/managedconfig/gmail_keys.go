package managedconfig

const (
	emailAddress   = "email_address"
	exchangeHost   = "exchange_host"     // host, host:port or host:port/path
	exchangeUser   = "exchange_username" // user or DOMAIN\user
	exchangeSSL    = "exchange_ssl_required"
	exchangeWindow = "default_exchange_sync_window"
	exchangeAlias  = "exchange_login_certificate_alias"
	// exchangeDeviceID is the EAS DeviceId that Gmail presents: at most 32 letters
	// and digits, and other names of it are wrong.
	exchangeDeviceID = "exchange_device_id"
)

// gmailKeys is the schema of Gmail. Its "Authentication types" are missing: the
// label is published, the key's name is not.
func gmailKeys() []Key {
	return []Key{
		stringKey(emailAddress, sourceGoogle, sourceObserved).required(),
		stringKey(exchangeHost, sourceGoogle, sourceIvanti, sourceObserved).required(),
		stringKey(exchangeUser, sourceGoogle, sourceObserved).required(),
		stringKey(exchangeDeviceID, sourceGoogle, sourceKaspersky, sourceObserved),
		boolKey(exchangeSSL, true, sourceGoogle, sourceKaspersky),
		boolKey("exchange_trust_all_certificates", false, sourceGoogle, sourceKaspersky, sourceIvanti),
		stringKey(exchangeAlias, sourceGoogle, sourceIvanti),
		boolKey("allow_unmanaged_accounts", true, sourceKaspersky, sourceIvanti, sourceObserved),
		stringKey("default_signature", sourceGoogle, sourceIvanti, sourceObserved),
		Key{Name: exchangeWindow, Type: Integer, Confidence: Documented, Source: []string{sourceTinyMDM, sourceIvanti, sourceObserved}}.
			entries(0, 1, 2, 3, 4, 5),
	}
}

// gmailWindow is Gmail's code for so many days of mail.
func gmailWindow(days int) (code int, known bool) {
	code, known = map[int]int{0: 0, 1: 1, 3: 2, 7: 3, 14: 4, 31: 5}[days]
	return code, known
}
