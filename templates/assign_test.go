package templates

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sallyport/enroll/directory"
	"sallyport/profiles"
)

// choice makes a template of one account for everyone.
func choice(name string, priority int, host, userName string) Revision {
	return Revision{Name: name, TemplateID: name, Spec: Spec{
		Name: name, Priority: priority, Assign: directory.Audience{Everyone: true},
		Accounts: []profiles.ExchangeAccount{{Name: "Mail", Host: host, UserName: userName}},
	}}
}

func names(list []Revision) string {
	var all []string
	for _, r := range list {
		all = append(all, r.Name)
	}
	return strings.Join(all, " ")
}

func TestChoose(t *testing.T) {
	u := alice()
	u.Email, u.DomainName = u.UPN, ""
	excluded := choice("d", 9, "m.test", "")
	excluded.Spec.Exclude = directory.Audience{Groups: []string{"SALES"}}
	two := choice("two", 1, "m.test", "")
	two.Spec.Accounts = append(two.Spec.Accounts, profiles.ExchangeAccount{Host: "n.test"})
	tests := []struct {
		name      string
		revisions []Revision
		won, lost string
	}{
		{"none", nil, "", ""},
		{"other hosts", []Revision{choice("b", 0, "m.test", ""), choice("a", 0, "n.test", "")}, "a b", ""},
		{"priority", []Revision{choice("a", 0, "m.test", ""), choice("b", 1, "m.test", "")}, "b", "a to b on alice@example.test on m.test"},
		{"negative priority", []Revision{choice("a", -1, "m.test", ""), choice("b", 0, "m.test", "")}, "b", "a to b on alice@example.test on m.test"},
		{"name decides a tie", []Revision{choice("b", 0, "m.test", ""), choice("a", 0, "m.test", "")}, "a", "b to a on alice@example.test on m.test"},
		{"the same by other means", []Revision{choice("a", 0, "M.test", "%email%"), choice("b", 0, "m.test", "%upn%")}, "a", "b to a on alice@example.test on m.test"},
		{"other logins", []Revision{choice("a", 0, "m.test", "%username%"), choice("b", 0, "m.test", "%upn%")}, "a b", ""},
		{"excluded", []Revision{excluded, choice("b", 0, "m.test", "")}, "b", ""},
		{"one of two accounts", []Revision{two, choice("b", 2, "n.test", ""), choice("c", 0, "m.test", "")}, "b c", "two to b on alice@example.test on n.test"},
		{"missing value", []Revision{choice("a", 1, "%domainname|required%", ""), choice("b", 0, "%domainname|required%", "")}, "a", "b to a on alice@example.test on %domainname%"},
		{"device fact", []Revision{choice("a", 0, "m.test", "%serialnumber%"), choice("b", 0, "m.test", "%serialnumber%"), choice("c", 0, "m.test", "%udid%")},
			"a c", "b to a on %serialnumber% on m.test"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 3 {
				won, lost := Choose(test.revisions, u)
				var told []string
				for _, l := range lost {
					told = append(told, fmt.Sprintf("%s to %s on %s", l.Revision.Name, l.Winner, l.Mailbox))
				}
				if names(won) != test.won || strings.Join(told, ", ") != test.lost {
					t.Errorf("got %q, lost %q; want %q, lost %q", names(won), told, test.won, test.lost)
				}
				slices.Reverse(test.revisions) // their order decides nothing
			}
		})
	}
}

func TestSharedMailboxGetsNothing(t *testing.T) {
	u := alice()
	u.SharedMailbox = true
	all := []Revision{choice("a", 0, "m.test", "")}
	if won, lost := Choose(all, u); len(won)+len(lost)+len(ForUser(all, u)) != 0 {
		t.Errorf("got %v, %v", won, lost)
	}
	if _, err := Render(all[0], u, options()); !errors.Is(err, ErrRender) || !strings.Contains(err.Error(), "shared mailbox") {
		t.Errorf("Render: got %v", err)
	}
	policy := SecurityRevision{Name: "a", Spec: SecuritySpec{Assign: directory.Audience{Everyone: true}}}
	if _, ok := ChooseSecurity([]SecurityRevision{policy}, u); ok {
		t.Error("got a security policy")
	}
	if _, err := RenderSecurity(policy, u, options()); !errors.Is(err, ErrRender) {
		t.Errorf("RenderSecurity: got %v", err)
	}
}
