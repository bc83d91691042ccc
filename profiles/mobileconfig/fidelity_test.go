package mobileconfig

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/profiles"
)

// everything is an account that makes each setting.
func everything() profiles.ExchangeAccount {
	on := ptr(true)
	file := profiles.IdentityPKCS12
	s := profiles.Service{Enabled: on, Locked: true}
	return profiles.ExchangeAccount{
		Name: "Mail", HostType: profiles.OnPremises, Host: "mail.example.test", UserName: "alice", Domain: "EXAMPLE", Email: "alice@example.test", SSL: on,
		Password: &profiles.PasswordSource{Secret: "x"}, OverridePreviousPassword: true, Identity: file, PKCS12: "x",
		OAuth:       profiles.OAuth{Enabled: on, SignInURL: "https://x.test", TokenURL: "https://x.test"},
		PreventMove: true, BlockNonMailApps: true, DisableRecentsSync: true, AllowMailDrop: true, AudioCallApp: "com.example.phone",
		SMIME: profiles.SMIME{
			Sign:    profiles.SMIMESign{Enabled: true, Identity: file, PKCS12: "x", UserMayChange: true, UserMayChangeIdentity: true},
			Encrypt: profiles.SMIMEEncrypt{ByDefault: true, Identity: file, PKCS12: "x", UserMayChange: true, UserMayChangeIdentity: true, PerMessageSwitch: true},
		},
		Sync: profiles.Sync{Mail: s, Contacts: s, Calendar: s, Reminders: s, Notes: s}, DaysToKeepOffline: ptr(7),
	}
}

// paths are the fields of a template, in their order. A switch with its lock is
// one setting.
func paths(t reflect.Type, path string) []string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[profiles.Service]() {
		return []string{strings.TrimPrefix(path, ".")}
	}
	var all []string
	for i := range t.NumField() {
		f := t.Field(i)
		all = append(all, paths(f.Type, path+"."+f.Tag.Get("yaml"))...)
	}
	return all
}

func fieldsOf(r profiles.Report) []string {
	var fields []string
	for _, row := range r {
		fields = append(fields, row.Field)
	}
	return fields
}

// TestFidelityMissesNoSetting: a new field of an account needs a row here.
func TestFidelityMissesNoSetting(t *testing.T) {
	want := paths(reflect.TypeFor[profiles.ExchangeAccount](), "")
	for _, os := range []string{"", "26.0", "12.4", "4.0"} {
		if got := fieldsOf(Fidelity(everything(), os)); !slices.Equal(got, want) {
			t.Errorf("iOS %q: got\n%v\nwant\n%v", os, got, want)
		}
	}
	wantPolicy := paths(reflect.TypeFor[profiles.SecurityPolicy](), "")
	policy := profiles.SecurityPolicy{
		RequirePasscode: true, MinimumLength: 8, MinimumCharacterSets: 3, Alphanumeric: true, AllowSimple: ptr(false), InactivitySeconds: 300,
		History: 5, ExpiryDays: 90, FailedAttempts: 10, PasswordRecovery: true, RequireEncryption: true, RequireStorageCardEncryption: true,
	}
	if got := fieldsOf(PasscodeFidelity(policy)); !slices.Equal(got, wantPolicy) {
		t.Errorf("policy: got\n%v\nwant\n%v", got, wantPolicy)
	}
}

func TestFidelityByVersion(t *testing.T) {
	const applied, degraded, unsupported = profiles.Applied, profiles.Degraded, profiles.Unsupported
	tests := []struct {
		os, field string
		want      profiles.Status
	}{
		{"", "oauth.enabled", applied},
		{"26.0.1", "oauth.enabled", applied},
		{"12.0", "oauth.enabled", applied},
		{"12", "oauth.enabled", applied},
		{"11.4.1", "oauth.enabled", unsupported},
		{"9.3.5", "oauth.enabled", unsupported},
		{"13.0", "oauth.sign_in_url", applied},
		{"12.5.7", "oauth.sign_in_url", unsupported},
		{"12.5.7", "oauth.token_url", unsupported},
		{"13.0", "sync.mail", applied},
		{"12.5.7", "sync.mail", unsupported},
		{"12.5.7", "sync.notes", unsupported},
		{"14.0", "override_previous_password", applied},
		{"13.7", "override_previous_password", unsupported},
		{"9.2", "allow_mail_drop", applied},
		{"9.1", "allow_mail_drop", unsupported},
		{"9.3", "audio_call_app", unsupported},
		{"10.2", "smime.sign.enabled", unsupported},
		{"10.3", "smime.sign.enabled", applied},
		{"10.3", "smime.encrypt.by_default", unsupported},
		{"12.0", "smime.encrypt.per_message_switch", applied},
		{"4.3", "prevent_move", unsupported},
		{"not a version", "oauth.enabled", applied},
		{"-1", "oauth.enabled", applied},
	}
	for _, test := range tests {
		row := rowOf(t, Fidelity(everything(), test.os), test.field)
		if row.Status != test.want || row.Status == unsupported && row.Why == "" {
			t.Errorf("iOS %s, %s: got %+v, want %s", test.os, test.field, row, test.want)
		}
	}
	a := everything()
	a.OAuth.SignInURL, a.SMIME.Encrypt.PerMessageSwitch = "", false
	a.Sync.Mail = profiles.Service{Enabled: ptr(true)}
	if row := rowOf(t, Fidelity(a, ""), "host"); row.Status != degraded {
		t.Errorf("OAuth by Autodiscover: got %+v", row)
	}
	if row := rowOf(t, Fidelity(a, ""), "smime.encrypt.user_may_change"); row.Status != degraded {
		t.Errorf("no switch: got %+v", row)
	}
	a.SMIME.Sign.Identity = profiles.IdentitySMIME
	if row := rowOf(t, Fidelity(a, ""), "smime.sign.identity"); row.Status != applied || row.Why == "" {
		t.Errorf("S/MIME on record: got %+v", row)
	}
	if row := rowOf(t, Fidelity(a, "4.3"), "smime.sign.identity"); row.Status != unsupported {
		t.Errorf("S/MIME on record, on iOS 4: got %+v", row)
	}
	if row := rowOf(t, Fidelity(a, "12.0"), "sync.mail"); row.Status != applied {
		t.Errorf("on and free on an old iOS: got %+v", row)
	}
}

func rowOf(t *testing.T, r profiles.Report, field string) profiles.Fidelity {
	t.Helper()
	i := slices.IndexFunc(r, func(row profiles.Fidelity) bool { return row.Field == field })
	if i < 0 {
		t.Fatalf("no row for %s", field)
	}
	return r[i]
}

// TestFidelityOfNothing: what nobody set has no row.
func TestFidelityOfNothing(t *testing.T) {
	if got := Fidelity(profiles.ExchangeAccount{}, ""); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	if got := PasscodeFidelity(profiles.SecurityPolicy{}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestPasscodeFidelity(t *testing.T) {
	const applied, degraded, unsupported = profiles.Applied, profiles.Degraded, profiles.Unsupported
	type policy = profiles.SecurityPolicy
	tests := []struct {
		policy policy
		field  string
		want   profiles.Status
	}{
		{policy{FailedAttempts: 11}, "failed_attempts", applied},
		{policy{FailedAttempts: 12}, "failed_attempts", degraded},
		{policy{FailedAttempts: 16}, "failed_attempts", degraded},
		{policy{InactivitySeconds: 900}, "inactivity_seconds", applied},
		{policy{InactivitySeconds: 3600}, "inactivity_seconds", degraded},
		{policy{InactivitySeconds: 61}, "inactivity_seconds", degraded},
		{policy{MinimumCharacterSets: 1}, "minimum_character_sets", applied},
		{policy{MinimumCharacterSets: 2}, "minimum_character_sets", degraded},
		{policy{MinimumCharacterSets: 4}, "minimum_character_sets", degraded},
		{policy{PasswordRecovery: true}, "password_recovery", unsupported},
		{policy{RequireEncryption: true}, "require_encryption", degraded},
		{policy{RequireEncryption: true, RequirePasscode: true}, "require_encryption", applied},
	}
	for _, test := range tests {
		if row := rowOf(t, PasscodeFidelity(test.policy), test.field); row.Status != test.want || row.Status != applied && row.Substitute == "" {
			t.Errorf("%+v: got %+v, want %s", test.policy, row, test.want)
		}
	}
}
