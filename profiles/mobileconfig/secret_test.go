package mobileconfig

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/profiles"
)

// secretive is a profile with everything that may not be seen.
func secretive() Profile {
	a := profiles.ExchangeAccount{Name: "Mail", Host: "mail.example.test", UserName: "alice", Email: "alice@example.test"}.WithDefaults()
	e := NewEAS(a, common("account.0"), Refs{Identity: UUID("test", "p12"), Password: secret.New(passwordCanary), PasswordRevision: "rev-1"})
	return Profile{Identifier: "test.secretive", Payloads: []Payload{
		NewPKCS12(common("p12"), "alice.p12", p12, secret.New(p12Canary), "rev-2"),
		SCEP{Common: common("scep"), URL: "https://mdm.example.test/scep", Challenge: secret.New(challenge)},
		e,
		Foreign{Common: common("wifi"), PayloadType: "com.apple.wifi.managed", Revision: "rev-3",
			Keys: map[string]any{"SSID_STR": "guest", "Password": "canary-wifi", "EAPClientConfiguration": map[string]any{"UserPassword": "canary-eap"}}},
	}}
}

func canaries() []string {
	return []string{passwordCanary, p12Canary, challenge, "canary-wifi", "canary-eap", "MAMCAQM="}
}

func TestSecretsLeaveOnlyEncrypted(t *testing.T) {
	p := secretive()
	if !p.Secret() {
		t.Error("got a profile without a secret")
	}
	data, err := p.Encode()
	if !errors.Is(err, ErrSecret) || data != nil {
		t.Errorf("got %d bytes and %v, want ErrSecret", len(data), err)
	}
	shownBytes, err := p.EncodeForInspection()
	if err != nil {
		t.Fatal(err)
	}
	cert, key := identity(t)
	sealed, err := Encrypt(p, cert)
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range canaries() {
		for name, text := range map[string]string{
			"inspection": string(shownBytes), "envelope": string(sealed), "error": fmt.Sprint(err),
			"print": fmt.Sprintf("%v %+v %#v", p.Payloads[:3], p.Payloads[:3], p.Payloads[:3]),
		} {
			if strings.Contains(text, canary) {
				t.Errorf("%s shows %s", name, canary)
			}
		}
	}
	opened, err := Inspect(sealed, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if got := opened.Dict["PayloadContent"].([]any)[2].(map[string]any)["Password"]; got != passwordCanary {
		t.Errorf("the phone reads the password %v", got)
	}
	if looked := decoded(t, shownBytes); looked["PayloadUUID"] != opened.Dict["PayloadUUID"] {
		t.Error("the form for inspection has another PayloadUUID than what is sent")
	}
}

func TestSecretSaysWhatHoldsOne(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Profile)
		want   bool
	}{
		{"challenge only", func(*Profile) {}, false},
		{"password", func(p *Profile) {
			e := p.Payloads[1].(EAS)
			e.Password, e.PasswordRevision = secret.New("x"), "1"
			p.Payloads[1] = e
		}, true},
		{"PKCS#12", func(p *Profile) {
			p.Payloads = append(p.Payloads, NewPKCS12(common("p"), "", p12, secret.New("x"), "1"))
		}, true},
		{"kept password of an account", func(p *Profile) {
			e := p.Payloads[1].(EAS)
			e.Kept = map[string]any{"CertificatePassword": "x"}
			p.Payloads[1] = e
		}, true},
		{"kept switch", func(p *Profile) { p.Kept = map[string]any{"HasRemovalPasscode": true} }, false},
		{"foreign PKCS#12", func(p *Profile) {
			p.Payloads = append(p.Payloads, Foreign{Common: common("f"), PayloadType: pkcs12Type, Keys: map[string]any{"PayloadContent": p12}})
		}, true},
		{"foreign root", func(p *Profile) {
			p.Payloads = append(p.Payloads, Foreign{Common: common("f"), PayloadType: "com.apple.security.root", Keys: map[string]any{"PayloadContent": p12}})
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := mail("Mail")
			test.change(&p)
			if got := p.Secret(); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// TestNobodyGuessesFromTopUUID: it depends on the revisions of secrets, and on
// nothing that could be tried out.
func TestNobodyGuessesFromTopUUID(t *testing.T) {
	base := secretive()
	text := fmt.Sprint(base.content(canonical))
	for _, canary := range append(canaries(), fmt.Sprint(p12)) {
		if strings.Contains(text, canary) {
			t.Errorf("TopUUID is made from %s", canary)
		}
	}
	changes := map[string]struct {
		change func(*Profile)
		same   bool
	}{
		"another password, same revision":  {func(p *Profile) { e := p.Payloads[2].(EAS); e.Password = secret.New("other"); p.Payloads[2] = e }, true},
		"another revision of the password": {func(p *Profile) { e := p.Payloads[2].(EAS); e.PasswordRevision = "rev-9"; p.Payloads[2] = e }, false},
		"no password":                      {func(p *Profile) { e := p.Payloads[2].(EAS); e.Password = secret.Value{}; p.Payloads[2] = e }, false},
		"another key, same revision": {func(p *Profile) {
			f := p.Payloads[0].(PKCS12)
			f.Content, f.Password = secret.New("\x30\x00"), secret.New("other")
			p.Payloads[0] = f
		}, true},
		"another revision of the key":      {func(p *Profile) { f := p.Payloads[0].(PKCS12); f.Revision = "rev-9"; p.Payloads[0] = f }, false},
		"another revision of what is kept": {func(p *Profile) { f := p.Payloads[3].(Foreign); f.Revision = "rev-9"; p.Payloads[3] = f }, false},
	}
	for name, c := range changes {
		p := secretive()
		c.change(&p)
		if got := p.TopUUID() == base.TopUUID(); got != c.same {
			t.Errorf("%s: got the same UUID: %v, want %v", name, got, c.same)
		}
	}
}

func TestSecretsNeedARevision(t *testing.T) {
	cert, _ := identity(t)
	tests := []struct {
		key    string
		change func(*Profile)
	}{
		{"com.apple.eas.account.Password", func(p *Profile) { e := p.Payloads[2].(EAS); e.PasswordRevision = ""; p.Payloads[2] = e }},
		{"com.apple.security.pkcs12.PayloadContent", func(p *Profile) { f := p.Payloads[0].(PKCS12); f.Revision = ""; p.Payloads[0] = f }},
		{"com.apple.wifi.managed", func(p *Profile) { f := p.Payloads[3].(Foreign); f.Revision = ""; p.Payloads[3] = f }},
		{"", func(p *Profile) { p.Kept = map[string]any{"RemovalPasscode": "x"} }},
		{"com.apple.eas.account.Kept", func(p *Profile) {
			e := p.Payloads[2].(EAS)
			e.Kept = map[string]any{"CertificatePassword": "x"}
			p.Payloads[2] = e
		}},
	}
	for _, test := range tests {
		p := secretive()
		test.change(&p)
		_, err := Encrypt(p, cert)
		if !errors.Is(err, ErrInvalid) || !slices.ContainsFunc(refusal.All(err), func(e *refusal.Error) bool { return e.Field == test.key }) {
			t.Errorf("%s: got %v, want it refused", test.key, err)
		}
	}
}

func TestRedactKeepsTheTree(t *testing.T) {
	p := secretive()
	tree := decoded(t, written(t, p))
	looked := decoded(t, func() []byte { data, _ := p.EncodeForInspection(); return data }())
	if got, want := Outline(Redact(tree)), Outline(looked); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if data := written(t, p); !bytes.Contains(data, []byte(passwordCanary)) {
		t.Error("redacting changed what is sent")
	}
}
