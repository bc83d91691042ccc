package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"sallyport/access"
	"sallyport/internal/server/accessapi"
	"sallyport/mdm"
)

type userRemoveCmd struct {
	UPN string `arg:"" name:"upn" help:"User principal name."`
	Rehearsed
	Output
}

// Help is the detail under the usage line.
func (*userRemoveCmd) Help() string {
	return `The user's phones stay enrolled and keep what is on them, and get nothing new: take the mail off them first, or later, with device retire. The passwords of the user are deleted, the certificates revoked but for those of the phones' management, and open invitations too.`
}

// leaving is the answer of user remove --dry-run in JSON.
type leaving struct {
	MailClients []access.DeviceRow `json:"mail_clients"` // which would be blocked
	Phones      []accessapi.Device `json:"phones"`       // which would stay enrolled
}

func (c *userRemoveCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.plan(p, api)
	}
	if err := api.call(p.ctx, http.MethodDelete, userPath(c.UPN), "", nil, nil); err != nil {
		return err
	}
	return done{"user.remove", c.UPN}.print(p, c.Output, "user %s is removed; the mailbox is shut\n", cell(c.UPN))
}

func (c *userRemoveCmd) plan(p *program, api *client) error {
	clients, err := (&accessDeviceListCmd{User: c.UPN}).find(p, api)
	if err != nil {
		return err
	}
	phones, err := p.devices(api, url.Values{"user": {c.UPN}})
	if err != nil {
		return err
	}
	phones = slices.DeleteFunc(append([]accessapi.Device{}, phones...), func(d accessapi.Device) bool { return !mdm.EnrollmentState(d.Enrollment.State).Active() })
	if c.json() {
		return printJSON(p.stdout, leaving{clients, phones})
	}
	fmt.Fprintln(p.stdout, "these mail clients would be blocked:")
	if err := p.listMailClients(c.Output, clients); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "these phones would stay enrolled, and keep what is on them until they are retired:")
	if err := p.listDevices(c.Output, phones); err != nil {
		return err
	}
	p.nothingDone()
	return nil
}
