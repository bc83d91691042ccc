package templates

import (
	"context"
	"fmt"
	"slices"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
)

// CheckRequest asks what everybody would get. Users come in pages, so that a
// large directory is checked in pieces.
type CheckRequest struct {
	Name   string // only this template; empty: all of them
	Source []byte // YAML of a template that is not applied yet, checked beside the others
	Page   directory.Page
}

// Failed says how a template fails to reach a user.
type Failed string

const (
	FailedRender Failed = "refused"        // it cannot be rendered for the user
	FailedLost   Failed = "lost"           // another template sets up the same mailbox
	FailedShared Failed = "shared_mailbox" // the user is a shared mailbox
)

// Failure is one user whom a template does not reach, and why.
type Failure struct {
	User     string `json:"user"` // UPN
	Template string `json:"template"`
	Kind     Failed `json:"kind"`
	Field    string `json:"field,omitempty"`
	Reason   string `json:"reason"`
	Remedy   string `json:"remedy,omitempty"`
}

// CheckReport is the outcome for one page of users. Users counts people,
// everything else pairs of a user and a template.
type CheckReport struct {
	Users         int       `json:"users"`
	Rendered      int       `json:"rendered"`
	Refused       int       `json:"refused"`
	Lost          int       `json:"lost"`
	SharedMailbox int       `json:"shared_mailbox"`
	Waiting       int       `json:"waiting"`    // the template names a fact of a phone, and the user has none yet
	Unassigned    int       `json:"unassigned"` // people whom no template reaches or tries to
	Warnings      int       `json:"warnings"`
	Failures      []Failure `json:"failures"` // in the order of users
	Next          string    `json:"next,omitempty"`
}

// Check renders every assigned template for every user of a page, as deliveries
// would, and sends nothing.
func (v *Viewer) Check(ctx context.Context, q CheckRequest) (CheckReport, error) {
	revisions, only, err := v.checked(ctx, q)
	if err != nil {
		return CheckReport{}, err
	}
	users, err := v.Templates.Users.ListUsers(ctx, "", q.Page)
	if err != nil {
		return CheckReport{}, fmt.Errorf("list users: %w", err)
	}
	report := CheckReport{Failures: []Failure{}}
	for _, u := range users {
		if err := v.checkUser(ctx, &report, u, revisions, only); err != nil {
			return CheckReport{}, err
		}
	}
	if len(users) > 0 && len(users) == pageSize(q.Page) {
		report.Next = users[len(users)-1].UPN
	}
	return report, nil
}

func pageSize(p directory.Page) int {
	if p.Limit == 0 {
		return 100
	}
	return p.Limit
}

// checked are the templates that take part, and the only one that is asked for.
func (v *Viewer) checked(ctx context.Context, q CheckRequest) (revisions []Revision, only string, err error) {
	if revisions, err = v.Templates.List(ctx); err != nil {
		return nil, "", err
	}
	if len(q.Source) == 0 && q.Name == "" {
		return revisions, "", nil
	}
	r, err := v.revision(ctx, q.Name, q.Source)
	if err != nil {
		return nil, "", err
	}
	return replaced(revisions, r), r.Name, nil
}

func (v *Viewer) checkUser(ctx context.Context, report *CheckReport, u directory.User, revisions []Revision, only string) error {
	report.Users++
	asked := func(r Revision) bool { return only == "" || r.Name == only }
	if u.SharedMailbox {
		report.shared(u, revisions, asked)
		return nil
	}
	won, lost := Choose(revisions, u)
	won = slices.DeleteFunc(won, func(r Revision) bool { return !asked(r) })
	lost = slices.DeleteFunc(lost, func(l Lost) bool { return !asked(l.Revision) })
	if len(won)+len(lost) == 0 {
		report.Unassigned++
		return nil
	}
	for _, l := range lost {
		report.Lost++
		why := l.Refusal()
		report.Failures = append(report.Failures, Failure{
			User: u.UPN, Template: l.Revision.Name, Kind: FailedLost, Field: why.Field, Reason: why.Reason, Remedy: why.Remedy,
		})
	}
	for _, r := range won {
		rendered, waiting, err := v.renderFor(ctx, r, u)
		switch refused := refusal.All(err); {
		case err == nil:
			report.Rendered++
			report.Warnings += len(rendered.Warnings)
		case waiting:
			report.Waiting++
		case len(refused) > 0:
			report.Refused++
			report.refuse(u, r, refused)
		default:
			return err
		}
	}
	return nil
}

// renderFor renders with what a delivery would know. waiting says that nothing
// but the facts of a phone was missing.
func (v *Viewer) renderFor(ctx context.Context, r Revision, u directory.User) (rendered Rendered, waiting bool, err error) {
	var o Options
	if r.Spec.UsesDevice() {
		phones, err := v.phones(ctx, u)
		if err != nil {
			return Rendered{}, false, err
		}
		waiting = len(phones) == 0
		if o, err = v.options(ctx, u, phones, r.Spec); err != nil {
			return Rendered{}, false, err
		}
	} else if o, err = v.options(ctx, u, nil, r.Spec); err != nil {
		return Rendered{}, false, err
	}
	rendered, err = Render(r, u, o)
	return rendered, waiting, err
}

func (report *CheckReport) refuse(u directory.User, r Revision, refused []*refusal.Error) {
	for _, e := range refused {
		report.Failures = append(report.Failures, Failure{User: u.UPN, Template: r.Name, Kind: FailedRender, Field: e.Field, Reason: e.Reason, Remedy: e.Remedy})
	}
}

// shared names the templates that somebody meant for a shared mailbox.
func (report *CheckReport) shared(u directory.User, revisions []Revision, asked func(Revision) bool) {
	refused := RefuseShared(u, ErrRender, "")
	named := false
	for _, r := range revisions {
		// One for everyone is not meant for it: there is nothing to repair.
		if asked(r) && !r.Spec.Assign.Everyone && r.Spec.Assign.Includes(u) && !r.Spec.Exclude.Includes(u) {
			named = true
			report.SharedMailbox++
			report.Failures = append(report.Failures, Failure{User: u.UPN, Template: r.Name, Kind: FailedShared, Field: "assign", Reason: refused.Reason, Remedy: refused.Remedy})
		}
	}
	if !named {
		report.Unassigned++
	}
}

// Add adds the next page to a report.
func (report *CheckReport) Add(page CheckReport) {
	report.Users += page.Users
	report.Rendered += page.Rendered
	report.Refused += page.Refused
	report.Lost += page.Lost
	report.SharedMailbox += page.SharedMailbox
	report.Waiting += page.Waiting
	report.Unassigned += page.Unassigned
	report.Warnings += page.Warnings
	report.Failures = append(report.Failures, page.Failures...)
	report.Next = page.Next
}
