package server

import (
	"context"

	"sallyport/access"
)

// webhooksFake has one webhook.
type webhooksFake struct{ w *world }

var oneWebhook = access.Webhook{ID: "h1", URL: "https://siem.example.test/x", Events: []access.WebhookEvent{access.EventDecisionChanged}, CreatedBy: "admin", CreatedAt: noon, FailingSince: noon, Trouble: "no"}

func (f webhooksFake) Add(context.Context, string, []access.WebhookEvent) (access.NewWebhook, error) {
	return access.NewWebhook{Webhook: oneWebhook, Secret: "whsec_x"}, f.w.did(true)
}

func (f webhooksFake) List(context.Context) ([]access.Webhook, error) {
	return []access.Webhook{oneWebhook}, f.w.did(false)
}

func (f webhooksFake) known(id string) error {
	if id != oneWebhook.ID {
		return access.ErrWebhook
	}
	return f.w.did(true)
}

func (f webhooksFake) Remove(_ context.Context, id string) error { return f.known(id) }

func (f webhooksFake) Enable(_ context.Context, id string) error { return f.known(id) }

func (f webhooksFake) Test(_ context.Context, id string) (string, error) {
	return "the receiver answered 404 Not Found", f.known(id)
}
