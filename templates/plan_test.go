package templates

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll/directory"
)

// grouped is staff whose groups can be asked for.
type grouped struct{ staff }

func (p grouped) ListUsers(ctx context.Context, group string, page directory.Page) ([]directory.User, error) {
	if group == "" {
		return p.staff.ListUsers(ctx, "", page)
	}
	list, err := p.staff.ListUsers(ctx, "", directory.Page{})
	return slices.DeleteFunc(list, func(u directory.User) bool { return !directory.Audience{Groups: []string{group}}.Includes(u) }), err
}

// TestPlanOfAFirstRevision lists every field, defaults written out.
func TestPlanOfAFirstRevision(t *testing.T) {
	v, _ := newViewer(t)
	plan, err := v.Plan(t.Context(), []byte(`name: mail
priority: 7
assign: {groups: [sales]}
accounts:
  - name: Mail
    host: mail.example.test
    password: {secret: mail-password}
    sync:
      notes: {enabled: false, locked: true}
  - name: Cloud
    host_type: office365
`))
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for _, c := range plan.Changes {
		if c.Before != absent {
			t.Errorf("%s was %q, want it absent", c.Field, c.Before)
		}
		fields[c.Field] = c.After
	}
	if diff := cmp.Diff(map[string]string{
		"name": "mail", "display_name": "mail", "priority": "7", "android.app": "gmail", "assign": "groups sales",
		"accounts[0].name": "Mail", "accounts[0].host_type": "on_premises", "accounts[0].host": "mail.example.test",
		"accounts[0].user_name": "%upn%", "accounts[0].email": "%email%", "accounts[0].ssl": "yes", "accounts[0].identity": "none",
		"accounts[0].password": "secret mail-password", "accounts[0].oauth.enabled": "no", "accounts[0].sync.notes": "off, locked",
		"accounts[1].name": "Cloud", "accounts[1].host_type": "office365", "accounts[1].host": "outlook.office365.com",
		"accounts[1].user_name": "%upn%", "accounts[1].email": "%email%", "accounts[1].ssl": "yes", "accounts[1].identity": "none",
		"accounts[1].oauth.enabled": "yes",
	}, fields); diff != "" {
		t.Error(diff)
	}
}

// TestPlanWarns of names that reach nobody, and refuses nothing for them.
func TestPlanWarns(t *testing.T) {
	v, _ := newViewer(t)
	v.Templates.Users = grouped{v.Templates.Users.(staff)}
	source := template("mail", "{users: [alice@example.test, alcie@example.test], groups: [Board, slaes]}\nexclude: {users: [carl@example.test], groups: [none]}", "")
	plan, err := v.Plan(t.Context(), []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range plan.Warnings {
		got = append(got, w.Error())
	}
	if diff := cmp.Diff([]string{
		"assign.users[1]: names alcie@example.test, who is not on record (add the user, or correct the UPN)",
		"assign.groups[1]: names the group slaes, which has no member (add users to the group, or correct its name)",
		"exclude.users[0]: names carl@example.test, who is not on record (add the user, or correct the UPN)",
		"exclude.groups[0]: names the group none, which has no member (add users to the group, or correct its name)",
	}, got); diff != "" {
		t.Error(diff)
	}
	if plan.Touched != 2 {
		t.Errorf("touches %d, want alice and the board", plan.Touched)
	}
	if plan, err = v.Plan(t.Context(), []byte(template("mail", "everyone", ""))); err != nil || plan.Warnings == nil || len(plan.Warnings) != 0 {
		t.Errorf("for everyone: %v, %v", plan.Warnings, err)
	}
	source = template("mail", "everyone", `, user_name: "%serialnumber%"`)
	if plan, err = v.Plan(t.Context(), []byte(source)); err != nil || len(plan.Warnings) != 1 || plan.Warnings[0].Field != "accounts[0].user_name" {
		t.Errorf("a fact of the phone: %v, %v", plan.Warnings, err)
	}
}
