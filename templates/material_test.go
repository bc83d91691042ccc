package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/profiles/mobileconfig"
)

const mailPassword = "mail-canary-4712"

// everySecret refers to a password, to one PKCS#12 file in two places of two
// accounts, and to another one.
const everySecret = `
name: mail
assign: everyone
accounts:
  - name: First
    host: mail.example.test
    password: {secret: mail-password}
    identity: pkcs12
    pkcs12: login
    smime:
      sign: {enabled: true, identity: pkcs12, pkcs12: login}
      encrypt: {identity: pkcs12, pkcs12: mail-key}
  - name: Second
    host: other.example.test
    identity: pkcs12
    pkcs12: login
`

func material(t testing.TB) []Secret {
	return []Secret{
		passwordSecret("mail-password", mailPassword),
		holder{upn: "Alice@Example.test"}.identity(t, "login"),
		holder{mails: []string{"alice.archer@example.test"}}.identity(t, "mail-key"), // names the mailbox, not the login
	}
}

func TestRenderMaterial(t *testing.T) {
	o := options()
	o.Secrets = material(t)
	r, err := Render(revision(t, everySecret), alice(), o)
	if err != nil {
		t.Fatal(err)
	}
	var files []mobileconfig.PKCS12
	var accounts []mobileconfig.EAS
	for _, payload := range r.Profile.Payloads {
		switch p := payload.(type) {
		case mobileconfig.PKCS12:
			files = append(files, p)
		case mobileconfig.EAS:
			accounts = append(accounts, p)
		}
	}
	if len(files) != 2 || len(accounts) != 2 || len(r.Profile.Payloads) != 4 {
		t.Fatalf("got %d payloads: %d files and %d accounts", len(r.Profile.Payloads), len(files), len(accounts))
	}
	login, mailKey := files[0], files[1]
	first, second := accounts[0], accounts[1]
	if login.Content.Reveal() != string(o.Secrets[1].Data) || login.Password.Reveal() != filePassword || login.Revision != "revision-login" {
		t.Error("the file is not the secret's")
	}
	if first.Password.Reveal() != mailPassword || first.PasswordRevision != "revision-mail-password" || !second.Password.IsZero() {
		t.Error("the password is not where it belongs")
	}
	got := []string{first.CertificateUUID, first.SMIME.SigningCertificateUUID, first.SMIME.EncryptionCertificateUUID, second.CertificateUUID}
	if want := []string{login.UUID, login.UUID, mailKey.UUID, login.UUID}; !slices.Equal(got, want) {
		t.Errorf("got references %v, want %v", got, want)
	}
	if !r.Profile.Secret() || r.NeedsChallenge {
		t.Errorf("secret %v, challenge %v", r.Profile.Secret(), r.NeedsChallenge)
	}
	if _, err := r.Profile.Encode(); !errors.Is(err, mobileconfig.ErrSecret) {
		t.Errorf("in the clear: got %v, want ErrSecret", err)
	}
	if len(r.Warnings) == 0 || !strings.HasPrefix(r.Warnings[0].Field, "accounts[0].") {
		t.Errorf("got warnings %v", r.Warnings)
	}
}

// TestNewSecretIsANewProfile: another value under the same name changes the
// profile's own UUID, though not by its value, and no payload's.
func TestNewSecretIsANewProfile(t *testing.T) {
	r := revision(t, everySecret)
	render := func(change func([]Secret)) (string, []string) {
		t.Helper()
		o := options()
		o.Secrets = material(t)
		change(o.Secrets)
		rendered, err := Render(r, alice(), o)
		if err != nil {
			t.Fatal(err)
		}
		var uuids []string
		for _, p := range rendered.Profile.Payloads {
			uuids = append(uuids, p.Header().UUID)
		}
		return rendered.Profile.TopUUID(), uuids
	}
	before, payloads := render(func([]Secret) {})
	for i := range material(t) {
		top, uuids := render(func(list []Secret) { list[i].Revision = "another" })
		if top == before || !slices.Equal(uuids, payloads) {
			t.Errorf("secret %d replaced: same top %v, payload UUIDs %v, want %v", i, top == before, uuids, payloads)
		}
	}
	if top, _ := render(func(list []Secret) { list[0].Value = secret.New("guess") }); top != before {
		t.Error("the UUID depends on the password: it can be guessed from there")
	}
}

func TestRenderRefusesMaterial(t *testing.T) {
	stranger := holder{commonName: "Bob", upn: "bob@example.test", mails: []string{"b@example.test"}}
	tests := []struct {
		name   string
		change func([]Secret) []Secret
		field  string
		says   string
	}{
		{"no password", func(s []Secret) []Secret { return s[1:] }, "accounts[0].password.secret", "no secret mail-password"},
		{"no file", func(s []Secret) []Secret { return s[:2] }, "accounts[0].smime.encrypt.pkcs12", "no secret mail-key"},
		{"a file as password", func(s []Secret) []Secret { s[1].Name, s[0].Name = "mail-password", "login"; return s }, "accounts[0].pkcs12", "is a password, and a pkcs12 is needed"},
		{"another user's certificate", func(s []Secret) []Secret { s[1] = stranger.identity(t, "login"); return s },
			"accounts[0].pkcs12", "found Subject CN=Bob; UPN bob@example.test; mail address b@example.test"},
		{"a login certificate with the mailbox only", func(s []Secret) []Secret {
			s[1] = holder{mails: []string{"alice.archer@example.test"}}.identity(t, "login")
			return s
		}, "accounts[0].pkcs12", "mail address alice.archer@example.test"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := options()
			o.Secrets = test.change(material(t))
			_, err := Render(revision(t, everySecret), alice(), o)
			list := refusal.All(err)
			if !errors.Is(err, ErrRender) || len(list) == 0 || list[0].Field != test.field || !strings.Contains(list[0].Reason, test.says) ||
				!strings.Contains(list[0].Reason, alice().UPN) || list[0].Remedy == "" {
				t.Fatalf("got %v, want %s refused that %q, the user and what to do", err, test.field, test.says)
			}
			if text := err.Error(); strings.Contains(text, mailPassword) || strings.Contains(text, filePassword) {
				t.Error("the refusal tells a secret")
			}
		})
	}
}

// TestSecretsNeverShow: not when printed, logged or marshalled, alone or inside
// what holds them.
func TestSecretsNeverShow(t *testing.T) {
	o := options()
	o.Secrets = material(t)
	r, err := Render(revision(t, everySecret), alice(), o)
	if err != nil {
		t.Fatal(err)
	}
	key := o.Secrets[1].Data[len(o.Secrets[1].Data)-32:]
	for name, v := range map[string]any{"secrets": o.Secrets, "options": o, "rendered": r, "profile": r.Profile} {
		var out bytes.Buffer
		if text, err := json.Marshal(v); err == nil {
			out.Write(text)
		}
		fmt.Fprintf(&out, "%v %+v %#v %s %q", v, v, v, v, v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		if s := out.String(); strings.Contains(s, mailPassword) || strings.Contains(s, filePassword) {
			t.Errorf("%s show a password", name)
		} else if strings.Contains(s, strings.Trim(fmt.Sprint(key), "[]")) || strings.Contains(s, fmt.Sprintf("%x", key)) || strings.Contains(s, string(key)) {
			t.Errorf("%s show a private key", name)
		}
	}
}

func TestRenderKept(t *testing.T) {
	source := everyVariable + "kept: |\n  " + strings.ReplaceAll(`<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0"><dict>
<key>Profile</key><dict><key>ConsentText</key><dict><key>default</key><string>%upn% agrees</string></dict></dict>
<key>Payloads</key><array><dict>
<key>PayloadType</key><string>com.apple.webClip.managed</string><key>PayloadVersion</key><integer>1</integer>
<key>PayloadIdentifier</key><string>test.clip</string><key>PayloadUUID</key><string>6d9e2f0e-0000-4000-8000-000000000001</string>
<key>URL</key><string>https://example.test</string></dict></array>
<key>Accounts</key><array><dict><key>VPNUUID</key><string>vpn</string></dict></array>
</dict></plist>`, "\n", "\n  ") + "\n"
	r, err := Render(revision(t, source), alice(), options())
	if err != nil {
		t.Fatal(err)
	}
	profile := decoded(t, r.Profile)
	payloads := profile["PayloadContent"].([]any)
	clip, account := payloads[3].(map[string]any), payloads[1].(map[string]any)
	if profile["ConsentText"].(map[string]any)["default"] != "%upn% agrees" || clip["URL"] != "https://example.test" ||
		clip["PayloadIdentifier"] != "test.clip" || account["VPNUUID"] != "vpn" {
		t.Errorf("got %v", profile)
	}
}
