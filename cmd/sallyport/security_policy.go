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
	File string `short:"f" required:"" help:"YAML file, - for standard input." placeholder:"FILE"`
	IfMatch
	Output
}

func (c *securityApplyCmd) Run(p *program) error {
	api, body, err := c.open(p, c.File)
	if err != nil {
		return err
	}
	var applied adminapi.SecurityPolicyApplied
	if err := api.call(p.ctx, http.MethodPost, "/api/v1/security-policies", contentYAML, bytes.NewReader(body), &applied); err != nil {
		return p.faulty(c.File, body, err)
	}
	if c.json() {
		return printJSON(p.stdout, applied)
	}
	return p.applied("security policy", applied.Policy.Name, applied.Policy.Number, applied.Changed)
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
	fmt.Fprintf(p.stdout, "# security policy %s, revision %d, applied by %s at %s\n%s", cell(r.Name), r.Number, cell(r.CreatedBy), stamp(r.CreatedAt), ensureNewline(r.Source))
	return nil
}
