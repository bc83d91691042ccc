package templates

import (
	"cmp"
	"slices"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
)

// Managed is a template as the managed configuration of its mail app on one
// user's Android phone.
type Managed struct {
	managedconfig.Rendering
	TemplateName string
	Revision     int
	Account      profiles.ExchangeAccount // the template's first one, expanded: an app takes one
	Left         []string                 // names of the accounts that do not reach the phone
	Warnings     []*refusal.Error
}

// RenderManaged expands a revision for a user's Android phone. The same arguments
// give the same configuration. Refusals wrap ErrRender and name the field: an
// account that the app cannot set up, an app whose own schema is needed and not
// there.
func RenderManaged(r Revision, u directory.User, o Options, in managedconfig.Inputs) (Managed, error) {
	o.ForApp = true
	rendered, err := Render(r, u, o)
	if err != nil {
		return Managed{}, err
	}
	app := r.Spec.Android.MailApp()
	m := Managed{TemplateName: r.Name, Revision: r.Number, Account: rendered.Accounts[0], Warnings: rendered.Warnings}
	if m.Rendering, err = managedconfig.Render(app, m.Account, in); err != nil {
		return Managed{}, underRender(rendered, err)
	}
	for _, a := range rendered.Accounts[1:] {
		m.Left = append(m.Left, a.Name)
	}
	m.Warnings = append(m.Warnings, appWarnings(app, m.Account)...)
	return m, nil
}

// ChooseApps returns, of the templates that Choose gives a user, those that reach
// the user's Android phones: one for each mail app, since an app has one
// configuration. The highest priority wins, then the name that sorts first. Among
// the lost ones are those of Choose.
func ChooseApps(revisions []Revision, u directory.User) (apps []Revision, lost []Lost) {
	ranked, lost := Choose(revisions, u)
	slices.SortStableFunc(ranked, func(a, b Revision) int { return cmp.Compare(b.Spec.Priority, a.Spec.Priority) })
	taken := map[managedconfig.App]*Revision{}
	for n, r := range ranked {
		app := r.Spec.Android.MailApp()
		if winner := taken[app]; winner != nil {
			lost = append(lost, Lost{Revision: r, Winner: winner.Name, Priority: winner.Spec.Priority, App: app})
			continue
		}
		taken[app] = &ranked[n]
		apps = append(apps, r)
	}
	byName(apps, lost)
	return apps, lost
}

// appWarnings say what an account needs around the app on Android, and what it
// cannot have there.
func appWarnings(app managedconfig.App, a profiles.ExchangeAccount) []*refusal.Error {
	modern := a.UsesOAuth() || a.HostType == profiles.Office365
	var list []*refusal.Error
	add := func(reason, remedy string) {
		list = append(list, refusal.New(ErrInvalid, "android.app", reason, remedy))
	}
	switch {
	case app == managedconfig.AppGmail && modern:
		add("Gmail shows modern sign-in in Chrome, and fails without a word where Chrome is not in the same profile",
			"nothing: Chrome (com.android.chrome) is installed beside Gmail on the phones that we manage; on others the user has to")
	case app == managedconfig.AppOutlook && !modern:
		add("Outlook keeps the password in Microsoft's cloud, and mail is fetched from there: the connection comes from Microsoft's addresses, never from the phone, and cannot present a client certificate",
			"let Microsoft's addresses reach the server and gate by user, or use gmail")
	case app == managedconfig.AppSamsung:
		add("Samsung Email's keys are told by its own schema alone: without Google's word on it nothing is sent", "sallyport android doctor says whether the schema is known")
	case app == managedconfig.AppNine:
		add("Nine Work documents its keys for the server alone: the others are told by its own schema", "sallyport android doctor says whether the schema is known")
	}
	return list
}
