package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/server/adminapi"
)

type tokenCmd struct {
	Create tokenCreateCmd `cmd:"" help:"Create a token; its text is shown once."`
	List   tokenListCmd   `cmd:"" help:"List tokens, without their text."`
	Revoke tokenRevokeCmd `cmd:"" help:"Revoke a token at once."`
}

type tokenCreateCmd struct {
	Role  string        `required:"" enum:"admin,operator,auditor,engine" help:"What it may do: admin, operator, auditor or engine (a mailbox gate)."`
	Owner string        `required:"" help:"Person or program that will hold it."`
	TTL   time.Duration `name:"ttl" help:"How long it holds (default 2160h)." placeholder:"DURATION"`
	Output
}

func (c *tokenCreateCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	in := adminapi.TokenRequest{Role: c.Role, Owner: c.Owner}
	if c.TTL != 0 {
		in.TTL = c.TTL.String()
	}
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
}

func (c *tokenRevokeCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if err := api.call(p.ctx, http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(c.ID), "", nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "token %s is revoked\n", cell(c.ID))
	return nil
}

type auditCmd struct {
	List auditListCmd `cmd:"" help:"List the trail, oldest first."`
}

type auditListCmd struct {
	Action string `help:"Only this action, or all that begin with a prefix that ends in a dot: user." placeholder:"ACTION"`
	Actor  string `help:"Only acts of this actor."`
	Target string `help:"Only acts on this target."`
	After  int64  `help:"Only entries after this number." placeholder:"N"`
	Output
}

func (c *auditListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var entries []audit.Entry
	first := true
	err = pages(func(cursor string) (string, error) {
		if first && c.After > 0 {
			cursor = strconv.FormatInt(c.After, 10)
		}
		first = false
		q := pageQuery(cursor)
		for key, value := range map[string]string{"action": c.Action, "actor": c.Actor, "target": c.Target} {
			if value != "" {
				q.Set(key, value)
			}
		}
		var page adminapi.AuditEntries
		err := api.get(p.ctx, "/api/v1/audit", q, &page)
		entries = append(entries, page.Entries...)
		if page.Next == 0 {
			return "", err
		}
		return strconv.FormatInt(page.Next, 10), err
	})
	if err != nil {
		return err
	}
	return list(p, c.Output, entries, "N AT ACTOR ACTION TARGET OUTCOME DETAIL", func(e audit.Entry) []string {
		return []string{strconv.FormatInt(e.ID, 10), stamp(e.At), e.Actor, e.Action, e.Target, string(e.Outcome), detail(e.Detail)}
	})
}

func detail(m map[string]string) string {
	var parts []string
	for _, key := range sortedKeys(m) {
		parts = append(parts, key+"="+m[key])
	}
	return strings.Join(parts, " ")
}
