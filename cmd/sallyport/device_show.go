package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sallyport/compliance"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
)

type deviceShowCmd struct {
	ID   string `arg:"" name:"id" help:"ID of the phone, or its ActiveSync DeviceId."`
	Mail bool   `help:"Show instead what the phone's own Settings should show of its mail."`
	Output
}

// deviceShown is the answer of device show in JSON.
type deviceShown struct {
	accessapi.DeviceDetail
	Verdict  *compliance.Verdict `json:"verdict"` // null when not evaluated yet
	Actions  []adminapi.Action   `json:"actions"` // the newest
	Warnings []string            `json:"warnings"`
	// Android is how far an Android phone has its policy; null for others.
	Android *adminapi.AndroidGiven `json:"android"`
	// LeftOut are the templates of the user that are not on the phone.
	LeftOut []adminapi.LeftTemplate `json:"left_out"`

	mail []adminapi.MailProfile // of an Android phone
}

// How many of the newest acts and commands a show looks at.
const (
	shownActs     = 10
	shownCommands = 100
)

func (c *deviceShowCmd) Run(p *program) error {
	api, detail, err := p.onDevice(c.ID)
	if err != nil {
		return err
	}
	if c.Mail {
		return c.showMail(p, api, detail.ID)
	}
	shown := deviceShown{DeviceDetail: detail, Actions: []adminapi.Action{}, Warnings: []string{}, LeftOut: []adminapi.LeftTemplate{}}
	var verdict compliance.Verdict
	switch err := api.get(p.ctx, devicePath(shown.ID)+"/compliance", nil, &verdict); {
	case err == nil:
		shown.Verdict = &verdict
	case !isNotFound(err):
		return err
	}
	if err := p.history(api, &shown); err != nil && !isForbidden(err) { // a gate's token reads no further
		return err
	}
	if c.json() {
		return printJSON(p.stdout, shown)
	}
	return printDevice(p, shown)
}

// history adds what was done to the phone, and what keeps its mail away.
func (p *program) history(api *client, shown *deviceShown) error {
	var acts adminapi.Actions
	if err := api.get(p.ctx, devicePath(shown.ID)+"/actions", latest(shownActs), &acts); err != nil {
		return err
	}
	var commands adminapi.Commands
	if err := api.get(p.ctx, devicePath(shown.ID)+"/commands", latest(shownCommands), &commands); err != nil {
		return err
	}
	var mail adminapi.MailSettings
	if err := api.get(p.ctx, devicePath(shown.ID)+"/mail", nil, &mail); err != nil {
		return err
	}
	shown.Actions = append(shown.Actions, acts.Actions...)
	shown.Warnings = append(shown.Warnings, mail.Warnings...)
	shown.LeftOut = append(shown.LeftOut, mail.LeftOut...)
	if shown.Android = mail.Android; mail.Android != nil {
		shown.mail = mail.Profiles
	}
	for _, profile := range mail.Profiles {
		shown.Warnings = append(shown.Warnings, profileWarnings(profile)...)
	}
	if !mdm.EnrollmentState(shown.Enrollment.State).Ended() {
		shown.Warnings = append(shown.Warnings, declined(commands.Commands)...)
		dead, err := p.deadMail(api, shown)
		shown.Warnings = append(shown.Warnings, dead...)
		return err
	}
	return nil
}

// profileWarnings say why a mail profile, or a mail app on Android, is not in place.
func profileWarnings(m adminapi.MailProfile) (lines []string) {
	what := "Mail profile " + m.Template
	switch {
	case m.Package != "":
		what = "Mail app " + m.DisplayName + " (template " + m.Template + ")"
		if m.Reason != "" {
			lines = append(lines, what+" is not set up: "+m.Reason)
		}
	case m.Reason != "":
		lines = append(lines, what+" was refused: "+m.Reason+". "+m.Fix)
	}
	for _, fault := range m.Faults {
		lines = append(lines, what+" cannot be made: "+fault.Error())
	}
	return lines
}

// deadMail names the mail profiles whose identity was revoked, and no other has
// taken its place.
func (p *program) deadMail(api *client, shown *deviceShown) ([]string, error) {
	if shown.Platform == string(mdm.Android) { // its companion app is told to fetch another one
		return nil, nil
	}
	var page adminapi.Certificates
	q := url.Values{"enrollment": {shown.Enrollment.ID}, "rule": {"mail-identity"}, "limit": {"1000"}}
	if err := api.get(p.ctx, "/api/v1/certificates", q, &page); err != nil {
		return nil, err
	}
	good := map[string]bool{}
	for _, c := range page.Certificates {
		good[c.Profile] = good[c.Profile] || c.State == "valid"
	}
	var lines []string
	for _, c := range page.Certificates {
		if c.State != "revoked" || c.Reason == "superseded" || good[c.Profile] {
			continue
		}
		good[c.Profile] = true // said once
		lines = append(lines, "The mail identity "+short(c.SHA256)+" was revoked, and the phone keeps it, though it is worth nothing. For a new one: sallyport device resend "+shown.ID)
	}
	return lines, nil
}

// declined names what the phone put off, and has not taken since.
func declined(commands []adminapi.Command) []string {
	var lines []string
	seen := map[string]bool{}
	for _, c := range commands {
		what := c.Subject // a profile that was installed since is not removed any more
		if what == "" {
			what = c.RequestType
		}
		if seen[what] {
			continue
		}
		seen[what] = true
		if mdm.CommandState(c.State) == mdm.NotNow {
			lines = append(lines, strings.TrimSpace(c.RequestType+" "+c.Subject)+": the phone said NotNow"+on(c.DoneAt)+
				". It does so while it is locked, and is asked again when it comes next.")
		}
	}
	return lines
}

func latest(n int) url.Values { return url.Values{"limit": {fmt.Sprint(n)}} }

func isForbidden(err error) bool {
	var e apiError
	return errors.As(err, &e) && e.status == http.StatusForbidden
}

func printDevice(p *program, d deviceShown) error {
	lines := []fact{
		{"ID", d.ID}, {"User", d.User}, {"Name", d.Name}, {"Label", d.Label},
		{"Product", product(d)}, {"OS", d.OSVersion},
		{"Serial", d.Serial}, {"UDID", d.UDID}, {"ActiveSync DeviceId", d.EASDeviceID},
		{"Enrolment", d.Enrollment.State + ", " + d.Enrollment.Ownership + pollOnly(d.Enrollment.PollOnly)},
		{"Withheld", withheld(d.Enrollment)},
		{"Last seen", stamp(d.Enrollment.LastSeenAt)},
	}
	if err := facts(p.stdout, append(lines, androidFacts(d)...)...); err != nil {
		return err
	}
	ended := mdm.EnrollmentState(d.Enrollment.State).Ended()
	if ended {
		fmt.Fprintf(p.stdout, "Management ended%s: what follows is what the phone last reported, not what it holds now.\n", on(d.Enrollment.EndedAt))
	}
	for _, text := range d.Warnings {
		fmt.Fprintf(p.stdout, "warning: %s\n", cell(text))
	}
	if d.Android != nil {
		printAndroid(p, d)
	} else if profiles := d.Report.Profiles; profiles != nil {
		fmt.Fprintln(p.stdout, "Profiles")
		for _, item := range profiles.Items {
			fmt.Fprintf(p.stdout, "  %s  revision %s  (%s)\n", cell(item.DisplayName), cell(item.UUID), cell(item.Identifier))
		}
	}
	printLeftOut(p, d.LeftOut)
	printKeys(p, d.Report.Keys)
	if err := printActs(p, d.Actions); err != nil {
		return err
	}
	if !ended {
		printCapabilities(p, d.Capabilities)
	}
	if d.Verdict == nil {
		fmt.Fprintln(p.stdout, "verdict: not_evaluated")
		return nil
	}
	return printVerdict(p, *d.Verdict)
}

// product names the model. An Android phone's is its product with the brand before.
func product(d deviceShown) string {
	if d.Platform == string(mdm.Android) && d.Model != "" {
		return d.Model
	}
	return strings.TrimSpace(d.Product + " " + d.Model)
}

func withheld(e accessapi.Enrollment) string {
	switch what := mdm.Withholding(e.Withheld); {
	case mdm.EnrollmentState(e.State).Ended():
		return "" // nothing gives it back but another enrolment
	case what == mdm.WithholdEverything:
		return "everything: the mailbox is shut (a resend gives it back)"
	case what == mdm.WithholdPolicies:
		return "security policies (a resend gives them back)"
	}
	return e.Withheld
}

// printCapabilities says in one line what can be done, and of the rest why not.
func printCapabilities(p *program, all []mdm.Capability) {
	var can []string
	for _, c := range all {
		if c.Possible {
			can = append(can, actName(string(c.Kind)))
		}
	}
	if len(can) > 0 {
		fmt.Fprintf(p.stdout, "Can be done: %s\n", strings.Join(can, ", "))
	}
	for _, c := range all {
		if !c.Possible {
			fmt.Fprintf(p.stdout, "Not %s: %s\n", actName(string(c.Kind)), cell(typed(c.Reason)))
		}
	}
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
