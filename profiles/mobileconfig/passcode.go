package mobileconfig

import (
	"fmt"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

// Passcode demands a passcode and says what it must be like. Zero leaves a
// demand out.
// https://developer.apple.com/documentation/devicemanagement/passcode
type Passcode struct {
	Common
	ForcePIN            bool // always written
	AllowSimple         bool // always written: Apple's default is true
	RequireAlphanumeric bool
	MinLength           int // 1-16
	MinComplexChars     int // 1-4 characters that are neither letter nor digit
	MaxInactivity       int // 1-15 minutes
	PINHistory          int // 1-50
	MaxPINAgeInDays     int // 1-730
	MaxFailedAttempts   int // 2-11, then the phone erases itself
}

// maxApplePINAttempts is the highest number of attempts that iOS knows.
const maxApplePINAttempts = 11

// autoLock are the spans in minutes that iOS offers, the longest first.
var autoLock = [...]int{15, 10, 5, 4, 3, 2, 1}

// NewPasscode writes a security policy as far as iOS knows it; PasscodeFidelity
// tells how far that is. Where iOS has no equal it gets the stricter setting.
func NewPasscode(p profiles.SecurityPolicy, c Common) Passcode {
	return Passcode{
		Common: c, ForcePIN: p.RequirePasscode, AllowSimple: p.AllowsSimple(),
		RequireAlphanumeric: p.Alphanumeric || p.MinimumCharacterSets >= 2,
		MinLength:           p.MinimumLength,
		MinComplexChars:     complexChars(p.MinimumCharacterSets),
		MaxInactivity:       inactivity(p.InactivitySeconds),
		PINHistory:          p.History, MaxPINAgeInDays: p.ExpiryDays,
		MaxFailedAttempts: min(p.FailedAttempts, maxApplePINAttempts),
	}
}

// complexChars: Exchange counts kinds of characters, iOS counts characters that
// are neither letter nor digit. Letters and digits make two kinds, a third one
// needs a symbol; iOS does not tell upper from lower case.
func complexChars(sets int) int {
	if sets >= 3 {
		return 1
	}
	return 0
}

// inactivity rounds down to a span that iOS offers: never later than asked for.
func inactivity(seconds int) int {
	for _, minutes := range autoLock {
		if minutes*60 <= seconds {
			return minutes
		}
	}
	return 0
}

// Type implements Payload.
func (Passcode) Type() string { return "com.apple.mobiledevice.passwordpolicy" }

func (p Passcode) fill(dict map[string]any, _ mode) {
	dict["forcePIN"] = p.ForcePIN
	dict["allowSimple"] = p.AllowSimple
	toggle(dict, "requireAlphanumeric", p.RequireAlphanumeric)
	number(dict, "minLength", p.MinLength)
	number(dict, "minComplexChars", p.MinComplexChars)
	number(dict, "maxInactivity", p.MaxInactivity)
	number(dict, "pinHistory", p.PINHistory)
	number(dict, "maxPINAgeInDays", p.MaxPINAgeInDays)
	number(dict, "maxFailedAttempts", p.MaxFailedAttempts)
}

// number writes a key only where it says something.
func number(dict map[string]any, key string, value int) {
	if value != 0 {
		dict[key] = value
	}
}

func (p Passcode) check() refusal.List {
	var list refusal.List
	for _, r := range []struct {
		key                string
		value, least, most int
	}{
		{"minLength", p.MinLength, 1, 16}, {"minComplexChars", p.MinComplexChars, 1, 4}, {"maxInactivity", p.MaxInactivity, 1, 15},
		{"pinHistory", p.PINHistory, 1, 50}, {"maxPINAgeInDays", p.MaxPINAgeInDays, 1, 730}, {"maxFailedAttempts", p.MaxFailedAttempts, 2, maxApplePINAttempts},
	} {
		if r.value != 0 && (r.value < r.least || r.value > r.most) {
			list.Add(refusal.New(ErrInvalid, p.Type()+"."+r.key, "is out of range", fmt.Sprintf("use %d to %d", r.least, r.most)))
		}
	}
	return list
}

func (Passcode) references() map[string]string { return nil }
