package main

import (
	"fmt"

	"sallyport/access"
)

type accessCmd struct {
	Decide   accessDecideCmd   `cmd:"" help:"Ask as a gate does: the mail client counts as one that came, and its owner may get a mail. The last line is the decision. To look only: access explain."`
	Explain  accessExplainCmd  `cmd:"" help:"Say step by step what is decided of a mail client, and why. Nothing is noted."`
	Denials  accessDenialsCmd  `cmd:"" help:"List refusals, the newest first."`
	Replay   accessReplayCmd   `cmd:"" help:"Judge a refusal once more from what it rested on then."`
	Default  accessDefaultCmd  `cmd:"" help:"Show or set what is said of mail clients of which nothing else is said."`
	Strategy accessStrategyCmd `cmd:"" help:"The same by the names that admins know: allow-list, block-list, mixed."`
	Rule     accessRuleCmd     `cmd:"" help:"Rules for kinds of mail clients."`
	Policy   accessPolicyCmd   `cmd:"" help:"Conditional-access policies: what a phone must be like to read mail."`
	Device   accessDeviceCmd   `cmd:"" help:"Mail clients, one by one."`
}

type accessDecideCmd struct {
	User       string `required:"" help:"As the mail client sends it: UPN, email, user name or DOMAIN\\user." placeholder:"USER"`
	DeviceID   string `name:"device-id" required:"" help:"ActiveSync DeviceId." placeholder:"ID"`
	DeviceType string `help:"ActiveSync DeviceType (default: what is on record)." placeholder:"TYPE"`
	UserAgent  string `help:"The client's User-Agent (default: what is on record)." placeholder:"TEXT"`
	Output
}

func (c *accessDecideCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	in := access.Client{User: c.User, DeviceID: c.DeviceID, DeviceType: c.DeviceType, UserAgent: c.UserAgent}
	var d access.Decision
	if err := api.post(p.ctx, "/api/v1/access/decisions", in, &d); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, d)
	}
	p.reasons(d)
	fmt.Fprintf(p.stdout, "decision: %s %s on %s until %s\n", d.Effect, cell(c.User), cell(c.DeviceID), stamp(d.ValidUntil))
	return nil
}

// reasons prints why, and what to do about it.
func (p *program) reasons(d access.Decision) {
	for _, r := range d.Reasons {
		line := fmt.Sprintf("  %s: %s", cell(r.Rule), cell(r.Fact))
		if !r.Since.IsZero() {
			line += ", since " + stamp(r.Since)
		}
		if r.Fix != "" {
			line += " -> " + cell(r.Fix)
		}
		fmt.Fprintln(p.stdout, line)
	}
}
