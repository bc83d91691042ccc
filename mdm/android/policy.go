package android

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/api/androidmanagement/v1"
	"google.golang.org/api/googleapi"

	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
)

// ErrPolicy says that a policy cannot be made of what it was to hold.
var ErrPolicy = errors.New("invalid device policy")

// BasePolicyID names the policy that a phone has from its enrolment until its own
// one is rendered: no mail, but everything that compliance asks about is reported.
const BasePolicyID = "sallyport-base-v1"

// ChromePackage is the browser in which Gmail and others show modern sign-in.
const ChromePackage = "com.android.chrome"

// PolicyInput is what one device shall have.
type PolicyInput struct {
	Mode      Mode
	Ownership mdm.Ownership // on our record
	Told      mdm.Ownership // as Google sees it: Phone.Ownership
	OSVersion string        // as reported; empty: unknown. What is reported depends on it, the policy does not
	Security  profiles.SecurityPolicy
	Android   profiles.AndroidPolicy
	Mail      []MailApp  // one for each app
	Companion *Companion // nil: no app brings certificates
}

// MailApp is one mail app with its account.
type MailApp struct {
	Package managedconfig.Package
	Config  managedconfig.Bundle
	Alias   string // of the key that the app may use without asking; empty: none
	Chrome  bool   // the app signs in on a page that Chrome shows: Chrome comes along
}

// Companion is an app of the customer's that fetches certificates: it may put
// keys into the phone's key store (CERT_INSTALL).
type Companion struct {
	Package   string
	Config    managedconfig.Bundle
	OwnRights bool // it needs nobody's leave for that: Samsung's Knox Service Plugin
}

// Policy is the whole of what one device is told. Same input, same bytes. The
// zero Policy is none.
type Policy struct {
	body *androidmanagement.Policy
	mail []string // packages of the mail apps, sorted
}

// Application is one app of a policy.
type Application struct {
	Package string
	body    *androidmanagement.ApplicationPolicy
}

// BasePolicy is the policy of a phone that has just enrolled.
func BasePolicy() Policy {
	return Policy{body: &androidmanagement.Policy{
		StatusReportingSettings: &androidmanagement.StatusReportingSettings{
			ApplicationReportsEnabled: true, // keyedAppStates come with them
			DeviceSettingsEnabled:     true, // screen lock, encryption
			SoftwareInfoEnabled:       true, // version of Android
		},
	}}
}

// BuildPolicy makes the policy of one device, and says what becomes of each
// setting of the security policy on it. It refuses two accounts for one app, and
// a blank configuration, which would overrule what the app has from elsewhere.
func BuildPolicy(in PolicyInput) (Policy, profiles.Report, error) {
	p := BasePolicy()
	if in.Mode == FullyManaged {
		// The rest of the device is none of our business: without this, every app
		// that the policy does not name is removed. A work profile is ours alone,
		// and holds what the policy names.
		p.body.PlayStoreMode = "BLACKLIST"
	}
	report := in.security(p.body)
	if err := p.addApps(in); err != nil {
		return Policy{}, nil, err
	}
	return p, report, nil
}

func (p *Policy) addApps(in PolicyInput) error {
	apps := map[string]*androidmanagement.ApplicationPolicy{}
	for _, m := range in.Mail {
		name := string(m.Package)
		if _, twice := apps[name]; twice {
			return refusal.New(ErrPolicy, name, "would get two accounts, and an app has one configuration", "assign one template for this app")
		}
		app, err := installed(name, m.Config)
		if err != nil {
			return err
		}
		apps[name] = app
		p.mail = append(p.mail, name)
		if m.Alias != "" {
			p.body.ChoosePrivateKeyRules = append(p.body.ChoosePrivateKeyRules, &androidmanagement.ChoosePrivateKeyRule{
				PackageNames: []string{name}, PrivateKeyAlias: m.Alias,
			})
		}
	}
	if c := in.Companion; c != nil {
		if _, twice := apps[c.Package]; twice {
			return refusal.New(ErrPolicy, c.Package, "is a mail app and cannot bring certificates, too", "name another app")
		}
		app, err := installed(c.Package, c.Config)
		if err != nil {
			return err
		}
		if !c.OwnRights {
			app.DelegatedScopes = []string{"CERT_INSTALL"}
		}
		apps[c.Package] = app
	}
	if slices.ContainsFunc(in.Mail, func(m MailApp) bool { return m.Chrome }) && apps[ChromePackage] == nil {
		apps[ChromePackage] = &androidmanagement.ApplicationPolicy{PackageName: ChromePackage, InstallType: forceInstalled}
	}
	for _, app := range apps {
		p.body.Applications = append(p.body.Applications, app)
	}
	slices.SortFunc(p.body.Applications, func(a, b *androidmanagement.ApplicationPolicy) int {
		return strings.Compare(a.PackageName, b.PackageName)
	})
	slices.SortFunc(p.body.ChoosePrivateKeyRules, func(a, b *androidmanagement.ChoosePrivateKeyRule) int {
		return strings.Compare(a.PackageNames[0], b.PackageNames[0])
	})
	slices.Sort(p.mail)
	return nil
}

const forceInstalled = "FORCE_INSTALLED"

func installed(name string, config managedconfig.Bundle) (*androidmanagement.ApplicationPolicy, error) {
	if !packageName.MatchString(name) {
		return nil, refusal.New(ErrPolicy, "package", "is no name of an app", "for example com.google.android.gm")
	}
	if len(config) == 0 {
		return nil, refusal.New(ErrPolicy, name, "would get a blank configuration, which overrules what the app is set up with elsewhere", "send none at all")
	}
	text, err := json.Marshal(config) // sorted by key
	if err != nil {
		return nil, fmt.Errorf("encode the configuration of %s: %w", name, err)
	}
	return &androidmanagement.ApplicationPolicy{
		PackageName: name, InstallType: forceInstalled, ManagedConfiguration: googleapi.RawMessage(text),
	}, nil
}

// IsZero reports whether there is no policy.
func (p Policy) IsZero() bool { return p.body == nil }

// Encode returns the policy as Google is told it.
func (p Policy) Encode() ([]byte, error) {
	text, err := json.Marshal(p.body)
	if err != nil {
		return nil, fmt.Errorf("encode device policy: %w", err)
	}
	return text, nil
}

// Hash stands for everything in the policy but what stands in the configurations
// of mail apps: where it differs from what was sent, PatchPolicy is needed.
func (p Policy) Hash() string {
	rest := *p.body
	rest.Applications = nil
	for _, app := range p.body.Applications {
		if _, mail := slices.BinarySearch(p.mail, app.PackageName); mail {
			bare := *app
			bare.ManagedConfiguration = nil
			app = &bare
		}
		rest.Applications = append(rest.Applications, app)
	}
	return digest(&rest)
}

// MailHash stands for the configurations of the mail apps: where it alone differs
// from what was sent, ModifyApplications with Mail will do.
func (p Policy) MailHash() string {
	apps := make([]*androidmanagement.ApplicationPolicy, 0, len(p.mail))
	for _, app := range p.Mail() {
		apps = append(apps, app.body)
	}
	return digest(apps)
}

// digest: what is encoded here is made of strings, numbers and JSON that was
// encoded already, so that it cannot fail.
func digest(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Mail are the policy's mail apps.
func (p Policy) Mail() []Application {
	var list []Application
	for _, app := range p.body.Applications {
		if _, mail := slices.BinarySearch(p.mail, app.PackageName); mail {
			list = append(list, Application{Package: app.PackageName, body: app})
		}
	}
	return list
}

// PatchPolicy makes or replaces a policy ("enterprises/E/policies/P") and returns
// its new version: a device has applied it when it reports that one or a later one.
func (c *Client) PatchPolicy(ctx context.Context, name string, p Policy) (version int64, err error) {
	answer, err := c.api.Enterprises.Policies.Patch(name, p.body).Context(ctx).Do()
	if err != nil {
		return 0, problem(err)
	}
	return policyVersion(answer)
}

// DeletePolicy removes a policy that no device has.
func (c *Client) DeletePolicy(ctx context.Context, name string) error {
	if _, err := c.api.Enterprises.Policies.Delete(name).Context(ctx).Do(); err != nil {
		return problem(err)
	}
	return nil
}

// ModifyApplications changes these apps of a policy and nothing else, and returns
// its new version.
func (c *Client) ModifyApplications(ctx context.Context, name string, apps []Application) (version int64, err error) {
	q := &androidmanagement.ModifyPolicyApplicationsRequest{}
	for _, app := range apps {
		q.Changes = append(q.Changes, &androidmanagement.ApplicationPolicyChange{Application: app.body})
	}
	answer, err := c.api.Enterprises.Policies.ModifyPolicyApplications(name, q).Context(ctx).Do()
	if err != nil {
		return 0, problem(err)
	}
	return policyVersion(answer.Policy)
}

// policyVersion is the version that Google has given a policy: 1 and up. A policy
// without one could never be seen to be applied.
func policyVersion(p *androidmanagement.Policy) (int64, error) {
	if p == nil || p.Version < 1 {
		return 0, halfAnswer(errors.New("policy without a version"))
	}
	return p.Version, nil
}
