package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
	"sallyport/templates"
)

// erased is a phone that Android would erase by itself, once it stays out of line
// with a security policy for long enough.
type erased struct {
	Device    string `json:"device"` // ID
	User      string `json:"user"`
	Product   string `json:"product"`
	Ownership string `json:"ownership"`
	Loses     string `json:"loses"` // work_profile, everything
}

// securityPlan is the answer of security-policy apply --dry-run in JSON.
type securityPlan struct {
	Policy   string             `json:"policy"`
	Revision int                `json:"revision"` // the newest one now; 0: there is none
	Changed  bool               `json:"changed"`  // false: applying it would write nothing
	Changes  []templates.Change `json:"changes"`
	Block    *int               `json:"block_after_days"`
	Wipe     *int               `json:"wipe_after_days"` // null: Android erases nothing by itself
	Erased   []erased           `json:"erased"`
	Warnings []*refusal.Error   `json:"warnings"`
}

// planSecurity says what a security policy would change, and which phones it would
// have Android erase.
func (p *program) planSecurity(api *client, spec templates.SecuritySpec, source []byte) (securityPlan, error) {
	plan := securityPlan{Policy: spec.Name, Changed: true, Erased: []erased{}, Warnings: append([]*refusal.Error{}, spec.Warnings()...)}
	var known adminapi.SecurityPolicies
	if err := api.get(p.ctx, "/api/v1/security-policies", nil, &known); err != nil {
		return plan, err
	}
	all := []templates.SecurityRevision{{Name: spec.Name, Spec: spec}}
	var newest templates.SecuritySpec
	for _, r := range known.Policies {
		if r.Name == spec.Name {
			newest, plan.Revision, plan.Changed = r.Spec, r.Number, r.Source != string(source)
		} else {
			all = append(all, r)
		}
	}
	plan.Changes = append([]templates.Change{}, templates.DiffSecurity(newest, spec)...)
	if e := spec.Android.Enforcement; e != nil {
		plan.Block, plan.Wipe = e.BlockAfterDays, e.WipeAfterDays
	}
	if plan.Wipe == nil {
		return plan, nil
	}
	users, err := p.usersOf(api, all, spec.Name)
	if err != nil {
		return plan, err
	}
	devices, err := p.devices(api, url.Values{})
	if err != nil {
		return plan, err
	}
	for _, d := range devices {
		if d.Platform == string(mdm.Android) && users[strings.ToLower(d.User)] && mdm.EnrollmentState(d.Enrollment.State).Active() {
			plan.Erased = append(plan.Erased, erasedOf(d))
		}
	}
	return plan, nil
}

// usersOf are those whose phones are held to that policy, by UPN in lower case.
func (p *program) usersOf(api *client, all []templates.SecurityRevision, policy string) (map[string]bool, error) {
	list, err := p.users(api, "")
	if err != nil {
		return nil, err
	}
	held := map[string]bool{}
	for _, u := range list {
		if r, ok := templates.ChooseSecurity(all, u); ok && r.Name == policy {
			held[strings.ToLower(u.UPN)] = true
		}
	}
	return held, nil
}

// erasedOf: whoever is in doubt about a company's phone fears for all of it.
func erasedOf(d accessapi.Device) erased {
	e := erased{Device: d.ID, User: d.User, Product: d.Model, Ownership: d.Enrollment.Ownership, Loses: "work_profile"}
	if e.Product == "" {
		e.Product = d.Product
	}
	if d.Enrollment.Ownership != string(mdm.Personal) {
		e.Loses = "everything"
	}
	return e
}

// securityChanges prints what an apply would change.
func (p *program) securityChanges(plan securityPlan) error {
	if !plan.Changed {
		fmt.Fprintf(p.stdout, "security policy %s revision %d says the same already\n", cell(plan.Policy), plan.Revision)
		return nil
	}
	fmt.Fprintf(p.stdout, "security policy %s would become revision %d; nothing was changed\n", cell(plan.Policy), plan.Revision+1)
	if len(plan.Changes) == 0 {
		fmt.Fprintln(p.stdout, "no setting differs: only the wording of the file")
		return nil
	}
	return printChanges(p, Output{}, plan.Changes)
}

// printSecurityPlan lists the phones that Android would erase.
func (p *program) printSecurityPlan(plan securityPlan) {
	if plan.Wipe == nil {
		return
	}
	fmt.Fprintf(p.stdout, "Android would block a phone that stays out of line for %d days, and erase it after %d, without asking anybody.\n", *plan.Block, *plan.Wipe)
	fmt.Fprintf(p.stdout, "%d phones are held to this policy:\n", len(plan.Erased))
	lost := map[string]string{"work_profile": "its work profile", "everything": "everything: it is reset"}
	slices.SortFunc(plan.Erased, func(a, b erased) int { return strings.Compare(a.User+a.Device, b.User+b.Device) })
	for _, e := range plan.Erased {
		fmt.Fprintf(p.stdout, "  %s, %s (%s): loses %s\n    %s\n", cell(e.User), cell(e.Product), cell(e.Ownership), lost[e.Loses], cell(e.Device))
	}
}
