package profiles

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/refusal"
)

func TestSecurityPolicyValidate(t *testing.T) {
	tests := []struct {
		field string
		least int
		most  int
		set   func(*SecurityPolicy, int)
	}{
		{"minimum_length", 1, 16, func(p *SecurityPolicy, n int) { p.MinimumLength = n }},
		{"minimum_character_sets", 1, 4, func(p *SecurityPolicy, n int) { p.MinimumCharacterSets = n }},
		{"inactivity_seconds", 60, 3600, func(p *SecurityPolicy, n int) { p.InactivitySeconds = n }},
		{"history", 1, 50, func(p *SecurityPolicy, n int) { p.History = n }},
		{"expiry_days", 1, 730, func(p *SecurityPolicy, n int) { p.ExpiryDays = n }},
		{"failed_attempts", 4, 16, func(p *SecurityPolicy, n int) { p.FailedAttempts = n }},
	}
	for _, test := range tests {
		for n, want := range map[int]bool{0: true, -1: false, test.least: true, test.least - 1: test.least == 1, test.most: true, test.most + 1: false, 1 << 40: false} {
			var p SecurityPolicy
			test.set(&p, n)
			err := p.Validate()
			if (err == nil) != want {
				t.Errorf("%s %d: got %v", test.field, n, err)
			}
			if list := refusal.All(err); err != nil && (!errors.Is(err, ErrInvalidPolicy) || len(list) != 1 || list[0].Field != test.field || list[0].Remedy == "") {
				t.Errorf("%s %d: got %v, want one refusal of the field", test.field, n, list)
			}
		}
	}
	if list := refusal.All(SecurityPolicy{MinimumLength: 2, MinimumCharacterSets: 3}.Validate()); len(list) != 1 || list[0].Field != "minimum_length" {
		t.Errorf("3 sets in 2 characters: got %v", list)
	}
}

func TestSecurityPolicyWarnings(t *testing.T) {
	off := false
	for name, test := range map[string]struct {
		policy SecurityPolicy
		fields string
	}{
		"nothing":             {SecurityPolicy{}, ""},
		"usual":               {SecurityPolicy{RequirePasscode: true, MinimumLength: 6, AllowSimple: &off, InactivitySeconds: 300, FailedAttempts: 10, RequireEncryption: true}, ""},
		"no passcode":         {SecurityPolicy{MinimumLength: 6}, "require_passcode"},
		"no simple passcode":  {SecurityPolicy{AllowSimple: &off}, "require_passcode"},
		"encryption, no code": {SecurityPolicy{RequireEncryption: true}, "require_encryption"},
		"few attempts":        {SecurityPolicy{RequirePasscode: true, FailedAttempts: 4}, "failed_attempts"},
		"short life":          {SecurityPolicy{RequirePasscode: true, ExpiryDays: 7}, "expiry_days"},
	} {
		var fields []string
		for _, w := range test.policy.Warnings() {
			fields = append(fields, w.Field)
		}
		if got := strings.Join(fields, " "); got != test.fields {
			t.Errorf("%s: got %q, want %q", name, got, test.fields)
		}
	}
}
