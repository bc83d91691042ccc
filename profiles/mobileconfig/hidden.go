package mobileconfig

import (
	"errors"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// ErrSecret says that a profile holds a password or a private key: it leaves
// only encrypted to one phone.
var ErrSecret = errors.New("profile holds a secret")

// mode says what a payload writes where a secret stands.
type mode int

const (
	sent      mode = iota // the secret itself
	canonical             // its revision: for TopUUID, from which nobody may guess the value
	shown                 // [redacted]
)

// hidden writes a secret as m says; nothing where there is none.
func hidden(dict map[string]any, key string, value secret.Value, revision string, m mode) {
	if value.IsZero() {
		return
	}
	switch m {
	case sent:
		dict[key] = value.Reveal()
	case canonical:
		dict[key] = revision
	case shown:
		dict[key] = redacted
	}
}

// revision refuses a secret without one: a new value would leave TopUUID as it
// was, and no phone would get it.
func revision(key string, value secret.Value, revision string) *refusal.Error {
	if value.IsZero() || revision != "" {
		return nil
	}
	return refusal.New(ErrInvalid, key, "has no revision", "give the revision of the stored secret")
}

// Secret reports whether the profile holds a password or a private key, so that
// it may leave only through Encrypt. One-time challenges do not count: they are
// spent within minutes, and the first profile cannot be encrypted.
func (p Profile) Secret() bool {
	if holdsSecret("", p.Kept) {
		return true
	}
	for _, payload := range p.Payloads {
		if s, ok := payload.(interface{ secret() bool }); ok && s.secret() {
			return true
		}
	}
	return false
}
