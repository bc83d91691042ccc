package main

import (
	"fmt"
	"net/url"
	"strconv"

	"sallyport/access"
	"sallyport/internal/server/accessapi"
)

type accessExplainCmd struct {
	User     string `arg:"" help:"As the mail client sends it: UPN, email, user name or DOMAIN\\user."`
	DeviceID string `arg:"" name:"device-id" help:"ActiveSync DeviceId, in any spelling."`
	Type     string `help:"ActiveSync DeviceType; without it that of the device on record." placeholder:"TYPE"`
	Address  string `help:"IP address of the mail client; without it the newest on record." placeholder:"IP"`
	Output
}

func (c *accessExplainCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	q := url.Values{"user": {c.User}, "device_id": {c.DeviceID}}
	for name, value := range map[string]string{"device_type": c.Type, "address": c.Address} {
		if value != "" {
			q.Set(name, value)
		}
	}
	var out access.Explained
	if err := api.get(p.ctx, "/api/v1/access/explain", q, &out); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, out)
	}
	return p.explained(out.Decision, out.Trace)
}

// explained prints the steps in their order; the last line is the decision.
func (p *program) explained(d access.Decision, trace []access.TraceLine) error {
	if err := list(p, Output{}, trace, "STEP SUBJECT OUTCOME FACT", func(l access.TraceLine) []string {
		return []string{string(l.Step), l.Subject, l.Outcome, l.Fact}
	}); err != nil {
		return err
	}
	p.reasons(d)
	fmt.Fprintf(p.stdout, "decision: %s at %s until %s\n", d.Effect, d.Step, stamp(d.ValidUntil))
	return nil
}

type accessDenialsCmd struct {
	User string `help:"Only of this user." placeholder:"USER"`
	Most int    `help:"At most so many, the newest first." default:"100"`
	Output
}

func (c *accessDenialsCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var all []access.Denial
	err = pages(func(cursor string) (string, error) {
		q := pageQuery(cursor)
		q.Set("limit", strconv.Itoa(min(max(c.Most-len(all), 1), 1000)))
		if c.User != "" {
			q.Set("user", c.User)
		}
		var page accessapi.Denials
		if err := api.get(p.ctx, denialsPath, q, &page); err != nil {
			return "", err
		}
		all = append(all, page.Denials...)
		if len(all) >= c.Most {
			return "", nil
		}
		return page.Next, nil
	})
	if err != nil {
		return err
	}
	return list(p, c.Output, all, "ID LAST TIMES USER DEVICE DECISION STEP", func(d access.Denial) []string {
		return []string{d.ID, stamp(d.LastAt), strconv.FormatInt(d.Count, 10), d.Inputs.Client.User, d.Inputs.Client.DeviceID, string(d.Decision.Effect), string(d.Decision.Step)}
	})
}

const denialsPath = "/api/v1/access/denials"

type accessReplayCmd struct {
	ID string `arg:"" help:"Of the denial; see access denials."`
	Output
}

func (c *accessReplayCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var out access.Replayed
	if err := api.post(p.ctx, denialsPath+"/"+url.PathEscape(c.ID)+"/replay", struct{}{}, &out); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, out)
	}
	client := out.Denial.Inputs.Client
	fmt.Fprintf(p.stdout, "%s on %s, asked at %s, %d times until %s\n", cell(client.User), cell(client.DeviceID),
		stamp(out.Denial.Inputs.At), out.Denial.Count, stamp(out.Denial.LastAt))
	if err := p.explained(out.Decision, out.Trace); err != nil {
		return err
	}
	if !out.Identical {
		return fmt.Errorf("the answer then was another one: %s at %s (this release decides otherwise than the one that stored it)", out.Denial.Decision.Effect, out.Denial.Decision.Step)
	}
	fmt.Fprintln(p.stdout, "identical with the answer then")
	return nil
}
