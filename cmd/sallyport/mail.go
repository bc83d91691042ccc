package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"sallyport/internal/server/adminapi"
)

const mailPath = "/api/v1/mail"

type mailCmd struct {
	Status mailStatusCmd `cmd:"" help:"Show which mail server takes them, and how many wait, went out or were lost."`
	Test   mailTestCmd   `cmd:"" help:"Send one mail now, and show what the mail server says."`
}

type mailStatusCmd struct{ Output }

func (c *mailStatusCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var s adminapi.MailStatus
	if err := api.get(p.ctx, mailPath, nil, &s); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, s)
	}
	server := s.Server
	if !s.Configured {
		server = "none: no mails are sent"
	}
	count := func(n int, when string) string { return strings.TrimSpace(strconv.Itoa(n) + " " + when) }
	waiting := count(s.Waiting, "")
	if s.Waiting > 0 {
		waiting += ", the oldest since " + stamp(s.Oldest)
	}
	return facts(p.stdout,
		fact{"Mail server", server}, fact{"From", s.From}, fact{"Admins", strings.Join(s.Admins, ", ")}, fact{"Waiting", waiting},
		fact{"Tried in vain", count(s.Tried, "of them")}, fact{"Sent", count(s.Sent, "in 30 days")}, fact{"Lost", count(s.Lost, "in 30 days")},
		fact{"Last trouble", s.Reply}, fact{"At", stamp(s.ReplyAt)})
}

type mailTestCmd struct {
	Address string `arg:"" help:"Who gets it."`
	Output
}

func (c *mailTestCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var out adminapi.MailTested
	if err := api.post(p.ctx, mailPath+"/test", adminapi.MailTest{To: c.Address}, &out); err != nil {
		return err
	}
	if c.json() {
		if err := printJSON(p.stdout, out); err != nil {
			return err
		}
	} else if out.Sent {
		fmt.Fprintf(p.stdout, "the mail server took it: %s\n", cell(out.Reply))
	}
	if out.Sent {
		return nil
	}
	if c.json() {
		return errQuiet
	}
	return fmt.Errorf("the mail was not sent: %s", cell(out.Reply))
}

// mailChecks are the doctor's look at mails.
func mailChecks(ctx context.Context, api *client) []check {
	const name = "mail"
	var s adminapi.MailStatus
	if err := api.call(ctx, http.MethodGet, mailPath, "", nil, &s); err != nil {
		return []check{{name, broken, err.Error(), "look at the server's log"}}
	}
	switch {
	case !s.Configured:
		return []check{{name, gap, "no mail server is set: nobody is told by mail that a device was shut out", "set smtp_url and mail_from; docs/mail-notices.md"}}
	case s.Tried > 0 || s.Lost > 0:
		return []check{{name, warn, fmt.Sprintf("%d mails wait, %d of them were tried in vain; %d were lost in 30 days: %s", s.Waiting, s.Tried, s.Lost, s.Reply),
			"try sallyport mail test ADDRESS; docs/mail-notices.md"}}
	case len(s.Admins) == 0:
		return []check{{name, gap, s.Server + " takes mails to users; no admin hears of devices that wait", "set mail_admins"}}
	}
	return []check{{name, good, fmt.Sprintf("%s takes mails; %d wait, %d went out in 30 days", s.Server, s.Waiting, s.Sent), ""}}
}
