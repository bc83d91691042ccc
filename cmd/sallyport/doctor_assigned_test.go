package main

import (
	"strings"
	"testing"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/templates"
)

// The doctor counts people, and a mailbox without a phone is nobody.
func TestNeedCheck(t *testing.T) {
	t.Parallel()
	sales := directory.Audience{Groups: []string{"sales"}}
	everyone := directory.Audience{Everyone: true}
	policy := func(a directory.Audience) compliance.Policy {
		return compliance.Policy{Spec: compliance.Spec{Assign: a}}
	}
	template := func(assign, exclude directory.Audience) templates.Revision {
		return templates.Revision{Spec: templates.Spec{Assign: assign, Exclude: exclude}}
	}
	alice := directory.User{UPN: "alice@example.test", Groups: []string{"sales"}}
	bob := directory.User{UPN: "bob@example.test"}
	info := directory.User{UPN: "info@example.test", SharedMailbox: true}
	both := []directory.User{info, alice, bob}
	for _, test := range []struct {
		name  string
		need  need
		users []directory.User
		grade grade
		fact  string
	}{
		{"no policy", policyNeed(nil), both, gap, "none applies to any of 2 users: their phones pass nothing"},
		{"no policy and no user", policyNeed(nil), []directory.User{info}, gap, "there is no user yet"},
		{"a policy for nobody", policyNeed([]compliance.Policy{policy(directory.Audience{})}), both, gap, "any of 2 users"},
		{"a policy for some", policyNeed([]compliance.Policy{policy(sales)}), both, warn, "none applies to 1 of 2 users, the first is bob@example.test: "},
		{"policies for each", policyNeed([]compliance.Policy{policy(sales), policy(directory.Audience{Users: []string{"bob@example.test"}})}), both, good, "each of 2 users has one"},
		{"a policy for everyone", policyNeed([]compliance.Policy{policy(sales), policy(everyone)}), nil, good, "everyone"},
		{"no template", templateNeed(nil), both, gap, "none applies to any of 2 users: their phones get no mail account"},
		{"a template with exceptions", templateNeed([]templates.Revision{template(everyone, sales)}), both, warn, "1 of 2 users, the first is alice@example.test"},
		{"a template for everyone", templateNeed([]templates.Revision{template(everyone, directory.Audience{})}), nil, good, "everyone"},
		{"more than are looked at", policyNeed(nil), make([]directory.User, manyUsers), gap, "any of the first 50000 users"},
	} {
		got := test.need.check(test.users)
		if got.Grade != test.grade || !strings.Contains(got.Fact, test.fact) {
			t.Errorf("%s: %s %q, want %s with %q", test.name, got.Grade, got.Fact, test.grade, test.fact)
		}
		if (got.Next == "") != (test.grade == good) {
			t.Errorf("%s: next %q", test.name, got.Next)
		}
	}
}
