package main

import (
	"net/url"
	"strconv"

	"sallyport/internal/server/adminapi"
	"sallyport/templates"
)

type templateHistoryCmd struct {
	Name string `arg:"" help:"Name of the template."`
	Output
}

func (c *templateHistoryCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var answer adminapi.TemplateRevisions
	if err := api.get(p.ctx, templatePath(c.Name)+"/revisions", nil, &answer); err != nil {
		return err
	}
	return list(p, c.Output, answer.Revisions, "REVISION DISPLAY-NAME ASSIGNED BY AT", func(r templates.Revision) []string {
		return []string{strconv.Itoa(r.Number), r.Spec.DisplayName, audience(r.Spec.Assign), r.CreatedBy, stamp(r.CreatedAt)}
	})
}

type templateDiffCmd struct {
	Name string `arg:"" help:"Name of the template."`
	From int    `help:"Revision to begin with (the one before --to)." placeholder:"N"`
	To   int    `help:"Revision to end with (the newest)." placeholder:"N"`
	Output
}

func (c *templateDiffCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, number := range map[string]int{"from": c.From, "to": c.To} {
		if number != 0 {
			query.Set(name, strconv.Itoa(number))
		}
	}
	var diff adminapi.TemplateDiff
	if err := api.get(p.ctx, templatePath(c.Name)+"/diff", query, &diff); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, diff)
	}
	return printChanges(p, c.Output, diff.Changes)
}
