package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"sallyport/internal/refusal"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
)

type deviceOwnershipCmd struct {
	ID        string `arg:"" name:"id" help:"ID of the phone, or its ActiveSync DeviceId."`
	Ownership string `arg:"" enum:"corporate,personal" help:"corporate or personal. A personal phone becomes corporate only by enrolling again."`
	DryRun    bool   `help:"Say what would happen, and do nothing."`
	Output
}

func (c *deviceOwnershipCmd) Run(p *program) error {
	api, device, err := p.onDevice(c.ID)
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.plan(p, device)
	}
	if err := api.putJSON(p.ctx, devicePath(device.ID)+"/ownership", adminapi.OwnershipRequest{Ownership: c.Ownership}, nil); err != nil {
		return err
	}
	return done{"device.ownership", device.ID}.print(p, c.Output, "%s is %s\n", ownedName(device), c.Ownership)
}

func ownedName(d accessapi.DeviceDetail) string { return cell(cmp.Or(deviceTitle(d.Device), d.ID)) }

// ownershipPlan is the answer of device ownership --dry-run in JSON.
type ownershipPlan struct {
	Device string `json:"device"` // ID
	Before string `json:"before"` // corporate, personal
	After  string `json:"after"`
}

// plan is no success where the server would refuse.
func (c *deviceOwnershipCmd) plan(p *program, d accessapi.DeviceDetail) error {
	now, name := d.Enrollment.Ownership, ownedName(d)
	plan := ownershipPlan{Device: d.ID, Before: now, After: c.Ownership}
	var says string
	var refused error
	switch {
	case now == c.Ownership:
		says = fmt.Sprintf("%s is %s already.", name, now)
	case c.Ownership == string(mdm.Personal):
		says = fmt.Sprintf("%s would be personal: never erased from now on, and a wipe that waits would fail. Only enrolling again makes it corporate.", name)
	default:
		plan.After, refused = now, errQuiet
		says = fmt.Sprintf("%s is personal and would stay so: it becomes corporate only by enrolling again.", name)
	}
	if c.json() {
		return errors.Join(printJSON(p.stdout, plan), refused)
	}
	fmt.Fprintln(p.stdout, says)
	p.nothingDone()
	return refused
}

type deviceHeldCmd struct {
	List   heldListCmd   `cmd:"" help:"List phones that wait for an admin, oldest first."`
	Admit  heldAdmitCmd  `cmd:"" help:"Give the phone to who asks; whoever holds it now loses it."`
	Refuse heldRefuseCmd `cmd:"" help:"Turn the enrolment away; the phone stays with who holds it."`
}

type heldListCmd struct{ Output }

func (c *heldListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	held, err := p.held(api)
	if err != nil {
		return err
	}
	return list(p, c.Output, held, "ID PHONE SERIAL ASKS HOLDS OWNERSHIP SINCE WHY", func(h adminapi.HeldEnrollment) []string {
		return []string{h.ID, h.Device, h.Serial, h.User, h.Holder, h.Ownership, stamp(h.CreatedAt), h.Reason}
	})
}

func (p *program) held(api *client) ([]adminapi.HeldEnrollment, error) {
	var all []adminapi.HeldEnrollment
	err := pages(func(cursor string) (string, error) {
		var page adminapi.HeldEnrollments
		err := api.get(p.ctx, "/api/v1/held-enrollments", pageQuery(cursor), &page)
		all = append(all, page.Held...)
		return page.Next, err
	})
	return all, err
}

// Waiting names a held enrolment.
type Waiting struct {
	ID     string `arg:"" name:"id" help:"ID of the held enrolment: see device held list."`
	DryRun bool   `help:"Say what would happen, and do nothing."`
	Output
}

type heldAdmitCmd struct{ Waiting }

func (c *heldAdmitCmd) Run(p *program) error {
	return c.decide(p, "admit", func(h adminapi.HeldEnrollment) string {
		if h.Holder == "" {
			return fmt.Sprintf("%s goes to %s", cell(h.Device), cell(h.User))
		}
		return fmt.Sprintf("%s goes to %s, and the enrolment of %s ends", cell(h.Device), cell(h.User), cell(h.Holder))
	})
}

type heldRefuseCmd struct{ Waiting }

func (c *heldRefuseCmd) Run(p *program) error {
	return c.decide(p, "refuse", func(h adminapi.HeldEnrollment) string {
		return fmt.Sprintf("%s stays with %s, and what %s enrolled is turned away", cell(h.Device), cell(cmp.Or(h.Holder, "nobody")), cell(h.User))
	})
}

// decide looks the enrolment up first, so that people read whose phone it is.
func (w Waiting) decide(p *program, verb string, says func(adminapi.HeldEnrollment) string) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	held, err := p.held(api)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.ID != w.ID {
			continue
		}
		if w.DryRun {
			return w.plan(p, h, says(h))
		}
		if err := api.call(p.ctx, http.MethodPost, "/api/v1/held-enrollments/"+url.PathEscape(w.ID)+"/"+verb, "", nil, nil); err != nil {
			return err
		}
		return done{"enrollment." + verb, w.ID}.print(p, w.Output, "%s\n", says(h))
	}
	return refusal.New(apiError{}, "id", fmt.Sprintf("there is no held enrolment %q", w.ID), "see: sallyport device held list")
}

func (w Waiting) plan(p *program, h adminapi.HeldEnrollment, says string) error {
	if w.json() {
		return printJSON(p.stdout, h)
	}
	fmt.Fprintln(p.stdout, says)
	p.nothingDone()
	return nil
}
