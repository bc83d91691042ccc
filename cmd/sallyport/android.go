package main

import (
	"fmt"
	"net/http"
	"slices"

	"sallyport/enroll"
	"sallyport/internal/server/adminapi"
)

type androidCmd struct {
	Signup androidSignupCmd `cmd:"" help:"Sign this server up for Android phones at Google, or bring another key."`
	Status androidStatusCmd `cmd:"" help:"Show how this server stands with Google, without asking there."`
	Doctor androidDoctorCmd `cmd:"" help:"Ask Google, and say what is wrong and what to do."`
	Signin androidSigninCmd `cmd:"" help:"Show what leads phones to the page where users sign in with an invitation's code."`

	Companion androidCompanionCmd `cmd:"" help:"The app that fetches certificates on Android phones."`
}

// maxServiceAccount is more than any key file that Google makes.
const maxServiceAccount = 64 << 10

type androidSignupCmd struct {
	ServiceAccount string `required:"" help:"Key file (JSON) of a service account of your own Google Cloud project; - for standard input." placeholder:"FILE"`
	Topic          string `help:"Pub/Sub topic of that project (default sallyport)." placeholder:"NAME"`
	Output
}

// Help is the detail under the usage line.
func (*androidSignupCmd) Help() string {
	return `Prints a page of Google's to open in a browser; at its end Google sends the browser back to this server. What has to be there at Google before is in docs/android.md.`
}

func (c *androidSignupCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	file, err := p.readFile(c.ServiceAccount, maxServiceAccount)
	if err != nil {
		return err
	}
	var s adminapi.AndroidSignedUp
	if err := api.post(p.ctx, "/api/v1/android/signup", adminapi.AndroidSignupRequest{ServiceAccount: string(file), Topic: c.Topic}, &s); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, s)
	}
	lines := []fact{{"project", s.Project}, {"account", s.Account}, {"topic", s.Topic}, {"push to", s.NotificationURL}}
	if s.Page == "" {
		fmt.Fprintln(p.stderr, "the key was replaced; see: sallyport android doctor")
		return facts(p.stdout, lines...)
	}
	fmt.Fprintln(p.stderr, "next: open the page in a browser, and make the topic's push subscription send to the address above, which is a secret; then: sallyport android doctor")
	return facts(p.stdout, append(lines, fact{"page", s.Page}, fact{"open it until", stamp(s.ExpiresAt)})...)
}

type androidStatusCmd struct{ Output }

func (c *androidStatusCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var s enroll.AndroidStatus
	if err := api.get(p.ctx, "/api/v1/android", nil, &s); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, s)
	}
	enterprise := s.Enterprise
	switch {
	case enterprise == "" && s.SignupOpen:
		enterprise = "none yet: the sign-up is under way"
	case enterprise == "":
		enterprise = "none: Android phones set up mail by hand"
	case !s.SetUp:
		enterprise += ", not set up yet: see sallyport android doctor"
	}
	return facts(p.stdout, []fact{
		{"enterprise", enterprise}, {"project", s.Project}, {"account", s.Account}, {"topic", s.Topic}, {"signed up", stamp(s.FinishedAt)},
		{"notified", stamp(s.NotifiedAt)}, {"phones", fmt.Sprintf("%d active: %d wait for their policy, %d had trouble, %d keep an older one, %d are missing at Google", s.Phones.Active, s.Phones.Due, s.Phones.Failing, s.Phones.Left, s.Phones.Missing)},
		{"newest trouble", trouble(s.Phones)}, {"settings told by", schemasFact(s, p.now())},
	}...)
}

type androidDoctorCmd struct{ Output }

func (c *androidDoctorCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var found adminapi.AndroidFindings
	if err := api.call(p.ctx, http.MethodGet, "/api/v1/android/doctor", "", nil, &found); err != nil {
		return err
	}
	return c.tell(p, found)
}

// tell ends with status 1 where something is to be mended.
func (c *androidDoctorCmd) tell(p *program, found adminapi.AndroidFindings) error {
	if !c.json() {
		printFindings(p, found.Findings)
	} else if err := printJSON(p.stdout, found); err != nil {
		return err
	}
	if slices.ContainsFunc(found.Findings, func(f enroll.AndroidFinding) bool { return !f.OK }) {
		return errQuiet
	}
	return nil
}

// printFindings: some of it are Google's words.
func printFindings(p *program, found []enroll.AndroidFinding) {
	for _, f := range found {
		mark := "ok "
		if !f.OK {
			mark = "FIX"
		}
		fmt.Fprintf(p.stdout, "%s %s: %s\n", mark, f.Name, cell(f.Text))
		if f.Next != "" {
			fmt.Fprintf(p.stdout, "    next: %s\n", cell(f.Next))
		}
	}
}
