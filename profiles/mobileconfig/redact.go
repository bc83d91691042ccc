package mobileconfig

import "strings"

const redacted = "[redacted]"

// secretWords end the names of keys that hold a secret, whatever the payload:
// Password, SharedSecret, Challenge, ProxyPassword, RemovalPasscode...
var secretWords = [...]string{"password", "passphrase", "passcode", "secret", "challenge", "privatekey", "psk"}

// SecretKey reports whether a key of a payload holds a secret: something that
// is neither shown nor kept in clear. Switches such as allowPasscode are not
// secrets: only text and data are.
func SecretKey(payloadType, key string, value any) bool {
	switch v := value.(type) {
	case string:
		if v == "" {
			return false
		}
	case []byte:
		if len(v) == 0 {
			return false
		}
	default:
		return false
	}
	switch {
	case key == "PayloadContent" && payloadType == pkcs12Type: // with its private key
		return true
	case key == "Certificate" && payloadType == easType: // a PKCS#12 file inside the account
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

// Redact returns a copy of a decoded property list in which every secret is
// "[redacted]", for showing to a person.
func Redact(dict map[string]any) map[string]any {
	return rewriteIn("", dict, func(old any) any { return blank(old, "", shown) })
}

// holdsSecret reports whether anything below v, in a payload of that type, is secret.
func holdsSecret(payloadType string, v map[string]any) bool {
	found := false
	rewriteIn(payloadType, v, func(old any) any { found = true; return old })
	return found
}

// rewriteDict copies a tree with f applied to every secret.
func rewriteDict(dict map[string]any, f func(any) any) map[string]any { return rewriteIn("", dict, f) }

// rewriteIn is rewriteDict for what stands inside of a payload of that type.
func rewriteIn(payloadType string, dict map[string]any, f func(any) any) map[string]any {
	if own, ok := dict["PayloadType"].(string); ok {
		payloadType = own
	}
	copied := make(map[string]any, len(dict))
	for key, value := range dict {
		if SecretKey(payloadType, key, value) {
			copied[key] = f(value)
			continue
		}
		copied[key] = rewriteValue(payloadType, value, f)
	}
	return copied
}

func rewriteValue(payloadType string, v any, f func(any) any) any {
	switch v := v.(type) {
	case map[string]any:
		return rewriteIn(payloadType, v, f)
	case []any:
		items := make([]any, len(v))
		for i, item := range v {
			items[i] = rewriteValue(payloadType, item, f)
		}
		return items
	}
	return v
}

// blank keeps the type of a value: what is data stays data.
func blank(old any, revision string, m mode) any {
	var text string
	switch m {
	case sent:
		return old
	case canonical:
		text = revision
	case shown:
		text = redacted
	}
	if _, ok := old.([]byte); ok {
		return []byte(text)
	}
	return text
}
