package accessapi

import (
	"context"
	"net/http"

	"sallyport/access"
	"sallyport/internal/server/wire"
)

// WebhookService keeps webhooks. *access.Webhooks is one.
type WebhookService interface {
	Add(ctx context.Context, address string, events []access.WebhookEvent) (access.NewWebhook, error)
	List(ctx context.Context) ([]access.Webhook, error)
	Remove(ctx context.Context, id string) error
	Enable(ctx context.Context, id string) error
	// Test sends a message at once; an empty trouble means that it was taken.
	Test(ctx context.Context, id string) (trouble string, err error)
}

// WebhookInput is the body of POST /api/v1/webhooks. No events means all.
type WebhookInput struct {
	URL    string                `json:"url"`
	Events []access.WebhookEvent `json:"events"`
}

// Webhooks answers GET /api/v1/webhooks.
type Webhooks struct {
	Webhooks []access.Webhook `json:"webhooks"`
}

// WebhookTest answers POST /api/v1/webhooks/{id}/test.
type WebhookTest struct {
	Delivered bool   `json:"delivered"`
	Trouble   string `json:"trouble,omitempty"`
}

// AddWebhook answers POST /api/v1/webhooks. The secret is in this answer alone.
func (a *API) AddWebhook(w http.ResponseWriter, r *http.Request) error {
	var in WebhookInput
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	out, err := a.d.Webhooks.Add(r.Context(), in.URL, in.Events)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusCreated, out)
}

// ListWebhooks answers GET /api/v1/webhooks.
func (a *API) ListWebhooks(w http.ResponseWriter, r *http.Request) error {
	list, err := a.d.Webhooks.List(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, Webhooks{Webhooks: wire.List(list)})
}

// RemoveWebhook answers DELETE /api/v1/webhooks/{id}.
func (a *API) RemoveWebhook(w http.ResponseWriter, r *http.Request) error {
	if err := a.d.Webhooks.Remove(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// EnableWebhook answers POST /api/v1/webhooks/{id}/enable.
func (a *API) EnableWebhook(w http.ResponseWriter, r *http.Request) error {
	if err := a.d.Webhooks.Enable(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// TestWebhook answers POST /api/v1/webhooks/{id}/test.
func (a *API) TestWebhook(w http.ResponseWriter, r *http.Request) error {
	trouble, err := a.d.Webhooks.Test(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, WebhookTest{Delivered: trouble == "", Trouble: trouble})
}
