package templates

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/profiles"
)

const (
	planPage   = 1000 // users read at once
	planSample = 20   // users and failures that a plan names
)

// ChangePlan is what applying a template would do.
type ChangePlan struct {
	Template string   `json:"template"`
	Revision int      `json:"revision"` // the newest one now; 0: there is none
	Changed  bool     `json:"changed"`  // false: applying it would write nothing
	Changes  []Change `json:"changes"`
	Users    int      `json:"users"`   // in the directory
	Touched  int      `json:"touched"` // whose phones would get, change or lose a profile
	Android  int      `json:"android"` // of them, whose Android phones would, where they have some
	Sample   []string `json:"sample"`  // UPNs of the first of them
	// Effects name the templates that more, or fewer, users would get, this one
	// and those whose mailboxes it takes or gives back.
	Effects []Effect `json:"effects"`
	// Refused counts users who would be touched and for whom it cannot be
	// rendered; their phones would keep what they have.
	Refused  int       `json:"refused"`
	Failures []Failure `json:"failures"` // of the first of them
	// Warnings are those of the template itself, and of what Unreached finds.
	Warnings []*refusal.Error `json:"warnings"`
}

// Effect is what happens to one template.
type Effect struct {
	Template string `json:"template"`
	Wins     int    `json:"wins"`  // users who would get it and do not now
	Loses    int    `json:"loses"` // users who get it now and would not
}

// Plan says what applying a template would do, without doing it: what changes
// in it, and whom it touches. It renders for everybody concerned, before and
// after, so that nobody counts whose phone would see no difference.
func (v *Viewer) Plan(ctx context.Context, source []byte) (ChangePlan, error) {
	spec, err := Parse(source)
	if err != nil {
		return ChangePlan{}, err
	}
	if err := v.Templates.targets(ctx, spec.Assign); err != nil {
		return ChangePlan{}, err
	}
	next, newest, err := v.candidate(ctx, spec, string(source))
	if err != nil {
		return ChangePlan{}, err
	}
	before, err := v.Templates.List(ctx)
	if err != nil {
		return ChangePlan{}, err
	}
	w := planWalk{viewer: v, before: before, after: replaced(before, next), next: next, newest: newest, effects: map[string]*Effect{}}
	w.plan = ChangePlan{
		Template: spec.Name, Revision: newest.Number, Changed: newest.Source != string(source),
		Changes: append([]Change{}, Diff(newest.Spec, spec)...), Sample: []string{}, Failures: []Failure{},
	}
	if newest.Number == 0 {
		w.plan.Changes = everything(spec)
	}
	unreached, err := v.Unreached(ctx, spec.Assign, spec.Exclude)
	if err != nil {
		return ChangePlan{}, err
	}
	w.plan.Warnings = append(unreached, spec.Warnings()...)
	w.content = slices.ContainsFunc(w.plan.Changes, func(c Change) bool { return !deliveryField(c.Field) })
	if err := w.everybody(ctx); err != nil {
		return ChangePlan{}, err
	}
	return w.finish(), nil
}

// everything lists what a first revision says, in the words of Diff: each field
// that is set, each default that means something.
func everything(spec Spec) []Change {
	var d differ
	empty := Spec{Accounts: make([]profiles.ExchangeAccount, len(spec.Accounts))}
	d.fields("", reflect.ValueOf(empty), reflect.ValueOf(meaning(spec)))
	for i := range d.changes {
		d.changes[i].Before = absent
	}
	return d.changes
}

// Unreached warns of users and groups that are named in vain.
func (v *Viewer) Unreached(ctx context.Context, assign, exclude directory.Audience) ([]*refusal.Error, error) {
	warnings, err := directory.Unreached(ctx, v.Templates.Users, ErrInvalid, "assign", assign)
	if err != nil {
		return nil, err
	}
	more, err := directory.Unreached(ctx, v.Templates.Users, ErrInvalid, "exclude", exclude)
	return append(warnings, more...), err
}

// deliveryField says who gets a template, not what they get.
func deliveryField(path string) bool {
	return path == "assign" || path == "exclude" || path == "priority"
}

type planWalk struct {
	viewer        *Viewer
	before, after []Revision
	next, newest  Revision
	content       bool // profiles differ, not only who gets them
	effects       map[string]*Effect
	android       bool // Android phones of the user at hand would see a difference
	plan          ChangePlan
}

func (w *planWalk) everybody(ctx context.Context) error {
	page := directory.Page{Limit: planPage}
	for {
		users, err := w.viewer.Templates.Users.ListUsers(ctx, "", page)
		if err != nil {
			return fmt.Errorf("list users: %w", err)
		}
		for _, u := range users {
			if err := w.user(ctx, u); err != nil {
				return err
			}
		}
		if len(users) < planPage {
			return nil
		}
		page.After = users[len(users)-1].UPN
	}
}

func (w *planWalk) user(ctx context.Context, u directory.User) error {
	w.plan.Users++
	before, after := w.names(w.before, u), w.names(w.after, u)
	touched := false
	w.android = false
	for name := range before {
		if !after[name] {
			touched, w.android = true, true
			w.effect(name).Loses++
		}
	}
	for name := range after {
		if !before[name] {
			touched, w.android = true, true
			w.effect(name).Wins++
		}
	}
	if after[w.next.Name] && (w.content || !before[w.next.Name]) {
		differs, err := w.render(ctx, u, before[w.next.Name])
		if err != nil {
			return err
		}
		touched = touched || differs
	}
	if touched {
		w.plan.Touched++
		if w.android {
			w.plan.Android++
		}
		if len(w.plan.Sample) < planSample {
			w.plan.Sample = append(w.plan.Sample, u.UPN)
		}
	}
	return nil
}

func (w *planWalk) names(revisions []Revision, u directory.User) map[string]bool {
	won, _ := Choose(revisions, u)
	names := make(map[string]bool, len(won))
	for _, r := range won {
		names[r.Name] = true
	}
	return names
}

func (w *planWalk) effect(name string) *Effect {
	if w.effects[name] == nil {
		w.effects[name] = &Effect{Template: name}
	}
	return w.effects[name]
}

// render makes the new profile, and the one before for those who have it. What
// was refused before and is rendered now differs too.
func (w *planWalk) render(ctx context.Context, u directory.User, had bool) (differs bool, err error) {
	now, waiting, err := w.viewer.renderFor(ctx, w.next, u)
	if err != nil {
		refused := refusal.All(err)
		if len(refused) == 0 {
			return false, err
		}
		if !waiting {
			w.plan.Refused++
			w.fail(u, refused)
		}
		return false, nil
	}
	if !had {
		return true, nil
	}
	old, _, err := w.viewer.renderFor(ctx, w.newest, u)
	if err != nil {
		if len(refusal.All(err)) == 0 {
			return false, err
		}
		w.android = true
		return true, nil
	}
	if w.android, err = w.appsDiffer(ctx, old, now); err != nil {
		return false, err
	}
	return w.android || old.Profile.TopUUID() != now.Profile.TopUUID(), nil
}

// appsDiffer reports whether another mail app on Android would be set up, or the
// same one otherwise.
func (w *planWalk) appsDiffer(ctx context.Context, old, now Rendered) (bool, error) {
	app := w.next.Spec.Android.MailApp()
	if app != w.newest.Spec.Android.MailApp() {
		return true, nil
	}
	in, err := w.viewer.inputs(ctx, Platform(app), w.next.Name)
	if err != nil {
		return false, err
	}
	before, _, wasRefused := managed(old.Accounts[0], Platform(app), in)
	after, _, isRefused := managed(now.Accounts[0], Platform(app), in)
	if wasRefused != nil || isRefused != nil { // who cannot be given the new one keeps the old one
		return isRefused == nil, nil
	}
	return !reflect.DeepEqual(before, after), nil
}

func (w *planWalk) fail(u directory.User, refused []*refusal.Error) {
	var report CheckReport
	report.refuse(u, w.next, refused)
	room := planSample - len(w.plan.Failures)
	w.plan.Failures = append(w.plan.Failures, report.Failures[:min(room, len(report.Failures))]...)
}

func (w *planWalk) finish() ChangePlan {
	w.plan.Effects = []Effect{}
	for _, e := range slices.SortedFunc(maps.Values(w.effects), func(a, b *Effect) int { return cmp.Compare(a.Template, b.Template) }) {
		w.plan.Effects = append(w.plan.Effects, *e)
	}
	return w.plan
}
