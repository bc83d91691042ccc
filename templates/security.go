package templates

import (
	"context"
	"fmt"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/yamldoc"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
)

// SecuritySpec is a security policy as an admin writes it in YAML.
type SecuritySpec struct {
	Name     string                  `yaml:"name" json:"name"`                   // unique, lower case letters, digits and dashes
	Priority int                     `yaml:"priority" json:"priority,omitempty"` // -1000 to 1000: a user gets the highest one, then the name that sorts first
	Assign   directory.Audience      `yaml:"assign" json:"assign"`               // who gets it: everyone, or groups and users by UPN; nobody where it is left out
	Exclude  directory.Audience      `yaml:"exclude" json:"exclude,omitzero"`    // who never gets it, whomever assign names
	Settings profiles.SecurityPolicy `yaml:"settings" json:"settings"`
	Android  profiles.AndroidPolicy  `yaml:"android" json:"android,omitzero"` // what is asked of Android phones alone
}

// SecurityRevision is one immutable state of a security policy.
type SecurityRevision struct {
	PolicyID  string       `json:"policy_id"` // UUIDv7, stable across revisions
	Name      string       `json:"name"`
	Number    int          `json:"revision"` // 1, 2, 3 ...
	Spec      SecuritySpec `json:"spec"`
	Source    string       `json:"source"`
	CreatedAt time.Time    `json:"created_at"`
	CreatedBy string       `json:"created_by"`
}

// SecurityStore keeps security policies. internal/store implements it.
type SecurityStore interface {
	// SaveSecurityPolicy appends the next revision of the policy called r.Name
	// (the first one makes the policy) with the entry and an EventTemplateChange,
	// and returns it as stored, with PolicyID and Number. When the newest
	// revision has the same Source that one is returned, changed is false and
	// nothing is written. Otherwise ErrConflict unless expected is the newest
	// revision's number (0: there is none yet) or AnyRevision.
	SaveSecurityPolicy(ctx context.Context, r SecurityRevision, expected int, entry audit.Entry) (stored SecurityRevision, changed bool, err error)
	// CurrentSecurityPolicies returns the newest revision of every policy by name.
	CurrentSecurityPolicies(ctx context.Context) ([]SecurityRevision, error)
}

// ParseSecurity reads a security policy from YAML and validates it. Its
// refusals wrap ErrInvalid and name the field; those of the YAML itself also
// name line and column.
func ParseSecurity(source []byte) (SecuritySpec, error) {
	var s SecuritySpec
	if err := yamldoc.Decode(source, &s, ErrInvalid); err != nil {
		return SecuritySpec{}, err
	}
	if err := s.Validate(); err != nil {
		return SecuritySpec{}, err
	}
	return s, nil
}

// Validate refuses, by field, what no phone could be held to.
func (s SecuritySpec) Validate() error {
	var list refusal.List
	list.Add(documentName(s.Name), priority(s.Priority))
	list.Add(audience("assign", s.Assign)...)
	list.Add(audience("exclude", s.Exclude)...)
	if s.Settings == (profiles.SecurityPolicy{}) {
		list.Add(refusal.New(ErrInvalid, "settings", "ask for nothing", "for example: settings: {require_passcode: true, minimum_length: 6}"))
	}
	for _, e := range refusal.All(s.Settings.Validate()) {
		list.Add(refusal.New(ErrInvalid, "settings."+e.Field, e.Reason, e.Remedy))
	}
	for _, e := range refusal.All(s.Android.Validate()) {
		list.Add(refusal.New(ErrInvalid, "android."+e.Field, e.Reason, e.Remedy))
	}
	return list.OrNil()
}

// Warnings are what is allowed in a security policy but hardly meant, or does
// damage, by field.
func (s SecuritySpec) Warnings() []*refusal.Error {
	var list []*refusal.Error
	for _, w := range s.Settings.Warnings() {
		list = append(list, refusal.New(w.Err, "settings."+w.Field, w.Reason, w.Remedy))
	}
	for _, w := range s.Android.Warnings() {
		list = append(list, refusal.New(w.Err, "android."+w.Field, w.Reason, w.Remedy))
	}
	return list
}

// ChooseSecurity returns the security policy of a user: the highest priority,
// then the name that sorts first. ok is false where none is assigned.
func ChooseSecurity(revisions []SecurityRevision, u directory.User) (chosen SecurityRevision, ok bool) {
	for _, r := range revisions {
		if !reaches(r.Spec.Assign, r.Spec.Exclude, u) {
			continue
		}
		better := r.Spec.Priority > chosen.Spec.Priority || r.Spec.Priority == chosen.Spec.Priority && r.Name < chosen.Name
		if !ok || better {
			chosen, ok = r, true
		}
	}
	return chosen, ok
}

// SecurityIdentifierPrefix begins the PayloadIdentifier of every security
// profile, and of no other.
const SecurityIdentifierPrefix = "sallyport.security."

// SecurityIdentifier is the PayloadIdentifier of a user's security profile:
// for ever the same, whichever policy it comes from, so that another policy
// replaces the one before.
func SecurityIdentifier(user directory.UserID) string { return SecurityIdentifierPrefix + string(user) }

// RenderSecurity makes the profile that holds an Apple phone to a security
// policy. It names neither policy nor revision where the phone would take that
// for another profile: the next policy updates it in place.
func RenderSecurity(r SecurityRevision, u directory.User, o Options) (mobileconfig.Profile, error) {
	if refused := RefuseShared(u, ErrRender, ""); refused != nil {
		return mobileconfig.Profile{}, refusal.List{refused}
	}
	slots := slots{owner: "security", user: u.ID, profile: SecurityIdentifier(u.ID)}
	c := slots.common("passcode")
	c.DisplayName = "Passcode"
	p := mobileconfig.Profile{
		Identifier:   slots.profile,
		DisplayName:  "Security policy",
		Description:  "What this phone's passcode must be like",
		Organization: o.Organization,
		Payloads:     []mobileconfig.Payload{mobileconfig.NewPasscode(r.Spec.Settings, c)},
	}
	if err := p.Validate(); err != nil {
		return mobileconfig.Profile{}, fmt.Errorf("render security policy %s for %s: %w", r.Name, u.ID, err)
	}
	return p, nil
}

// ApplySecurity saves a security policy as Apply does a template.
func (s *Service) ApplySecurity(ctx context.Context, source []byte) (r SecurityRevision, changed bool, err error) {
	return s.ApplySecurityExpecting(ctx, source, AnyRevision)
}

// ApplySecurityExpecting is ApplySecurity under the condition of ApplyExpecting.
func (s *Service) ApplySecurityExpecting(ctx context.Context, source []byte, expected int) (r SecurityRevision, changed bool, err error) {
	spec, err := ParseSecurity(source)
	if err != nil {
		return SecurityRevision{}, false, err
	}
	now := s.now()
	r = SecurityRevision{Name: spec.Name, Spec: spec, Source: string(source), CreatedAt: now, CreatedBy: audit.Actor(ctx)}
	r, changed, err = s.Security.SaveSecurityPolicy(ctx, r, expected, audit.New(ctx, now, "security_policy.apply", spec.Name, audit.Done))
	if err != nil {
		return SecurityRevision{}, false, fmt.Errorf("save security policy %s: %w", spec.Name, err)
	}
	return r, changed, nil
}

// ListSecurity returns the newest revision of every security policy by name.
func (s *Service) ListSecurity(ctx context.Context) ([]SecurityRevision, error) {
	return s.Security.CurrentSecurityPolicies(ctx)
}

// GetSecurity returns the newest revision of one security policy, or
// ErrNotFound. Policies are few, so it looks through the list.
func (s *Service) GetSecurity(ctx context.Context, name string) (SecurityRevision, error) {
	list, err := s.ListSecurity(ctx)
	if err != nil {
		return SecurityRevision{}, err
	}
	for _, r := range list {
		if r.Name == name {
			return r, nil
		}
	}
	return SecurityRevision{}, refusal.New(ErrNotFound, "name", "there is no such security policy", "see: sallyport security-policy list")
}
