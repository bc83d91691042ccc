package templates

import (
	"errors"
	"strings"
	"testing"

	"sallyport/enroll/directory"
)

func TestExpand(t *testing.T) {
	u := alice()
	u.FirstName, u.DomainName, u.MiddleName = "%upn%", "", ""
	tests := []struct{ text, want string }{
		{"", ""},
		{"plain", "plain"},
		{"%upn%", "alice@example.test"},
		{"%email%|%username%|%displayname%|%last_name%", "alice.archer@example.test|alice|Alice Archer|Archer"},
		{"%domainname%%middle_name%", ""},
		{"%%", "%"},
		{"%%upn%%", "%upn%"},
		{"%%%upn%%%", "%alice@example.test%"},
		{"%firstname%", "%upn%"}, // a value is never expanded again
		{"%firstname%%firstname%", "%upn%%upn%"},
	}
	for _, test := range tests {
		if got, refused := expandText("f", test.text, u); refused != nil || got != test.want {
			t.Errorf("%q: got %q, %v; want %q", test.text, got, refused, test.want)
		}
	}
}

func TestParseExpressionRefuses(t *testing.T) {
	for _, text := range []string{"%", "%upn", "a%b", "%UPN%", "% upn%", "%password%", "%upn|x%", "%%%", "%lastname%", "a\nb", "\xff", strings.Repeat("a", maxExpression+1)} {
		if _, refused := parseExpression("f", text); refused == nil || !errors.Is(refused, ErrInvalid) || refused.Field != "f" {
			t.Errorf("%.40q: got %v, want it refused", text, refused)
		}
	}
}

// TestVariablesNameTheirSource: each variable takes the field that its refusal
// tells people to set.
func TestVariablesNameTheirSource(t *testing.T) {
	for _, v := range variables() {
		if got := v.value(directory.User{}); got != "" {
			t.Errorf("%s: got %q of an empty user", v.name, got)
		}
		if v.value(sampleUser()) == "" {
			t.Errorf("%s: the sample user has no value", v.name)
		}
		_, refused := expandText("f", "%"+v.name+"%", directory.User{UPN: ""})
		if (refused == nil) != v.mayBeEmpty {
			t.Errorf("%s: got %v, want refused %v", v.name, refused, !v.mayBeEmpty)
		}
		if refused != nil && (!strings.Contains(refused.Remedy, v.source) || !strings.Contains(refused.Reason, v.name)) {
			t.Errorf("%s: got %v, want it to name %s", v.name, refused, v.source)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("%upn%", "value")
	f.Add("%%upn%%", "%upn%")
	f.Add("%firstname% %", "a\x00b")
	f.Fuzz(func(t *testing.T, text, value string) {
		parsed, refused := parseExpression("f", text)
		if refused != nil {
			return
		}
		u := alice()
		u.FirstName = value
		got, refused := parsed.expand("f", u)
		if refused != nil {
			return
		}
		var want strings.Builder
		for _, p := range parsed {
			switch p.variable.name {
			case "":
				want.WriteString(p.literal)
			case "firstname":
				want.WriteString(value)
			default:
				want.WriteString(p.variable.value(u))
			}
		}
		if got != want.String() {
			t.Errorf("got %q, want %q", got, want.String())
		}
	})
}
