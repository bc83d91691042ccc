package main

import (
	"cmp"
	"net/url"
	"time"

	"sallyport/internal/server/accessapi"
)

type deviceCmd struct {
	List           deviceListCmd           `cmd:"" help:"List phones."`
	Show           deviceShowCmd           `cmd:"" help:"Show a phone: its verdict with a finding for each rule, its profiles, what was done to it and what can be."`
	Lock           deviceLockCmd           `cmd:"" help:"Lock the screen, with a message and a number to call."`
	Rename         deviceRenameCmd         `cmd:"" help:"Give a phone a name; a supervised one takes it too."`
	Resend         deviceResendCmd         `cmd:"" help:"Install the mail profile again, and give back what was taken away."`
	Query          deviceQueryCmd          `cmd:"" help:"Ask a phone for facts; the answer stands with the act."`
	ClearPasscode  deviceClearPasscodeCmd  `cmd:"" help:"Remove the passcode; its user sets a new one."`
	RemovePolicies deviceRemovePoliciesCmd `cmd:"" help:"Remove the security policies; mail stays."`
	SelectiveWipe  deviceSelectiveWipeCmd  `cmd:"" help:"Remove mail and everything else that came from this server; private data stays."`
	Retire         deviceRetireCmd         `cmd:"" help:"Un-enrol a phone and revoke its certificates."`
	Wipe           deviceWipeCmd           `cmd:"" help:"Erase everything on a phone; corporate phones only."`
	Command        deviceCommandCmd        `cmd:"" help:"Send a command in your own words: a property list, or Google's JSON for an Android phone."`
	Actions        deviceActionsCmd        `cmd:"" help:"List what was ordered for a phone, newest first; or show one act with its answer."`
	Approve        deviceApproveCmd        `cmd:"" help:"Agree to an act as its second owner."`
	Cancel         deviceCancelCmd         `cmd:"" help:"Take an act back before the phone has taken it."`
	Commands       deviceCommandsCmd       `cmd:"" help:"List what was handed to a phone, newest first."`
	Ownership      deviceOwnershipCmd      `cmd:"" help:"Say whose phone it is: corporate becomes personal."`
	Held           deviceHeldCmd           `cmd:"" help:"Phones that came under another user, or again after an act that took their mail, and wait for an admin."`
}

type deviceListCmd struct {
	User         string `help:"Only phones of this user." placeholder:"UPN"`
	EASDeviceID  string `name:"eas-device-id" help:"Only the phone with this ActiveSync DeviceId." placeholder:"ID"`
	State        string `help:"Only phones with this verdict: compliant, in_grace, not_compliant, not_evaluated, unknown." placeholder:"STATE"`
	ChangedSince moment `help:"Only phones that changed since then: 2026-11-21T08:00:00Z, 2026-11-21, or 24h or 7d for so long ago." placeholder:"TIME"`
	Output
}

func (c *deviceListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	q := url.Values{}
	for key, value := range map[string]string{"user": c.User, "eas_device_id": c.EASDeviceID, "state": c.State} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if since := c.ChangedSince.when(p.now()); !since.IsZero() {
		q.Set("changed_since", since.Format(time.RFC3339Nano))
	}
	devices, err := p.devices(api, q)
	if err != nil {
		return err
	}
	return p.listDevices(c.Output, devices)
}

func (p *program) listDevices(o Output, devices []accessapi.Device) error {
	return list(p, o, devices, "ID USER NAME PRODUCT OS STATE VERDICT EAS-DEVICE-ID LAST-SEEN", func(d accessapi.Device) []string {
		return []string{d.ID, d.User, deviceTitle(d), d.Product, d.OSVersion, d.Enrollment.State, d.Compliance, d.EASDeviceID, stamp(d.Enrollment.LastSeenAt)}
	})
}

func (p *program) devices(api *client, filter url.Values) ([]accessapi.Device, error) {
	var devices []accessapi.Device
	err := pages(func(cursor string) (string, error) {
		q := pageQuery(cursor)
		for key := range filter {
			q.Set(key, filter.Get(key))
		}
		var page accessapi.Devices
		err := api.get(p.ctx, "/api/v1/devices", q, &page)
		devices = append(devices, page.Devices...)
		return page.Next, err
	})
	return devices, err
}

// onDevice is a client, and the phone that a command is about.
func (p *program) onDevice(id string) (*client, accessapi.DeviceDetail, error) {
	api, err := p.client()
	if err != nil {
		return nil, accessapi.DeviceDetail{}, err
	}
	device, err := p.device(api, id)
	return api, device, err
}

// device finds a phone by its ID, or by its ActiveSync DeviceId.
func (p *program) device(api *client, id string) (accessapi.DeviceDetail, error) {
	var d accessapi.DeviceDetail
	err := api.get(p.ctx, devicePath(id), nil, &d)
	if isNotFound(err) {
		err = p.deviceByEAS(api, id, &d, err)
	}
	return d, err
}

// deviceByEAS finds the phone that has this DeviceId; the first error stands when none has.
func (p *program) deviceByEAS(api *client, id string, out *accessapi.DeviceDetail, notFound error) error {
	devices, err := p.devices(api, url.Values{"eas_device_id": {id}})
	if err != nil {
		return err
	}
	if len(devices) != 1 {
		return notFound
	}
	return api.get(p.ctx, devicePath(devices[0].ID), nil, out)
}

func devicePath(id string) string { return "/api/v1/devices/" + url.PathEscape(id) }

// deviceTitle is what people call a phone: an admin's name for it comes first.
func deviceTitle(d accessapi.Device) string { return cmp.Or(d.Label, d.Name) }
