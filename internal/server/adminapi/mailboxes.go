package adminapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/server/wire"
)

// MailboxService counts the devices of mailboxes. *enroll.Service is one.
type MailboxService interface {
	Mailbox(ctx context.Context, upn string) (enroll.Mailbox, error)
	FullMailboxes(ctx context.Context, after directory.UserID, limit int) ([]enroll.Mailbox, directory.UserID, error)
}

// UserMailbox answers GET /api/v1/users/{upn}/mailbox.
type UserMailbox struct {
	Mailbox
	MailOff *access.Note      `json:"mail_off,omitempty"` // mail on phones is off; left away: on
	Said    []access.Personal `json:"said"`               // of the user's mail clients, come already or not
}

// Mailbox says how many devices share one, of those that its mail server takes.
type Mailbox struct {
	User    string         `json:"user"` // UPN
	Used    int            `json:"used"`
	Limit   int            `json:"limit"`             // 0: none is set
	State   string         `json:"state"`             // unlimited, ok, near, full
	Warning string         `json:"warning,omitempty"` // what to do
	Spare   *MailboxDevice `json:"spare,omitempty"`   // the device to give up first
}

// MailboxDevice is one of them.
type MailboxDevice struct {
	ID         string    `json:"id,omitempty"` // of the mail client; empty: it never came
	DeviceID   string    `json:"eas_device_id,omitempty"`
	Type       string    `json:"type,omitempty"`
	Model      string    `json:"model,omitempty"`
	Name       string    `json:"name,omitempty"`
	LastSeenAt time.Time `json:"last_seen_at,omitzero"`
	Phone      string    `json:"phone,omitempty"` // ID of the enrolled phone that it is, for sure
}

// Mailboxes answers GET /api/v1/reports/mailboxes.
type Mailboxes struct {
	Mailboxes []Mailbox `json:"mailboxes"`
	Next      string    `json:"next,omitempty"`
}

func mailboxOf(m enroll.Mailbox) Mailbox {
	out := Mailbox{User: m.User.UPN, Used: m.Used, Limit: m.Limit, State: "ok", Warning: m.Warning()}
	switch {
	case m.Limit == 0:
		out.State = "unlimited"
	case m.Full():
		out.State = "full"
	case m.Near():
		out.State = "near"
	}
	if c := m.Spare; c != nil {
		out.Spare = &MailboxDevice{ID: c.ID, DeviceID: c.DeviceID, Type: c.Type, Model: c.Model, Name: c.Name, LastSeenAt: c.LastAt}
		if !c.Guessed {
			out.Spare.Phone = string(c.Device)
		}
	}
	return out
}

// Mailbox answers GET /api/v1/users/{upn}/mailbox.
func (a *API) Mailbox(w http.ResponseWriter, r *http.Request) error {
	upn := r.PathValue("upn")
	m, err := a.d.Mailboxes.Mailbox(r.Context(), upn)
	if err != nil {
		return missingUser(err, "upn", upn)
	}
	said, err := a.d.Access.SaidOf(r.Context(), upn)
	if err != nil {
		return missingUser(err, "upn", upn)
	}
	return wire.WriteJSON(w, http.StatusOK, UserMailbox{Mailbox: mailboxOf(m), MailOff: said.MailOff, Said: wire.List(said.Personal)})
}

// ReportMailboxes answers GET /api/v1/reports/mailboxes: those that are near their
// limit, as JSON in pages, as CSV all at once.
func (a *API) ReportMailboxes(w http.ResponseWriter, r *http.Request) error {
	page, spreadsheet, err := pageOrCSV(r)
	if err != nil {
		return err
	}
	if spreadsheet {
		return a.mailboxSheet(w, r)
	}
	list, next, err := a.d.Mailboxes.FullMailboxes(r.Context(), directory.UserID(page.After), page.Limit)
	if err != nil {
		return err
	}
	out := Mailboxes{Mailboxes: make([]Mailbox, len(list)), Next: string(next)}
	for i, m := range list {
		out.Mailboxes[i] = mailboxOf(m)
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

func (a *API) mailboxSheet(w http.ResponseWriter, r *http.Request) error {
	extend(w)
	rows := [][]string{{"user", "used", "limit", "state", "spare_id", "spare_device_id", "spare_model", "spare_last_seen", "spare_phone"}}
	for after := directory.UserID(""); ; {
		list, next, err := a.d.Mailboxes.FullMailboxes(r.Context(), after, reportPage)
		if err != nil {
			return err
		}
		for _, m := range list {
			rows = append(rows, mailboxOf(m).cells())
		}
		if next == "" {
			break
		}
		after = next
	}
	if err := wire.NewSpreadsheet(w, "mailboxes").Write(rows...); err != nil {
		return fmt.Errorf("%w: %w", wire.ErrTorn, err)
	}
	return nil
}

func (m Mailbox) cells() []string {
	row := []string{m.User, strconv.Itoa(m.Used), strconv.Itoa(m.Limit), m.State, "", "", "", "", ""}
	if d := m.Spare; d != nil {
		row = append(row[:4], d.ID, d.DeviceID, d.Model, "", d.Phone)
		if !d.LastSeenAt.IsZero() {
			row[7] = d.LastSeenAt.UTC().Format(time.RFC3339)
		}
	}
	return row
}
