package certs

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
)

// mayHaveHad refuses an address that cannot be a former one of the user. The directory
// knows no former addresses: the administrator's word is taken, but not for what is
// somebody else's by now.
func (s *SMIME) mayHaveHad(ctx context.Context, u directory.User, former string) (*refusal.Error, error) {
	if why := refusal.Identifier(ErrSMIME, "former", former, maxName); why != nil {
		return why, nil
	}
	if strings.EqualFold(u.Email, former) {
		return refusal.New(ErrSMIME, "former", "is the address that this user has today", "leave it empty: then the key is taken for today's mail, too"), nil
	}
	found, err := s.Users.UsersByLogin(ctx, former)
	if err != nil {
		return nil, fmt.Errorf("look up former address: %w", err)
	}
	if slices.ContainsFunc(found, func(o directory.User) bool {
		return o.ID != u.ID && (strings.EqualFold(o.Email, former) || strings.EqualFold(o.UPN, former))
	}) {
		return refusal.New(ErrSMIME, "former", "is the address or the UPN of another user", "give the file to that one, in the column mail"), nil
	}
	return nil, nil
}

// history says whether the key of a certificate for a former address can be kept to
// read old mail with, or refuses it. It is for nothing else, whatever the certificate allows.
func history(cert *x509.Certificate, former string, now time.Time) ([]SMIMEUsage, *refusal.Error) {
	if h := HolderOf(cert); !holdsName(h.Mails, former) {
		return nil, refusal.New(ErrSMIME, "file", "holds a certificate for "+foundMails(h), "give, in the column former, the address that its certificate names")
	}
	usages, why := forMail(cert, now)
	switch {
	case why != nil:
		return nil, why
	case !slices.Contains(usages, SMIMEEncryption):
		return nil, refusal.New(ErrSMIME, "file", "holds a certificate that can only sign, and nothing is signed from a former address", "leave it out")
	case !readable(cert):
		return nil, unusable()
	}
	return []SMIMEUsage{SMIMEEncryption}, nil
}
