package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/mdm/android"
	"sallyport/profiles/managedconfig"
)

// AndroidStatus is how this server stands with Google.
type AndroidStatus struct {
	Enterprise string       `json:"enterprise,omitempty"` // empty: not signed up
	Project    string       `json:"project,omitempty"`
	Account    string       `json:"account,omitempty"`
	Topic      string       `json:"topic,omitempty"`
	SignupOpen bool         `json:"signup_open"` // a sign-up was begun and not finished
	SetUp      bool         `json:"set_up"`      // Google took all that we set up of the enterprise
	FinishedAt time.Time    `json:"finished_at,omitzero"`
	NotifiedAt time.Time    `json:"notified_at,omitzero"` // when Google told of something last, to the minute
	Phones     AndroidState `json:"phones"`
	// When each app told which settings it reads; an app that has not is not among them.
	Schemas map[managedconfig.App]time.Time `json:"schemas"`
}

// Status tells it without asking Google.
func (a *Androids) Status(ctx context.Context) (AndroidStatus, error) {
	e, err := a.Enterprises.AndroidEnterprise(ctx)
	if errors.Is(err, ErrNotFound) {
		return AndroidStatus{Phones: AndroidState{Errors: map[string]int{}}, Schemas: map[managedconfig.App]time.Time{}}, nil
	}
	if err != nil {
		return AndroidStatus{}, fmt.Errorf("look up android enterprise: %w", err)
	}
	account, err := android.ParseAccount([]byte(e.Account.Reveal()))
	if err != nil {
		return AndroidStatus{}, fmt.Errorf("read service account: %w", err)
	}
	phones, err := a.Policies.AndroidState(ctx)
	if err != nil {
		return AndroidStatus{}, fmt.Errorf("count android phones: %w", err)
	}
	schemas, err := a.schemaAges(ctx)
	if err != nil {
		return AndroidStatus{}, err
	}
	return AndroidStatus{
		Enterprise: e.Name, Project: e.Project, Account: account.Email, Topic: e.Topic, FinishedAt: e.FinishedAt, NotifiedAt: e.NotifiedAt,
		Phones: phones, Schemas: schemas,
		SignupOpen: e.Name == "" && a.now().Before(e.StateUntil), SetUp: !e.SetUpAt.IsZero(),
	}, nil
}

// AndroidFinding is one thing that the doctor looked at.
type AndroidFinding struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text"`           // in plain words
	Next string `json:"next,omitempty"` // what to do about it
}

// Doctor asks Google, and says in plain words what is wrong and what to do.
func (a *Androids) Doctor(ctx context.Context) ([]AndroidFinding, error) {
	status, err := a.Status(ctx)
	if err != nil {
		return nil, err
	}
	if status.Enterprise == "" {
		next := "sallyport android signup --service-account FILE"
		if status.SignupOpen {
			next = "open the page that android signup printed, or run it again"
		}
		return []AndroidFinding{{Name: "enterprise", Text: "this server is not signed up at Google: Android phones set up mail by hand", Next: next}}, nil
	}
	findings := []AndroidFinding{a.askGoogle(ctx), {Name: "set-up", OK: status.SetUp, Text: "Google has topic, sign-in page and base policy of this server"}}
	if !status.SetUp {
		findings[1].Text, findings[1].Next = "Google has not taken topic, sign-in page and base policy of this server yet", "it is tried every ten minutes; allow android-cloud-policy@system.gserviceaccount.com to publish to "+status.Topic
	}
	phones := AndroidFinding{Name: "phones", OK: status.Phones.Failing == 0, Text: fmt.Sprintf("%d phones, of which %d wait for their policy and %d had trouble", status.Phones.Active, status.Phones.Due, status.Phones.Failing)}
	var said []string
	for text, n := range status.Phones.Errors {
		said = append(said, fmt.Sprintf("%s (%d phones)", text, n))
	}
	slices.Sort(said)
	phones.Next = strings.Join(said, "; ")
	findings = append(findings, phones)
	if n := status.Phones.Missing; n > 0 {
		findings = append(findings, missingFinding(n))
	}
	schemas, err := a.Service.androidSchemas(ctx)
	if err != nil {
		return nil, err
	}
	return append(findings, schemaFinding(schemas)), nil
}

// askGoogle asks for the enterprise: whoever gets an answer to that has a good
// key, a project that may use the API, and an enterprise that is there.
func (a *Androids) askGoogle(ctx context.Context) AndroidFinding {
	f := AndroidFinding{Name: "google"}
	e, api, err := a.enterprise(ctx)
	if err == nil {
		_, err = api.Enterprise(ctx, e.Name)
	}
	problem := (*android.Problem)(nil)
	switch {
	case err == nil:
		f.OK, f.Text = true, "Google answers for "+e.Name
	case errors.As(err, &problem):
		f.Text, f.Next = problem.Plain, problem.Next
		if problem.Reason != "" {
			f.Text += " (" + problem.Reason + ")"
		}
	default:
		f.Text, f.Next = "Google was not asked: "+err.Error(), "sallyport android signup --service-account FILE, with a new key of the same project"
	}
	return f
}
