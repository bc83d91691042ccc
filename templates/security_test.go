package templates

import (
	"errors"
	"strings"
	"testing"

	"sallyport/enroll/directory"
	"sallyport/internal/appleschema"
	"sallyport/internal/refusal"
)

const staffPolicy = `
name: staff
priority: 5
assign: {groups: [sales]}
settings: {require_passcode: true, minimum_length: 6, allow_simple: false, failed_attempts: 10}
`

func securityRevision(t testing.TB, source string) SecurityRevision {
	t.Helper()
	spec, err := ParseSecurity([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return SecurityRevision{PolicyID: templateID, Name: spec.Name, Number: 1, Spec: spec, Source: source}
}

func TestParseSecurityRefuses(t *testing.T) {
	tests := []struct{ name, source, field, says string }{
		{"unknown key", "name: staff\nrules: {}\n", "rules", "line 2, column 1"},
		{"doubled key", "name: staff\nname: staff\n", "name", "twice"},
		{"name", "name: Staff\nsettings: {require_passcode: true}\n", "name", "is not a name"},
		{"nothing", "name: staff\n", "settings", "ask for nothing"},
		{"range", "name: staff\nsettings: {minimum_length: 18}\n", "settings.minimum_length", "18"},
		{"priority", "name: staff\npriority: -1001\nsettings: {require_passcode: true}\n", "priority", "is -1001"},
		{"audience", "name: staff\nassign: {users: [' ']}\nsettings: {require_passcode: true}\n", "assign.users[0]", "is empty"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseSecurity([]byte(test.source))
			list := refusal.All(err)
			if !errors.Is(err, ErrInvalid) || len(list) != 1 || list[0].Field != test.field || !strings.Contains(list[0].Error(), test.says) {
				t.Errorf("got %v, want %s refused that %q", err, test.field, test.says)
			}
		})
	}
}

func TestChooseSecurity(t *testing.T) {
	policy := func(name string, priority int, a directory.Audience) SecurityRevision {
		return SecurityRevision{Name: name, Spec: SecuritySpec{Name: name, Priority: priority, Assign: a}}
	}
	everyone, others := directory.Audience{Everyone: true}, directory.Audience{Groups: []string{"board"}}
	excluding := policy("x", 100, everyone)
	excluding.Spec.Exclude = directory.Audience{Users: []string{alice().UPN}}
	for want, list := range map[string][]SecurityRevision{
		"":  {policy("a", 9, others), excluding},
		"b": {policy("c", 0, everyone), policy("b", 0, everyone), policy("a", 9, others)},
		"c": {policy("b", 0, everyone), policy("c", 1, everyone), excluding},
		"d": {policy("d", -1000, everyone)},
	} {
		if got, ok := ChooseSecurity(list, alice()); got.Name != want || ok != (want != "") {
			t.Errorf("got %q, %v; want %q", got.Name, ok, want)
		}
	}
}

// TestRenderSecurity: whichever policy it is, a phone updates one profile.
func TestRenderSecurity(t *testing.T) {
	schema := appleschema.Open(t)
	first, err := RenderSecurity(securityRevision(t, staffPolicy), alice(), options())
	if err != nil {
		t.Fatal(err)
	}
	tree := decoded(t, first)
	schema.CheckProfile(t, tree)
	payload := tree["PayloadContent"].([]any)[0].(map[string]any)
	if first.Identifier != "sallyport.security."+userID || payload["PayloadType"] != "com.apple.mobiledevice.passwordpolicy" ||
		payload["forcePIN"] != true || payload["minLength"] != uint64(6) || payload["allowSimple"] != false {
		t.Errorf("got %v", tree)
	}
	changed := securityRevision(t, strings.ReplaceAll(strings.ReplaceAll(staffPolicy, "staff", "board"), "minimum_length: 6", "minimum_length: 8"))
	changed.PolicyID, changed.Number = "another", 7
	second, err := RenderSecurity(changed, alice(), options())
	if err != nil {
		t.Fatal(err)
	}
	if first.Identifier != second.Identifier || first.Payloads[0].Header() != second.Payloads[0].Header() {
		t.Errorf("another policy has other identifiers: %v and %v", first.Payloads[0].Header(), second.Payloads[0].Header())
	}
	if first.TopUUID() == second.TopUUID() {
		t.Error("two policies have one UUID")
	}
	bob := alice()
	bob.ID = "another"
	if other, err := RenderSecurity(changed, bob, options()); err != nil || other.Identifier == first.Identifier || other.Payloads[0].Header().UUID == first.Payloads[0].Header().UUID {
		t.Errorf("another user has the same identifiers, %v", err)
	}
}
