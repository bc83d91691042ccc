package certs

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

// SMIMEUsages are both, in the order in which they are shown.
func SMIMEUsages() []SMIMEUsage { return []SMIMEUsage{SMIMESigning, SMIMEEncryption} }

// Valid reports whether the usage is one of ours.
func (u SMIMEUsage) Valid() bool { return smimeRules[u] != "" }

var smimeRules = map[SMIMEUsage]RuleName{SMIMESigning: RuleSMIMESigning, SMIMEEncryption: RuleSMIMEEncryption}

// smimeKeyBits: every mail program that reads S/MIME can do RSA, and not all of
// them elliptic curves (RFC 8551, section 2.3).
const smimeKeyBits = 2048

// RefuseSMIMEMail returns why no certificate can name that address; nil where one can.
func RefuseSMIMEMail(mail string) *refusal.Error {
	if mail == "" || refusal.Line(ErrSMIME, "mail", mail, maxName) != nil || !strings.Contains(mail, "@") {
		return refusal.New(ErrSMIME, "mail", "is not a mail address that a certificate can name", "give the user an address: sallyport user add --email")
	}
	return nil
}

// make issues one key for each usage and puts them on record together.
func (s *SMIME) make(ctx context.Context, userID, mail string, usages []SMIMEUsage, cause string) error {
	if refused := RefuseSMIMEMail(mail); refused != nil {
		return refused
	}
	now := s.now()
	var keys []SMIMEKey
	var entries []audit.Entry
	for _, u := range usages {
		k, err := s.issue(ctx, userID, mail, u, now)
		if err != nil {
			return fmt.Errorf("issue for %s: %w", u, err)
		}
		keys = append(keys, k)
		entries = append(entries, audit.New(ctx, now, "smime.issue", k.ID, audit.Done,
			"user", userID, "usage", string(u), "certificate", k.SHA256, "cause", cause))
	}
	if _, err := s.Store.SaveSMIME(ctx, keys, entries); err != nil {
		return fmt.Errorf("save S/MIME keys: %w", err)
	}
	return nil
}

// issue makes one key and its certificate. The certificate names the address and
// not the login: every recipient of a signed mail gets to see it.
func (s *SMIME) issue(ctx context.Context, userID, mail string, usage SMIMEUsage, now time.Time) (SMIMEKey, error) {
	done, err := s.slot(ctx)
	if err != nil {
		return SMIMEKey{}, err
	}
	defer done()
	key, err := rsa.GenerateKey(rand.Reader, smimeKeyBits)
	if err != nil {
		return SMIMEKey{}, fmt.Errorf("make key: %w", err)
	}
	r := issuanceRules[smimeRules[usage]]
	c := content{
		subject: pkix.Name{Organization: []string{s.Authority.organization}, CommonName: commonName(mail)},
		names:   names{mail: mail}, serial: newSerial(), key: key.Public(),
	}
	c.notBefore, c.notAfter = r.period(now)
	ca := s.Authority.newest(roleIssuing)
	cert, err := sign(r, c, &ca, nil)
	if err != nil {
		return SMIMEKey{}, fmt.Errorf("sign certificate: %w", err)
	}
	k, err := newSMIMEKey(userID, usage, SMIMEIssued, PKCS12{Key: key, Certificate: cert, Chain: s.Authority.members().chain(cert)}, now)
	k.Mails = []string{mail}
	return k, err
}

// newSMIMEKey is a key as it is put on record.
func newSMIMEKey(userID string, usage SMIMEUsage, source SMIMESource, p PKCS12, now time.Time) (SMIMEKey, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return SMIMEKey{}, fmt.Errorf("make identifier: %w", err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return SMIMEKey{}, fmt.Errorf("encode key: %w", err)
	}
	holder := HolderOf(p.Certificate)
	k := SMIMEKey{
		ID: id.String(), UserID: userID, Usage: usage, Source: source,
		Certificate: p.Certificate.Raw, Key: key, SHA256: hash(p.Certificate.Raw), Subject: holder.Subject, Mails: holder.Mails,
		NotBefore: p.Certificate.NotBefore.UTC(), NotAfter: p.Certificate.NotAfter.UTC(), CreatedAt: now,
	}
	for _, above := range p.Chain {
		k.Chain = append(k.Chain, above.Raw)
	}
	return k, nil
}

// SMIMEIssue asks for new keys of a user.
type SMIMEIssue struct {
	UPN    string
	Usages []SMIMEUsage // both when empty
	Force  bool         // also in the place of a certificate that was imported and still holds
}

// Issue makes new keys for a user's own address now, beside those on record. The
// answer is without the keys themselves.
func (s *SMIME) Issue(ctx context.Context, in SMIMEIssue) ([]SMIMEKey, error) {
	if len(in.Usages) == 0 {
		in.Usages = SMIMEUsages()
	}
	for _, u := range in.Usages {
		if !u.Valid() {
			return nil, refusal.New(ErrSMIME, "usages", "names a usage that we do not know", "signing or encryption")
		}
	}
	u, err := s.user(ctx, in.UPN)
	if err != nil {
		return nil, err
	}
	known, err := s.all(ctx, string(u.ID))
	if err != nil {
		return nil, err
	}
	for _, usage := range in.Usages {
		k, ok := inUse(known, u.Email, usage, s.now())
		if ok && k.Source == SMIMEImported && !in.Force {
			return nil, s.refused(ctx, "smime.issue", string(u.ID), refusal.New(ErrSMIMEConflict, "user",
				fmt.Sprintf("has an imported certificate for %s that holds until %s", usage, k.NotAfter.Format(time.DateOnly)),
				"leave it, or issue one beside it with --force"))
		}
	}
	if err := s.make(ctx, string(u.ID), u.Email, in.Usages, "asked for"); err != nil {
		return nil, err
	}
	now, err := s.all(ctx, string(u.ID))
	if err != nil {
		return nil, err
	}
	return arrangeNewest(now, u.Email, in.Usages, s.now()), nil
}

// arrangeNewest is the key in use for each usage, and nothing else.
func arrangeNewest(keys []SMIMEKey, mail string, usages []SMIMEUsage, now time.Time) []SMIMEKey {
	list := []SMIMEKey{}
	for _, u := range usages {
		if k, ok := inUse(keys, mail, u, now); ok {
			list = append(list, k)
		}
	}
	return list
}

// List returns keys without their private part, in the order of ID. With a UPN
// only those of that user.
func (s *SMIME) List(ctx context.Context, upn string, f SMIMEFilter) ([]SMIMEKey, error) {
	if upn != "" {
		u, err := s.user(ctx, upn)
		if err != nil {
			return nil, err
		}
		f.UserID = string(u.ID)
	}
	list, err := s.Store.ListSMIME(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list S/MIME keys: %w", err)
	}
	return list, nil
}

// Revoke marks a key, and the other one of the same certificate. What was imported
// is revoked with us alone: its own authority has to be told.
func (s *SMIME) Revoke(ctx context.Context, id string, reason RevocationReason) error {
	if !reason.Valid() {
		return refusal.New(ErrReasonInvalid, "reason", "is not a reason that we know", "for example "+ReasonKeyCompromise.String())
	}
	now := s.now()
	err := s.Store.RevokeSMIME(ctx, id, reason, now, audit.New(ctx, now, "smime.revoke", id, audit.Done, "reason", reason.String()))
	if errors.Is(err, ErrNotFound) {
		return refusal.New(ErrNotFound, "id", "there is no such S/MIME key", "see: sallyport smime list")
	}
	if err != nil {
		return fmt.Errorf("revoke S/MIME key: %w", err)
	}
	return nil
}
