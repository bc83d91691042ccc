package templates

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/refusal"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
)

// keptSource is a template of one account with further lines, and what it keeps.
func keptSource(account, kept string) string {
	return "name: mail\nkept: '<plist><dict>" + kept + "</dict></plist>'\naccounts:\n- name: Mail\n  host: m.test\n" + account
}

func keptAccount(key, value string) string {
	return "<key>Accounts</key><array><dict><key>" + key + "</key>" + value + "</dict></array>"
}

// TestKeptPassesByNoRule: what a field of the template stands for is not kept
// beside it, whatever the value.
func TestKeptPassesByNoRule(t *testing.T) {
	t.Parallel()
	payload := func(kind string) string {
		return "<key>Payloads</key><array><dict><key>PayloadType</key><string>" + kind + "</string><key>PayloadIdentifier</key><string>a</string><key>PayloadUUID</key><string>B</string></dict></array>"
	}
	profile := func(key string) string {
		return "<key>Profile</key><dict><key>" + key + "</key><true/></dict>"
	}
	const yes, id = "<true/>", "<string>AAAAAAAA-0000-4000-8000-000000000001</string>"
	tests := []struct{ name, source, want string }{
		{"OAuth beside a password", keptSource("  password: {secret: mail-password}\n", keptAccount("OAuth", yes)), "use accounts[0].oauth.enabled"},
		{"OAuth of another type", keptSource("", keptAccount("OAuth", "<integer>1</integer>")), "use accounts[0].oauth.enabled"},
		{"a password", keptSource("", keptAccount("Password", "<string>x</string>")), "use accounts[0].password.secret"},
		{"another host", keptSource("", keptAccount("Host", "<string>x</string>")), "use accounts[0].host"},
		{"a service", keptSource("", keptAccount("EnableMail", "<false/>")), "use accounts[0].sync.mail.enabled"},
		{"an identity beside ours", keptSource("  identity: scep\n", keptAccount("PayloadCertificateUUID", id)), "use accounts[0].identity"},
		{"an S/MIME identity beside ours", keptSource("  smime: {sign: {enabled: true, identity: pkcs12, pkcs12: a}}\n", keptAccount("SMIMESigningCertificateUUID", id)), "use accounts[0].smime.sign.identity"},
		{"an app for calls", keptSource("", keptAccount("CommunicationServiceRules", "<dict><key>DefaultServiceHandlers</key><dict><key>AudioCall</key><string>a.b</string></dict></dict>")), "use accounts[0].audio_call_app"},
		{"rules beside the app for calls", keptSource("  audio_call_app: a.b\n", keptAccount("CommunicationServiceRules", "<dict/>")), "use accounts[0].audio_call_app"},
		{"an account", keptSource("", payload("com.apple.eas.account")), "com.apple.eas.account"},
		{"an account in other letters", keptSource("", payload(" com.apple.EAS.account")), "com.apple.EAS.account"},
		{"a certificate with its key", keptSource("", payload("com.apple.security.pkcs12")), "com.apple.security.pkcs12"},
		{"other content", keptSource("", profile("EncryptedPayloadContent")), "EncryptedPayloadContent"},
		{"no removal", keptSource("", profile("PayloadRemovalDisallowed")), "PayloadRemovalDisallowed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(tt.source))
			list := refusal.All(err)
			if len(list) != 1 || list[0].Field != "kept" || !strings.Contains(list[0].Error(), tt.want) {
				t.Errorf("got %v, want one refusal with %q", err, tt.want)
			}
		})
	}
	if _, err := Parse([]byte(keptSource("", keptAccount("VPNUUID", id)))); err != nil {
		t.Errorf("a key without a field: %v", err)
	}
}

// TestAccountKeysAreComplete: each key that the renderer writes has its field.
func TestAccountKeysAreComplete(t *testing.T) {
	t.Parallel()
	on, days := true, 7
	service := profiles.Service{Enabled: &on, Locked: true}
	full := mobileconfig.EAS{
		Common: mobileconfig.Common{Identifier: "a", UUID: "B"}, Host: "m.test", UserName: "u", Email: "a@b.test", SSL: true,
		OverridePreviousPassword: true, CertificateUUID: "C",
		OAuth: true, OAuthSignInURL: "https://a.test", OAuthTokenRequestURL: "https://a.test",
		PreventMove: true, PreventAppSheet: true, DisableMailRecentsSyncing: true, AllowMailDrop: true, AudioCall: "a.b", MailNumberOfPastDaysToSync: &days,
		SMIME: mobileconfig.SMIME{SigningEnabled: true, SigningCertificateUUID: "C", SigningUserOverrideable: true, SigningCertificateUUIDUserOverrideable: true,
			EncryptByDefault: true, EncryptByDefaultUserOverrideable: true, EncryptionCertificateUUID: "C", EncryptionCertificateUUIDUserOverrideable: true, EnableEncryptionPerMessageSwitch: true},
		Sync: profiles.Sync{Mail: service, Contacts: service, Calendar: service, Reminders: service, Notes: service},
	}
	both := profiles.ExchangeAccount{Identity: profiles.IdentitySCEP, AudioCallApp: "a.b"}
	both.SMIME.Sign.Identity, both.SMIME.Encrypt.Identity = profiles.IdentityPKCS12, profiles.IdentityPKCS12
	identity := mobileconfig.Foreign{Common: mobileconfig.Common{Identifier: "c", UUID: "C"}, PayloadType: "com.apple.security.acme"}
	profile := decoded(t, mobileconfig.Profile{Identifier: "p", Payloads: []mobileconfig.Payload{full, identity}})
	written := 0
	for key := range profile["PayloadContent"].([]any)[0].(map[string]any) {
		if headKeys[key] {
			continue
		}
		written++
		if taken(both, key, nil) == "" {
			t.Errorf("%s may be kept beside its field", key)
		}
	}
	if written < 30 {
		t.Errorf("%d keys were compared, want them all", written)
	}
}

// TestImportLeavesOutWhatIsMalformed: a key of a field that has a wrong type is
// told, and the template can be saved.
func TestImportLeavesOutWhatIsMalformed(t *testing.T) {
	t.Parallel()
	im := mustImport(t, theirs(map[string]any{"Host": "m.test", "SSL": true, "EmailAddress": "a@b.test",
		"OAuth": "yes", "MailNumberOfPastDaysToSync": "7", "EnableMail": uint64(1), "Certificate": "x", "VPNUUID": "v"}), nil)
	k, refused := parseKept(im.Spec.Kept)
	if refused != nil || fmt.Sprint(k.accounts) != "[map[VPNUUID:v]]" {
		t.Errorf("got %v, %v", k.accounts, refused)
	}
	told := strings.Join(texts(im.Suggestions), "\n")
	for _, key := range []string{"OAuth", "MailNumberOfPastDaysToSync", "EnableMail", "Certificate"} {
		if !strings.Contains(told, key+" is not of the type") {
			t.Errorf("%s is not told in\n%s", key, told)
		}
	}
}
