package templates

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

func phone() *mdm.DeviceFacts {
	return &mdm.DeviceFacts{Serial: "SERIAL", Name: "Alice's phone", Model: "MTP03", OSVersion: "18.1", UDID: "UDID", Product: "iPhone15,4"}
}

func TestVariableOptions(t *testing.T) {
	u := alice()
	u.DomainName, u.MiddleName = "", ""
	v := values{user: u, device: phone()}
	tests := []struct{ text, want, refused string }{
		{"%middle_name%%middlename%%domainname%", "", ""},
		{"%lastname%=%last_name%", "Archer=Archer", ""},
		{"%domainname|required%", "", "%domainname%"},
		{"%domainname|%", "", ""},
		{"%domainname|CORP%", "CORP", ""},
		{"%domainname|a default, with $signs & <marks>%", "a default, with $signs & <marks>", ""},
		{"%domainname|upn%", "upn", ""}, // a default is text, never a variable
		{"%domainname|a|b%", "a|b", ""},
		{"%domainname| %", " ", ""},
		{"%upn|required%", u.UPN, ""},
		{"%upn|x%", u.UPN, ""},
		{"%serialnumber%/%devicename%/%model%/%osversion%/%udid%/%productname%", "SERIAL/Alice's phone/MTP03/18.1/UDID/iPhone15,4", ""},
	}
	for _, test := range tests {
		got, refused := expandText("f", test.text, v)
		if test.refused != "" {
			if refused == nil || !errors.Is(refused, ErrRender) || !strings.Contains(refused.Reason, test.refused) || !strings.Contains(refused.Reason, u.UPN) {
				t.Errorf("%q: got %q, %v; want it refused for %s", test.text, got, refused, test.refused)
			}
			continue
		}
		if refused != nil || got != test.want {
			t.Errorf("%q: got %q, %v; want %q", test.text, got, refused, test.want)
		}
	}
}

// TestDeviceFacts: a phone that has not reported is told from one that never
// tells, and both have a way out.
func TestDeviceFacts(t *testing.T) {
	waiting := values{user: alice()}
	silent := values{user: alice(), device: &mdm.DeviceFacts{OSVersion: "18.1"}}
	for _, test := range []struct {
		v    values
		says string
	}{{waiting, "has not reported its serial number yet"}, {silent, "does not tell its serial number (never does by " + AccountDriven + ")"}} {
		_, refused := expandText("f", "%serialnumber%", test.v)
		if refused == nil || !strings.Contains(refused.Reason, test.says) || !strings.Contains(refused.Remedy, "%serialnumber|text%") {
			t.Errorf("got %v, want %q", refused, test.says)
		}
		if got, refused := expandText("f", "%serialnumber|unknown%", test.v); refused != nil || got != "unknown" {
			t.Errorf("got %q, %v", got, refused)
		}
	}
	r := revision(t, strings.ReplaceAll(everyVariable, "name: \"Other\"", "name: \"Mail on %devicename%\""))
	if !r.Spec.UsesDevice() || revision(t, everyVariable).Spec.UsesDevice() {
		t.Error("UsesDevice is wrong")
	}
	o := options()
	if _, err := Render(r, alice(), o); !errors.Is(err, ErrRender) {
		t.Errorf("got %v, want it refused until the phone reports", err)
	}
	o.Device = phone()
	rendered, err := Render(r, alice(), o)
	if err != nil || rendered.Accounts[1].Name != "Mail on Alice's phone" {
		t.Errorf("got %+v, %v", rendered.Accounts, err)
	}
}

// TestVariablesTable: what the table shows is what expands.
func TestVariablesTable(t *testing.T) {
	table := Variables()
	seen := map[string]bool{}
	for i, info := range table {
		for _, name := range append([]string{info.Name}, info.Aliases...) {
			if seen[name] {
				t.Errorf("%s is there twice", name)
			}
			seen[name] = true
			if got, refused := expandText("f", "%"+name+"%", sample()); refused != nil || got == "" {
				t.Errorf("%s: got %q, %v", name, got, refused)
			}
		}
		if info.Source == "" || info.Description == "" || len(info.Lacking) > 0 && !info.Device {
			t.Errorf("got %+v", info)
		}
		table[i].Name = "changed"
	}
	if slices.ContainsFunc(Variables(), func(v VariableInfo) bool { return v.Name == "changed" }) {
		t.Error("the table can be written to")
	}
	for _, name := range []string{"email", "username", "domainname", "upn", "displayname", "firstname", "last_name", "lastname", "middle_name", "middlename",
		"serialnumber", "devicename", "model", "osversion", "udid", "productname"} {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestExpandProperty: whatever template and values are, an expansion is the
// template's literals and the values as they are, in their order: one pass, no
// value read again, no variable left.
func TestExpandProperty(t *testing.T) {
	piece := rapid.SampledFrom([]string{"a", "%%", "%upn%", "%firstname%", "%lastname|%", "%middle_name%", "%domainname|CORP%", "%serialnumber|none%", " | ", "\u202e"})
	value := rapid.OneOf(rapid.StringMatching(`[ -~]{0,12}`), rapid.SampledFrom([]string{"%", "%%", "%upn%", "%firstname|x%", "|required%"}))
	rapid.Check(t, func(rt *rapid.T) {
		u := directory.User{UPN: "upn@x.test", FirstName: value.Draw(rt, "first"), LastName: value.Draw(rt, "last"), MiddleName: value.Draw(rt, "middle"), DomainName: value.Draw(rt, "domain")}
		want, text := "", ""
		for _, p := range rapid.SliceOf(piece).Draw(rt, "template") {
			text += p
			want += map[string]string{
				"%%": "%", "%upn%": u.UPN, "%firstname%": u.FirstName, "%lastname|%": u.LastName, "%middle_name%": u.MiddleName,
				"%domainname|CORP%": orDefault(u.DomainName, "CORP"), "%serialnumber|none%": "none", "a": "a", " | ": " | ", "\u202e": "\u202e",
			}[p]
		}
		got, refused := expandText("f", text, values{user: u})
		if refused != nil {
			if u.FirstName != "" {
				rt.Fatalf("got %v of %q", refused, text)
			}
			return
		}
		if got != want {
			rt.Fatalf("%q: got %q, want %q", text, got, want)
		}
	})
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// TestURLValues: a value in a URL stays one part of it.
func TestURLValues(t *testing.T) {
	r := revision(t, `
name: mail
accounts:
  - name: Mail
    host_type: office365
    oauth: {sign_in_url: "https://login.example.test/%domainname|common%/authorize?hint=%upn%&x=100%%25", token_url: "https://login.example.test/token"}
`)
	u := alice()
	u.UPN, u.DomainName = "a&b=c#d@example.test", "a/../b?c"
	rendered, err := Render(r, u, options())
	if err != nil {
		t.Fatal(err)
	}
	const want = "https://login.example.test/a%2F..%2Fb%3Fc/authorize?hint=a%26b%3Dc%23d%40example.test&x=100%25"
	if got := rendered.Accounts[0].OAuth.SignInURL; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
