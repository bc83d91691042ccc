package main

import (
	"errors"
	"fmt"
	"slices"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/server/adminapi"
	"sallyport/templates"
)

// manyUsers is how many users the doctor looks at.
const manyUsers = 50_000

// need is something that has to be assigned to each user who is to read mail on a phone.
type need struct {
	name  string                    // of the check
	all   bool                      // one is for everyone
	has   func(directory.User) bool // one is for that user
	means string                    // what happens to who has none
	next  string
}

func policyNeed(policies []compliance.Policy) need {
	return need{
		name: "compliance policy",
		all:  slices.ContainsFunc(policies, func(p compliance.Policy) bool { return p.Spec.Assign.Everyone }),
		has: func(u directory.User) bool {
			return slices.ContainsFunc(policies, func(p compliance.Policy) bool { return p.Spec.Assign.Includes(u) })
		},
		means: "their phones pass nothing, and are quarantined unless a rule or access default lets them in",
		next:  "sallyport compliance apply -f FILE, whose assign names them; docs/compliance.md",
	}
}

func templateNeed(revisions []templates.Revision) need {
	return need{
		name: "mail template",
		all: slices.ContainsFunc(revisions, func(r templates.Revision) bool {
			return r.Spec.Assign.Everyone && r.Spec.Exclude.Nobody()
		}),
		has:   func(u directory.User) bool { return len(templates.ForUser(revisions, u)) > 0 },
		means: "their phones get no mail account",
		next:  "sallyport template apply -f FILE, whose assign names them; sallyport profile starters to begin with, docs/templates.md",
	}
}

// check is the doctor's word on it. users are all, or the first manyUsers of them.
// That some have none may be meant; that all have none never is.
func (n need) check(users []directory.User) check {
	if n.all {
		return check{n.name, good, "one is assigned to everyone", ""}
	}
	lacking, of, first := 0, 0, ""
	for _, u := range users {
		if u.SharedMailbox { // it has no phone
			continue
		}
		of++
		if n.has(u) {
			continue
		}
		if lacking++; lacking == 1 {
			first = u.UPN
		}
	}
	whom := fmt.Sprintf("of %d users", of)
	if len(users) == manyUsers {
		whom = fmt.Sprintf("of the first %d users", manyUsers)
	}
	switch {
	case of == 0:
		return check{n.name, gap, "there is no user yet, and none is assigned to everyone", "sallyport user add, or sallyport user import; then " + n.next}
	case lacking == of:
		return check{n.name, gap, fmt.Sprintf("none applies to any %s: %s", whom, n.means), n.next}
	case lacking > 0:
		return check{n.name, warn, fmt.Sprintf("none applies to %d %s, the first is %s: %s", lacking, whom, first, n.means), n.next}
	}
	return check{n.name, good, "each " + whom + " has one", ""}
}

// assignedChecks are the doctor's look at whether users have what their phones need.
func assignedChecks(p *program, api *client) []check {
	checks, err := assigned(p, api)
	if err != nil {
		return []check{{"assignments", broken, err.Error(), "look at the server's log"}}
	}
	return checks
}

func assigned(p *program, api *client) ([]check, error) {
	var policies adminapi.Policies
	if err := api.get(p.ctx, "/api/v1/compliance/policies", nil, &policies); err != nil {
		return nil, err
	}
	var mail adminapi.Templates
	if err := api.get(p.ctx, "/api/v1/templates", nil, &mail); err != nil {
		return nil, err
	}
	needs := []need{policyNeed(policies.Policies), templateNeed(mail.Templates)}
	var users []directory.User
	if !needs[0].all || !needs[1].all {
		var err error
		if users, err = p.firstUsers(api); err != nil {
			return nil, err
		}
	}
	checks := make([]check, len(needs))
	for i, n := range needs {
		checks[i] = n.check(users)
	}
	return checks, nil
}

// firstUsers are all, and at most manyUsers.
func (p *program) firstUsers(api *client) ([]directory.User, error) {
	enough := errors.New("enough")
	var users []directory.User
	err := pages(func(cursor string) (string, error) {
		var page adminapi.Users
		err := api.get(p.ctx, "/api/v1/users", pageQuery(cursor), &page)
		users = append(users, page.Users...)
		if err == nil && len(users) >= manyUsers {
			users, err = users[:manyUsers], enough
		}
		return page.Next, err
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return users, err
}
