package templates

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
)

// IdentifierPrefix begins the PayloadIdentifier of every profile that is
// rendered from a template, and of no other.
const IdentifierPrefix = "sallyport.mail."

// ProfileIdentifier is the PayloadIdentifier of a template's profile for a
// user: for ever the same, whatever the revision.
func ProfileIdentifier(templateID string, user directory.UserID) string {
	return IdentifierPrefix + templateID + "." + string(user)
}

// Options are what a rendering needs to know besides template and user.
type Options struct {
	Organization string           // shown on the phone
	SCEPURL      string           // where accounts with identity scep get their certificate
	Secrets      []Secret         // the user's, as SecretsFor returns them
	SMIME        []certs.SMIMEKey // the user's S/MIME keys without Key: the current one of each usage, then earlier ones for encryption, newest first
	Device       *mdm.DeviceFacts // of the phone that the profile is for; nil while it has not reported them
	// ForApp renders for the managed configuration of an app alone, which holds
	// neither certificates nor passwords: none are looked for, and the Profile is
	// not one to send.
	ForApp bool
}

// Rendered is a template expanded for one user.
type Rendered struct {
	TemplateName string
	Revision     int
	// Profile has everything but the one-time challenge and S/MIME keys; its TopUUID
	// is the one that the phone will report.
	Profile  mobileconfig.Profile
	Accounts []profiles.ExchangeAccount // expanded
	// NeedsChallenge says that Profile holds a SCEP payload: mint a challenge
	// and call WithChallenge before it is sent.
	NeedsChallenge bool
	// KeyIDs are the S/MIME keys that Profile waits for: call WithKeys before it is
	// sent.
	KeyIDs []string
	// AwaitsKeys says that the user has no S/MIME key yet for something that the
	// template asks: it can be shown, and not be sent.
	AwaitsKeys bool
	// Warnings name, by field, what is allowed but hardly meant.
	Warnings []*refusal.Error
}

// WithChallenge returns the profile with the one-time challenge in its SCEP
// payload. The Rendered stays as it is.
func (r Rendered) WithChallenge(challenge secret.Value) mobileconfig.Profile {
	p := r.Profile
	p.Payloads = slices.Clone(p.Payloads)
	for i, payload := range p.Payloads {
		if scep, ok := payload.(mobileconfig.SCEP); ok {
			p.Payloads[i] = scep.WithChallenge(challenge)
		}
	}
	return p
}

// Render expands a revision for a user. The same arguments give the same
// profile. Refusals wrap ErrRender and name variable, field, user and remedy.
func Render(r Revision, u directory.User, o Options) (Rendered, error) {
	if refused := RefuseShared(u, ErrRender, ""); refused != nil {
		return Rendered{}, refusal.List{refused}
	}
	v := values{user: u, device: o.Device}
	accounts, err := expandAccounts(r.Spec.Accounts, v)
	if err != nil {
		return Rendered{}, err
	}
	name, refused := expandText("display_name", r.Spec.DisplayName, v)
	if refused != nil {
		return Rendered{}, asRender(refused, u)
	}
	kept, refused := parseKept(r.Spec.Kept)
	if refused != nil {
		return Rendered{}, asRender(refused, u)
	}
	identifier := ProfileIdentifier(r.TemplateID, u.ID)
	b := builder{
		slots:   slots{owner: r.TemplateID, user: u.ID, profile: identifier},
		user:    u,
		options: o,
		profile: mobileconfig.Profile{
			Identifier:   identifier,
			DisplayName:  cmp.Or(name, r.Spec.Name),
			Description:  "Mail settings for " + u.UPN,
			Organization: o.Organization,
		},
	}
	if err := b.add(accounts, kept); err != nil {
		return Rendered{}, err
	}
	kept.addTo(&b.profile)
	if err := b.profile.Validate(); err != nil {
		return Rendered{}, fmt.Errorf("render template %s for %s: %w", r.Name, u.ID, err)
	}
	return Rendered{
		TemplateName: r.Name, Revision: r.Number, Profile: b.profile, Accounts: accounts,
		NeedsChallenge: b.scep != "", KeyIDs: b.keyIDs, AwaitsKeys: b.awaits,
		Warnings: slices.Concat(r.Spec.deviceWarnings(), warnings(accounts), b.warnings),
	}, nil
}

// slots derives what must stay for ever from (template, slot, user), never from
// the revision (architecture rule 6): a changed payload UUID makes the phone
// create the account anew and load all mail again.
type slots struct {
	owner   string // template ID
	user    directory.UserID
	profile string // identifier
}

func (s slots) common(slot string) mobileconfig.Common {
	return mobileconfig.Common{
		Identifier: s.profile + "." + slot,
		UUID:       mobileconfig.UUID(s.owner, slot, string(s.user)),
	}
}

func accountSlot(i int) string { return "account." + strconv.Itoa(i) }

func accountPath(i int) string { return fmt.Sprintf("accounts[%d].", i) }

func expandAccounts(accounts []profiles.ExchangeAccount, v values) ([]profiles.ExchangeAccount, error) {
	expanded := make([]profiles.ExchangeAccount, 0, len(accounts))
	var list refusal.List
	for i, a := range accounts {
		path := accountPath(i)
		a = a.WithDefaults()
		refused := expandAccount(path, &a, v)
		if len(refused) == 0 {
			for _, e := range refusal.All(a.Validate()) {
				e.Field = path + e.Field
				refused.Add(asRender(e, v.user))
			}
		}
		list.Add(refused...)
		expanded = append(expanded, a)
	}
	if len(list) == 0 {
		for _, e := range sameMailbox(expanded) {
			list.Add(asRender(e, v.user))
		}
	}
	if err := list.OrNil(); err != nil {
		return nil, err
	}
	return expanded, nil
}

func expandAccount(path string, a *profiles.ExchangeAccount, v values) refusal.List {
	var list refusal.List
	for _, f := range fields(a) {
		if refused := f.expand(path, v); refused != nil {
			list.Add(asRender(refused, v.user))
		}
	}
	return list
}

func warnings(accounts []profiles.ExchangeAccount) []*refusal.Error {
	var list []*refusal.Error
	for i, a := range accounts {
		for _, w := range a.Warnings() {
			list = append(list, refusal.New(w.Err, accountPath(i)+w.Field, w.Reason, w.Remedy))
		}
	}
	return list
}

// asRender makes a refusal one of this rendering that names the user. Those of
// expand are and do already.
func asRender(e *refusal.Error, u directory.User) *refusal.Error {
	if errors.Is(e, ErrRender) {
		return e
	}
	return refusal.New(ErrRender, e.Field, "for user "+u.UPN+": "+e.Reason, e.Remedy)
}
