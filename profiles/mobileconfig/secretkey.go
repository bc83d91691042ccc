package mobileconfig

import "strings"

// secretWords end the names of keys that hold a secret, whatever the payload:
// Password, SharedSecret, Challenge, ProxyPassword, RemovalPasscode...
var secretWords = [...]string{"password", "passphrase", "passcode", "secret", "challenge", "privatekey"}

// SecretKey reports whether a key of a payload holds a secret: something that
// is neither shown nor kept in clear. Switches such as allowPasscode are not
// secrets: only text and data are.
func SecretKey(payloadType, key string, value any) bool {
	switch value.(type) {
	case string, []byte:
	default:
		return false
	}
	switch {
	case key == "PayloadContent" && payloadType == "com.apple.security.pkcs12": // with its private key
		return true
	case key == "Certificate" && payloadType == "com.apple.eas.account": // a PKCS#12 file inside the account
		return true
	}
	lower := strings.ToLower(strings.ReplaceAll(key, " ", ""))
	for _, word := range secretWords {
		if strings.HasSuffix(lower, word) {
			return true
		}
	}
	return false
}
