package mobileconfig

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/appleschema"
	"sallyport/internal/bounded"
)

// keeping is a profile with what an import could not name.
func keeping() Profile {
	p := mail("Mail")
	p.Kept = map[string]any{"ConsentText": map[string]any{"default": "Hello\nthere"}, "DurationUntilRemoval": 86400.0}
	e := p.Payloads[1].(EAS)
	e.Kept = map[string]any{"VPNUUID": "F4A4A9B7-0000-4000-8000-000000000000"}
	p.Payloads[1] = e
	p.Payloads = append(p.Payloads, Foreign{Common: common("webclip"), PayloadType: "com.apple.webClip.managed",
		Keys: map[string]any{"URL": "https://example.test/?a=1&b=2", "Label": "Help", "IsRemovable": true, "Icon": []byte{1, 2, 3}}})
	return p
}

func TestKeptComesBackUnchanged(t *testing.T) {
	profile := decoded(t, encoded(t, keeping()))
	want := map[string]any{"ConsentText": map[string]any{"default": "Hello\nthere"}, "DurationUntilRemoval": 86400.0}
	for key, value := range want {
		if diff := cmp.Diff(value, profile[key]); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
	payloads := profile["PayloadContent"].([]any)
	if got := payloads[1].(map[string]any)["VPNUUID"]; got != "F4A4A9B7-0000-4000-8000-000000000000" {
		t.Errorf("got VPNUUID %v", got)
	}
	clip := payloads[2].(map[string]any)
	for key, value := range keeping().Payloads[2].(Foreign).Keys {
		if diff := cmp.Diff(value, clip[key]); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
	}
	appleschema.Open(t).CheckProfile(t, profile)
}

func TestKeptIsPartOfTheRevision(t *testing.T) {
	base, other := keeping(), keeping()
	other.Payloads[2].(Foreign).Keys["Label"] = "Hilfe"
	if base.TopUUID() == other.TopUUID() {
		t.Error("another kept value: got the same UUID")
	}
}

func TestKeptRefuses(t *testing.T) {
	deep := any("x")
	for range bounded.MaxDepth + 1 {
		deep = []any{deep}
	}
	account := func(kept map[string]any) func(*Profile) {
		return func(p *Profile) { e := p.Payloads[1].(EAS); e.Kept = kept; p.Payloads[1] = e }
	}
	foreign := func(f Foreign) func(*Profile) {
		return func(p *Profile) {
			f.Common = common("foreign")
			p.Payloads = append(p.Payloads, f)
		}
	}
	for name, change := range map[string]func(*Profile){
		"the payloads":           func(p *Profile) { p.Kept = map[string]any{"PayloadContent": []any{}} },
		"encryption":             func(p *Profile) { p.Kept = map[string]any{"IsEncrypted": true} },
		"removal":                func(p *Profile) { p.Kept = map[string]any{"PayloadRemovalDisallowed": true} },
		"identifier":             func(p *Profile) { p.Kept = map[string]any{"PayloadIdentifier": "x"} },
		"control character":      func(p *Profile) { p.Kept = map[string]any{"ConsentText": "a\x00b"} },
		"control character, key": func(p *Profile) { p.Kept = map[string]any{"a\x00b": "x"} },
		"carriage return":        func(p *Profile) { p.Kept = map[string]any{"ConsentText": "a\rb"} },
		"depth":                  func(p *Profile) { p.Kept = map[string]any{"x": deep} },
		"no number":              func(p *Profile) { p.Kept = map[string]any{"x": math.NaN()} },
		"foreign type of Go":     func(p *Profile) { p.Kept = map[string]any{"x": struct{}{}} },
		"nil":                    func(p *Profile) { p.Kept = map[string]any{"x": nil} },
		"our own key":            account(map[string]any{"Host": "other.example.test"}),
		"our own switch":         account(map[string]any{"PayloadCertificateUUID": UUID("x")}),
		"dangling reference":     account(map[string]any{"SMIMESigningCertificateUUID": UUID("x")}),
		"payload type":           account(map[string]any{"PayloadType": "com.apple.mdm"}),
		"no type":                foreign(Foreign{}),
		"head in the keys":       foreign(Foreign{PayloadType: "x", Keys: map[string]any{"PayloadUUID": "x"}}),
	} {
		p := mail("Mail")
		change(&p)
		if _, err := p.Encode(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

// FuzzForeign: whatever an import can read is written back as it was, or refused.
func FuzzForeign(f *testing.F) {
	for _, body := range []string{
		"<dict><key>a</key><integer>1</integer><key>b</key><real>1.5</real></dict>", "<dict><key>a</key><date>2026-01-02T03:04:05Z</date></dict>",
		"<dict><key>a</key><array><true/><string>x\ny</string><data>AAEC</data></array></dict>", "<dict><key>Password</key><string>x</string></dict>",
		"<dict><key>a</key><integer>-9223372036854775808</integer><key>b</key><integer>18446744073709551615</integer></dict>",
	} {
		f.Add([]byte("<plist version=\"1.0\">" + body + "</plist>"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := Decode(data)
		if err != nil {
			return
		}
		p := Profile{Identifier: "test.fuzz", Payloads: []Payload{Foreign{Common: common("x"), PayloadType: "test", Keys: keys, Revision: "1"}}}
		written, err := p.write(sent)
		if err != nil {
			return
		}
		again, err := Decode(written)
		if err != nil {
			t.Fatalf("our own profile does not decode: %v", err)
		}
		got := again["PayloadContent"].([]any)[0].(map[string]any)
		for key, value := range keys {
			if !cmp.Equal(value, got[key], cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })) && !strings.HasPrefix(key, "Payload") {
				t.Errorf("%q: got %#v, want %#v", key, got[key], value)
			}
		}
	})
}
