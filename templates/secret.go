package templates

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// SecretKind says what a secret is used as.
type SecretKind string

const (
	SecretPassword SecretKind = "password" // of an account
	SecretPKCS12   SecretKind = "pkcs12"   // a certificate with its private key
)

// maxPassword bounds a password in bytes.
const maxPassword = 1024

// Secret is material that a template refers to by name: one for everyone, or
// one for each user, whose own goes before that for everyone.
type Secret struct {
	Name   string           `json:"name"` // as a template writes it
	Kind   SecretKind       `json:"kind"`
	UserID directory.UserID `json:"user_id,omitempty"` // empty: for everyone
	UPN    string           `json:"user,omitempty"`    // of the user; filled by the store on reading
	// Revision (UUIDv7) names this value. It stands in for the value where a
	// profile's UUID is derived, so that nobody can guess a password from a UUID.
	Revision string `json:"revision"`

	Value secret.Value `json:"-"` // the password, or that of the PKCS#12 file
	Data  []byte       `json:"-"` // the PKCS#12 file, DER

	// What the certificate of a PKCS#12 file says of its holder.
	Subject  string    `json:"subject,omitempty"`
	UPNs     []string  `json:"upns,omitempty"`  // of the SubjectAltName, and a common name that looks like one
	Mails    []string  `json:"mails,omitempty"` // rfc822Names, and addresses in the Subject
	NotAfter time.Time `json:"not_after,omitzero"`

	CreatedAt time.Time `json:"created_at"`
}

// Format prints which secret it is, and nothing of its content.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s %s of %s, revision %s", s.Kind, s.Name, cmp.Or(string(s.UserID), "everyone"), s.Revision)
}

// SecretStore keeps secrets, sealed. internal/store implements it.
type SecretStore interface {
	// SaveSecret replaces the secret of that name and user, with the entry and
	// an EventTemplateChange. directory.ErrNotFound when the user is unknown.
	SaveSecret(ctx context.Context, s Secret, entry audit.Entry) error
	// ListSecrets returns them without Value and Data, in the order of name and
	// then UPN, those for everyone first.
	ListSecrets(ctx context.Context) ([]Secret, error)
	// SecretsFor returns those that a user's profiles may need, with their
	// values: the user's own, and of other names those for everyone.
	SecretsFor(ctx context.Context, user directory.UserID) ([]Secret, error)
	// RemoveSecret deletes one, with the entry and an EventTemplateChange;
	// ErrNotFound when there is none.
	RemoveSecret(ctx context.Context, name string, user directory.UserID, entry audit.Entry) error
}

// SecretInput is what an admin uploads.
type SecretInput struct {
	Name  string
	Kind  SecretKind
	UPN   string       // empty: for everyone
	Value secret.Value // the password, or that of the PKCS#12 file
	Data  []byte       // the PKCS#12 file
}

// Format prints which secret it is, and nothing of its content.
func (in SecretInput) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s %s of %s", in.Kind, in.Name, cmp.Or(in.UPN, "everyone"))
}

// SetSecret saves a secret, in the place of one of the same name and user. The
// answer holds neither Value nor Data. A PKCS#12 file that opens, but holds
// somebody else's certificate, is refused with what was found in it.
func (s *Service) SetSecret(ctx context.Context, in SecretInput) (Secret, error) {
	now := s.now()
	made := Secret{Name: in.Name, Kind: in.Kind, Value: in.Value, Data: slices.Clone(in.Data), CreatedAt: now}
	if err := made.read(now); err != nil {
		return Secret{}, err
	}
	if in.UPN != "" {
		u, err := s.Users.UserByUPN(ctx, in.UPN)
		if err != nil {
			return Secret{}, fmt.Errorf("secret %s: %w", in.Name, err)
		}
		made.UserID, made.UPN = u.ID, u.UPN
		if refused := made.belongsTo(u, ErrInvalid, "data", u.UPN, u.Email); refused != nil {
			return Secret{}, refusal.List{refused}
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Secret{}, fmt.Errorf("make revision of secret %s: %w", in.Name, err)
	}
	made.Revision = id.String()
	entry := audit.New(ctx, now, "secret.set", made.Name, audit.Done, "kind", string(made.Kind), "user", string(made.UserID), "revision", made.Revision)
	if err := s.Secrets.SaveSecret(ctx, made, entry); err != nil {
		return Secret{}, fmt.Errorf("save secret %s: %w", in.Name, err)
	}
	made.Value, made.Data = secret.Value{}, nil
	return made, nil
}

// ListSecrets returns every secret without its value.
func (s *Service) ListSecrets(ctx context.Context) ([]Secret, error) {
	return s.Secrets.ListSecrets(ctx)
}

// RemoveSecret deletes a secret, of one user when upn is given. One for everyone
// that a template still refers to is ErrConflict: without it, nobody's profile
// could be made, and everybody's phone would stop being what it should be.
func (s *Service) RemoveSecret(ctx context.Context, name, upn string) error {
	var user directory.UserID
	if upn != "" {
		u, err := s.Users.UserByUPN(ctx, upn)
		if err != nil {
			return fmt.Errorf("secret %s: %w", name, err)
		}
		user = u.ID
	} else if err := s.refuseUsed(ctx, name); err != nil {
		return err
	}
	entry := audit.New(ctx, s.now(), "secret.remove", name, audit.Done, "user", string(user))
	if err := s.Secrets.RemoveSecret(ctx, name, user, entry); err != nil {
		return fmt.Errorf("remove secret %s: %w", name, err)
	}
	return nil
}

func (s *Service) refuseUsed(ctx context.Context, name string) error {
	revisions, err := s.Store.CurrentRevisions(ctx)
	if err != nil {
		return fmt.Errorf("read templates: %w", err)
	}
	for _, r := range revisions {
		if slices.Contains(r.Spec.Secrets(), name) {
			return refusal.New(ErrConflict, "name", fmt.Sprintf("the template %s refers to this secret", r.Name), "apply the template without it first, or set another value")
		}
	}
	return nil
}

// read checks the material, and fills what a PKCS#12 file says of its holder.
func (s *Secret) read(now time.Time) error {
	var list refusal.List
	list.Add(secretName("name", s.Name))
	switch s.Kind {
	case SecretPassword:
		list.Add(password(s.Value.Reveal()))
		if len(s.Data) > 0 {
			list.Add(refusal.New(ErrInvalid, "data", "is given for a password", "leave it away, or set kind to pkcs12"))
		}
	case SecretPKCS12:
		list.Add(s.open(now))
	default:
		list.Add(refusal.New(ErrInvalid, "kind", "is not one of the known words", "use password or pkcs12"))
	}
	return list.OrNil()
}

// password never shows the value, nor which character of it is wrong.
func password(value string) *refusal.Error {
	if value == "" {
		return refusal.New(ErrInvalid, "value", "is missing", "give the password")
	}
	if refusal.Line(ErrInvalid, "value", value, maxPassword) != nil {
		return refusal.New(ErrInvalid, "value", "cannot be used as a password", fmt.Sprintf("use one line of text of at most %d bytes, without control characters", maxPassword))
	}
	return nil
}

func secretName(field, name string) *refusal.Error {
	if templateName.MatchString(name) {
		return nil
	}
	return refusal.New(ErrInvalid, field, "is not a name", "use 1 to 63 lower case letters, digits and inner dashes, for example mail-password")
}

// belongsTo refuses a certificate that names none of the accepted names. Case
// does not count, as in a UPN.
func (s Secret) belongsTo(u directory.User, sentinel error, field string, accepted ...string) *refusal.Error {
	if s.Kind != SecretPKCS12 {
		return nil
	}
	for _, held := range slices.Concat(s.UPNs, s.Mails) {
		for _, name := range accepted {
			if name != "" && directory.Same(held, name) {
				return nil
			}
		}
	}
	return refusal.New(sentinel, field,
		fmt.Sprintf("the certificate of %s is not for user %s: found %s", s.Name, u.UPN, s.found()),
		"upload the certificate of this user: its Subject or SubjectAltName must hold "+strings.Join(dedupe(accepted), " or "))
}

// found is what a person should know of a certificate that was refused.
func (s Secret) found() string {
	var parts []string
	for _, part := range []struct {
		name   string
		values []string
	}{{"Subject", nonEmpty(s.Subject)}, {"UPN", s.UPNs}, {"mail address", s.Mails}} {
		if len(part.values) > 0 {
			parts = append(parts, part.name+" "+strings.Join(part.values, ", "))
		}
	}
	if len(parts) == 0 {
		return "no name at all"
	}
	return strings.Join(parts, "; ")
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func dedupe(names []string) []string {
	var kept []string
	for _, n := range names {
		if n != "" && !slices.ContainsFunc(kept, func(k string) bool { return strings.EqualFold(k, n) }) {
			kept = append(kept, n)
		}
	}
	return kept
}

// Secrets are the names of the secrets that a template refers to, sorted.
func (s Spec) Secrets() []string {
	var names []string
	for _, a := range s.Accounts {
		for _, f := range secretFields(a) {
			names = append(names, f.name)
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == "" })
	slices.Sort(names)
	return slices.Compact(names)
}
