package templates

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
)

// SMIMEUsages are what the template needs the user's own S/MIME keys for; none
// where it asks for no identity smime.
func (s Spec) SMIMEUsages() []certs.SMIMEUsage {
	var usages []certs.SMIMEUsage
	for _, a := range s.Accounts {
		if a.SMIME.Sign.Identity == profiles.IdentitySMIME {
			usages = append(usages, certs.SMIMESigning)
		}
		if a.SMIME.Encrypt.Identity == profiles.IdentitySMIME {
			usages = append(usages, certs.SMIMEEncryption)
		}
	}
	return UniqueUsages(usages)
}

// UniqueUsages sorts usages and leaves each one in once.
func UniqueUsages(usages []certs.SMIMEUsage) []certs.SMIMEUsage {
	slices.Sort(usages)
	return slices.Compact(usages)
}

// WithKeys puts the files of the user's S/MIME keys in their places. open is
// called once for each of KeyIDs and returns the PKCS#12 file and its password.
// What comes of it holds private keys: it leaves encrypted to one phone, or not
// at all. The Rendered itself stays as it is, and TopUUID the same.
func (r Rendered) WithKeys(open func(id string) (p12 []byte, password secret.Value, err error)) (Rendered, error) {
	payloads := slices.Clone(r.Profile.Payloads)
	for i, payload := range payloads {
		awaited, ok := payload.(mobileconfig.AwaitedPKCS12)
		if !ok {
			continue
		}
		if awaited.KeyID == "" {
			return Rendered{}, refusal.New(ErrRender, "smime", "the user has no S/MIME certificate yet that could be sent", "see: sallyport smime list")
		}
		file, password, err := open(awaited.KeyID)
		if err != nil {
			return Rendered{}, fmt.Errorf("open S/MIME key %s: %w", awaited.KeyID, err)
		}
		payloads[i] = awaited.With(file, password)
	}
	r.Profile.Payloads = payloads
	return r, nil
}

// Names of the slots of S/MIME identities. A renewed certificate takes the place
// of the one before; that one moves to a slot of its own, which it keeps.
const (
	slotSign    = "smime.sign"
	slotEncrypt = "smime.encrypt"
	slotHistory = "smime.history."
)

// issuedLater describes an identity that the user has no certificate for yet.
const issuedLater = "Will be issued at first delivery"

// smimeIdentity returns the UUID of the payload of the user's own S/MIME key. With
// the one that decrypts come all earlier ones, so that old mail can be read on
// a new phone: nothing refers to them, the phone finds them by the message.
func (b *builder) smimeIdentity(path string, usage certs.SMIMEUsage, mail string) string {
	key, current := b.smimeKey(usage)
	if current {
		b.sameAddress(path, key, mail)
	}
	if uuid, known := b.smime[usage]; known {
		return uuid
	}
	if uuid, twin := b.files[key.SHA256]; twin { // one certificate for both: a phone keeps an identity once
		if usage == certs.SMIMEEncryption {
			b.history()
		}
		return b.holds(usage, uuid)
	}
	slot, name, file := slotSign, "S/MIME certificate for signing", "signing.p12"
	if usage == certs.SMIMEEncryption {
		slot, name, file = slotEncrypt, "S/MIME certificate for encryption", "encryption.p12"
	}
	c := b.slots.common(slot)
	c.DisplayName = name
	if !current {
		c.Description, b.awaits = issuedLater, true
	}
	b.await(c, file, key)
	if usage == certs.SMIMEEncryption {
		b.history()
	}
	return b.holds(usage, c.UUID)
}

// holds notes where the key for that usage is.
func (b *builder) holds(usage certs.SMIMEUsage, uuid string) string {
	if b.smime == nil {
		b.smime = map[certs.SMIMEUsage]string{}
	}
	b.smime[usage] = uuid
	return uuid
}

// smimeKey is the current one for that usage.
func (b *builder) smimeKey(usage certs.SMIMEUsage) (certs.SMIMEKey, bool) {
	i := slices.IndexFunc(b.options.SMIME, func(k certs.SMIMEKey) bool { return k.Usage == usage && k.Current })
	if i < 0 {
		return certs.SMIMEKey{}, false
	}
	return b.options.SMIME[i], true
}

// history adds all earlier keys that mail was encrypted to, newest first.
func (b *builder) history() {
	earlier := slices.DeleteFunc(slices.Clone(b.options.SMIME), func(k certs.SMIMEKey) bool {
		return k.Usage != certs.SMIMEEncryption || k.Current || b.files[k.SHA256] != ""
	})
	slices.SortFunc(earlier, func(x, y certs.SMIMEKey) int {
		return cmp.Or(y.NotBefore.Compare(x.NotBefore), cmp.Compare(y.ID, x.ID))
	})
	for _, k := range earlier {
		until := k.NotAfter.UTC().Format(time.DateOnly)
		c := b.slots.common(slotHistory + k.ID)
		c.DisplayName = "Earlier S/MIME certificate, until " + until
		b.await(c, "encryption-until-"+until+".p12", k)
	}
}

func (b *builder) await(c mobileconfig.Common, file string, k certs.SMIMEKey) {
	b.profile.Payloads = append(b.profile.Payloads, mobileconfig.AwaitedPKCS12{Common: c, FileName: file, KeyID: k.ID})
	if k.ID != "" {
		b.keyIDs = append(b.keyIDs, k.ID)
	}
	if b.files == nil {
		b.files = map[string]string{}
	}
	if k.SHA256 != "" {
		b.files[k.SHA256] = c.UUID
	}
}

// sameAddress warns of a certificate for other addresses than the account's:
// programs compare them with the sender of a message (RFC 8550, section 3).
func (b *builder) sameAddress(path string, key certs.SMIMEKey, mail string) {
	if slices.ContainsFunc(key.Mails, func(held string) bool { return directory.Same(held, mail) }) {
		return
	}
	held := "no mail address"
	if len(key.Mails) > 0 {
		held = strings.Join(key.Mails, ", ")
	}
	b.warnings = append(b.warnings, refusal.New(ErrInvalid, path+"identity",
		fmt.Sprintf("is a certificate of %s, and mail of the account comes from %s: other mail programs will not hold them for the same", held, mail),
		"import a certificate of that address for the user, or let email of the account be %email%"))
}
