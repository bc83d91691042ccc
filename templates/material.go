package templates

import (
	"fmt"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
)

// builder puts accounts into a profile, with the identities that they refer to.
type builder struct {
	slots   slots
	user    directory.User
	options Options
	profile mobileconfig.Profile

	scep     string                      // UUID of the SCEP payload; empty for none
	pkcs12   map[string]string           // name of a secret to the UUID of its payload
	smime    map[certs.SMIMEUsage]string // to the UUID of its payload
	keyIDs   []string                    // of the S/MIME keys that come with the delivery
	files    map[string]string           // SHA-256 of an S/MIME certificate to the UUID of its payload
	awaits   bool                        // one of them is not there yet
	faults   refusal.List
	warnings []*refusal.Error
}

// add writes the identities first, as they come first in every profile that was
// ever sent, then the accounts. An identity that several accounts use is there
// once.
func (b *builder) add(accounts []profiles.ExchangeAccount, kept kept) error {
	refs := make([]mobileconfig.Refs, len(accounts))
	for i, a := range accounts {
		refs[i] = b.refs(accountPath(i), a)
	}
	if err := b.faults.OrNil(); err != nil {
		return err
	}
	for i, a := range accounts {
		e := mobileconfig.NewEAS(a, b.slots.common(accountSlot(i)), refs[i])
		e.Kept = kept.account(i)
		b.profile.Payloads = append(b.profile.Payloads, e)
	}
	return nil
}

// refs finds what an account refers to, and adds the identities to the profile.
func (b *builder) refs(path string, a profiles.ExchangeAccount) mobileconfig.Refs {
	if b.options.ForApp {
		return mobileconfig.Refs{}
	}
	upn, mail := b.user.UPN, a.Email
	refs := mobileconfig.Refs{
		Identity: b.identity(path, a.Identity, a.PKCS12, upn),
		// A certificate for mail is for the mailbox, and need not name the login.
		Signing:    b.identity(path+"smime.sign.", a.SMIME.Sign.Identity, a.SMIME.Sign.PKCS12, upn, mail),
		Encryption: b.identity(path+"smime.encrypt.", a.SMIME.Encrypt.Identity, a.SMIME.Encrypt.PKCS12, upn, mail),
	}
	if a.SMIME.Sign.Identity == profiles.IdentitySMIME {
		refs.Signing = b.smimeIdentity(path+"smime.sign.", certs.SMIMESigning, mail)
	}
	if a.SMIME.Encrypt.Identity == profiles.IdentitySMIME {
		refs.Encryption = b.smimeIdentity(path+"smime.encrypt.", certs.SMIMEEncryption, mail)
	}
	if a.Password != nil {
		if s, ok := b.secret(path+"password.secret", a.Password.Secret, SecretPassword); ok {
			refs.Password, refs.PasswordRevision = s.Value, s.Revision
		}
	}
	return refs
}

// identity returns the UUID of the payload that an account signs in or signs
// with, or nothing. The certificate of a PKCS#12 file must hold one of names.
func (b *builder) identity(path string, source profiles.IdentitySource, name string, names ...string) string {
	switch source {
	case profiles.IdentitySCEP:
		return b.scepIdentity()
	case profiles.IdentityPKCS12:
		s, ok := b.secret(path+"pkcs12", name, SecretPKCS12)
		if !ok {
			return ""
		}
		if refused := s.belongsTo(b.user, ErrRender, path+"pkcs12", names...); refused != nil {
			b.faults.Add(refused)
			return ""
		}
		return b.pkcs12Identity(s)
	case profiles.IdentityNone, profiles.IdentitySMIME: // refs knows what the latter is for
	}
	return ""
}

func (b *builder) scepIdentity() string {
	if b.scep != "" {
		return b.scep
	}
	c := b.slots.common("identity")
	c.DisplayName = "Mail certificate"
	b.profile.Payloads = append(b.profile.Payloads, mobileconfig.SCEP{
		Common: c, URL: b.options.SCEPURL, Name: "sallyport", CommonName: b.user.UPN, Mail: b.user.Email, NTPrincipalName: b.user.UPN,
	})
	b.scep = c.UUID
	return b.scep
}

// pkcs12Identity keeps its slot whatever the value of the secret is: a new
// certificate takes the place of the one before.
func (b *builder) pkcs12Identity(s Secret) string {
	if uuid, ok := b.pkcs12[s.Name]; ok {
		return uuid
	}
	c := b.slots.common("pkcs12." + s.Name)
	c.DisplayName = "Certificate " + s.Name
	b.profile.Payloads = append(b.profile.Payloads, mobileconfig.NewPKCS12(c, s.Name+".p12", s.Data, s.Value, s.Revision))
	if b.pkcs12 == nil {
		b.pkcs12 = map[string]string{}
	}
	b.pkcs12[s.Name] = c.UUID
	return c.UUID
}

// secret finds the user's secret of that name and kind, or refuses.
func (b *builder) secret(field, name string, kind SecretKind) (Secret, bool) {
	for _, s := range b.options.Secrets {
		if s.Name != name {
			continue
		}
		if s.Kind != kind {
			b.faults.Add(refusal.New(ErrRender, field,
				fmt.Sprintf("for user %s: the secret %s is a %s, and a %s is needed", b.user.UPN, name, s.Kind, kind), "name another secret"))
			return Secret{}, false
		}
		return s, true
	}
	b.faults.Add(refusal.New(ErrRender, field,
		fmt.Sprintf("for user %s: there is no secret %s, neither for this user nor for everyone", b.user.UPN, name),
		fmt.Sprintf("seal it: sallyport secret set %s %s FILE, with --user %s for this user alone", name, secretFlag(kind), b.user.UPN)))
	return Secret{}, false
}

// secretFlag is the flag of secret set that takes such a secret.
func secretFlag(kind SecretKind) string {
	if kind == SecretPKCS12 {
		return "--pkcs12"
	}
	return "--file"
}
