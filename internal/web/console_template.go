package web

import "time"

// ConsoleTemplates lists the templates.
type ConsoleTemplates struct{ Templates []ConsoleTemplate }

// ConsoleTemplate is the newest revision of one.
type ConsoleTemplate struct {
	Name, Title, Assigned, By string
	Revision                  int
	At                        time.Time
	Address                   string // of its preview
}

// ConsolePreview is a template for one user, or the form that asks for whom.
type ConsolePreview struct {
	Template         string
	Action           string // address of the form
	User, System     string // as typed
	Platform         string
	Platforms        []ConsolePlatform
	Shown            bool // Revision and what follows are there
	Revision         int
	Owner            string // UPN
	Tree             string
	Redacted         bool
	Accounts         []ConsoleFidelity
	Warnings, Faults []Fault
}

// ConsolePlatform counts what becomes of the settings on one platform.
type ConsolePlatform struct {
	Name                           string
	Address                        string // of the preview on it; empty: it is the one shown
	Counted                        bool
	Applied, Degraded, Unsupported int
}

// ConsoleFidelity says what becomes of each setting of an account.
type ConsoleFidelity struct {
	Account, System string
	Settings        []ConsoleSetting
}

// ConsoleSetting is one setting on the platform.
type ConsoleSetting struct{ Field, Status, Why, Substitute string }

// ConsoleTemplates renders the list of templates.
func (p *Pages) ConsoleTemplates(acceptLanguage string, f ConsoleFrame, t ConsoleTemplates) ([]byte, error) {
	return p.console(acceptLanguage, "templates", f, "", t)
}

// ConsolePreview renders a template for one user.
func (p *Pages) ConsolePreview(acceptLanguage string, f ConsoleFrame, v ConsolePreview) ([]byte, error) {
	return p.console(acceptLanguage, "preview", f, "", v)
}
