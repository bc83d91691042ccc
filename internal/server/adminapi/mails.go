package adminapi

import (
	"context"
	"net/http"

	"sallyport/internal/notify"
	"sallyport/internal/server/wire"
)

// MailService tells people by mail.
type MailService interface {
	Status(ctx context.Context) (MailStatus, error)
	// Test sends a mail at once.
	Test(ctx context.Context, to string) (MailTested, error)
}

// MailStatus is how mails stand.
type MailStatus struct {
	Configured bool     `json:"configured"`
	Server     string   `json:"server,omitempty"`
	From       string   `json:"from,omitempty"`
	Admins     []string `json:"admins"` // who gets the digest
	notify.Status
}

// MailTest asks for a test mail.
type MailTest struct {
	To string `json:"to"`
}

// MailTested is what the mail server said of it.
type MailTested struct {
	Sent  bool   `json:"sent"`
	Reply string `json:"reply"`
}

// MailStatus answers GET /api/v1/mail.
func (a *API) MailStatus(w http.ResponseWriter, r *http.Request) error {
	s, err := a.d.Mails.Status(r.Context())
	if err != nil {
		return err
	}
	s.Admins = wire.List(s.Admins)
	return wire.WriteJSON(w, http.StatusOK, s)
}

// TestMail answers POST /api/v1/mail/test: 200 also when the mail server said no.
func (a *API) TestMail(w http.ResponseWriter, r *http.Request) error {
	var in MailTest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	out, err := a.d.Mails.Test(r.Context(), in.To)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}
