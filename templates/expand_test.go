package templates

import (
	"cmp"
	"errors"
	"strings"
	"testing"

	"sallyport/mdm"
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
		{"%domainname|%%upn%", "alice@example.test"}, // empty, then a variable
		{"%domainname|%, %upn%", ", alice@example.test"},
		{"%domainname|%%%", "%"},
		{"%domainname|upn%", "upn"},
	}
	for _, test := range tests {
		if got, refused := expandText("f", test.text, values{user: u}); refused != nil || got != test.want {
			t.Errorf("%q: got %q, %v; want %q", test.text, got, refused, test.want)
		}
	}
}

func TestParseExpressionRefuses(t *testing.T) {
	for _, text := range []string{"%", "%upn", "a%b", "%UPN%", "% upn%", "%password%", "%UPN|x%", "%upn |x%", "%|%", "%|x%", "%%%", "%last name%", "%upn|a%b%", "%firstname|%upn%%", "%firstname|%upn%", "%firstname|%lastname|x%%", "%middle_name|%email%%upn%", "a\nb", "\xff", strings.Repeat("a", maxExpression+1)} {
		if _, refused := parseExpression("f", text); refused == nil || !errors.Is(refused, ErrInvalid) || refused.Field != "f" {
			t.Errorf("%.40q: got %v, want it refused", text, refused)
		}
	}
}

// TestVariablesNameTheirSource: each variable takes the field that its refusal
// tells people to set.
func TestVariablesNameTheirSource(t *testing.T) {
	for _, v := range variables {
		if got := v.value(values{}); got != "" {
			t.Errorf("%s: got %q of an empty user", v.Name, got)
		}
		if v.value(sample()) == "" {
			t.Errorf("%s: the sample user has no value", v.Name)
		}
		_, refused := expandText("f", "%"+v.Name+"%", values{device: &mdm.DeviceFacts{}})
		if (refused == nil) != v.MayBeEmpty {
			t.Errorf("%s: got %v, want refused %v", v.Name, refused, !v.MayBeEmpty)
		}
		if refused != nil && (!strings.Contains(refused.Error(), v.Source) || !strings.Contains(refused.Reason, v.Name)) {
			t.Errorf("%s: got %v, want it to name %s", v.Name, refused, v.Source)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("%upn%", "value")
	f.Add("%%upn%%", "%upn%")
	f.Add("%firstname|%upn%%", "")
	f.Add("%firstname% %", "a\x00b")
	f.Fuzz(func(t *testing.T, text, value string) {
		parsed, refused := parseExpression("f", text)
		if refused != nil {
			return
		}
		u := alice()
		u.FirstName = value
		got, refused := parsed.expand("f", values{user: u}, nil)
		if refused != nil {
			return
		}
		var want strings.Builder
		for _, p := range parsed {
			switch p.variable.Name {
			case "":
				want.WriteString(p.literal)
			case "firstname":
				want.WriteString(cmp.Or(value, p.fallback))
			default:
				want.WriteString(cmp.Or(p.variable.value(values{user: u}), p.fallback))
			}
		}
		if got != want.String() {
			t.Errorf("got %q, want %q", got, want.String())
		}
	})
}
