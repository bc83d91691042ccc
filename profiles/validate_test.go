package profiles

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/refusal"
)

func account() ExchangeAccount {
	return ExchangeAccount{Name: "Mail", Host: "mail.example.test", UserName: "alice", Email: "alice@example.test"}.WithDefaults()
}

func TestWithDefaults(t *testing.T) {
	got := ExchangeAccount{}.WithDefaults()
	if got.HostType != OnPremises || got.Host != "" || got.UserName != "%upn%" || got.Email != "%email%" || !got.UsesSSL() || got.SSL == nil || got.Identity != IdentityNone {
		t.Errorf("on premises: got %+v", got)
	}
	cloud := ExchangeAccount{HostType: Office365}.WithDefaults()
	if cloud.Host != Office365Host || !cloud.UsesSSL() || cloud.OAuth.Enabled == nil || !cloud.UsesOAuth() {
		t.Errorf("office365: got %+v, want its host, SSL and OAuth", cloud)
	}
	if got.UsesOAuth() {
		t.Error("on premises: got OAuth")
	}
	off := false
	if got := (ExchangeAccount{HostType: Office365, Host: "partner.outlook.cn", OAuth: OAuth{Enabled: &off}}).WithDefaults(); got.UsesOAuth() || got.Host != "partner.outlook.cn" {
		t.Errorf("office365: got %+v, want what the admin wrote", got)
	}
	if got := (ExchangeAccount{SSL: &off}).WithDefaults(); got.UsesSSL() {
		t.Error("got SSL on, want what the admin wrote")
	}
}

func TestLogin(t *testing.T) {
	a := account()
	if got := a.Login(); got != "alice" {
		t.Errorf("got %q, want no backslash without a domain", got)
	}
	a.Domain = "EXAMPLE"
	if got := a.Login(); got != `EXAMPLE\alice` {
		t.Errorf(`got %q, want EXAMPLE\alice`, got)
	}
}

func TestValidate(t *testing.T) {
	off := false
	tests := []struct {
		name   string
		change func(*ExchangeAccount)
		field  string // empty: accepted
	}{
		{"plain", func(*ExchangeAccount) {}, ""},
		{"writing direction in the name is data", func(a *ExchangeAccount) { a.Name = "a\u202eb" }, ""},
		{"SSL off on premises", func(a *ExchangeAccount) { a.SSL = &off }, ""},
		{"no name", func(a *ExchangeAccount) { a.Name = " " }, "name"},
		{"NUL in the name", func(a *ExchangeAccount) { a.Name = "a\x00" }, "name"},
		{"64 KB name", func(a *ExchangeAccount) { a.Name = strings.Repeat("a", 64<<10) }, "name"},
		{"host type", func(a *ExchangeAccount) { a.HostType = "imap" }, "host_type"},
		{"no user name", func(a *ExchangeAccount) { a.UserName = "" }, "user_name"},
		{"user name with domain", func(a *ExchangeAccount) { a.UserName = `EXAMPLE\alice` }, "user_name"},
		{"writing direction in user name", func(a *ExchangeAccount) { a.UserName = "a\u202eb" }, "user_name"},
		{"domain with backslash", func(a *ExchangeAccount) { a.Domain = `EXAMPLE\` }, "domain"},
		{"domain in the cloud", func(a *ExchangeAccount) { a.HostType, a.Domain = Office365, "EXAMPLE" }, "domain"},
		{"no email", func(a *ExchangeAccount) { a.Email = "" }, "email"},
		{"email without domain", func(a *ExchangeAccount) { a.Email = "alice@" }, "email"},
		{"SSL off in the cloud", func(a *ExchangeAccount) { a.HostType, a.SSL = Office365, &off }, "ssl"},
		{"identity", func(a *ExchangeAccount) { a.Identity = "acme" }, "identity"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := account()
			test.change(&a)
			check(t, a.Validate(), test.field)
		})
	}
}

func TestValidateHost(t *testing.T) {
	good := []string{"mail", "mail.example.test", "mail.example.test.", "MAIL.example.test:8443", "192.0.2.1", "192.0.2.1:443", "[2001:db8::1]", "[2001:db8::1]:443", "xn--mller-kva.example.test", "1.example.test"}
	bad := []string{
		"", "https://mail.example.test", "mail.example.test/Microsoft-Server-ActiveSync", "mail.example.test?", "mail example", "mail_1.example.test",
		"-mail.example.test", "mail..example.test", ".", ":443", "mail:", "mail:0", "mail:65536", "mail:0443", "mail:x", "mail:1:2", "2001:db8::1", "[2001:db8::1", "[mail]", "[2001:db8::1]x",
		"[fe80::1%en0]", "user@mail.example.test", "müller.example.test", "a\u202eb", "a\x00b", "256.1.2.3", strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 200),
		strings.Repeat("a", 64<<10),
	}
	for _, host := range good {
		a := account()
		a.Host = host
		check(t, a.Validate(), "")
	}
	for _, host := range bad {
		a := account()
		a.Host = host
		if list := refusal.All(a.Validate()); len(list) != 1 || list[0].Field != "host" {
			t.Errorf("%.40q: got %v, want one refusal of host", host, list)
		}
	}
}

func TestValidateRefusesEveryFieldAtOnce(t *testing.T) {
	list := refusal.All(ExchangeAccount{}.Validate())
	var fields []string
	for _, e := range list {
		fields = append(fields, e.Field)
	}
	if got, want := strings.Join(fields, " "), "name host_type host user_name email identity"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func check(t *testing.T, err error, field string) {
	t.Helper()
	if field == "" {
		if err != nil {
			t.Errorf("got %v, want it accepted", err)
		}
		return
	}
	list := refusal.All(err)
	if !errors.Is(err, ErrInvalid) || len(list) != 1 || list[0].Field != field || list[0].Remedy == "" {
		t.Errorf("got %v, want one refusal of %s with a remedy", err, field)
	}
}
