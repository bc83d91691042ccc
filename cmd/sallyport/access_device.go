package main

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
)

const accessDevicesPath = "/api/v1/access/devices"

func accessDevicePath(id string) string { return accessDevicesPath + "/" + url.PathEscape(id) }

type accessDeviceCmd struct {
	List     accessDeviceListCmd   `cmd:"" help:"List mail clients that have come, enrolled or not."`
	Show     accessDeviceShowCmd   `cmd:"" help:"Show one with each step of its decision."`
	Approve  accessApproveCmd      `cmd:"" help:"Let mail clients in that wait."`
	Deny     accessDenyCmd         `cmd:"" help:"Shut mail clients out that wait."`
	Allow    accessAllowCmd        `cmd:"" help:"Allow mail clients, whatever rules and the default say."`
	Block    accessBlockCmd        `cmd:"" help:"Block mail clients."`
	Exempt   accessExemptCmd       `cmd:"" help:"Exempt mail clients from conditional access for a while."`
	Unallow  accessUnallowCmd      `cmd:"" help:"Take an allow back."`
	Unblock  accessUnblockCmd      `cmd:"" help:"Take a block back."`
	Unexempt accessUnexemptCmd     `cmd:"" help:"End an exemption."`
	Bind     accessBindCmd         `cmd:"" help:"Confirm which enrolled phone a mail client is on."`
	Unbind   accessUnbindCmd       `cmd:"" help:"End a binding that was confirmed or guessed."`
	Remove   accessDeviceRemoveCmd `cmd:"" help:"Forget a mail client until it comes again."`
}

type accessDeviceListCmd struct {
	User     string `help:"Only those of this user." placeholder:"UPN"`
	Decision string `help:"Only those that were answered so last: allow, quarantine or block." enum:",allow,quarantine,block" default:""`
	Family   string `help:"Only those of this DeviceType." placeholder:"TEXT"`
	Model    string `help:"Only those of this model." placeholder:"TEXT"`
	Output
}

func (c *accessDeviceListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	all, err := c.find(p, api)
	if err != nil {
		return err
	}
	return p.listMailClients(c.Output, all)
}

func (c *accessDeviceListCmd) find(p *program, api *client) ([]access.DeviceRow, error) {
	all := []access.DeviceRow{}
	err := pages(func(cursor string) (string, error) {
		q := pageQuery(cursor)
		for key, value := range map[string]string{"user": c.User, "decision": c.Decision, "family": c.Family, "model": c.Model} {
			if value != "" {
				q.Set(key, value)
			}
		}
		var page adminapi.AccessDeviceList
		err := api.get(p.ctx, accessDevicesPath, q, &page)
		all = append(all, page.Devices...)
		return page.Next, err
	})
	return all, err
}

func (p *program) listMailClients(o Output, all []access.DeviceRow) error {
	const header = "ID USER DECISION LAST DEVICE"
	return list(p, o, all, header, fitted(header, all, func(d access.DeviceRow) []string {
		return []string{string(d.ID), d.UPN, string(d.Effect), stamp(d.LastAt), strings.TrimSpace(d.Type + " " + d.Spelling())}
	}, terminalWidth(p.stdout), 4))
}

type accessDeviceShowCmd struct {
	ID string `arg:"" name:"id" help:"ID of the mail client: see access device list."`
	Output
}

func (c *accessDeviceShowCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var d access.Detail
	if err := api.get(p.ctx, accessDevicePath(c.ID), nil, &d); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, d)
	}
	if err := facts(p.stdout,
		fact{"ID", string(d.ID)}, fact{"User", d.UPN}, fact{"DeviceId", strings.Join(d.Spellings, ", ")}, fact{"Type", d.Type}, fact{"Model", d.Model},
		fact{"System", d.OS}, fact{"User agent", d.UserAgent}, fact{"Protocol", d.Protocol}, fact{"Address", d.Address},
		fact{"First seen", stamp(d.FirstAt)}, fact{"Last seen", stamp(d.LastAt)}, fact{"Last allowed", stamp(d.SyncAt)}); err != nil {
		return err
	}
	for _, phone := range d.Phones {
		fmt.Fprintf(p.stdout, "Phone %s: %s, proof %s, %s\n", cell(string(phone.EnrollmentID)), phone.State, cmp.Or(string(phone.Proof), "none"), cmp.Or(string(phone.Verdict.State), "no verdict yet"))
	}
	for _, w := range d.Personal {
		fmt.Fprintln(p.stdout, personalLine(w))
	}
	for _, line := range d.Trace {
		fmt.Fprintf(p.stdout, "  %s: %s\n", cell(strings.TrimSpace(string(line.Step)+" "+line.Subject)), cell(line.Outcome+", "+line.Fact))
	}
	p.reasons(d.Decision)
	fmt.Fprintf(p.stdout, "decision: %s by step %s\n", d.Decision.Effect, d.Decision.Step)
	return nil
}

func personalLine(w access.Personal) string {
	whose := "this device"
	if w.Key == "" {
		whose = "every device of the user"
	}
	line := fmt.Sprintf("%s for %s, by %s at %s: %s", w.Kind, whose, cell(w.By), stamp(w.At), cell(w.Reason))
	if !w.ExpiresAt.IsZero() {
		line += " (until " + stamp(w.ExpiresAt) + ")"
	}
	return line
}

type accessDeviceRemoveCmd struct {
	ID string `arg:"" name:"id" help:"ID of the mail client: see access device list."`
	Reasoned
	Rehearsed
	Output
}

// Help is the detail under the usage line.
func (*accessDeviceRemoveCmd) Help() string {
	return `It gives up a place in the mailbox: where a phone waits for one, its mail profile is sent. Remove the device at the mail server, too. One that is on an enrolled phone is refused: end the phone's management with device retire.`
}

func (c *accessDeviceRemoveCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	path := because(accessDevicePath(c.ID), c.Reason)
	if c.DryRun {
		var row access.DeviceRow
		if err := api.call(p.ctx, http.MethodDelete, path+"&dry_run=true", "", nil, &row); err != nil {
			return err
		}
		if c.json() {
			return printJSON(p.stdout, row)
		}
		fmt.Fprintf(p.stdout, "would forget %s of %s, last seen %s\n", cell(strings.TrimSpace(row.Type+" "+row.Spelling())), cell(row.UPN), stamp(row.LastAt))
		p.nothingDone()
		return nil
	}
	if err := api.call(p.ctx, http.MethodDelete, path, "", nil, nil); err != nil {
		return err
	}
	return done{"access.remove_device", c.ID}.print(p, c.Output, "mail client %s is forgotten; what was said of it stays\n", cell(c.ID))
}

type accessBindCmd struct {
	ID         string `arg:"" name:"id" help:"ID of the mail client."`
	Enrollment string `arg:"" optional:"" help:"Enrolment of the phone; none: the one that it probably is."`
	Reasoned
	Output
}

func (c *accessBindCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var out adminapi.AccessBinding
	if err := api.putJSON(p.ctx, accessDevicePath(c.ID)+"/binding", adminapi.AccessBindingInput{EnrollmentID: c.Enrollment, Reason: c.Reason}, &out); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, out)
	}
	fmt.Fprintf(p.stdout, "mail client %s is on the phone of enrolment %s\n", cell(c.ID), cell(string(out.EnrollmentID)))
	return nil
}

type accessUnbindCmd struct {
	ID string `arg:"" name:"id" help:"ID of the mail client."`
	Reasoned
	Output
}

func (c *accessUnbindCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if err := api.call(p.ctx, http.MethodDelete, because(accessDevicePath(c.ID)+"/binding", c.Reason), "", nil, nil); err != nil {
		return err
	}
	return done{"access.unbind", c.ID}.print(p, c.Output, "mail client %s is bound to no phone by anybody's word\n", cell(c.ID))
}
