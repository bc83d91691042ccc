package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sallyport/access"
	"sallyport/internal/server/accessapi"
)

type webhookCmd struct {
	Add    webhookAddCmd    `cmd:"" help:"Tell an address of changes; its secret is shown once."`
	List   webhookListCmd   `cmd:"" help:"List webhooks, and how they do."`
	Remove webhookRemoveCmd `cmd:"" help:"Tell an address nothing more."`
	Enable webhookEnableCmd `cmd:"" help:"Begin anew with one that was disabled because it took nothing for days."`
	Test   webhookTestCmd   `cmd:"" help:"Send a message that says nothing, now."`
}

const webhooksPath = "/api/v1/webhooks"

type webhookAddCmd struct {
	URL   string   `arg:"" name:"url" help:"Where messages are posted: https://…"`
	Event []string `help:"decision.changed or compliance.changed; both without it." enum:"decision.changed,compliance.changed" placeholder:"EVENT"`
	Output
}

func (c *webhookAddCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	in := accessapi.WebhookInput{URL: c.URL}
	for _, e := range c.Event {
		in.Events = append(in.Events, access.WebhookEvent(e))
	}
	var out access.NewWebhook
	if err := api.post(p.ctx, webhooksPath, in, &out); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, out)
	}
	fmt.Fprintln(p.stdout, out.Secret)
	fmt.Fprintf(p.stderr, "Webhook %s. The receiver checks messages with this secret; it is shown only now.\n", out.ID)
	return nil
}

type webhookListCmd struct{ Output }

func (c *webhookListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var out accessapi.Webhooks
	if err := api.get(p.ctx, webhooksPath, nil, &out); err != nil {
		return err
	}
	return list(p, c.Output, out.Webhooks, "ID STATE TAKEN EVENTS URL TROUBLE", func(w access.Webhook) []string {
		events := make([]string, len(w.Events))
		for i, e := range w.Events {
			events[i] = string(e)
		}
		return []string{w.ID, webhookState(w), stamp(w.DeliveredAt), strings.Join(events, ","), w.URL, w.Trouble}
	})
}

func webhookState(w access.Webhook) string {
	switch {
	case !w.DisabledAt.IsZero():
		return "disabled"
	case !w.FailingSince.IsZero():
		return "failing since " + stamp(w.FailingSince)
	}
	return "well"
}

type webhookRemoveCmd struct {
	ID string `arg:"" name:"id" help:"ID of the webhook."`
	Output
}

func (c *webhookRemoveCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if err := api.call(p.ctx, http.MethodDelete, webhooksPath+"/"+url.PathEscape(c.ID), "", nil, nil); err != nil {
		return err
	}
	return done{"webhook.remove", c.ID}.print(p, c.Output, "webhook %s is removed\n", cell(c.ID))
}

type webhookEnableCmd struct {
	ID string `arg:"" name:"id" help:"ID of the webhook."`
	Output
}

func (c *webhookEnableCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if err := api.post(p.ctx, webhooksPath+"/"+url.PathEscape(c.ID)+"/enable", struct{}{}, nil); err != nil {
		return err
	}
	fmt.Fprintln(p.stderr, "What changed meanwhile is in the feed, GET /api/v1/compliance.")
	return done{"webhook.enable", c.ID}.print(p, c.Output, "webhook %s is enabled\n", cell(c.ID))
}

type webhookTestCmd struct {
	ID string `arg:"" name:"id" help:"ID of the webhook."`
	Output
}

func (c *webhookTestCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var out accessapi.WebhookTest
	if err := api.post(p.ctx, webhooksPath+"/"+url.PathEscape(c.ID)+"/test", struct{}{}, &out); err != nil {
		return err
	}
	switch {
	case c.json() && !out.Delivered:
		return errors.Join(printJSON(p.stdout, out), errQuiet)
	case c.json():
		return printJSON(p.stdout, out)
	case !out.Delivered:
		return fmt.Errorf("not delivered: %s", cell(out.Trouble))
	}
	fmt.Fprintln(p.stdout, "delivered")
	return nil
}
