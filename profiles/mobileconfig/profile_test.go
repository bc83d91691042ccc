package mobileconfig

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/appleschema"
	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

func TestProfilesSatisfyApplesSchema(t *testing.T) {
	schema := appleschema.Open(t)
	cert, _ := identity(t)
	intermediate := mail("Mail")
	intermediate.Payloads = append(intermediate.Payloads, Certificate{Common: common("ca"), DER: cert.Raw})
	bare := Profile{Identifier: "test.bare", RemovalDisallowed: true, Payloads: []Payload{
		EAS{Common: Common{Identifier: "test.bare.0", UUID: UUID("x")}, Host: "mail", UserName: "alice", Email: "alice@example.test"},
		SCEP{Common: Common{Identifier: "test.bare.1", UUID: UUID("y")}, URL: "http://mdm.example.test/scep", KeySize: 4096},
	}}
	for name, p := range map[string]Profile{"enrolment": enrolment(cert.Raw), "mail": mail("Mail"), "intermediate": intermediate, "bare": bare} {
		t.Run(name, func(t *testing.T) { schema.CheckProfile(t, decoded(t, encoded(t, p))) })
	}
}

func TestEncodeWritesWhatAPhoneNeeds(t *testing.T) {
	cert, _ := identity(t)
	payloads := decoded(t, encoded(t, enrolment(cert.Raw)))["PayloadContent"].([]any)
	scep := payloads[1].(map[string]any)["PayloadContent"].(map[string]any)
	mdm := payloads[2].(map[string]any)
	eas := decoded(t, encoded(t, mail("Mail")))["PayloadContent"].([]any)[1].(map[string]any)
	tests := []struct {
		key       string
		got, want any
	}{
		{"Challenge", scep["Challenge"], challenge},
		{"Key Usage", scep["Key Usage"], uint64(5)},
		{"Keysize", scep["Keysize"], uint64(2048)},
		{"KeyIsExtractable", scep["KeyIsExtractable"], false},
		{"Subject", fmt.Sprint(scep["Subject"]), "[[[CN alice@example.test]]]"},
		{"SignMessage", mdm["SignMessage"], true},
		{"CheckOutWhenRemoved", mdm["CheckOutWhenRemoved"], true},
		{"CheckInURL", mdm["CheckInURL"], mdm["ServerURL"]},
		{"IdentityCertificateUUID", mdm["IdentityCertificateUUID"], payloads[1].(map[string]any)["PayloadUUID"]},
		{"SSL", eas["SSL"], true},
		{"UserName", eas["UserName"], `EXAMPLE\alice`},
		{"Host", eas["Host"], "mail.example.test:8443"},
		{"account name", eas["PayloadDisplayName"], "Mail"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: got %v, want %v", test.key, test.got, test.want)
		}
	}
}

func TestSSLIsWrittenWhenItIsOff(t *testing.T) {
	p := mail("Mail")
	eas := p.Payloads[1].(EAS)
	eas.SSL = false
	p.Payloads[1] = eas
	written := decoded(t, encoded(t, p))["PayloadContent"].([]any)[1].(map[string]any)
	if got, ok := written["SSL"]; !ok || got != false {
		t.Errorf("got SSL %v, want false", got)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	cert, _ := identity(t)
	for range 20 {
		if !bytes.Equal(encoded(t, enrolment(cert.Raw)), encoded(t, enrolment(cert.Raw))) {
			t.Fatal("got different bytes for the same profile")
		}
	}
}

func TestTopUUID(t *testing.T) {
	p := mail("Mail")
	base := p.TopUUID()
	if decoded(t, encoded(t, p))["PayloadUUID"] != base {
		t.Error("the encoding holds another UUID than TopUUID")
	}
	other := mail("Mail")
	other.Payloads[0] = other.Payloads[0].(SCEP).WithChallenge(secret.New("another"))
	if got := other.TopUUID(); got != base {
		t.Errorf("another challenge: got %s, want %s", got, base)
	}
	other.Payloads[0] = other.Payloads[0].(SCEP).WithChallenge(secret.Value{})
	if got := other.TopUUID(); got != base {
		t.Errorf("no challenge: got %s, want %s", got, base)
	}
	other = mail("Mail")
	eas := other.Payloads[1].(EAS)
	eas.Host = "mail2.example.test"
	other.Payloads[1] = eas
	if other.TopUUID() == base {
		t.Error("another host: got the same UUID")
	}
	p.UUID = "FIXED"
	if got := p.TopUUID(); got != "FIXED" {
		t.Errorf("got %s, want the one that was given", got)
	}
}

// TestUUIDsStayForEver pins the derivation: phones in the field hold these.
func TestUUIDsStayForEver(t *testing.T) {
	if got, want := UUID("template", "account.0", "user"), "86627CA0-87ED-5011-BCAF-6721004F51AD"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if UUID("a", "bc") == UUID("ab", "c") {
		t.Error("parts run into each other")
	}
	if got := UUID("x"); got != strings.ToUpper(got) || got[14] != '5' {
		t.Errorf("got %s, want a version 5 UUID in upper case", got)
	}
}

func TestValuesNeverBecomeKeys(t *testing.T) {
	baseline := keySet(decoded(t, encoded(t, mail("Mail"))))
	for _, value := range []string{
		"</string><key>PayloadRemovalDisallowed</key><true/>", "]]></string>", "<!--", "&lt;key&gt;", "&#0;", "%Password%", "$(id)", "{{.}}",
		"a\u202eb", "'\"", "\\", "<!DOCTYPE x [<!ENTITY y \"z\">]>&y;", " leading and trailing ",
	} {
		profile := decoded(t, encoded(t, mail(value)))
		if got := keySet(profile); !slices.Equal(got, baseline) {
			t.Errorf("%q: got keys %v, want %v", value, got, baseline)
		}
		if got := profile["PayloadDisplayName"]; got != value {
			t.Errorf("got %q, want %q", got, value)
		}
		eas := profile["PayloadContent"].([]any)[1].(map[string]any)
		if got := eas["PayloadDisplayName"]; got != value {
			t.Errorf("got account name %q, want %q", got, value)
		}
	}
}

func keySet(v any) []string {
	var keys []string
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			keys = append(keys, key)
			for _, below := range keySet(v[key]) {
				keys = append(keys, key+"."+below)
			}
		}
	case []any:
		for _, item := range v {
			keys = append(keys, keySet(item)...)
		}
	}
	return keys
}

func TestValidateRefuses(t *testing.T) {
	cert, _ := identity(t)
	change := func(i int, f func(Payload) Payload) func(*Profile) {
		return func(p *Profile) { p.Payloads[i] = f(p.Payloads[i]) }
	}
	mdm := func(f func(*MDM)) func(*Profile) {
		return change(2, func(p Payload) Payload { m := p.(MDM); f(&m); return m })
	}
	scep := func(f func(*SCEP)) func(*Profile) {
		return change(1, func(p Payload) Payload { s := p.(SCEP); f(&s); return s })
	}
	tests := []struct {
		name   string
		change func(*Profile)
		key    string
	}{
		{"no identifier", func(p *Profile) { p.Identifier = "" }, "PayloadIdentifier"},
		{"control character", func(p *Profile) { p.DisplayName = "a\x00b" }, "PayloadDisplayName"},
		{"64 KB", func(p *Profile) { p.Description = strings.Repeat("a", 64<<10) }, "PayloadDescription"},
		{"no payload", func(p *Profile) { p.Payloads = nil }, "PayloadContent"},
		{"no payload UUID", scep(func(s *SCEP) { s.UUID = "" }), "com.apple.security.scep.PayloadUUID"},
		{"same identifier", scep(func(s *SCEP) { s.Identifier = "test.profile.MDM" }), "com.apple.mdm.PayloadIdentifier"},
		{"same UUID", scep(func(s *SCEP) { s.UUID = strings.ToLower(UUID("test", "mdm")) }), "com.apple.mdm.PayloadUUID"},
		{"dangling reference", mdm(func(m *MDM) { m.IdentityUUID = UUID("other") }), "com.apple.mdm.IdentityCertificateUUID"},
		{"no identity", mdm(func(m *MDM) { m.IdentityUUID = "" }), "com.apple.mdm.IdentityCertificateUUID"},
		{"topic", mdm(func(m *MDM) { m.Topic = "mgmt" }), "com.apple.mdm.Topic"},
		{"plain HTTP", mdm(func(m *MDM) { m.ServerURL = "http://mdm" }), "com.apple.mdm.ServerURL"},
		{"no rights", mdm(func(m *MDM) { m.AccessRights = 0 }), "com.apple.mdm.AccessRights"},
		{"install without inspect", mdm(func(m *MDM) { m.AccessRights = 2 }), "com.apple.mdm.AccessRights"},
		{"weak key", scep(func(s *SCEP) { s.KeySize = 1024 }), "com.apple.security.scep.Keysize"},
		{"no SCEP URL", scep(func(s *SCEP) { s.URL = "" }), "com.apple.security.scep.URL"},
		{"newline in challenge", scep(func(s *SCEP) { s.Challenge = secret.New("a\nb") }), "com.apple.security.scep.Challenge"},
		{"no certificate", change(0, func(p Payload) Payload { c := p.(Certificate); c.DER = []byte("x"); return c }), "com.apple.security.root.PayloadContent"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := enrolment(cert.Raw)
			test.change(&p)
			_, err := p.Encode()
			if !errors.Is(err, ErrInvalid) || !slices.ContainsFunc(refusal.All(err), func(e *refusal.Error) bool { return e.Field == test.key }) {
				t.Errorf("got %v, want %s refused", err, test.key)
			}
			if err != nil && strings.Contains(err.Error(), challenge) {
				t.Error("the refusal holds the challenge")
			}
		})
	}
}

func TestChallengeNeverPrints(t *testing.T) {
	if text := fmt.Sprintf("%v %+v %#v", mail("Mail"), mail("Mail"), mail("Mail").Payloads[0]); strings.Contains(text, challenge) {
		t.Error("printing a profile shows its challenge")
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name, data string
		want       error
	}{
		{"nothing", "", bounded.ErrMalformed},
		{"array", "<plist version=\"1.0\"><array/></plist>", bounded.ErrMalformed},
		{"OpenStep text", "{a=b;}", bounded.ErrMalformed},
		{"binary", "bplist00", bounded.ErrForbidden},
		{"too large", strings.Repeat(" ", bounded.MaxPlist+1), bounded.ErrTooLarge},
		{"too deep", "<plist version=\"1.0\">" + strings.Repeat("<array>", 100), bounded.ErrTooDeep},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Decode([]byte(test.data)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	data, err := mail("Mail").Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("<plist><dict><key>a</key><integer>1</integer></dict></plist>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		profile, err := Decode(data)
		if err == nil && profile == nil {
			t.Error("got neither a profile nor an error")
		}
	})
}

func FuzzEncodeKeepsValues(f *testing.F) {
	f.Add("</string><key>x</key>")
	f.Add("a\u202eb\x00")
	baseline := keySet(mustDecode(f, "Mail"))
	f.Fuzz(func(t *testing.T, name string) {
		data, err := mail(name).Encode()
		if err != nil || name == "" {
			return
		}
		profile, err := Decode(data)
		if err != nil {
			t.Fatalf("our own profile does not decode: %v", err)
		}
		if profile["PayloadDisplayName"] != name || !slices.Equal(keySet(profile), baseline) {
			t.Errorf("got %q and keys %v, want %q", profile["PayloadDisplayName"], keySet(profile), name)
		}
	})
}

// FuzzEASKeepsValues puts one text into every key of an account that takes one.
func FuzzEASKeepsValues(f *testing.F) {
	f.Add("</string><key>x</key>")
	f.Add("%Password%")
	everywhere := func(v string) Profile {
		e := EAS{
			Common: common("account.0"), Host: v, UserName: v, Email: v, OAuth: false, OAuthSignInURL: v, OAuthTokenRequestURL: v, AudioCall: v,
			Password: secret.New(v), PasswordRevision: "1", Kept: map[string]any{"VPNUUID": v},
		}
		e.DisplayName = v
		return Profile{Identifier: "test.fuzz", Payloads: []Payload{e, PKCS12{Common: common("p12"), FileName: v, Content: secret.New(string(p12)), Password: secret.New(v), Revision: "1"}}}
	}
	keys := []string{"Host", "UserName", "EmailAddress", "OAuthSignInURL", "OAuthTokenRequestURL", "Password", "VPNUUID", "PayloadDisplayName"}
	f.Fuzz(func(t *testing.T, value string) {
		data, err := everywhere(value).write(sent)
		if err != nil || value == "" {
			return
		}
		profile, err := Decode(data)
		if err != nil {
			t.Fatalf("our own profile does not decode: %v", err)
		}
		payloads := profile["PayloadContent"].([]any)
		account, file := payloads[0].(map[string]any), payloads[1].(map[string]any)
		for _, key := range keys {
			if account[key] != value {
				t.Errorf("%s: got %q, want %q", key, account[key], value)
			}
		}
		if file["Password"] != value || file["PayloadCertificateFileName"] != value {
			t.Errorf("got %q", file)
		}
		app := account["CommunicationServiceRules"].(map[string]any)["DefaultServiceHandlers"].(map[string]any)["AudioCall"]
		if app != value || len(account) != len(keys)+8 {
			t.Errorf("got %d keys, app %q", len(account), app)
		}
	})
}

func mustDecode(f *testing.F, name string) map[string]any {
	f.Helper()
	data, err := mail(name).Encode()
	if err != nil {
		f.Fatal(err)
	}
	profile, err := Decode(data)
	if err != nil {
		f.Fatal(err)
	}
	return profile
}
