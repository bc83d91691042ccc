package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

const (
	defaultHandTTL = 24 * time.Hour
	minHandTTL     = time.Minute
	maxHandTTL     = 7 * 24 * time.Hour
)

// HandMinter makes SCEP challenges for devices that an admin enrols by hand:
// gateways, laptops, whatever no profile of ours reaches. Its fields are needed
// except where they say otherwise.
type HandMinter struct {
	Users        directory.Store
	Certificates Certifier
	Audit        audit.Log
	URL          string                   // of SCEP, as a client without our root can reach it
	Root         func() *x509.Certificate // what the client has to find in the answer of the CA
	RA           func() *x509.Certificate // what it encrypts to
	Now          func() time.Time         // nil means time.Now
}

// HandRequest asks for one challenge.
type HandRequest struct {
	UPN  string
	Rule certs.RuleName // mail-identity when empty, or smime-signing
	TTL  time.Duration  // a day when 0; at most 7 days
}

// HandChallenge is told once.
type HandChallenge struct {
	URL       string
	Challenge secret.Value
	Rule      certs.RuleName
	UPN       string
	ExpiresAt time.Time
	Root      *x509.Certificate
	RA        *x509.Certificate
}

// Mint makes the challenge: it is good for one certificate, in the names of that
// user, whatever the device asks for.
func (h *HandMinter) Mint(ctx context.Context, r HandRequest) (HandChallenge, error) {
	if r.Rule == "" {
		r.Rule = certs.RuleMailIdentity
	}
	if r.TTL == 0 {
		r.TTL = defaultHandTTL
	}
	var faults refusal.List
	faults.Add(handRule(r.Rule), handTTL(r.TTL))
	if strings.TrimSpace(r.UPN) == "" {
		faults.Add(refusal.New(ErrInvalid, "upn", "is missing", "say for which user"))
	}
	if err := faults.OrNil(); err != nil {
		return HandChallenge{}, err
	}
	u, err := h.Users.UserByUPN(ctx, r.UPN)
	if errors.Is(err, directory.ErrNotFound) {
		return HandChallenge{}, refusal.New(directory.ErrNotFound, "upn", fmt.Sprintf("there is no user %.100q", r.UPN), "see: sallyport user list")
	}
	if err != nil {
		return HandChallenge{}, fmt.Errorf("find user: %w", err)
	}
	now := moment(h.Now)
	challenge, err := h.Certificates.Mint(ctx, certs.Grant{
		Rule: r.Rule, CommonName: u.UPN, UPN: u.UPN, Mail: u.Email, UserID: string(u.ID), RequestedBy: audit.Actor(ctx),
	}, r.TTL)
	if err != nil {
		return HandChallenge{}, fmt.Errorf("mint challenge by hand: %w", err)
	}
	out := HandChallenge{URL: h.URL, Challenge: challenge, Rule: r.Rule, UPN: u.UPN, ExpiresAt: now.Add(r.TTL), Root: h.Root(), RA: h.RA()}
	// A challenge whose entry fails is told to nobody, and so is of no use.
	entry := audit.New(ctx, now, "challenge.mint", string(u.ID), audit.Done, "rule", string(r.Rule), "expires", out.ExpiresAt.Format(time.RFC3339))
	if err := h.Audit.Append(ctx, entry); err != nil {
		return HandChallenge{}, fmt.Errorf("audit challenge: %w", err)
	}
	return out, nil
}

// handRule says which rules a challenge by hand may name, and why not the others.
func handRule(r certs.RuleName) *refusal.Error {
	switch r {
	case certs.RuleMailIdentity, certs.RuleSMIMESigning:
		return nil
	case certs.RuleMDMIdentity:
		return refusal.New(ErrInvalid, "rule", "a phone's management identity comes with its enrolment alone", "invite the user: sallyport invite --user UPN")
	case certs.RuleSMIMEEncryption:
		return refusal.New(ErrInvalid, "rule", "the key of an encryption certificate is kept by the server, or old mail could not be read on a new device; SCEP leaves it on the device",
			"have a template deliver it: see docs/smime.md")
	}
	return refusal.New(ErrInvalid, "rule", "is no rule that a device may be enrolled under", "use mail-identity or smime-signing")
}

func handTTL(ttl time.Duration) *refusal.Error {
	if ttl < minHandTTL || ttl > maxHandTTL {
		return refusal.New(ErrInvalid, "ttl", "is not between a minute and 7 days", "leave it away for a day")
	}
	return nil
}
