package main

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/server/adminapi"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Create a token; its text is shown once."`
	List   tokenListCmd   `cmd:"" help:"List tokens, without their text."`
	Revoke tokenRevokeCmd `cmd:"" help:"Revoke a token at once."`
}

type tokenCreateCmd struct {
	Role  string `required:"" enum:"admin,operator,auditor,engine" help:"What it may do: admin, operator, auditor or engine (a mailbox gate)."`
	Owner string `required:"" help:"Person or program that will hold it."`
	TTL   span   `name:"ttl" help:"How long it holds: days or hours, 90d or 12h; at most 2 years." default:"90d"`
	Output
}

func (c *tokenCreateCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	in := adminapi.TokenRequest{Role: c.Role, Owner: c.Owner, TTL: c.TTL.String()}
	var issued adminapi.TokenIssued
	if err := api.post(p.ctx, "/api/v1/tokens", in, &issued); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, issued)
	}
	fmt.Fprintln(p.stdout, issued.Text)
	fmt.Fprintf(p.stderr, "Token %s (%s) for %s, until %s. It is shown only now.\n", issued.ID, issued.Role, cell(issued.Owner), stamp(issued.ExpiresAt))
	return nil
}

type tokenListCmd struct{ Output }

func (c *tokenListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var page adminapi.Tokens
	if err := api.get(p.ctx, "/api/v1/tokens", nil, &page); err != nil {
		return err
	}
	return list(p, c.Output, page.Tokens, "ID ROLE OWNER STATE EXPIRES CREATED", func(t auth.Token) []string {
		return []string{t.ID, string(t.Role), t.Owner, tokenState(t, p.now()), stamp(t.ExpiresAt), stamp(t.CreatedAt)}
	})
}

func tokenState(t auth.Token, now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked"
	case !now.Before(t.ExpiresAt):
		return "expired"
	}
	return "valid"
}

type tokenRevokeCmd struct {
	ID string `arg:"" name:"id" help:"ID of the token."`
	Output
}

func (c *tokenRevokeCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var page adminapi.Tokens
	if err := api.get(p.ctx, "/api/v1/tokens", nil, &page); err != nil {
		return err
	}
	revoked := done{"token.revoke", c.ID}
	for _, t := range page.Tokens {
		if t.ID == c.ID && !t.RevokedAt.IsZero() {
			return revoked.print(p, c.Output, "token %s is already revoked, since %s\n", cell(c.ID), stamp(t.RevokedAt))
		}
	}
	if err := api.call(p.ctx, http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(c.ID), "", nil, nil); err != nil {
		return err
	}
	return revoked.print(p, c.Output, "token %s is revoked\n", cell(c.ID))
}
