package templates

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
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

// Options are what a rendering needs to know of this server.
type Options struct {
	Organization string // shown on the phone
	SCEPURL      string // where accounts with identity scep get their certificate
}

// Rendered is a template expanded for one user.
type Rendered struct {
	TemplateName string
	Revision     int
	// Profile has everything but the one-time challenge; its TopUUID is the one
	// that the phone will report.
	Profile  mobileconfig.Profile
	Accounts []profiles.ExchangeAccount // expanded
	// NeedsChallenge says that Profile holds a SCEP payload: mint a challenge
	// and call WithChallenge before it is sent.
	NeedsChallenge bool
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
	accounts, err := expandAccounts(r.Spec.Accounts, u)
	if err != nil {
		return Rendered{}, err
	}
	name, refused := expandText("display_name", r.Spec.DisplayName, u)
	if refused != nil {
		return Rendered{}, asRender(refused, u)
	}
	p := mobileconfig.Profile{
		Identifier:   ProfileIdentifier(r.TemplateID, u.ID),
		DisplayName:  name,
		Description:  "Mail settings for " + u.UPN,
		Organization: o.Organization,
	}
	slots := slots{templateID: r.TemplateID, user: u.ID, profile: p.Identifier}
	identity := slots.common("identity")
	needsChallenge := slices.ContainsFunc(accounts, func(a profiles.ExchangeAccount) bool { return a.Identity == profiles.IdentitySCEP })
	if needsChallenge {
		identity.DisplayName = "Mail certificate"
		p.Payloads = append(p.Payloads, mobileconfig.SCEP{
			Common: identity, URL: o.SCEPURL, Name: "sallyport", CommonName: u.UPN, Mail: u.Email, NTPrincipalName: u.UPN,
		})
	}
	for i, account := range accounts {
		certificate := ""
		if account.Identity == profiles.IdentitySCEP {
			certificate = identity.UUID
		}
		p.Payloads = append(p.Payloads, mobileconfig.NewEAS(account, slots.common("account."+strconv.Itoa(i)), mobileconfig.Refs{Identity: certificate}))
	}
	if err := p.Validate(); err != nil {
		return Rendered{}, fmt.Errorf("render template %s for %s: %w", r.Name, u.ID, err)
	}
	return Rendered{TemplateName: r.Name, Revision: r.Number, Profile: p, Accounts: accounts, NeedsChallenge: needsChallenge}, nil
}

// slots derives what must stay for ever from (template, slot, user), never from
// the revision (architecture rule 6): a changed payload UUID makes the phone
// create the account anew and load all mail again.
type slots struct {
	templateID string
	user       directory.UserID
	profile    string
}

func (s slots) common(slot string) mobileconfig.Common {
	return mobileconfig.Common{
		Identifier: s.profile + "." + slot,
		UUID:       mobileconfig.UUID(s.templateID, slot, string(s.user)),
	}
}

func expandAccounts(accounts []profiles.ExchangeAccount, u directory.User) ([]profiles.ExchangeAccount, error) {
	expanded := make([]profiles.ExchangeAccount, 0, len(accounts))
	var list refusal.List
	for i, a := range accounts {
		path := fmt.Sprintf("accounts[%d].", i)
		a = a.WithDefaults()
		refused := expandAccount(path, &a, u)
		if len(refused) == 0 {
			for _, e := range refusal.All(a.Validate()) {
				e.Field = path + e.Field
				refused.Add(asRender(e, u))
			}
		}
		list.Add(refused...)
		expanded = append(expanded, a)
	}
	if len(list) == 0 {
		for _, e := range sameMailbox(expanded) {
			list.Add(asRender(e, u))
		}
	}
	if err := list.OrNil(); err != nil {
		return nil, err
	}
	return expanded, nil
}

func expandAccount(path string, a *profiles.ExchangeAccount, u directory.User) refusal.List {
	var list refusal.List
	for _, f := range fields(a) {
		value, refused := expandText(path+f.path, *f.value, u)
		if refused != nil {
			list.Add(asRender(refused, u))
			continue
		}
		*f.value = value
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
