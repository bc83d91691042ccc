package main

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/internal/server/accessapi"
	"sallyport/mdm"
)

type deviceCmd struct {
	List deviceListCmd `cmd:"" help:"List phones."`
	Show deviceShowCmd `cmd:"" help:"Show a phone: its verdict with a finding for each rule, its profiles."`
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
	return list(p, c.Output, devices, "ID USER NAME PRODUCT OS STATE VERDICT EAS-DEVICE-ID LAST-SEEN", func(d accessapi.Device) []string {
		return []string{d.ID, d.User, d.Name, d.Product, d.OSVersion, d.Enrollment.State, d.Compliance, d.EASDeviceID, stamp(d.Enrollment.LastSeenAt)}
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

type deviceShowCmd struct {
	ID string `arg:"" name:"id" help:"ID of the phone, or its ActiveSync DeviceId."`
	Output
}

// deviceShown is the answer of device show in JSON.
type deviceShown struct {
	accessapi.DeviceDetail
	Verdict *compliance.Verdict `json:"verdict"` // null when not evaluated yet
}

func (c *deviceShowCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var shown deviceShown
	err = api.get(p.ctx, devicePath(c.ID), nil, &shown.DeviceDetail)
	if isNotFound(err) {
		err = p.deviceByEAS(api, c.ID, &shown.DeviceDetail, err)
	}
	if err != nil {
		return err
	}
	var verdict compliance.Verdict
	switch err := api.get(p.ctx, devicePath(shown.ID)+"/compliance", nil, &verdict); {
	case err == nil:
		shown.Verdict = &verdict
	case !isNotFound(err):
		return err
	}
	if c.json() {
		return printJSON(p.stdout, shown)
	}
	return printDevice(p, shown)
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

func printDevice(p *program, d deviceShown) error {
	err := facts(p.stdout,
		fact{"ID", d.ID}, fact{"User", d.User}, fact{"Name", d.Name},
		fact{"Product", strings.TrimSpace(d.Product + " " + d.Model)}, fact{"OS", d.OSVersion},
		fact{"Serial", d.Serial}, fact{"UDID", d.UDID}, fact{"ActiveSync DeviceId", d.EASDeviceID},
		fact{"Enrolment", d.Enrollment.State + ", " + d.Enrollment.Ownership + pollOnly(d.Enrollment.PollOnly)},
		fact{"Last seen", stamp(d.Enrollment.LastSeenAt)})
	if err != nil {
		return err
	}
	if mdm.EnrollmentState(d.Enrollment.State).Ended() {
		fmt.Fprintf(p.stdout, "Management ended%s: what follows is what the phone last reported, not what it holds now.\n", on(d.Enrollment.EndedAt))
	}
	if profiles := d.Report.Profiles; profiles != nil {
		fmt.Fprintln(p.stdout, "Profiles")
		for _, item := range profiles.Items {
			fmt.Fprintf(p.stdout, "  %s  revision %s  (%s)\n", cell(item.DisplayName), cell(item.UUID), cell(item.Identifier))
		}
	}
	if d.Verdict == nil {
		fmt.Fprintln(p.stdout, "verdict: not_evaluated")
		return nil
	}
	return printVerdict(p, *d.Verdict)
}

func on(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " on " + stamp(t)
}

func pollOnly(poll bool) string {
	if poll {
		return ", polls only (enrolled without a push certificate)"
	}
	return ""
}

func printVerdict(p *program, v compliance.Verdict) error {
	policy := v.Policy
	if policy == "" {
		policy = "no policy applies"
	}
	fmt.Fprintf(p.stdout, "verdict: %s since %s (%s)\n", v.State, stamp(v.Since), cell(policy))
	for _, f := range v.Findings {
		line := fmt.Sprintf("  %-12s  %s: %s", f.State, f.Rule, cell(f.Fact))
		if f.Expected != "" && f.State != compliance.Met {
			line += ", expected " + cell(f.Expected)
		}
		if f.Fix != "" {
			line += " -> " + cell(f.Fix)
		}
		fmt.Fprintln(p.stdout, line)
	}
	return nil
}

type accessCmd struct {
	Decide accessDecideCmd `cmd:"" help:"Ask what the gate would say to a mail client. The last line is the decision."`
}

type accessDecideCmd struct {
	User       string `required:"" help:"As the mail client sends it: UPN, email, user name or DOMAIN\\user." placeholder:"USER"`
	DeviceID   string `name:"device-id" required:"" help:"ActiveSync DeviceId." placeholder:"ID"`
	DeviceType string `help:"ActiveSync DeviceType." default:"iPhone"`
	UserAgent  string `help:"The client's User-Agent." default:""`
	Output
}

func (c *accessDecideCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	in := access.Client{User: c.User, DeviceID: c.DeviceID, DeviceType: c.DeviceType, UserAgent: c.UserAgent}
	var d access.Decision
	if err := api.post(p.ctx, "/api/v1/access/decisions", in, &d); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, d)
	}
	for _, r := range d.Reasons {
		line := fmt.Sprintf("  %s: %s", cell(r.Rule), cell(r.Fact))
		if !r.Since.IsZero() {
			line += ", since " + stamp(r.Since)
		}
		if r.Fix != "" {
			line += " -> " + cell(r.Fix)
		}
		fmt.Fprintln(p.stdout, line)
	}
	fmt.Fprintf(p.stdout, "decision: %s %s on %s until %s\n", d.Effect, cell(c.User), cell(c.DeviceID), stamp(d.ValidUntil))
	return nil
}
