package profiles

import (
	"strings"
	"testing"

	"sallyport/internal/refusal"
)

// TestRules is what one field means for another, and the form of each.
func TestRules(t *testing.T) {
	type account = ExchangeAccount
	on, off := true, false
	days := func(n int) *int { return &n }
	secret := &PasswordSource{Secret: "mail"}
	cloud := func(a *account) { a.HostType, a.Host = Office365, ""; *a = a.WithDefaults() }
	oauth := func(a *account, signIn, token string) {
		a.OAuth = OAuth{Enabled: &on, SignInURL: signIn, TokenURL: token}
	}
	tests := []struct {
		name   string
		change func(*account)
		field  string // empty: accepted
	}{
		{"cloud", cloud, ""},
		{"cloud without OAuth", func(a *account) { a.OAuth.Enabled = &off; cloud(a) }, ""},
		{"sovereign cloud", func(a *account) { a.HostType, a.Host = Office365, "partner.outlook.cn" }, ""},
		{"password", func(a *account) { a.Password = secret }, ""},
		{"password without name", func(a *account) { a.Password = &PasswordSource{} }, "password.secret"},
		{"password with OAuth", func(a *account) { cloud(a); a.Password = secret }, "password"},
		{"password in the cloud, host type alone", func(a *account) { a.HostType, a.Password = Office365, secret }, "password"},
		{"password in the cloud without OAuth", func(a *account) { a.OAuth.Enabled = &off; cloud(a); a.Password = secret }, ""},
		{"identity pkcs12", func(a *account) { a.Identity, a.PKCS12 = IdentityPKCS12, "alice" }, ""},
		{"identity pkcs12 without name", func(a *account) { a.Identity = IdentityPKCS12 }, "pkcs12"},
		{"pkcs12 for scep", func(a *account) { a.Identity, a.PKCS12 = IdentitySCEP, "alice" }, "pkcs12"},
		{"pkcs12 for nothing", func(a *account) { a.PKCS12 = "alice" }, "pkcs12"},
		{"unknown identity", func(a *account) { a.Identity = "acme" }, "identity"},
		{"OAuth on premises", func(a *account) { oauth(a, "", "") }, ""},
		{"OAuth URLs", func(a *account) { oauth(a, "https://login.example.test/a?b=c", "https://login.example.test/token") }, ""},
		{"OAuth URL without OAuth", func(a *account) { a.OAuth.SignInURL = "https://login.example.test" }, "oauth.sign_in_url"},
		{"token URL without OAuth", func(a *account) { a.OAuth.TokenURL = "https://login.example.test" }, "oauth.token_url"},
		{"OAuth URL in clear", func(a *account) { oauth(a, "http://login.example.test", "") }, "oauth.sign_in_url"},
		{"OAuth URL of an app", func(a *account) { oauth(a, "javascript:alert(1)", "") }, "oauth.sign_in_url"},
		{"OAuth URL without host", func(a *account) { oauth(a, "https://:443/x", "") }, "oauth.sign_in_url"},
		{"OAuth URL with a password", func(a *account) { oauth(a, "https://a:b@login.example.test", "") }, "oauth.sign_in_url"},
		{"OAuth URL with fragment", func(a *account) { oauth(a, "", "https://login.example.test/#x") }, "oauth.token_url"},
		{"OAuth URL with a space", func(a *account) { oauth(a, "https://login.example.test/ x", "") }, "oauth.sign_in_url"},
		{"sign-in URL without host", func(a *account) { oauth(a, "https://login.example.test", ""); a.Host = "" }, "host"},
		{"app", func(a *account) { a.AudioCallApp = "com.example.phone-2" }, ""},
		{"app by name", func(a *account) { a.AudioCallApp = "Phone" }, "audio_call_app"},
		{"app with wildcard", func(a *account) { a.AudioCallApp = "com.example.*" }, "audio_call_app"},
		{"app with two dots", func(a *account) { a.AudioCallApp = "com..phone" }, "audio_call_app"},
		{"64 KB app", func(a *account) { a.AudioCallApp = "a." + strings.Repeat("a", 64<<10) }, "audio_call_app"},
		{"S/MIME", func(a *account) {
			a.SMIME = SMIME{Sign: SMIMESign{Enabled: true, Identity: IdentityPKCS12, PKCS12: "a"}, Encrypt: SMIMEEncrypt{ByDefault: true, Identity: IdentityPKCS12, PKCS12: "b"}}
		}, ""},
		{"S/MIME on record", func(a *account) {
			a.SMIME = SMIME{Sign: SMIMESign{Enabled: true, Identity: IdentitySMIME}, Encrypt: SMIMEEncrypt{ByDefault: true, Identity: IdentitySMIME}}
		}, ""},
		{"S/MIME on record, with a file", func(a *account) { a.SMIME.Sign = SMIMESign{Identity: IdentitySMIME, PKCS12: "a"} }, "smime.sign.pkcs12"},
		{"S/MIME signing by SCEP", func(a *account) { a.SMIME.Sign.Identity = IdentitySCEP }, "smime.sign.identity"},
		{"S/MIME encryption by SCEP", func(a *account) { a.SMIME.Encrypt.Identity = IdentitySCEP }, "smime.encrypt.identity"},
		{"S/MIME to sign in with", func(a *account) { a.Identity = IdentitySMIME }, "identity"},
		{"S/MIME without name", func(a *account) { a.SMIME.Sign.Identity = IdentityPKCS12 }, "smime.sign.pkcs12"},
		{"S/MIME name for nothing", func(a *account) { a.SMIME.Encrypt.PKCS12 = "a" }, "smime.encrypt.pkcs12"},
		{"S/MIME identity", func(a *account) { a.SMIME.Sign.Identity = "acme" }, "smime.sign.identity"},
		{"four services off", func(a *account) {
			a.Sync = Sync{Mail: Service{Enabled: &off}, Contacts: Service{Enabled: &off}, Calendar: Service{Enabled: &off}, Reminders: Service{Enabled: &off}, Notes: Service{Locked: true}}
		}, ""},
		{"five services off", func(a *account) {
			s := Service{Enabled: &off}
			a.Sync = Sync{s, s, s, s, s}
		}, "sync"},
		{"days", func(a *account) { a.DaysToKeepOffline = days(31) }, ""},
		{"no limit", func(a *account) { a.DaysToKeepOffline = days(0) }, ""},
		{"two days", func(a *account) { a.DaysToKeepOffline = days(2) }, "days_to_keep_offline"},
		{"days before today", func(a *account) { a.DaysToKeepOffline = days(-1) }, "days_to_keep_offline"},
		{"days without mail", func(a *account) { a.DaysToKeepOffline, a.Sync.Mail = days(7), Service{Enabled: &off} }, ""},
		{"days without mail for ever", func(a *account) { a.DaysToKeepOffline, a.Sync.Mail = days(7), Service{Enabled: &off, Locked: true} }, "days_to_keep_offline"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := plainAccount()
			test.change(&a)
			check(t, a.Validate(), test.field)
		})
	}
}

// plainAccount is account, where that name is a type.
func plainAccount() ExchangeAccount { return account() }

func TestWarnings(t *testing.T) {
	type account = ExchangeAccount
	on, off := true, false
	tests := []struct {
		name   string
		change func(*account)
		fields string
	}{
		{"plain", func(*account) {}, ""},
		{"cloud", func(a *account) { a.HostType, a.Host = Office365, ""; *a = a.WithDefaults() }, ""},
		{"cloud without OAuth", func(a *account) { a.HostType, a.OAuth.Enabled = Office365, &off }, "oauth.enabled"},
		{"cloud without OAuth, by certificate", func(a *account) { a.HostType, a.OAuth.Enabled, a.Identity = Office365, &off, IdentitySCEP }, ""},
		{"OAuth with certificate", func(a *account) { a.HostType, a.Identity = Office365, IdentitySCEP }, "identity"},
		{"OAuth on premises", func(a *account) {
			a.OAuth = OAuth{Enabled: &on, SignInURL: "https://x.test", TokenURL: "https://x.test"}
		}, "oauth.enabled"},
		{"OAuth on premises, Autodiscover", func(a *account) { a.OAuth.Enabled = &on }, "oauth.enabled oauth.sign_in_url"},
		{"token URL alone", func(a *account) { a.HostType, a.OAuth = Office365, OAuth{TokenURL: "https://x.test"} }, "oauth.token_url"},
		{"SSL off", func(a *account) { a.SSL = &off }, "ssl"},
		{"two domains", func(a *account) { a.Domain, a.UserName = "EXAMPLE", "alice@example.test" }, "domain"},
		{"password and certificate", func(a *account) { a.Password, a.Identity = &PasswordSource{"x"}, IdentitySCEP }, "password"},
		{"nothing to override", func(a *account) { a.OverridePreviousPassword = true }, "override_previous_password"},
		{"override", func(a *account) { a.OverridePreviousPassword, a.Password = true, &PasswordSource{"x"} }, ""},
		{"nothing to sign with", func(a *account) { a.SMIME.Sign.Enabled = true }, "smime.sign.enabled"},
		{"the user chooses", func(a *account) { a.SMIME.Sign = SMIMESign{Enabled: true, UserMayChangeIdentity: true} }, ""},
		{"signs by what is on record", func(a *account) { a.SMIME.Sign = SMIMESign{Enabled: true, Identity: IdentitySMIME} }, ""},
		{"never signs by what is on record", func(a *account) { a.SMIME.Sign.Identity = IdentitySMIME }, "smime.sign.identity"},
		{"decrypts by what is on record", func(a *account) { a.SMIME.Encrypt = SMIMEEncrypt{ByDefault: true, Identity: IdentitySMIME} }, ""},
		{"never signs", func(a *account) { a.SMIME.Sign = SMIMESign{Identity: IdentityPKCS12, PKCS12: "x"} }, "smime.sign.identity"},
		{"nothing to decrypt with", func(a *account) { a.SMIME.Encrypt.ByDefault = true }, "smime.encrypt.identity"},
		{"reads only", func(a *account) { a.SMIME.Encrypt = SMIMEEncrypt{Identity: IdentityPKCS12, PKCS12: "x"} }, ""},
		{"switch without switch", func(a *account) { a.SMIME.Encrypt.UserMayChange = true }, "smime.encrypt.user_may_change"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := plainAccount()
			test.change(&a)
			if err := a.Validate(); err != nil {
				t.Fatalf("refused: %v", err)
			}
			var fields []string
			for _, w := range a.Warnings() {
				fields = append(fields, w.Field)
				if w.Reason == "" || w.Remedy == "" {
					t.Errorf("%s: no reason or remedy", w.Field)
				}
			}
			if got := strings.Join(fields, " "); got != test.fields {
				t.Errorf("got %q, want %q", got, test.fields)
			}
		})
	}
}

// TestRefusedIdentitiesNameTheRightOne: whoever mixed the two up learns which
// one was meant.
func TestRefusedIdentitiesNameTheRightOne(t *testing.T) {
	for field, c := range map[string]struct {
		change func(*ExchangeAccount)
		remedy string
	}{
		"smime.sign.identity":    {func(a *ExchangeAccount) { a.SMIME.Sign.Identity = IdentitySCEP }, "smime"},
		"smime.encrypt.identity": {func(a *ExchangeAccount) { a.SMIME.Encrypt.Identity = IdentitySCEP }, "smime"},
		"identity":               {func(a *ExchangeAccount) { a.Identity = IdentitySMIME }, "scep"},
	} {
		a := account()
		c.change(&a)
		list := refusal.All(a.Validate())
		if len(list) != 1 || list[0].Field != field || !strings.Contains(list[0].Remedy, c.remedy) {
			t.Errorf("%s: got %v, want a remedy that names %s", field, list, c.remedy)
		}
	}
}
