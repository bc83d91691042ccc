package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/server/adminapi"
	"sallyport/templates"
)

type templateApplyCmd struct {
	File   string `short:"f" required:"" help:"YAML file, - for standard input." placeholder:"FILE"`
	DryRun bool   `help:"Change nothing: say what would change and whom it touches."`
	IfMatch
	Output
}

// Help is the detail under the usage line.
func (*templateApplyCmd) Help() string { return applyHelp("template") }

func (c *templateApplyCmd) Run(p *program) error {
	d, err := p.openDocument(c.File, func(source []byte) (string, error) {
		spec, err := templates.Parse(source)
		return spec.Name, err
	})
	if err != nil {
		return err
	}
	api, err := c.follow(p, d)
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.dryRun(p, api, d)
	}
	var applied adminapi.TemplateApplied
	if err := api.call(p.ctx, http.MethodPost, "/api/v1/templates", contentYAML, bytes.NewReader(d.source), &applied); err != nil {
		return p.faulty(c.File, d.text, d.placed(err))
	}
	if err := p.templateApplied(c.Output, applied); err != nil {
		return err
	}
	if applied.Changed {
		c.next(p, "template", applied.Template.Name, applied.Template.Number)
	}
	return nil
}

func (c *templateApplyCmd) dryRun(p *program, api *client, d document) error {
	plan, err := p.rehearse(c.Output, api, d.source)
	if err != nil {
		return p.faulty(c.File, d.text, d.placed(err))
	}
	if c.json() {
		return nil
	}
	if plan.Changed && plan.Revision > 0 && !c.given() && d.base == 0 {
		fmt.Fprintf(p.stderr, "to apply it on what you saw here: --if-match %d\n", plan.Revision)
	}
	return nil
}

// rehearse prints what a source would change, and whom it touches.
func (p *program) rehearse(o Output, api *client, source []byte) (templates.ChangePlan, error) {
	var plan templates.ChangePlan
	err := api.callLong(p.ctx, http.MethodPost, "/api/v1/templates?dry_run=true", contentYAML, bytes.NewReader(source), &plan)
	switch {
	case err != nil:
		return plan, err
	case o.json():
		return plan, printJSON(p.stdout, plan)
	}
	return plan, p.plan(plan)
}

func (p *program) templateApplied(o Output, applied adminapi.TemplateApplied) error {
	if o.json() {
		return printJSON(p.stdout, applied)
	}
	if err := p.applied("template", applied.Template.Name, applied.Template.Number, applied.Changed); err != nil {
		return err
	}
	p.warn(applied.Warnings)
	return nil
}

// warn prints what does not keep anything from being done.
func (p *program) warn(warnings []*refusal.Error) {
	for _, w := range warnings {
		fmt.Fprintln(p.stdout, cell("warning: "+w.Error()))
	}
}

// plan prints what an apply would do.
func (p *program) plan(plan templates.ChangePlan) error {
	if !plan.Changed {
		fmt.Fprintf(p.stdout, "template %s revision %d says the same already\n", cell(plan.Template), plan.Revision)
		return nil
	}
	fmt.Fprintf(p.stdout, "template %s would become revision %d; nothing was changed\n", cell(plan.Template), plan.Revision+1)
	if len(plan.Changes) == 0 {
		fmt.Fprintln(p.stdout, "no setting differs: only the wording of the file")
	} else if err := printChanges(p, Output{}, plan.Changes); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "touches %d of %d users%s\n", plan.Touched, plan.Users, sample(plan.Sample, plan.Touched))
	if plan.Android > 0 {
		fmt.Fprintf(p.stdout, "of them %d on Android, too, where they have a phone of that kind\n", plan.Android)
	}
	for _, e := range plan.Effects {
		fmt.Fprintf(p.stdout, "template %s: %d more users get it, %d fewer\n", cell(e.Template), e.Wins, e.Loses)
	}
	if plan.Refused > 0 {
		fmt.Fprintf(p.stdout, "cannot be rendered for %d users, whose phones would keep what they have:\n", plan.Refused)
		for _, f := range plan.Failures {
			fmt.Fprintf(p.stdout, "  %s: %s: %s (%s)\n", cell(f.User), cell(f.Field), cell(f.Reason), cell(f.Remedy))
		}
	}
	p.warn(plan.Warnings)
	return nil
}

func sample(users []string, all int) string {
	if len(users) == 0 {
		return ""
	}
	text := ": " + cell(strings.Join(users, ", "))
	if len(users) < all {
		text += ", ..."
	}
	return text
}

type templateRollbackCmd struct {
	Name   string `arg:"" help:"Name of the template."`
	To     int    `required:"" help:"Revision whose content comes back." placeholder:"N"`
	DryRun bool   `help:"Change nothing: say what would change and whom it touches."`
	IfMatch
	Output
}

func (c *templateRollbackCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if api, err = c.onTemplate(p.ctx, api, c.Name); err != nil {
		return err
	}
	if c.DryRun {
		var old templates.Revision
		if err := api.get(p.ctx, revisionPath(c.Name, c.To), nil, &old); err != nil {
			return err
		}
		_, err := p.rehearse(c.Output, api, []byte(old.Source))
		return err
	}
	var applied adminapi.TemplateApplied
	if err := api.post(p.ctx, templatePath(c.Name)+"/rollback", adminapi.RollbackRequest{Revision: c.To}, &applied); err != nil {
		return err
	}
	return p.templateApplied(c.Output, applied)
}

type templateAssignCmd struct {
	Name         string   `arg:"" help:"Name of the template."`
	Everyone     bool     `help:"To everyone." xor:"who"`
	Nobody       bool     `help:"To nobody." xor:"who"`
	Group        []string `help:"To this group; repeat it." sep:"none" placeholder:"GROUP"`
	User         []string `help:"To this user; repeat it." sep:"none" placeholder:"UPN"`
	ExcludeGroup []string `help:"Never to this group; repeat it. The exclusions given replace those that are there." sep:"none" placeholder:"GROUP"`
	ExcludeUser  []string `help:"Never to this user; repeat it." sep:"none" placeholder:"UPN"`
	NoExclusions bool     `help:"Exclude nobody any more."`
	DryRun       bool     `help:"Change nothing: say what would change and whom it touches."`
	IfMatch
	Output
}

// Help is the detail under the usage line.
func (*templateAssignCmd) Help() string {
	return `What is given replaces who gets it now. Exclusions stay unless some are given, or --no-exclusions.`
}

func (c *templateAssignCmd) Run(p *program) error {
	in, err := c.request()
	if err != nil {
		return err
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	if api, err = c.onTemplate(p.ctx, api, c.Name); err != nil {
		return err
	}
	if c.DryRun {
		return c.dryRun(p, api, in)
	}
	var applied adminapi.TemplateApplied
	if err := api.putJSON(p.ctx, templatePath(c.Name)+"/assign", in, &applied); err != nil {
		return err
	}
	return p.templateApplied(c.Output, applied)
}

func (c *templateAssignCmd) dryRun(p *program, api *client, in adminapi.AssignRequest) error {
	var newest templates.Revision
	if err := api.get(p.ctx, templatePath(c.Name), nil, &newest); err != nil {
		return err
	}
	_, source, err := newest.Reassigned(*in.Assign, in.Exclude)
	if err != nil {
		return err
	}
	_, err = p.rehearse(c.Output, api, []byte(source))
	return err
}

func (c *templateAssignCmd) request() (adminapi.AssignRequest, error) {
	some := len(c.Group)+len(c.User) > 0
	if some == (c.Everyone || c.Nobody) {
		return adminapi.AssignRequest{}, usageError{"say who gets it: --everyone, --nobody, or --group and --user"}
	}
	excluded := directory.Audience{Groups: c.ExcludeGroup, Users: c.ExcludeUser}
	if c.NoExclusions && !excluded.Nobody() {
		return adminapi.AssignRequest{}, usageError{"--no-exclusions goes with neither --exclude-group nor --exclude-user"}
	}
	in := adminapi.AssignRequest{Assign: &directory.Audience{Everyone: c.Everyone, Groups: c.Group, Users: c.User}}
	if c.NoExclusions || !excluded.Nobody() {
		in.Exclude = &excluded
	}
	return in, nil
}
