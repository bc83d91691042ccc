package certs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

// ErrReasonInvalid says that a revocation cannot be for that reason.
var ErrReasonInvalid = errors.New("revocation reason not valid")

const actionRevoke = "certificate.revoke"

// reasons are those that an identity can be revoked for; the others of RFC 5280,
// section 5.3.1, are about CAs, about taking a revocation back, or about privileges.
var reasons = []struct {
	reason RevocationReason
	name   string // as in RFC 5280
}{
	{ReasonUnspecified, "unspecified"},
	{ReasonKeyCompromise, "keyCompromise"},
	{ReasonAffiliationChanged, "affiliationChanged"},
	{ReasonSuperseded, "superseded"},
	{ReasonCessationOfOperation, "cessationOfOperation"},
}

// String is the reason as RFC 5280 spells it.
func (r RevocationReason) String() string {
	for _, known := range reasons {
		if known.reason == r {
			return known.name
		}
	}
	return strconv.Itoa(int(r))
}

// Valid reports whether r is one of ours.
func (r RevocationReason) Valid() bool {
	for _, known := range reasons {
		if known.reason == r {
			return true
		}
	}
	return false
}

// ParseReason reads a reason as RFC 5280 spells it, in any case; empty is unspecified.
func ParseReason(text string) (RevocationReason, error) {
	if text == "" {
		return ReasonUnspecified, nil
	}
	var names []string
	for _, known := range reasons {
		if strings.EqualFold(known.name, text) {
			return known.reason, nil
		}
		names = append(names, known.name)
	}
	return 0, refusal.New(ErrReasonInvalid, "reason", "is not a reason that we know", "one of "+strings.Join(names, ", "))
}

// Revoke marks a certificate of ours (SHA-256 of its DER in hex), which is
// refused from the next request on, by every server on this database; CRLs follow
// when they are asked for. One that is revoked already stays as it is.
// ReasonKeyCompromise takes with it whatever else is of the key, and the Successors.
// ErrNotFound when it is none of ours.
func (i *Issuer) Revoke(ctx context.Context, sha256 string, reason RevocationReason) (Certificate, error) {
	if !reason.Valid() {
		return Certificate{}, refusal.New(ErrReasonInvalid, "reason", "is not a reason that we know", "for example "+ReasonKeyCompromise.String())
	}
	now := i.now()
	sha256 = strings.ToLower(sha256)
	entry := audit.New(ctx, now, actionRevoke, sha256, audit.Done, "reason", reason.String())
	cert, err := i.Revocations.Revoke(ctx, sha256, reason, now, entry)
	if err != nil {
		return Certificate{}, fmt.Errorf("revoke certificate: %w", err)
	}
	return cert, nil
}

// Successors returns what was renewed from a certificate (SHA-256 of its DER in hex) by
// its signature, from those by theirs, and so on; valid or not. A certificate that was
// asked for with a challenge is nobody's successor.
func (i *Issuer) Successors(ctx context.Context, sha256 string) ([]Certificate, error) {
	list, err := i.Renewals.Successors(ctx, strings.ToLower(sha256))
	if err != nil {
		return nil, fmt.Errorf("successors of certificate: %w", err)
	}
	return list, nil
}

// List returns what we issued, in the order of SHA256, without DER.
func (i *Issuer) List(ctx context.Context, f CertificateFilter) ([]Certificate, error) {
	if f.Now.IsZero() {
		f.Now = i.now()
	}
	list, err := i.Revocations.ListCertificates(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	return list, nil
}
