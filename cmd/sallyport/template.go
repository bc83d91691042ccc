package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/server/adminapi"
	"sallyport/templates"
)

type templateCmd struct {
	Apply    templateApplyCmd    `cmd:"" help:"Apply a template; what says something new becomes a new revision."`
	List     templateListCmd     `cmd:"" help:"List templates."`
	Show     templateShowCmd     `cmd:"" help:"Show a template as it was applied: its newest revision, or another."`
	History  templateHistoryCmd  `cmd:"" help:"List every revision of a template."`
	Diff     templateDiffCmd     `cmd:"" help:"Say what changed between two revisions."`
	Rollback templateRollbackCmd `cmd:"" help:"Make an old revision the newest one; phones get it at their next contact."`
	Assign   templateAssignCmd   `cmd:"" help:"Change who gets a template."`
	Preview  templatePreviewCmd  `cmd:"" help:"Show what one user would get, before it is sent."`
	Check    templateCheckCmd    `cmd:"" help:"Render for everybody, send nothing, and list whom it does not reach."`
	Import   templateImportCmd   `cmd:"" help:"Make a template of a .mobileconfig, with the values of a user on record as variables."`
	Starters profileStartersCmd  `cmd:"" help:"Templates to begin with."`
}

// apply sends a YAML file.
func (p *program) apply(path, file string, out any) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	body, err := p.readInput(file)
	if err != nil {
		return err
	}
	if err := api.call(p.ctx, http.MethodPost, path, contentYAML, bytes.NewReader(body), out); err != nil {
		return p.faulty(file, body, err)
	}
	return nil
}

func (p *program) applied(what, name string, revision int, changed bool) error {
	how := "unchanged"
	if changed {
		how = "applied"
	}
	fmt.Fprintf(p.stdout, "%s %s revision %d %s\n", what, cell(name), revision, how)
	return nil
}

type templateListCmd struct{ Output }

func (c *templateListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var page adminapi.Templates
	if err := api.get(p.ctx, "/api/v1/templates", nil, &page); err != nil {
		return err
	}
	return list(p, c.Output, page.Templates, "NAME REVISION DISPLAY-NAME ASSIGNED BY AT", func(r templates.Revision) []string {
		return []string{r.Name, strconv.Itoa(r.Number), r.Spec.DisplayName, audience(r.Spec.Assign), r.CreatedBy, stamp(r.CreatedAt)}
	})
}

func audience(a directory.Audience) string {
	if a.Everyone {
		return "everyone"
	}
	if a.Nobody() {
		return "nobody"
	}
	var parts []string
	if len(a.Groups) > 0 {
		parts = append(parts, "groups:"+strings.Join(a.Groups, ","))
	}
	if len(a.Users) > 0 {
		parts = append(parts, "users:"+strings.Join(a.Users, ","))
	}
	return strings.Join(parts, " ")
}

type templateShowCmd struct {
	Name     string `arg:"" help:"Name of the template."`
	Revision int    `help:"This revision instead of the newest." placeholder:"N"`
	Output
}

func (c *templateShowCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	path := templatePath(c.Name)
	if c.Revision != 0 {
		path = revisionPath(c.Name, c.Revision)
	}
	var r templates.Revision
	if err := api.get(p.ctx, path, nil, &r); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, r)
	}
	p.showDocument("template", r.Name, r.Number, r.CreatedBy, r.CreatedAt, r.Source)
	return nil
}

func templatePath(name string) string { return "/api/v1/templates/" + url.PathEscape(name) }

func revisionPath(name string, revision int) string {
	return templatePath(name) + "/revisions/" + strconv.Itoa(revision)
}

type complianceCmd struct {
	Apply complianceApplyCmd `cmd:"" help:"Apply a policy; what says something new becomes a new revision."`
	List  complianceListCmd  `cmd:"" help:"List policies."`
	Show  complianceShowCmd  `cmd:"" help:"Show the newest revision of a policy, as it was applied."`

	Progress complianceProgressCmd `cmd:"" help:"Show how far the evaluation of all phones has come."`
}

type complianceApplyCmd struct {
	File string `short:"f" required:"" help:"YAML file, - for standard input." placeholder:"FILE"`
	Rehearsed
	Output
}

func (c *complianceApplyCmd) Run(p *program) error {
	if c.DryRun {
		return c.plan(p)
	}
	var applied adminapi.PolicyApplied
	if err := p.apply("/api/v1/compliance/policies", c.File, &applied); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, applied)
	}
	if err := p.applied("compliance policy", applied.Policy.Name, applied.Policy.Number, applied.Changed); err != nil {
		return err
	}
	p.warn(applied.Warnings)
	return nil
}

type complianceListCmd struct{ Output }

func (c *complianceListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var page adminapi.Policies
	if err := api.get(p.ctx, "/api/v1/compliance/policies", nil, &page); err != nil {
		return err
	}
	return list(p, c.Output, page.Policies, "NAME REVISION ASSIGNED GRACE BY AT", func(r compliance.Policy) []string {
		return []string{r.Name, strconv.Itoa(r.Number), audience(r.Spec.Assign), r.Spec.Grace.String(), r.CreatedBy, stamp(r.CreatedAt)}
	})
}

type complianceShowCmd struct {
	Name string `arg:"" help:"Name of the policy."`
	Output
}

func (c *complianceShowCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var r compliance.Policy
	if err := api.get(p.ctx, "/api/v1/compliance/policies/"+url.PathEscape(c.Name), nil, &r); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, r)
	}
	p.showDocument("compliance policy", r.Name, r.Number, r.CreatedBy, r.CreatedAt, r.Source)
	return nil
}
