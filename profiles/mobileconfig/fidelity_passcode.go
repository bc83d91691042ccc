package mobileconfig

import (
	"fmt"

	"sallyport/profiles"
)

// PasscodeFidelity tells what iOS makes of each setting of a security policy.
func PasscodeFidelity(p profiles.SecurityPolicy) profiles.Report {
	var r report
	r.add(p.RequirePasscode, applied("require_passcode", ""))
	r.add(p.MinimumLength > 0, applied("minimum_length", ""))
	r.add(p.MinimumCharacterSets > 0, characterSets(p.MinimumCharacterSets))
	r.add(p.Alphanumeric, applied("alphanumeric", ""))
	r.add(p.AllowSimple != nil, applied("allow_simple", ""))
	r.add(p.InactivitySeconds > 0, inactivityFidelity(p.InactivitySeconds))
	r.add(p.History > 0, applied("history", ""))
	r.add(p.ExpiryDays > 0, applied("expiry_days", ""))
	r.add(p.FailedAttempts > 0, attempts(p.FailedAttempts))
	r.add(p.PasswordRecovery, unsupported("password_recovery", "iPhones have no recovery password", "clear the passcode over MDM"))
	r.add(p.RequireEncryption, encryption(p.RequirePasscode))
	r.add(p.RequireStorageCardEncryption, applied("require_storage_card_encryption", "iPhones take no storage card"))
	return r.rows
}

func characterSets(sets int) profiles.Fidelity {
	const field = "minimum_character_sets"
	switch {
	case sets <= 1:
		return applied(field, "every passcode holds one kind of characters")
	case sets == 2:
		return degraded(field, "iOS does not count kinds of characters: it demands letters besides digits, and takes no other two kinds", "alphanumeric")
	case sets == 3:
		return degraded(field, "iOS does not count kinds of characters: it demands letters besides digits, and one symbol", "alphanumeric, and one character that is neither letter nor digit")
	}
	return degraded(field, "iOS does not tell upper from lower case: it demands letters besides digits, and one symbol", "alphanumeric, and one character that is neither letter nor digit")
}

func inactivityFidelity(seconds int) profiles.Fidelity {
	const field = "inactivity_seconds"
	minutes := inactivity(seconds)
	if minutes*60 == seconds {
		return applied(field, "")
	}
	return degraded(field, "iOS locks after 1, 2, 3, 4, 5, 10 or 15 minutes; the next shorter span is written", fmt.Sprintf("%d seconds", minutes*60))
}

func attempts(n int) profiles.Fidelity {
	const field = "failed_attempts"
	if n <= maxApplePINAttempts {
		return applied(field, "")
	}
	return degraded(field, "iOS knows at most 11 attempts", "11 attempts")
}

func encryption(passcode bool) profiles.Fidelity {
	const field = "require_encryption"
	if passcode {
		return applied(field, "iPhones encrypt their storage as soon as they have a passcode")
	}
	return degraded(field, "iPhones encrypt their storage with the passcode, which is not required here", "set require_passcode")
}
