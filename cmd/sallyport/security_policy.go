package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"sallyport/internal/server/adminapi"
	"sallyport/templates"
)

type securityPolicyCmd struct {
	Apply securityApplyCmd `cmd:"" help:"Apply a security policy; what says something new becomes a new revision."`
	List  securityListCmd  `cmd:"" help:"List security policies."`
	Show  securityShowCmd  `cmd:"" help:"Show the newest revision of a security policy, as it was applied."`
}

type securityApplyCmd struct {
	File         string `short:"f" required:"" help:"YAML file, - for standard input." placeholder:"FILE"`
	DryRun       bool   `help:"Change nothing: say what would change, and which Android phones it would have erased, and when."`
	ConfirmErase int    `help:"Days after which the policy has Android erase phones that stay out of line: its wipe_after_days, by whoever has read --dry-run." placeholder:"DAYS"`
	IfMatch
	Output
}

// Help is the detail under the usage line.
func (*securityApplyCmd) Help() string {
	return applyHelp("security-policy") + `

A policy with android.enforcement has Android itself erase phones that stay out of line, without asking anybody: --dry-run lists them, and
applying it takes --confirm-erase.`
}

func (c *securityApplyCmd) Run(p *program) error {
	var spec templates.SecuritySpec
	d, err := p.openDocument(c.File, func(source []byte) (_ string, err error) {
		spec, err = templates.ParseSecurity(source)
		return spec.Name, err
	})
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.dryRun(p, d, spec)
	}
	api, err := c.follow(p, d)
	if err != nil {
		return err
	}
	path := "/api/v1/security-policies"
	if c.ConfirmErase != 0 {
		path += "?confirm_erase=" + strconv.Itoa(c.ConfirmErase)
	}
	var applied adminapi.SecurityPolicyApplied
	if err := api.call(p.ctx, http.MethodPost, path, contentYAML, bytes.NewReader(d.source), &applied); err != nil {
		return p.faulty(c.File, d.text, d.placed(err))
	}
	if c.json() {
		return printJSON(p.stdout, applied)
	}
	if err := p.applied("security policy", applied.Policy.Name, applied.Policy.Number, applied.Changed); err != nil {
		return err
	}
	p.warn(applied.Warnings)
	if applied.Changed {
		c.next(p, "security-policy", applied.Policy.Name, applied.Policy.Number)
	}
	return nil
}

func (c *securityApplyCmd) dryRun(p *program, d document, spec templates.SecuritySpec) error {
	if d.refused != nil {
		return p.faulty(c.File, d.text, d.refused)
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	plan, err := p.planSecurity(api, spec, d.source)
	if err != nil {
		return err
	}
	if err := c.foretold(plan, d); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, plan)
	}
	if err := p.securityChanges(plan); err != nil {
		return err
	}
	p.printSecurityPlan(plan)
	p.warn(plan.Warnings)
	if needs := c.needs(plan, d); needs != "" {
		fmt.Fprintf(p.stderr, "to apply it on what you saw here:%s\n", needs)
	}
	return nil
}

// foretold is the refusal that the real one would meet because of the revision that
// the flags, or the document, name.
func (c *securityApplyCmd) foretold(plan securityPlan, d document) error {
	base, err := c.names(d)
	if err != nil || !plan.Changed || base == templates.AnyRevision || base == plan.Revision || !c.given() && d.base == 0 {
		return err
	}
	return templates.ConflictOf(plan.Policy, plan.Revision, base)
}

// needs are the flags without which the real one would be refused.
func (c *securityApplyCmd) needs(plan securityPlan, d document) (flags string) {
	if !plan.Changed {
		return ""
	}
	if plan.Revision > 0 && !c.given() && d.base == 0 {
		flags += fmt.Sprintf(" --if-match %d", plan.Revision)
	}
	if plan.Wipe != nil && c.ConfirmErase != *plan.Wipe {
		flags += fmt.Sprintf(" --confirm-erase %d", *plan.Wipe)
	}
	return flags
}

type securityListCmd struct{ Output }

func (c *securityListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var answer adminapi.SecurityPolicies
	if err := api.get(p.ctx, "/api/v1/security-policies", nil, &answer); err != nil {
		return err
	}
	return list(p, c.Output, answer.Policies, "NAME REVISION PRIORITY ASSIGNED BY AT", func(r templates.SecurityRevision) []string {
		return []string{r.Name, strconv.Itoa(r.Number), strconv.Itoa(r.Spec.Priority), audience(r.Spec.Assign), r.CreatedBy, stamp(r.CreatedAt)}
	})
}

type securityShowCmd struct {
	Name string `arg:"" help:"Name of the security policy."`
	Output
}

func (c *securityShowCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var r templates.SecurityRevision
	if err := api.get(p.ctx, "/api/v1/security-policies/"+url.PathEscape(c.Name), nil, &r); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, r)
	}
	p.showDocument("security policy", r.Name, r.Number, r.CreatedBy, r.CreatedAt, r.Source)
	return nil
}
