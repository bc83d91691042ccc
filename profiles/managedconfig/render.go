package managedconfig

import (
	"regexp"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

// App is a mail app for Android by the name that a template gives it.
type App string

const (
	AppGmail   App = "gmail"
	AppOutlook App = "outlook"
	AppSamsung App = "samsung" // Samsung Email
	AppNine    App = "nine"    // Nine Work
)

// Apps are all of them.
func Apps() []App { return []App{AppGmail, AppOutlook, AppSamsung, AppNine} }

// Package is the app's name in the store; empty for an app that is not known.
func (a App) Package() Package {
	switch a {
	case AppGmail:
		return GmailPackage
	case AppOutlook:
		return OutlookPackage
	case AppSamsung:
		return SamsungPackage
	case AppNine:
		return NinePackage
	}
	return ""
}

// Title is what people call the app.
func (a App) Title() string {
	switch a {
	case AppGmail:
		return "Gmail"
	case AppOutlook:
		return "Outlook"
	case AppSamsung:
		return "Samsung Email"
	case AppNine:
		return "Nine Work"
	}
	return string(a)
}

// Inputs are what a rendering for one phone knows beside the account.
type Inputs struct {
	DeviceID string  // EAS DeviceId that the app shall present; empty: the app makes one. Gmail has a key for it
	Alias    string  // of the key and certificate to sign in with, on the phone; empty: nothing puts one there
	Schema   *Schema // the app's own; nil: the built-in table
}

// Rendering is an account as one app on Android gets it.
type Rendering struct {
	App     App
	Package Package
	Bundle  Bundle // nil: the app's own schema is needed, and was not there
	Report  profiles.Report
	Chrome  bool // the app shows modern sign-in in Chrome, which has to be installed beside it
	Alias   bool // the app signs in with the key of Inputs.Alias and has to be let use it
	Live    bool // keys were held against the app's own schema; false: against the built-in table
}

// Render writes an expanded account for an app. It refuses an account that the
// app could not set up, and one whose keys nobody knows without the app's own
// schema.
func Render(app App, a profiles.ExchangeAccount, in Inputs) (Rendering, error) {
	r, err := Draft(app, a, in)
	if err != nil {
		return Rendering{}, err
	}
	if r.Bundle == nil {
		return Rendering{}, refusal.New(ErrSchema, "android.app", "reads keys that its own schema alone names, and that schema is not known yet",
			"it is read from Google once Android is set up; see: sallyport android doctor")
	}
	return r, nil
}

// Draft is Render for people to look at: without the schema that an app needs,
// there is no bundle, and the report says so.
func Draft(app App, a profiles.ExchangeAccount, in Inputs) (Rendering, error) {
	r := Rendering{App: app, Package: app.Package(), Live: in.live()}
	if err := in.check(r.Package); err != nil {
		return Rendering{}, err
	}
	var err error
	switch app {
	case AppGmail:
		r.Bundle, r.Report, err = gmail(a, in)
		r.Chrome, r.Alias = modern(a), r.Bundle[exchangeAlias] != nil
	case AppOutlook:
		r.Bundle, r.Report, err = outlook(a, Android, in)
	case AppSamsung:
		r.Bundle, r.Report, r.Alias, err = samsung(a, in)
	case AppNine:
		r.Bundle, r.Report, err = nine(a, in)
	default:
		err = refusal.New(profiles.ErrInvalid, "android.app", "is no mail app that can be configured", "use gmail, outlook, samsung or nine")
	}
	if err != nil {
		return Rendering{}, err
	}
	return r, nil
}

func (in Inputs) live() bool { return in.Schema != nil && in.Schema.Live }

// schema is the app's own, or the built-in table.
func (in Inputs) schema(app Package) Schema {
	if in.live() {
		return *in.Schema
	}
	return BuiltIn(app)
}

// deviceID is the form of an EAS DeviceId (MS-ASHTTP section 2.2.1.1.1.1.2.1).
var deviceID = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)

func (in Inputs) check(app Package) error {
	var list refusal.List
	if in.DeviceID != "" && !deviceID.MatchString(in.DeviceID) {
		list.Add(refusal.New(profiles.ErrInvalid, "device_id", "is no ActiveSync device ID", "use 1 to 32 letters and digits"))
	}
	if in.Alias != "" {
		list.Add(refusal.Line(profiles.ErrInvalid, "alias", in.Alias, maxValue))
	}
	if in.live() && in.Schema.App != app {
		list.Add(refusal.New(ErrSchema, "schema", "is another app's", "read that of "+string(app)))
	}
	return list.OrNil()
}
