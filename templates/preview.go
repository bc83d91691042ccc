package templates

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
	"sallyport/profiles/mobileconfig"
)

// Platform is what a template is rendered for.
type Platform string

const (
	PlatformApple      Platform = "apple"       // configuration profile
	PlatformGmail      Platform = "gmail"       // managed configuration of Gmail on Android
	PlatformOutlook    Platform = "outlook"     // managed configuration of Outlook on Android
	PlatformOutlookIOS Platform = "outlook-ios" // managed configuration of Outlook on iOS
	PlatformSamsung    Platform = "samsung"     // managed configuration of Samsung Email
	PlatformNine       Platform = "nine"        // managed configuration of Nine Work on Android
)

// Platforms are all of them.
func Platforms() []Platform {
	return []Platform{PlatformApple, PlatformGmail, PlatformOutlook, PlatformOutlookIOS, PlatformSamsung, PlatformNine}
}

// Phones tells what a user's phones have reported. enroll knows it.
type Phones interface {
	// PhonesOf returns the facts of the user's enrolled phones, those seen last
	// first; none without error.
	PhonesOf(ctx context.Context, u directory.User) ([]mdm.DeviceFacts, error)
}

// SMIMEKeys tells which S/MIME keys a user has. *certs.SMIME is one.
type SMIMEKeys interface {
	// Known returns keys on record without Key, and makes none: of each usage the
	// current one, and all earlier ones for encryption.
	Known(ctx context.Context, userID, mail string, usages []certs.SMIMEUsage) ([]certs.SMIMEKey, error)
}

var _ SMIMEKeys = (*certs.SMIME)(nil)

// Apps tells what the configuration of a mail app is written with, whosever phone it
// is on. enroll knows it.
type Apps interface {
	// AppInputs are those but for DeviceID: the schema, of an app that has told one, and
	// the alias of the key by which an account of that template signs in, where
	// something brings it to phones, though it be not to all.
	AppInputs(ctx context.Context, app managedconfig.Package, template string) (managedconfig.Inputs, error)
}

// inputs are those of the app of a platform.
func (v *Viewer) inputs(ctx context.Context, platform Platform, template string) (managedconfig.Inputs, error) {
	name := managedconfig.App(platform).Package()
	if v.Apps == nil || name == "" {
		return managedconfig.Inputs{}, nil
	}
	in, err := v.Apps.AppInputs(ctx, name, template)
	if err != nil {
		return managedconfig.Inputs{}, fmt.Errorf("read what %s is set up with: %w", name, err)
	}
	return in, nil
}

// Viewer shows what would be sent, and sends nothing.
type Viewer struct {
	Templates *Service
	Phones    Phones    // nil: nobody has a phone
	SMIME     SMIMEKeys // nil: nobody has S/MIME certificates
	Apps      Apps      // nil: no app has told which settings it reads, and nothing brings keys
	Options   Options   // of this server: what deliveries render with, without Secrets, S/MIME keys and Device
}

// PreviewRequest names a template, or brings one along that is not applied yet.
type PreviewRequest struct {
	Name     string // of an applied template; empty with Source
	Source   []byte // YAML
	UPN      string
	Platform Platform // empty: apple
	// OSVersion overrides what the user's phones have reported: "11.4".
	OSVersion string
}

// Preview is what one user would get on one platform.
type Preview struct {
	Template string   `json:"template"`
	Revision int      `json:"revision"` // 0: not applied
	User     string   `json:"user"`     // UPN
	Platform Platform `json:"platform"`
	// Schema says by whose word an app's configuration is written: the app's own, or
	// a built-in table; empty where no app on Android is concerned.
	Schema SchemaSource `json:"schema,omitempty"`
	// Tree is the content for a person to read, without secrets.
	Tree     string            `json:"tree"`
	Fidelity []AccountFidelity `json:"fidelity"`
	Warnings []*refusal.Error  `json:"warnings"`
	// Body is what is sent, byte for byte, but for the one-time challenge, the
	// signature and the encryption. Where Redacted, "[redacted]" stands for each
	// secret in it.
	Body        []byte `json:"body"`
	Redacted    bool   `json:"redacted,omitempty"`
	ContentType string `json:"content_type"`
}

// SchemaSource is where the names of an app's keys come from.
type SchemaSource string

const (
	SchemaApp     SchemaSource = "app"      // the app itself, as Google told
	SchemaBuiltIn SchemaSource = "built-in" // tables in this program
)

// AccountFidelity says what becomes of each setting of an account.
type AccountFidelity struct {
	Account   string          `json:"account"`              // its name
	OSVersion string          `json:"os_version,omitempty"` // empty: the newest
	Report    profiles.Report `json:"report"`
}

// Preview renders a template for one user as a delivery would. It needs no
// phone, unless the template names a fact of one. ErrRender says why this user
// could not be served.
func (v *Viewer) Preview(ctx context.Context, q PreviewRequest) (Preview, error) {
	r, err := v.revision(ctx, q.Name, q.Source)
	if err != nil {
		return Preview{}, err
	}
	u, err := v.Templates.Users.UserByUPN(ctx, q.UPN)
	if err != nil {
		return Preview{}, fmt.Errorf("preview %s: %w", r.Name, err)
	}
	phones, err := v.phones(ctx, u)
	if err != nil {
		return Preview{}, err
	}
	o, err := v.options(ctx, u, phones, r.Spec)
	if err != nil {
		return Preview{}, err
	}
	o.ForApp = q.Platform != "" && q.Platform != PlatformApple
	rendered, err := Render(r, u, o)
	if err != nil {
		return Preview{}, err
	}
	in, err := v.inputs(ctx, q.Platform, r.Name)
	if err != nil {
		return Preview{}, err
	}
	p, err := ShowBy(in, rendered, q.Platform, versions(q.OSVersion, phones)...)
	if err != nil {
		return Preview{}, err
	}
	p.User = u.UPN
	notes, err := v.notes(ctx, r, u)
	if err != nil {
		return Preview{}, err
	}
	p.Warnings = append(append([]*refusal.Error{}, notes...), p.Warnings...)
	return p, nil
}

// revision is the newest revision of a template, or a candidate for the next.
func (v *Viewer) revision(ctx context.Context, name string, source []byte) (Revision, error) {
	if len(source) == 0 {
		return v.Templates.Get(ctx, name)
	}
	spec, err := Parse(source)
	if err != nil {
		return Revision{}, err
	}
	r, _, err := v.candidate(ctx, spec, string(source))
	return r, err
}

// unapplied stands for the ID of a template that has none yet.
const unapplied = "not-applied"

// candidate is the revision that spec would become: with the identity of its
// template, so that payload UUIDs are those that phones will see. newest is the
// revision that it would follow; its Number is 0 when there is none.
func (v *Viewer) candidate(ctx context.Context, spec Spec, source string) (r, newest Revision, err error) {
	newest, err = v.Templates.Get(ctx, spec.Name)
	if errors.Is(err, ErrNotFound) {
		newest, err = Revision{TemplateID: unapplied, Name: spec.Name}, nil
	}
	if err != nil {
		return Revision{}, Revision{}, err
	}
	return Revision{TemplateID: newest.TemplateID, Name: spec.Name, Spec: spec, Source: source}, newest, nil
}

func (v *Viewer) phones(ctx context.Context, u directory.User) ([]mdm.DeviceFacts, error) {
	if v.Phones == nil {
		return nil, nil
	}
	phones, err := v.Phones.PhonesOf(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("look up phones of %s: %w", u.ID, err)
	}
	return phones, nil
}

// options adds what a rendering for this user needs: secrets and S/MIME keys only
// where a template names some, the phone that was seen last.
func (v *Viewer) options(ctx context.Context, u directory.User, phones []mdm.DeviceFacts, specs ...Spec) (Options, error) {
	o := v.Options
	if len(phones) > 0 {
		o.Device = &phones[0]
	}
	if err := v.smime(ctx, &o, u, specs); err != nil {
		return Options{}, err
	}
	if v.Templates.Secrets == nil || !slices.ContainsFunc(specs, func(s Spec) bool { return len(s.Secrets()) > 0 }) {
		return o, nil
	}
	var err error
	if o.Secrets, err = v.Templates.Secrets.SecretsFor(ctx, u.ID); err != nil {
		return Options{}, fmt.Errorf("read secrets of %s: %w", u.ID, err)
	}
	return o, nil
}

// smime adds the S/MIME keys that the user has. None is made: those
// that a delivery would make are shown as such.
func (v *Viewer) smime(ctx context.Context, o *Options, u directory.User, specs []Spec) error {
	var usages []certs.SMIMEUsage
	for _, s := range specs {
		usages = append(usages, s.SMIMEUsages()...)
	}
	if v.SMIME == nil || len(usages) == 0 {
		return nil
	}
	var err error
	if o.SMIME, err = v.SMIME.Known(ctx, string(u.ID), u.Email, UniqueUsages(usages)); err != nil {
		return fmt.Errorf("look up S/MIME keys of %s: %w", u.ID, err)
	}
	return nil
}

// notes say when the user would not get this template after all.
func (v *Viewer) notes(ctx context.Context, r Revision, u directory.User) ([]*refusal.Error, error) {
	current, err := v.Templates.List(ctx)
	if err != nil {
		return nil, err
	}
	won, lost := Choose(replaced(current, r), u)
	for _, l := range lost {
		if l.Revision.Name == r.Name {
			return []*refusal.Error{refusal.New(ErrRender, "priority",
				fmt.Sprintf("%s gets the template %s instead, which sets up %s", u.UPN, l.Winner, l.Mailbox), "give this one a higher priority, or assign only one of them")}, nil
		}
	}
	if !slices.ContainsFunc(won, func(w Revision) bool { return w.Name == r.Name }) {
		return []*refusal.Error{refusal.New(ErrRender, "assign", "does not reach "+u.UPN, "assign it to the user, to one of the user's groups, or to everyone")}, nil
	}
	return nil, nil
}

// replaced is list with r in the place of the revision of that name.
func replaced(list []Revision, r Revision) []Revision {
	list = slices.Clone(list)
	if i := slices.IndexFunc(list, func(old Revision) bool { return old.Name == r.Name }); i >= 0 {
		list[i] = r
		return list
	}
	return append(list, r)
}

// versions are the OS versions to report on: the override, or those of the
// phones, each once, or the newest.
func versions(override string, phones []mdm.DeviceFacts) []string {
	if override != "" {
		return []string{override}
	}
	var list []string
	for _, phone := range phones {
		if phone.OSVersion != "" && !slices.Contains(list, phone.OSVersion) {
			list = append(list, phone.OSVersion)
		}
	}
	return list
}

// Show writes a rendering for a platform, with a report for each OS version;
// for the newest where none is given. It needs no server.
func Show(r Rendered, platform Platform, osVersions ...string) (Preview, error) {
	return ShowBy(managedconfig.Inputs{}, r, platform, osVersions...)
}

// ShowBy is Show for an app on Android with more to go by: without a schema the
// built-in tables stand in, and without an alias nothing brings a key to the phone.
func ShowBy(in managedconfig.Inputs, r Rendered, platform Platform, osVersions ...string) (Preview, error) {
	p := Preview{Template: r.TemplateName, Revision: r.Revision, Platform: platform, Warnings: append([]*refusal.Error{}, r.Warnings...)}
	switch platform {
	case "", PlatformApple:
		p.Platform = PlatformApple
		return p, p.apple(r, osVersions)
	case PlatformGmail, PlatformOutlook, PlatformOutlookIOS, PlatformSamsung, PlatformNine:
		return p, p.android(r, in)
	}
	return Preview{}, refusal.New(ErrInvalid, "platform", fmt.Sprintf("is %.32q", platform), "use apple, gmail, outlook, outlook-ios, samsung or nine")
}

func (p *Preview) apple(r Rendered, osVersions []string) error {
	var err error
	p.ContentType = mobileconfig.ContentType
	if p.Redacted = r.Profile.Secret(); p.Redacted {
		p.Body, err = r.Profile.EncodeForInspection()
	} else {
		p.Body, err = r.Profile.Encode()
	}
	if err != nil {
		return fmt.Errorf("preview %s: %w", r.TemplateName, err)
	}
	tree, err := mobileconfig.Decode(p.Body)
	if err != nil {
		return fmt.Errorf("preview %s: %w", r.TemplateName, err)
	}
	p.Tree = mobileconfig.Outline(tree)
	if len(osVersions) == 0 {
		osVersions = []string{""}
	}
	for _, version := range osVersions {
		for _, account := range r.Accounts {
			p.Fidelity = append(p.Fidelity, AccountFidelity{account.Name, version, mobileconfig.Fidelity(account, version)})
		}
	}
	return nil
}

// android writes the first account: an app has one managed configuration, which
// holds one account.
func (p *Preview) android(r Rendered, in managedconfig.Inputs) error {
	p.ContentType = "application/json"
	if p.Platform != PlatformOutlookIOS {
		if p.Schema = SchemaBuiltIn; in.Schema != nil {
			p.Schema = SchemaApp
		}
	}
	for i, account := range r.Accounts {
		if i > 0 {
			p.Fidelity = append(p.Fidelity, AccountFidelity{Account: account.Name, Report: profiles.Report{{
				Field: fmt.Sprintf("accounts[%d]", i), Status: profiles.Unsupported,
				Why: "a managed configuration holds one account, and the first one of the template is in it", Substitute: "the user adds this account by hand",
			}}})
			continue
		}
		bundle, report, err := managed(account, p.Platform, in)
		if err != nil {
			return underRender(r, err)
		}
		if bundle != nil {
			if p.Body, err = bundle.Encode(); err != nil {
				return fmt.Errorf("preview %s: %w", r.TemplateName, err)
			}
		}
		p.Tree = string(p.Body)
		if p.Platform != PlatformOutlookIOS {
			p.Warnings = append(p.Warnings, appWarnings(managedconfig.App(p.Platform), account)...)
		}
		p.Fidelity = append(p.Fidelity, AccountFidelity{Account: account.Name, Report: report})
	}
	return nil
}

// managed writes an account for an app.
func managed(a profiles.ExchangeAccount, platform Platform, in managedconfig.Inputs) (managedconfig.Bundle, profiles.Report, error) {
	if platform == PlatformOutlookIOS {
		return managedconfig.Outlook(a, managedconfig.IOS)
	}
	r, err := managedconfig.Draft(managedconfig.App(platform), a, in)
	return r.Bundle, r.Report, err
}

// underRender makes an app's refusal one of this rendering, by field of the template.
func underRender(r Rendered, err error) error {
	refused := refusal.All(err)
	if len(refused) == 0 {
		return fmt.Errorf("preview %s: %w", r.TemplateName, err)
	}
	var list refusal.List
	for _, e := range refused {
		list.Add(refusal.New(ErrRender, "accounts[0]."+e.Field, e.Reason, e.Remedy))
	}
	return list
}
