package templates

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/profiles"
)

func TestParse(t *testing.T) {
	got, err := Parse([]byte("name: company-mail\nassign: {groups: [sales], users: [bob@example.test]}\naccounts:\n- name: Mail\n  host: mail.example.test\n  ssl: off\n"))
	if err != nil {
		t.Fatal(err)
	}
	off := false
	want := Spec{
		Name: "company-mail", DisplayName: "company-mail",
		Assign: directory.Audience{Groups: []string{"sales"}, Users: []string{"bob@example.test"}},
		Accounts: []profiles.ExchangeAccount{{
			Name: "Mail", HostType: profiles.OnPremises, Host: "mail.example.test", UserName: "%upn%", Email: "%email%", SSL: &off, Identity: profiles.IdentityNone,
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDemoTemplateIsValid(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "deploy", "demo", "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Render(revision(t, string(source)), directory.User{ID: userID, UPN: "a@example.test", Email: "a@example.test"}, options()); err != nil {
		t.Error(err)
	}
}

const account = "accounts:\n- {name: Mail, host: mail.example.test}\n"

func TestParseRefuses(t *testing.T) {
	with := func(line string) string {
		return "name: mail\naccounts:\n- name: Mail\n  host: mail.example.test\n  " + line + "\n"
	}
	tests := []struct {
		name, source string
		field        string
		says         string
	}{
		{"empty", "", "", "empty"},
		{"not YAML", "name: [", "", "line 1"},
		{"two documents", "name: mail\n" + account + "---\nname: x\n", "", "second document"},
		{"a list", "- name: mail\n", "", "line 1, column 1: must be a mapping"},
		{"unknown key", "name: mail\npassword: x\n" + account, "password", "line 2, column 1: unknown key"},
		{"unknown key of an account", with("hots: x"), "accounts[0].hots", "line 5, column 3: unknown key"},
		{"key twice", with("host: x"), "host", "line 5, column 3: the key is there twice"},
		{"unknown key in assign", "name: mail\nassign: {group: [x]}\n" + account, "assign", "line 2, column 10: unknown key"},
		{"unknown audience", "name: mail\nassign: all\n" + account, "assign", "line 2, column 9"},
		{"audience of the wrong shape", "name: mail\nassign: {groups: {a: b}}\n" + account, "assign", "line 2"},
		{"empty group", "name: mail\nassign: {groups: ['']}\n" + account, "assign.groups[0]", "is empty"},
		{"no list", "name: mail\naccounts: {name: Mail}\n", "accounts", "line 2, column 11: must be a list"},
		{"text for a switch", with("ssl: perhaps"), "accounts[0].ssl", "line 5, column 8: must be true or false"},
		{"mapping for text", with("email: {a: b}"), "accounts[0].email", "line 5, column 10: must be one plain value"},
		{"anchor", "name: &a mail\n" + account, "", "line 1, column 7: anchors and aliases"},
		{"merge key", "name: mail\n<<: {a: b}\n" + account, "<<", "unknown key"},
		{"deep", "name: mail\nassign: " + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "\n", "", "nested deeper"},
		{"no name", account, "name", "is not a name"},
		{"name with capitals", "name: Mail\n" + account, "name", "is not a name"},
		{"no accounts", "name: mail\n", "accounts", "are 0"},
		{"entry that is nothing", "name: mail\naccounts: [null, {name: Mail, host: m.test}]\n", "accounts[0]", "line 2, column 12: has no value"},
		{"account without host", "name: mail\naccounts: [{name: Mail}]\n", "accounts[0].host", "is missing"},
		{"too many accounts", "name: mail\naccounts: [" + strings.Repeat("{name: Mail},", 20) + "]\n", "accounts", "are 20"},
		{"unknown variable", with("email: '%Email%'"), "accounts[0].email", "unknown variable %Email%"},
		{"default of an unknown variable", with("domain: '%DomainName|X%'"), "accounts[0].domain", "unknown variable"},
		{"priority", "name: mail\npriority: 1001\n" + account, "priority", "is 1001"},
		{"empty group that is excluded", "name: mail\nexclude: {groups: ['']}\n" + account, "exclude.groups[0]", "is empty"},
		{"kept that is no property list", "name: mail\nkept: x\n" + account, "kept", "property list"},
		{"kept payloads in place of its own", "name: mail\nkept: '<plist><dict><key>Profile</key><dict><key>PayloadContent</key><array/></dict></dict></plist>'\n" + account, "kept", "PayloadContent"},
		{"a kept account", "name: mail\nkept: '<plist><dict><key>Payloads</key><array><dict><key>PayloadType</key><string>com.apple.eas.account</string><key>PayloadIdentifier</key><string>a</string><key>PayloadUUID</key><string>B</string></dict></array></dict></plist>'\n" + account, "kept", "com.apple.eas.account"},
		{"a kept enrolment", "name: mail\nkept: '<plist><dict><key>Payloads</key><array><dict><key>PayloadType</key><string>com.apple.mdm</string><key>PayloadIdentifier</key><string>a</string><key>PayloadUUID</key><string>B</string></dict></array></dict></plist>'\n" + account, "kept", "com.apple.mdm"},
		{"name of a secret", with("identity: pkcs12\n  pkcs12: '%upn%'"), "accounts[0].pkcs12", "is not a name"},
		{"lone percent sign", "name: mail\ndisplay_name: 100% mail\n" + account, "display_name", "begins no variable"},
		{"host that no value repairs", "name: mail\naccounts: [{name: Mail, host: 'https://%domainname%'}]\n", "accounts[0].host", "is a URL"},
		{"identity", with("identity: certificate"), "accounts[0].identity", "known words"},
		{"NUL", "name: mail\ndisplay_name: \"a\\0b\"\n" + account, "display_name", "control character"},
		{"64 KB", with("user_name: " + strings.Repeat("a", 64<<10)), "accounts[0].user_name", "bytes long"},
		{"same mailbox twice", "name: mail\naccounts: [{name: A, host: m.test}, {name: B, host: M.test}]\n", "accounts[1]", "same mailbox"},
		{"10 MB", "name: mail\n#" + strings.Repeat("x", 10<<20), "", "longer than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse([]byte(test.source))
			list := refusal.All(err)
			if !errors.Is(err, ErrInvalid) || len(list) != 1 {
				t.Fatalf("got %v, want one refusal", err)
			}
			if list[0].Field != test.field || !strings.Contains(list[0].Reason, test.says) {
				t.Errorf("got %v, want field %q and %q", list[0], test.field, test.says)
			}
		})
	}
}

func TestParseNamesEveryFault(t *testing.T) {
	_, err := Parse([]byte("name: Mail\naccounts:\n- host: 'https://x'\n  user_name: '%nobody%'\n  email: ''\n"))
	var got []string
	for _, e := range refusal.All(err) {
		got = append(got, e.Field)
	}
	if diff := cmp.Diff([]string{"name", "accounts[0].user_name", "accounts[0].name", "accounts[0].host"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestHostileSourceIsRefused: nesting, aliases and many keys are refused before
// they cost more than their size.
func TestHostileSourceIsRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for _, c := range "bcdefghij" {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n"
	}
	var keys strings.Builder
	for i := range 30000 {
		keys.WriteString("k" + strings.Repeat("x", i%7) + strconv.Itoa(i) + ": 1\n")
	}
	for name, source := range map[string]string{
		"billion laughs": bomb, "nesting": strings.Repeat("[", 1<<20-1), "block nesting": strings.Repeat("- ", 1<<19-1), "many keys": keys.String(),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse([]byte(source)); !errors.Is(err, ErrInvalid) {
				t.Errorf("got %.200v, want ErrInvalid", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(everyVariable))
	f.Add([]byte("name: mail\nassign: {groups: [a]}\naccounts: [{name: x, host: '%upn%'}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("name: !!binary AA==\n<<: {}"))
	f.Fuzz(func(t *testing.T, source []byte) {
		spec, err := Parse(source)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			return
		}
		if err := spec.Validate(); err != nil {
			t.Fatalf("accepted, yet %v", err)
		}
		if _, err := Render(Revision{TemplateID: templateID, Name: spec.Name, Spec: spec}, alice(), options()); err != nil && !errors.Is(err, ErrRender) {
			t.Fatalf("got %v, want ErrRender", err)
		}
	})
}
