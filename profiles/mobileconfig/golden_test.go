package mobileconfig

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/appleschema"
	"sallyport/internal/secret"
	"sallyport/profiles"
)

var update = flag.Bool("update", false, "rewrite the golden profiles")

const (
	passwordCanary = "canary-password-0815"
	p12Canary      = "canary-p12-password"
)

// p12 is the smallest DER that could be a file; nobody opens it here.
var p12 = []byte{0x30, 0x03, 0x02, 0x01, 0x03}

func ptr[T any](v T) *T { return &v }

// golden is one setting of an account.
type golden struct {
	name   string
	change func(*profiles.ExchangeAccount)
	refs   Refs
	// keys are those of the EAS payload that differ from the plain account's.
	keys map[string]any
}

var identityUUID, signingUUID, encryptionUUID = UUID("test", "identity"), UUID("test", "signing"), UUID("test", "encryption")

func goldens() []golden {
	type account = profiles.ExchangeAccount
	off, on := ptr(false), ptr(true)
	return append([]golden{
		{"plain", func(*account) {}, Refs{}, map[string]any{}},
		{"name", func(a *account) { a.Name = "Büro & Mail" }, Refs{}, map[string]any{"PayloadDisplayName": "Büro & Mail"}},
		{"host", func(a *account) { a.Host = "mail.example.test:8443" }, Refs{}, map[string]any{"Host": "mail.example.test:8443"}},
		{"user_name", func(a *account) { a.UserName = "alice@example.test" }, Refs{}, map[string]any{"UserName": "alice@example.test"}},
		{"domain", func(a *account) { a.Domain = "EXAMPLE" }, Refs{}, map[string]any{"UserName": `EXAMPLE\alice`}},
		{"email", func(a *account) { a.Email = "a.b@example.test" }, Refs{}, map[string]any{"EmailAddress": "a.b@example.test"}},
		{"ssl_off", func(a *account) { a.SSL = off }, Refs{}, map[string]any{"SSL": false}},
		{"password", func(a *account) { a.Password = &profiles.PasswordSource{Secret: "mail"} },
			Refs{Password: secret.New(passwordCanary), PasswordRevision: "rev-1"}, map[string]any{"Password": passwordCanary}},
		{"override_previous_password", func(a *account) { a.OverridePreviousPassword = true }, Refs{}, map[string]any{"OverridePreviousPassword": true}},
		{"identity_pkcs12", func(a *account) { a.Identity, a.PKCS12 = profiles.IdentityPKCS12, "alice" }, Refs{Identity: identityUUID}, map[string]any{"PayloadCertificateUUID": identityUUID}},
		{"identity_scep", func(a *account) { a.Identity = profiles.IdentitySCEP }, Refs{Identity: identityUUID}, map[string]any{"PayloadCertificateUUID": identityUUID}},
		{"office365", func(a *account) {
			a.HostType, a.Host, a.UserName = profiles.Office365, "", "alice@example.test"
			*a = a.WithDefaults()
		}, Refs{}, map[string]any{"Host": profiles.Office365Host, "OAuth": true, "UserName": "alice@example.test"}},
		{"oauth_off", func(a *account) { a.OAuth.Enabled = off }, Refs{}, map[string]any{}},
		{"oauth_urls", func(a *account) {
			a.OAuth = profiles.OAuth{Enabled: on, SignInURL: "https://login.example.test/authorize?p=1&q=2", TokenURL: "https://login.example.test/token"}
		}, Refs{}, map[string]any{"OAuth": true, "OAuthSignInURL": "https://login.example.test/authorize?p=1&q=2", "OAuthTokenRequestURL": "https://login.example.test/token"}},
		{"prevent_move", func(a *account) { a.PreventMove = true }, Refs{}, map[string]any{"PreventMove": true}},
		{"block_non_mail_apps", func(a *account) { a.BlockNonMailApps = true }, Refs{}, map[string]any{"PreventAppSheet": true}},
		{"disable_recents_sync", func(a *account) { a.DisableRecentsSync = true }, Refs{}, map[string]any{"disableMailRecentsSyncing": true}},
		{"allow_mail_drop", func(a *account) { a.AllowMailDrop = true }, Refs{}, map[string]any{"allowMailDrop": true}},
		{"audio_call_app", func(a *account) { a.AudioCallApp = "com.example.phone" }, Refs{},
			map[string]any{"CommunicationServiceRules": map[string]any{"DefaultServiceHandlers": map[string]any{"AudioCall": "com.example.phone"}}}},
	}, slices.Concat(smimeGoldens(), syncGoldens())...)
}

func smimeGoldens() []golden {
	type account = profiles.ExchangeAccount
	file := profiles.IdentityPKCS12
	signing, encryption := Refs{Signing: signingUUID}, Refs{Encryption: encryptionUUID}
	return []golden{
		{"smime_sign", func(a *account) {
			a.SMIME.Sign = profiles.SMIMESign{Enabled: true, Identity: file, PKCS12: "alice"}
		}, signing, map[string]any{"SMIMESigningEnabled": true, "SMIMESigningCertificateUUID": signingUUID}},
		{"smime_sign_on_record", func(a *account) {
			a.SMIME.Sign = profiles.SMIMESign{Enabled: true, Identity: profiles.IdentitySMIME}
		}, signing, map[string]any{"SMIMESigningEnabled": true, "SMIMESigningCertificateUUID": signingUUID}},
		{"smime_sign_user_may_change", func(a *account) { a.SMIME.Sign.UserMayChange = true }, Refs{}, map[string]any{"SMIMESigningUserOverrideable": true}},
		{"smime_sign_user_may_change_identity", func(a *account) { a.SMIME.Sign.UserMayChangeIdentity = true }, Refs{}, map[string]any{"SMIMESigningCertificateUUIDUserOverrideable": true}},
		{"smime_encrypt", func(a *account) {
			a.SMIME.Encrypt = profiles.SMIMEEncrypt{ByDefault: true, Identity: file, PKCS12: "alice"}
		}, encryption, map[string]any{"SMIMEEncryptByDefault": true, "SMIMEEncryptionCertificateUUID": encryptionUUID}},
		{"smime_encrypt_on_record", func(a *account) {
			a.SMIME.Encrypt = profiles.SMIMEEncrypt{ByDefault: true, Identity: profiles.IdentitySMIME}
		}, encryption, map[string]any{"SMIMEEncryptByDefault": true, "SMIMEEncryptionCertificateUUID": encryptionUUID}},
		{"smime_encrypt_user_may_change", func(a *account) { a.SMIME.Encrypt.UserMayChange = true }, Refs{}, map[string]any{"SMIMEEncryptByDefaultUserOverrideable": true}},
		{"smime_encrypt_user_may_change_identity", func(a *account) { a.SMIME.Encrypt.UserMayChangeIdentity = true }, Refs{}, map[string]any{"SMIMEEncryptionCertificateUUIDUserOverrideable": true}},
		{"smime_encrypt_per_message_switch", func(a *account) { a.SMIME.Encrypt.PerMessageSwitch = true }, Refs{}, map[string]any{"SMIMEEnableEncryptionPerMessageSwitch": true}},
	}
}

func syncGoldens() []golden {
	type account = profiles.ExchangeAccount
	on, off := ptr(true), ptr(false)
	var list []golden
	for _, days := range []int{0, 1, 3, 7, 14, 31} {
		list = append(list, golden{"days_" + string(rune('0'+days/10)) + string(rune('0'+days%10)), func(a *account) { a.DaysToKeepOffline = &days }, Refs{},
			map[string]any{"MailNumberOfPastDaysToSync": uint64(days)}})
	}
	for _, s := range []struct {
		name, key string
		at        func(*account) *profiles.Service
	}{
		{"mail", "EnableMail", func(a *account) *profiles.Service { return &a.Sync.Mail }},
		{"contacts", "EnableContacts", func(a *account) *profiles.Service { return &a.Sync.Contacts }},
		{"calendar", "EnableCalendars", func(a *account) *profiles.Service { return &a.Sync.Calendar }},
		{"reminders", "EnableReminders", func(a *account) *profiles.Service { return &a.Sync.Reminders }},
		{"notes", "EnableNotes", func(a *account) *profiles.Service { return &a.Sync.Notes }},
	} {
		for _, c := range []struct {
			name string
			set  profiles.Service
			want [2]bool
		}{
			{"on", profiles.Service{Enabled: on}, [2]bool{true, true}},
			{"on_locked", profiles.Service{Enabled: on, Locked: true}, [2]bool{true, false}},
			{"locked", profiles.Service{Locked: true}, [2]bool{true, false}},
			{"off", profiles.Service{Enabled: off}, [2]bool{false, true}},
			{"off_locked", profiles.Service{Enabled: off, Locked: true}, [2]bool{false, false}},
		} {
			list = append(list, golden{"sync_" + s.name + "_" + c.name, func(a *account) { *s.at(a) = c.set }, Refs{},
				map[string]any{s.key: c.want[0], s.key + "UserOverridable": c.want[1]}})
		}
	}
	return list
}

// profile holds the account, and the identities that it refers to.
func (g golden) profile(t *testing.T) Profile {
	t.Helper()
	a := profiles.ExchangeAccount{Name: "Mail", Host: "mail.example.test", UserName: "alice", Email: "alice@example.test"}.WithDefaults()
	g.change(&a)
	if err := a.Validate(); err != nil {
		t.Fatal(err)
	}
	p := Profile{Identifier: "test.golden", DisplayName: "Golden"}
	for _, slot := range []struct{ name, uuid string }{{"identity", g.refs.Identity}, {"signing", g.refs.Signing}, {"encryption", g.refs.Encryption}} {
		c := Common{Identifier: "test.golden." + slot.name, UUID: slot.uuid, DisplayName: slot.name}
		switch {
		case slot.uuid == "":
		case a.Identity == profiles.IdentitySCEP:
			p.Payloads = append(p.Payloads, SCEP{Common: c, URL: "https://mdm.example.test/scep", CommonName: "alice@example.test", Challenge: secret.New(challenge)})
		default:
			p.Payloads = append(p.Payloads, NewPKCS12(c, "alice.p12", p12, secret.New(p12Canary), "rev-1"))
		}
	}
	p.Payloads = append(p.Payloads, NewEAS(a, Common{Identifier: "test.golden.account.0", UUID: UUID("test", "account.0")}, g.refs))
	return p
}

// written is what a phone reads after it has decrypted the profile.
func written(t *testing.T, p Profile) []byte {
	t.Helper()
	data, err := p.write(sent)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGoldens(t *testing.T) {
	plain := eas(t, decoded(t, written(t, goldens()[0].profile(t))))
	for _, g := range goldens() {
		t.Run(g.name, func(t *testing.T) {
			data := written(t, g.profile(t))
			compareGolden(t, filepath.Join("eas", g.name+".mobileconfig"), data)
			profile := decoded(t, data)
			want := map[string]any{}
			for key, value := range plain {
				want[key] = value
			}
			for key, value := range g.keys {
				want[key] = value
			}
			if diff := cmp.Diff(want, eas(t, profile)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestGoldensSatisfyApplesSchema reads every golden of this package.
func TestGoldensSatisfyApplesSchema(t *testing.T) {
	schema := appleschema.Open(t)
	paths, err := filepath.Glob(filepath.Join("testdata", "*", "*.mobileconfig"))
	if err != nil || len(paths) < len(goldens()) {
		t.Fatalf("got %d goldens, %v", len(paths), err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range schema.ProfileFaults(decoded(t, data)) {
			t.Errorf("%s: %s", path, fault)
		}
	}
}

// TestPlainAccountStays pins the bytes that phones in the field were sent
// before there were more settings: they must not be set up anew.
func TestPlainAccountStays(t *testing.T) {
	plain := eas(t, decoded(t, written(t, goldens()[0].profile(t))))
	want := map[string]any{
		"PayloadType": "com.apple.eas.account", "PayloadVersion": uint64(1), "PayloadIdentifier": "test.golden.account.0", "PayloadUUID": UUID("test", "account.0"),
		"PayloadDisplayName": "Mail", "Host": "mail.example.test", "UserName": "alice", "EmailAddress": "alice@example.test", "SSL": true,
	}
	if diff := cmp.Diff(want, plain); diff != "" {
		t.Error(diff)
	}
}

func eas(t *testing.T, profile map[string]any) map[string]any {
	t.Helper()
	payloads := profile["PayloadContent"].([]any)
	last := payloads[len(payloads)-1].(map[string]any)
	if last["PayloadType"] != easType {
		t.Fatalf("got a last payload of type %v", last["PayloadType"])
	}
	return last
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got other bytes than the golden (go test -update, then review):\n%s", name, cmp.Diff(string(want), string(got)))
	}
}

func TestPasscodeGoldens(t *testing.T) {
	type policy = profiles.SecurityPolicy
	const path = "com.apple.mobiledevice.passwordpolicy"
	for _, g := range []struct {
		name   string
		policy policy
		keys   map[string]any
	}{
		{"none", policy{}, map[string]any{"forcePIN": false}},
		{"require_passcode", policy{RequirePasscode: true}, nil},
		{"minimum_length", policy{RequirePasscode: true, MinimumLength: 16}, map[string]any{"minLength": uint64(16)}},
		{"minimum_character_sets_1", policy{RequirePasscode: true, MinimumCharacterSets: 1}, nil},
		{"minimum_character_sets_2", policy{RequirePasscode: true, MinimumCharacterSets: 2}, map[string]any{"requireAlphanumeric": true}},
		{"minimum_character_sets_3", policy{RequirePasscode: true, MinimumCharacterSets: 3}, map[string]any{"requireAlphanumeric": true, "minComplexChars": uint64(1)}},
		{"minimum_character_sets_4", policy{RequirePasscode: true, MinimumCharacterSets: 4}, map[string]any{"requireAlphanumeric": true, "minComplexChars": uint64(1)}},
		{"alphanumeric", policy{RequirePasscode: true, Alphanumeric: true}, map[string]any{"requireAlphanumeric": true}},
		{"allow_simple_off", policy{RequirePasscode: true, AllowSimple: ptr(false)}, map[string]any{"allowSimple": false}},
		{"inactivity_300", policy{RequirePasscode: true, InactivitySeconds: 300}, map[string]any{"maxInactivity": uint64(5)}},
		{"inactivity_rounds_down", policy{RequirePasscode: true, InactivitySeconds: 599}, map[string]any{"maxInactivity": uint64(5)}},
		{"inactivity_3600", policy{RequirePasscode: true, InactivitySeconds: 3600}, map[string]any{"maxInactivity": uint64(15)}},
		{"history", policy{RequirePasscode: true, History: 50}, map[string]any{"pinHistory": uint64(50)}},
		{"expiry_days", policy{RequirePasscode: true, ExpiryDays: 730}, map[string]any{"maxPINAgeInDays": uint64(730)}},
		{"failed_attempts_4", policy{RequirePasscode: true, FailedAttempts: 4}, map[string]any{"maxFailedAttempts": uint64(4)}},
		{"failed_attempts_16", policy{RequirePasscode: true, FailedAttempts: 16}, map[string]any{"maxFailedAttempts": uint64(11)}},
		{"not_for_iphones", policy{RequirePasscode: true, PasswordRecovery: true, RequireEncryption: true, RequireStorageCardEncryption: true}, nil},
	} {
		t.Run(g.name, func(t *testing.T) {
			if err := g.policy.Validate(); err != nil {
				t.Fatal(err)
			}
			p := Profile{Identifier: "test.security", Payloads: []Payload{NewPasscode(g.policy, Common{Identifier: "test.security.0", UUID: UUID("test", "security")})}}
			data := encoded(t, p)
			compareGolden(t, filepath.Join("passcode", g.name+".mobileconfig"), data)
			profile := decoded(t, data)
			want := map[string]any{
				"PayloadType": path, "PayloadVersion": uint64(1), "PayloadIdentifier": "test.security.0", "PayloadUUID": UUID("test", "security"),
				"forcePIN": true, "allowSimple": true,
			}
			for key, value := range g.keys {
				want[key] = value
			}
			if diff := cmp.Diff(any(want), profile["PayloadContent"].([]any)[0]); diff != "" {
				t.Error(diff)
			}
		})
	}
}
