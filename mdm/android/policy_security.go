package android

import (
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/api/androidmanagement/v1"

	"sallyport/mdm"
	"sallyport/profiles"
)

// security writes the security policy into the device's, and says for each
// setting what becomes of it on this device.
func (in PolicyInput) security(p *androidmanagement.Policy) profiles.Report {
	w := securityWriter{in: in, policy: p}
	w.passcode()
	w.lock()
	w.storage()
	w.version()
	w.enforcement()
	return w.report
}

type securityWriter struct {
	in     PolicyInput
	policy *androidmanagement.Policy
	report profiles.Report
}

func (w *securityWriter) say(field string, status profiles.Status, why, substitute string) {
	w.report = append(w.report, profiles.Fidelity{Field: field, Status: status, Why: why, Substitute: substitute})
}

func (w *securityWriter) applied(field, why string) { w.say(field, profiles.Applied, why, "") }
func (w *securityWriter) degraded(field, why, substitute string) {
	w.say(field, profiles.Degraded, why, substitute)
}

func (w *securityWriter) unsupported(field, why, substitute string) {
	w.say(field, profiles.Unsupported, why, substitute)
}

// Complexity bands of a screen lock
// (https://developers.google.com/android/management/reference/rest/v1/PasswordRequirements#PasswordQuality).
const (
	complexityLow    = "COMPLEXITY_LOW"    // pattern, or a PIN of any kind
	complexityMedium = "COMPLEXITY_MEDIUM" // 4 characters, no PIN like 4444 or 1234
	complexityHigh   = "COMPLEXITY_HIGH"   // a PIN of 8, or 6 characters with letters

	mediumLength = 4
	highLength   = 6 // with letters
	highPIN      = 8
)

// asksPasscode reports whether the policy asks for a screen lock. Where it only
// says what one must be like, Android has no way to leave the user the choice.
func asksPasscode(s profiles.SecurityPolicy) bool { return s.RequirePasscode }

// complexity is the lowest band that asks for all that the policy asks for, or
// the highest where none does.
func complexity(s profiles.SecurityPolicy) string {
	switch {
	case s.MinimumLength > mediumLength || s.Alphanumeric || s.MinimumCharacterSets > 1:
		return complexityHigh
	case s.MinimumLength > 0 || !s.AllowsSimple():
		return complexityMedium
	}
	return complexityLow
}

func (w *securityWriter) passcode() {
	s := w.in.Security
	if !asksPasscode(s) {
		w.withoutPasscode()
		return
	}
	device := &androidmanagement.PasswordRequirements{PasswordScope: "SCOPE_DEVICE", PasswordQuality: complexity(s)}
	w.policy.PasswordPolicies = append(w.policy.PasswordPolicies, device)
	switch android := major(w.in.OSVersion); {
	case android == 0 || android >= complexityKnown:
		w.applied("require_passcode", "")
	default:
		w.degraded("require_passcode", "Android before 12 knows no bands of complexity: the phone's Android Device Policy app puts its own, older rules in their place", "minimum_os: \"12\"")
	}
	w.quality(s)
	w.habits(s, device)
}

// complexityKnown is the version of Android since which a screen lock is asked
// for in bands of complexity.
const complexityKnown = 12

// quality says how close the band comes to what is asked for.
func (w *securityWriter) quality(s profiles.SecurityPolicy) {
	band := complexity(s)
	if n := s.MinimumLength; n > 0 {
		switch {
		case n == mediumLength && band == complexityMedium:
			w.applied("minimum_length", "4 characters, and no row or repetition of digits")
		case band == complexityMedium:
			w.degraded("minimum_length", "Android asks in bands: this one wants 4 characters", "")
		case n <= highLength:
			w.degraded("minimum_length", "Android asks in bands: this one wants 6 characters with letters, or 8 digits", "")
		case n <= highPIN:
			w.degraded("minimum_length", "Android asks in bands: the highest wants 8 digits, but 6 characters are enough with letters", "")
		default:
			w.degraded("minimum_length", "Android asks in bands, and the highest wants 8 digits, or 6 characters with letters", "")
		}
	}
	const pinToo = "Android asks in bands, and the highest takes 8 digits without a letter, too"
	if s.MinimumCharacterSets > 1 {
		w.degraded("minimum_character_sets", pinToo, "")
	} else if s.MinimumCharacterSets == 1 {
		w.applied("minimum_character_sets", "")
	}
	if s.Alphanumeric {
		w.degraded("alphanumeric", pinToo, "")
	}
	if !s.AllowsSimple() {
		w.applied("allow_simple", "")
	}
}

// habits are what concerns the life of a passcode. A work profile has a say over
// them for its own lock alone since Android 12.
func (w *securityWriter) habits(s profiles.SecurityPolicy, device *androidmanagement.PasswordRequirements) {
	target := device
	if w.in.Mode != FullyManaged && (s.History > 0 || s.ExpiryDays > 0 || s.FailedAttempts > 0) {
		target = &androidmanagement.PasswordRequirements{PasswordScope: "SCOPE_PROFILE", PasswordQuality: device.PasswordQuality}
		w.policy.PasswordPolicies = append(w.policy.PasswordPolicies, target)
	}
	const profileLock = "it holds for the lock of the work profile; the rest of the phone is its user's own"
	said := func(field, why string) {
		if target == device {
			w.applied(field, why)
		} else {
			w.degraded(field, profileLock, "")
		}
	}
	if s.History > 0 {
		target.PasswordHistoryLength = int64(s.History)
		said("history", "")
	}
	if s.ExpiryDays > 0 {
		target.PasswordExpirationTimeout = strconv.Itoa(s.ExpiryDays*24*60*60) + "s"
		said("expiry_days", "")
	}
	if s.FailedAttempts > 0 {
		w.failedAttempts(s.FailedAttempts, target)
	}
	if s.PasswordRecovery {
		w.unsupported("password_recovery", "Android recovers no forgotten passcode", "clear_passcode, from this server")
	}
}

func (w *securityWriter) failedAttempts(n int, target *androidmanagement.PasswordRequirements) {
	switch {
	case !w.mayReset():
		w.unsupported("failed_attempts", mayNotReset, recordFirst)
		return
	case w.in.Mode == FullyManaged:
		w.applied("failed_attempts", "the whole phone is erased")
	default:
		w.degraded("failed_attempts", "wrong passcodes of the work profile's own lock count, and remove the work profile", "")
	}
	target.MaximumFailedPasswordsForWipe = int64(n)
}

const (
	mayNotReset = "Android would reset the whole phone, and it is not on record as the company's"
	recordFirst = "record the phone as a corporate device"
)

// mayReset reports whether a wipe by the phone itself takes no more than we may:
// the company's phones, and a work profile on a phone that Google, too, knows as
// its user's own. What Google knows as the company's is reset as a whole.
func (w *securityWriter) mayReset() bool {
	return w.in.Ownership == mdm.Corporate || w.in.Mode == WorkProfile && w.in.Told == mdm.Personal
}

// withoutPasscode: Android cannot ask what a voluntary passcode is like.
func (w *securityWriter) withoutPasscode() {
	s := w.in.Security
	const why = "Android asks nothing of a passcode that nobody has to set"
	for _, x := range []struct {
		field string
		made  bool
	}{
		{"minimum_length", s.MinimumLength > 0},
		{"minimum_character_sets", s.MinimumCharacterSets > 0},
		{"alphanumeric", s.Alphanumeric},
		{"allow_simple", !s.AllowsSimple()},
		{"history", s.History > 0},
		{"expiry_days", s.ExpiryDays > 0},
		{"failed_attempts", s.FailedAttempts > 0},
		{"password_recovery", s.PasswordRecovery},
	} {
		if x.made {
			w.unsupported(x.field, why, "require_passcode: true")
		}
	}
}

func (w *securityWriter) lock() {
	if n := w.in.Security.InactivitySeconds; n > 0 {
		w.policy.MaximumTimeToLock = int64(n) * 1000
		if w.in.Mode == FullyManaged {
			w.applied("inactivity_seconds", "")
		} else {
			w.degraded("inactivity_seconds", "it locks the work profile; where one lock serves both it locks the phone", "")
		}
	}
}

// encryptedAlways is the version of Android since which every new phone is encrypted.
const encryptedAlways = 10

func (w *securityWriter) storage() {
	s := w.in.Security
	if s.RequireEncryption {
		w.policy.EncryptionPolicy = "ENABLED_WITHOUT_PASSWORD"
		if android := major(w.in.OSVersion); android >= encryptedAlways {
			w.applied("require_encryption", "phones that came with Android 10 or later are always encrypted")
		} else {
			w.applied("require_encryption", "")
		}
	}
	if s.RequireStorageCardEncryption {
		if w.in.Mode == FullyManaged {
			w.policy.MountPhysicalMediaDisabled = true
			w.degraded("require_storage_card_encryption", "Android does not tell encrypted cards from others: storage cards are shut out altogether", "")
		} else {
			w.unsupported("require_storage_card_encryption", "a work profile has no say over storage cards", "mail apps keep their mail in the encrypted work profile")
		}
	}
}

func (w *securityWriter) version() {
	if level := w.in.Android.APILevel(); level > 0 {
		w.policy.MinimumApiLevel = int64(level)
		w.applied("android.minimum_os", fmt.Sprintf("API level %d", level))
	}
}

// enforcement is written where both days are set, for the settings of the
// security policy alone: an app that will not install never erases a phone.
func (w *securityWriter) enforcement() {
	e := w.in.Android.Enforcement
	if e == nil || e.BlockAfterDays == nil || e.WipeAfterDays == nil {
		return
	}
	const field = "android.enforcement"
	if !w.mayReset() {
		w.unsupported(field, mayNotReset, recordFirst)
		return
	}
	for _, setting := range []struct {
		name string
		made bool
	}{
		{"passwordPolicies", len(w.policy.PasswordPolicies) > 0},
		{"encryptionPolicy", w.policy.EncryptionPolicy != ""},
		{"minimumApiLevel", w.policy.MinimumApiLevel > 0},
	} {
		if setting.made {
			w.policy.PolicyEnforcementRules = append(w.policy.PolicyEnforcementRules, enforcementRule(setting.name, *e.BlockAfterDays, *e.WipeAfterDays))
		}
	}
	switch {
	case len(w.policy.PolicyEnforcementRules) == 0:
		w.unsupported(field, "the policy asks for nothing that Android could enforce", "require_passcode, require_encryption or minimum_os")
	case w.in.Mode == WorkProfile && w.in.Told == mdm.Personal:
		w.applied(field, "the work profile is removed, nothing else")
	default:
		w.applied(field, "the whole phone is reset")
	}
}

// enforcementRule: 0 days are a value, not the lack of one. Factory reset
// protection stays: an erased phone is of no use to a thief.
func enforcementRule(setting string, block, wipe int) *androidmanagement.PolicyEnforcementRule {
	return &androidmanagement.PolicyEnforcementRule{
		SettingName: setting,
		BlockAction: &androidmanagement.BlockAction{BlockAfterDays: int64(block), ForceSendFields: []string{"BlockAfterDays"}},
		WipeAction:  &androidmanagement.WipeAction{WipeAfterDays: int64(wipe), PreserveFrp: true},
	}
}

// major is the first number of a version; 0 where there is none.
func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}
