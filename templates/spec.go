package templates

import (
	"cmp"
	"slices"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
)

// Spec is a template as an admin writes it in YAML, with defaults filled.
type Spec struct {
	Name        string `yaml:"name" json:"name"`                 // unique, lower case letters, digits and dashes
	DisplayName string `yaml:"display_name" json:"display_name"` // shown on the phone as the profile's name; may hold variables; default: the name
	// Priority, -1000 to 1000, decides between templates that would set up the
	// same mailbox for a user: the higher one wins, then the name that sorts first.
	Priority int                `yaml:"priority" json:"priority,omitempty"`
	Assign   directory.Audience `yaml:"assign" json:"assign"`            // who gets it: everyone, or groups and users by UPN; nobody where it is left out
	Exclude  directory.Audience `yaml:"exclude" json:"exclude,omitzero"` // who never gets it, whomever assign names
	// Accounts are the mail accounts of one profile. The position of an account
	// is its identity on the phone: one that moves is set up anew there, so new
	// ones go to the end.
	Accounts []profiles.ExchangeAccount `yaml:"accounts" json:"accounts"`
	// Android says how Android phones get the first account; the others do not
	// reach them.
	Android AndroidSpec `yaml:"android" json:"android,omitzero"`
	// Kept is what an imported profile holds beyond all this, given back
	// unchanged. Import writes it.
	Kept string `yaml:"kept" json:"kept,omitempty"`
}

// AndroidSpec is what concerns Android phones alone.
type AndroidSpec struct {
	App managedconfig.App `yaml:"app" json:"app,omitempty"` // mail app that is set up: gmail, outlook, samsung (Samsung Email) or nine (Nine Work)
}

// MailApp is the app that the template sets up on Android.
func (a AndroidSpec) MailApp() managedconfig.App { return cmp.Or(a.App, managedconfig.AppGmail) }

func (a AndroidSpec) validate() *refusal.Error {
	if slices.Contains(managedconfig.Apps(), a.MailApp()) {
		return nil
	}
	return refusal.New(ErrInvalid, "android.app", "is no mail app that can be configured", "use gmail, outlook, samsung or nine")
}
