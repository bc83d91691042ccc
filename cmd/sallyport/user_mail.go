package main

import (
	"fmt"

	"sallyport/internal/server/adminapi"
)

type userMailCmd struct {
	On  userMailOnCmd  `cmd:"" help:"Switch mail on phones on again."`
	Off userMailOffCmd `cmd:"" help:"Switch mail on phones off for a user: every mail client is blocked."`
}

// Mailbox names a user whose mail is switched.
type Mailbox struct {
	UPN string `arg:"" name:"upn" help:"User principal name."`
	Reasoned
	Output
}

type userMailOnCmd struct{ Mailbox }

func (c *userMailOnCmd) Run(p *program) error { return c.turn(p, true) }

type userMailOffCmd struct {
	Mailbox
	Rehearsed
}

func (c *userMailOffCmd) Run(p *program) error {
	if c.DryRun {
		return c.plan(p)
	}
	return c.turn(p, false)
}

func (c *userMailOffCmd) plan(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	all, err := (&accessDeviceListCmd{User: c.UPN}).find(p, api)
	if err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, all)
	}
	fmt.Fprintln(p.stdout, "these mail clients would be blocked, and every new one:")
	if err := p.listMailClients(c.Output, all); err != nil {
		return err
	}
	p.nothingDone()
	return nil
}

func (m Mailbox) turn(p *program, on bool) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if err := api.putJSON(p.ctx, userPath(m.UPN)+"/mail", adminapi.MailSwitch{On: &on, Reason: m.Reason}, nil); err != nil {
		return err
	}
	if on {
		return done{"user.mail_on", m.UPN}.print(p, m.Output, "mail on phones of %s is on\n", cell(m.UPN))
	}
	return done{"user.mail_off", m.UPN}.print(p, m.Output, "mail on phones of %s is off; every mail client of theirs is blocked\n", cell(m.UPN))
}
