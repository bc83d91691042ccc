package main

import (
	"cmp"
	"fmt"
	"net/http"

	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
)

type deviceActionsCmd struct {
	ID  string `arg:"" name:"id" help:"ID of the phone, or its ActiveSync DeviceId."`
	Act string `arg:"" optional:"" help:"ID of one act: show it whole, with the phone's answer."`
	Output
}

const actColumns = "ACT KIND STATE ORDERED BY SENT DONE REMARK"

func actRow(a adminapi.Action) []string {
	return []string{a.ID, actName(a.Kind), a.State, stamp(a.RequestedAt), a.RequestedBy, stamp(a.SentAt), stamp(a.DoneAt),
		cmp.Or(a.Error, a.Message, a.Name, a.Query)}
}

func (c *deviceActionsCmd) Run(p *program) error {
	api, device, err := p.onDevice(c.ID)
	if err != nil {
		return err
	}
	if c.Act != "" {
		return c.one(p, api, device.ID)
	}
	var all []adminapi.Action
	err = pages(func(cursor string) (string, error) {
		var page adminapi.Actions
		err := api.get(p.ctx, devicePath(device.ID)+"/actions", pageQuery(cursor), &page)
		all = append(all, page.Actions...)
		return page.Next, err
	})
	if err != nil {
		return err
	}
	return list(p, c.Output, all, actColumns, actRow)
}

func (c *deviceActionsCmd) one(p *program, api *client, device string) error {
	var act adminapi.ActionDetail
	if err := api.get(p.ctx, actPath(device, c.Act), nil, &act); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, act)
	}
	err := facts(p.stdout,
		fact{"Act", act.ID}, fact{"Kind", actName(act.Kind)}, fact{"State", act.State}, fact{"Error", act.Error},
		fact{"Message", act.Message}, fact{"Phone number", act.PhoneNumber}, fact{"Name", act.Name}, fact{"Query", act.Query},
		fact{"Ordered", stamp(act.RequestedAt) + " by " + act.RequestedBy}, fact{"Approved by", act.ApprovedBy},
		fact{"Sent", stamp(act.SentAt)}, fact{"Done", stamp(act.DoneAt)}, fact{"Expires", expires(act.Action)},
		fact{"Command", act.CommandID})
	if err != nil {
		return err
	}
	for _, part := range []struct{ title, text string }{{"In these words", act.Raw}, {"The phone's answer", act.Result}} {
		if part.text != "" {
			fmt.Fprintf(p.stdout, "%s\n%s\n", part.title, printable(part.text))
		}
	}
	return nil
}

// expires matters to what is still under way.
func expires(a adminapi.Action) string {
	if !mdm.ActionState(a.State).Open() {
		return ""
	}
	return stamp(a.ExpiresAt)
}

// printActs is the part of a show about what was done to a phone.
func printActs(p *program, acts []adminapi.Action) error {
	if len(acts) == 0 {
		return nil
	}
	fmt.Fprintln(p.stdout, "Acts, the newest first")
	return list(p, Output{}, acts, actColumns, actRow)
}

// Named names one act upon one phone.
type Named struct {
	ID  string `arg:"" name:"id" help:"ID of the phone, or its ActiveSync DeviceId."`
	Act string `arg:"" help:"ID of the act: see device actions."`
	Output
}

type deviceApproveCmd struct {
	Named
	DryRun bool `help:"Show what would be agreed to, and do nothing."`
}

func (c *deviceApproveCmd) Run(p *program) error {
	api, device, err := p.onDevice(c.ID)
	if err != nil {
		return err
	}
	var act adminapi.Action
	if c.DryRun {
		var shown adminapi.ActionDetail
		if err := api.get(p.ctx, actPath(device.ID, c.Act), nil, &shown); err != nil {
			return err
		}
		if c.json() {
			return printJSON(p.stdout, shown)
		}
		fmt.Fprintf(p.stdout, "%s of %s (%s), ordered by %s on %s, is %s\n", actName(shown.Kind), cell(cmp.Or(deviceTitle(device.Device), device.ID)),
			cell(device.User), cell(shown.RequestedBy), stamp(shown.RequestedAt), shown.State)
		for _, can := range device.Capabilities {
			if string(can.Kind) == shown.Kind {
				fmt.Fprintf(p.stdout, "  %s\n", cell(cmp.Or(can.Effect, can.Reason)))
			}
		}
		fmt.Fprintln(p.stdout, "Dry run: nothing was done.")
		return nil
	}
	if err := api.call(p.ctx, http.MethodPost, actPath(device.ID, c.Act)+"/approve", "", nil, &act); err != nil {
		return err
	}
	return c.print(p, act)
}

type deviceCancelCmd struct{ Named }

func (c *deviceCancelCmd) Run(p *program) error {
	api, device, err := p.onDevice(c.ID)
	if err != nil {
		return err
	}
	var act adminapi.Action
	if err := api.call(p.ctx, http.MethodDelete, actPath(device.ID, c.Act), "", nil, &act); err != nil {
		return err
	}
	return c.print(p, act)
}

func (n Named) print(p *program, act adminapi.Action) error {
	if n.json() {
		return printJSON(p.stdout, act)
	}
	fmt.Fprintf(p.stdout, "%s is %s: act %s\n", actName(act.Kind), act.State, act.ID)
	return nil
}

type deviceCommandsCmd struct {
	ID string `arg:"" name:"id" help:"ID of the phone, or its ActiveSync DeviceId."`
	Output
}

func (c *deviceCommandsCmd) Run(p *program) error {
	api, device, err := p.onDevice(c.ID)
	if err != nil {
		return err
	}
	var all []adminapi.Command
	err = pages(func(cursor string) (string, error) {
		var page adminapi.Commands
		err := api.get(p.ctx, devicePath(device.ID)+"/commands", pageQuery(cursor), &page)
		all = append(all, page.Commands...)
		return page.Next, err
	})
	if err != nil {
		return err
	}
	return list(p, c.Output, all, "COMMAND SENT DONE STATE TYPE SUBJECT ACT ERROR", func(c adminapi.Command) []string {
		return []string{c.ID, stamp(c.SentAt), stamp(c.DoneAt), c.State, c.RequestType, shortIDs(c.Subject), shortIDs(c.ActionID), c.Error}
	})
}
