package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
)

const accessPoliciesPath = "/api/v1/access/policies"

type accessPolicyCmd struct {
	Apply   accessPolicyApplyCmd   `cmd:"" help:"Apply a conditional-access policy; what says something new becomes a new revision."`
	List    accessPolicyListCmd    `cmd:"" help:"List the policies in force."`
	Show    accessPolicyShowCmd    `cmd:"" help:"Show the newest revision of a policy, as it was applied."`
	ShutOut accessPolicyShutOutCmd `cmd:"" help:"List whom a policy would shut out if it were enforced now."`
}

type accessPolicyApplyCmd struct {
	File string `short:"f" required:"" help:"YAML file, - for standard input." placeholder:"FILE"`
	Rehearsed
	Output
}

// Help is the detail under the usage line.
func (*accessPolicyApplyCmd) Help() string {
	return `Begin with mode: report-only, or with starts_at: until then access policy shut-out lists whom the policy would block. assign: {} withdraws a policy.`
}

func (c *accessPolicyApplyCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	source, err := p.readInput(c.File)
	if err != nil {
		return err
	}
	apply := func(out any) error {
		return p.faulty(c.File, source, api.callLong(p.ctx, http.MethodPost, c.query(accessPoliciesPath), contentYAML, bytes.NewReader(withoutHeader(source)), out))
	}
	if c.DryRun {
		return c.plan(p, apply)
	}
	var applied adminapi.AccessPolicyApplied
	if err := apply(&applied); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, applied)
	}
	if err := p.applied("access policy", applied.Policy.Name, applied.Policy.Number, applied.Changed); err != nil {
		return err
	}
	p.warn(applied.Warnings)
	if reports(applied.Policy.Spec, p.now()) {
		fmt.Fprintf(p.stderr, "it blocks nobody itself yet, and leaves its phones to the default; whom it would block: sallyport access policy shut-out %s\n", applied.Policy.Name)
	}
	return nil
}

func (c *accessPolicyApplyCmd) plan(p *program, apply func(any) error) error {
	var plan adminapi.AccessPolicyPlan
	if err := apply(&plan); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, plan)
	}
	if err := p.impact(plan.Impact); err != nil {
		return err
	}
	p.warn(plan.Warnings)
	p.nothingDone()
	return nil
}

// reports is whether a policy blocks nobody now.
func reports(s access.Spec, now time.Time) bool {
	return !s.Assign.Nobody() && (s.Mode == access.ReportOnly || s.StartsAt.After(now))
}

type accessPolicyListCmd struct{ Output }

func (c *accessPolicyListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var page adminapi.AccessPolicyList
	if err := api.get(p.ctx, accessPoliciesPath, nil, &page); err != nil {
		return err
	}
	const header = "NAME REVISION MODE STARTS ASSIGNED REQUIRES"
	return list(p, c.Output, page.Policies, header, fitted(header, page.Policies, func(x access.Policy) []string {
		return []string{x.Name, strconv.Itoa(x.Number), string(x.Spec.Mode), stamp(x.Spec.StartsAt), audience(x.Spec.Assign), joined(x.Spec.Require)}
	}, terminalWidth(p.stdout), 5))
}

// joined are words of any kind in one cell.
func joined[T ~string](all []T) string {
	text := ""
	for i, word := range all {
		if i > 0 {
			text += ", "
		}
		text += string(word)
	}
	return text
}

type accessPolicyShowCmd struct {
	Name string `arg:"" help:"Name of the policy."`
	Output
}

func (c *accessPolicyShowCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var x access.Policy
	if err := api.get(p.ctx, accessPoliciesPath+"/"+url.PathEscape(c.Name), nil, &x); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, x)
	}
	p.showDocument("access policy", x.Name, x.Number, x.CreatedBy, x.CreatedAt, x.Source)
	return nil
}

type accessPolicyShutOutCmd struct {
	Name string `arg:"" help:"Name of the policy."`
	Output
}

func (c *accessPolicyShutOutCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	all := []access.Shift{}
	err = pages(func(cursor string) (string, error) {
		var page adminapi.AccessShifts
		err := api.get(p.ctx, accessPoliciesPath+"/"+url.PathEscape(c.Name)+"/shut-out", pageQuery(cursor), &page)
		all = append(all, page.Devices...)
		return page.Next, err
	})
	if err != nil {
		return err
	}
	if !c.json() {
		fmt.Fprintf(p.stdout, "enforced from now on, the policy shuts out %d mail clients\n", len(all))
	}
	return p.shifts(c.Output, all)
}
