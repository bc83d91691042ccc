package console

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/server/problem"
	"sallyport/internal/web"
	"sallyport/mdm"
)

// lastCommands is how many commands a page shows.
const lastCommands = 10

// one is a device as the pages mean it: a mail client with its phone, or one of the two.
type one struct {
	upn     string
	client  *access.Detail
	phone   *enroll.DeviceRow
	answer  *access.Explained // of the client
	verdict *compliance.Verdict
}

// Device answers GET /console/devices/{id}: the ID of a mail client or of a phone.
func (c *Console) Device(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	d, err := c.look(ctx, r.PathValue("id"))
	if err != nil {
		return err
	}
	view := web.ConsoleDevice{User: d.upn, Advice: adviceOf(d)}
	if d.client != nil {
		view.Client, view.Bindings, view.Words = clientView(d.client), bindingsOf(d.client), wordsOf(d.client)
		view.Name = cmp.Or(d.client.Model, d.client.Type, spelling(d.client.Device))
		view.Decision = decisionOf(d.answer.Decision, d.answer.Trace, d.client.Device)
		if view.Inputs, err = legible(d.answer.Inputs); err != nil {
			return err
		}
	}
	if d.phone != nil {
		view.Phone = phoneView(*d.phone)
		view.Name = cmp.Or(nameOf(*d.phone), modelOf(*d.phone), d.phone.Device.Product, view.Name)
		mail, err := c.d.Commands.MailSettings(ctx, d.phone.Device.ID)
		if err != nil {
			return err
		}
		view.LeftOut = leftOutOf(mail.LeftOut)
		if view.Commands, err = c.commands(ctx, d.phone.Device.ID); err != nil {
			return err
		}
	}
	if d.verdict != nil {
		view.Verdict = verdictView(*d.verdict)
	}
	body, err := c.d.Pages.ConsoleDevice(language(r), c.frame(r, "devices"), view)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, body)
}

// legible is JSON for people: the page escapes it, so that it need not do so itself.
func legible(v any) (string, error) {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return "", fmt.Errorf("encode inputs: %w", err)
	}
	return strings.TrimSpace(text.String()), nil
}

// look finds the mail client of that ID with its phone, or the phone with its mail client.
func (c *Console) look(ctx context.Context, id string) (one, error) {
	detail, err := c.d.Clients.Show(ctx, access.DeviceID(id))
	if err == nil {
		return c.withPhone(ctx, detail)
	}
	if !errors.Is(err, access.ErrNotFound) {
		return one{}, err
	}
	phone, err := c.d.Phones.Device(ctx, mdm.DeviceID(id))
	if errors.Is(err, enroll.ErrNotFound) {
		return one{}, fmt.Errorf("no such device: %w", problem.ErrNotFound)
	}
	if err != nil {
		return one{}, err
	}
	d := one{upn: phone.UPN, phone: &phone}
	if d.verdict, err = c.verdict(ctx, phone.Enrollment.ID); err != nil {
		return one{}, err
	}
	client, err := c.clientOn(ctx, phone)
	if err != nil || client == "" {
		return d, err
	}
	if detail, err = c.d.Clients.Show(ctx, client); err != nil {
		return one{}, err
	}
	return d, c.ask(ctx, &d, detail)
}

func (c *Console) withPhone(ctx context.Context, detail access.Detail) (one, error) {
	d := one{upn: detail.UPN}
	if err := c.ask(ctx, &d, detail); err != nil {
		return one{}, err
	}
	i := slices.IndexFunc(detail.Phones, func(p access.Phone) bool { return p.Proof.Counts() })
	if i < 0 {
		return d, nil
	}
	phones, err := c.d.Phones.ListDevices(ctx, enroll.DeviceFilter{UPN: detail.UPN, Limit: 1000})
	if err != nil {
		return one{}, err
	}
	if phone := phoneOf(phones, detail.Phones[i].EnrollmentID); phone.Device.ID != "" {
		d.phone = &phone
	}
	d.verdict, err = c.verdict(ctx, detail.Phones[i].EnrollmentID)
	return d, err
}

// ask adds the mail client and what is answered to it now.
func (c *Console) ask(ctx context.Context, d *one, detail access.Detail) error {
	answer, err := c.d.Explains.Question(ctx, clientOf(detail.UPN, detail.Device))
	if err != nil {
		return err
	}
	d.client, d.answer = &detail, &answer
	return nil
}

// clientOn is the mail client that is known to be on the phone; empty where none is.
func (c *Console) clientOn(ctx context.Context, phone enroll.DeviceRow) (access.DeviceID, error) {
	if phone.UPN == "" || phone.Enrollment.State.Ended() {
		return "", nil
	}
	rows, err := c.d.Clients.ListOf(ctx, phone.UPN, access.DeviceFilter{Limit: 1000})
	if errors.Is(err, directory.ErrNotFound) { // removed meanwhile
		return "", nil
	}
	var key access.DeviceKey
	if facts := phone.Report.Device; facts != nil && facts.EASDeviceID != "" {
		key = access.Canonical(facts.EASDeviceID)
	}
	for _, row := range rows {
		if key != "" && row.Key == key || row.Bound == phone.Enrollment.ID && row.Proof.Counts() {
			return row.ID, nil
		}
	}
	return "", err
}

// verdict is nil where there is none.
func (c *Console) verdict(ctx context.Context, id mdm.EnrollmentID) (*compliance.Verdict, error) {
	v, err := c.d.Verdicts.Current(ctx, id)
	if errors.Is(err, compliance.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &v, nil
}

func (c *Console) commands(ctx context.Context, id mdm.DeviceID) ([]web.ConsoleCommand, error) {
	list, err := c.d.Commands.Commands(ctx, id, directory.Page{Limit: lastCommands})
	if err != nil {
		return nil, err
	}
	views := make([]web.ConsoleCommand, len(list))
	for i, command := range list {
		views[i] = web.ConsoleCommand{
			Type: command.RequestType, Subject: command.Subject, State: string(command.State), Error: command.Error,
			SentAt: command.SentAt, DoneAt: command.DoneAt,
		}
	}
	return views, nil
}
