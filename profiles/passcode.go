package profiles

import (
	"errors"
	"fmt"

	"sallyport/internal/refusal"
)

// SecurityPolicy is what a phone's passcode and storage must be like. The
// ranges are those of Exchange's mailbox policies (MS-ASPROV section 2.2.2);
// zero means that it is not asked for.
type SecurityPolicy struct {
	RequirePasscode              bool  `yaml:"require_passcode" json:"require_passcode"`                                         // the phone must have a passcode
	MinimumLength                int   `yaml:"minimum_length" json:"minimum_length,omitempty"`                                   // least number of characters
	MinimumCharacterSets         int   `yaml:"minimum_character_sets" json:"minimum_character_sets,omitempty"`                   // how many of lower case, upper case, digits and symbols it must hold
	Alphanumeric                 bool  `yaml:"alphanumeric" json:"alphanumeric,omitempty"`                                       // at least one letter besides digits
	AllowSimple                  *bool `yaml:"allow_simple" json:"allow_simple,omitempty"`                                       // 1234 and 1111 will do
	InactivitySeconds            int   `yaml:"inactivity_seconds" json:"inactivity_seconds,omitempty"`                           // locks itself after so long without touch
	History                      int   `yaml:"history" json:"history,omitempty"`                                                 // number of earlier passcodes that may not come back
	ExpiryDays                   int   `yaml:"expiry_days" json:"expiry_days,omitempty"`                                         // a new passcode after so many days
	FailedAttempts               int   `yaml:"failed_attempts" json:"failed_attempts,omitempty"`                                 // after so many wrong passcodes the phone erases itself
	PasswordRecovery             bool  `yaml:"password_recovery" json:"password_recovery,omitempty"`                             // a forgotten passcode can be recovered through the server
	RequireEncryption            bool  `yaml:"require_encryption" json:"require_encryption,omitempty"`                           // the phone's storage must be encrypted
	RequireStorageCardEncryption bool  `yaml:"require_storage_card_encryption" json:"require_storage_card_encryption,omitempty"` // storage cards must be encrypted
}

// ErrInvalidPolicy says that a security policy cannot be kept by any phone; the
// refusals name the fields.
var ErrInvalidPolicy = errors.New("invalid security policy")

// AllowsSimple reports whether a passcode like 1234 will do; it does unless
// AllowSimple says false.
func (p SecurityPolicy) AllowsSimple() bool { return p.AllowSimple == nil || *p.AllowSimple }

// Validate refuses, by field, values beyond the ranges that Exchange and phones
// know. The names of the fields are those of a policy document.
func (p SecurityPolicy) Validate() error {
	var list refusal.List
	list.Add(
		between("minimum_length", p.MinimumLength, 1, 16, "characters"),
		between("minimum_character_sets", p.MinimumCharacterSets, 1, 4, "sets: lower case, upper case, digits, symbols"),
		between("inactivity_seconds", p.InactivitySeconds, 60, 3600, "seconds"),
		between("history", p.History, 1, 50, "earlier passcodes"),
		between("expiry_days", p.ExpiryDays, 1, 730, "days"),
		between("failed_attempts", p.FailedAttempts, 4, 16, "attempts"),
	)
	if p.MinimumLength > 0 && p.MinimumLength < p.MinimumCharacterSets {
		list.Add(refusal.New(ErrInvalidPolicy, "minimum_length", "is shorter than the number of character sets that a passcode must hold", "make it at least minimum_character_sets"))
	}
	return list.OrNil()
}

func between(field string, value, least, most int, unit string) *refusal.Error {
	if value == 0 || (value >= least && value <= most) {
		return nil
	}
	return refusal.New(ErrInvalidPolicy, field, fmt.Sprintf("is %d, beyond what mail servers and phones know", value),
		fmt.Sprintf("use %d to %d %s, or leave it away", least, most, unit))
}

// Warnings names, by field, what is allowed but hardly meant.
func (p SecurityPolicy) Warnings() []*refusal.Error {
	var list refusal.List
	add := func(when bool, field, reason, remedy string) {
		if when {
			list.Add(refusal.New(ErrInvalidPolicy, field, reason, remedy))
		}
	}
	demands := p.MinimumLength > 0 || p.MinimumCharacterSets > 0 || p.Alphanumeric || !p.AllowsSimple() ||
		p.InactivitySeconds > 0 || p.History > 0 || p.ExpiryDays > 0 || p.FailedAttempts > 0
	add(!p.RequirePasscode && demands, "require_passcode", "is off: what the policy asks of a passcode binds only users who set one themselves", "set require_passcode to true")
	add(!p.RequirePasscode && p.RequireEncryption, "require_encryption", "needs a passcode: without one an iPhone's storage opens to whoever holds it", "set require_passcode to true")
	add(p.FailedAttempts > 0 && p.FailedAttempts < 6, "failed_attempts", "is low: a child or a pocket erases the phone, private data too", "use 8 or more")
	add(p.ExpiryDays > 0 && p.ExpiryDays < 30, "expiry_days", "is short: users who must change often choose weak passcodes", "use 90 or more, or leave it away")
	return list
}
