package certs

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/audit"
)

// ErrNotDue says that a certificate is not yet within its renewal window.
var ErrNotDue = errors.New("certificate is not due to be renewed")

// RenewalDue is when a certificate is to be renewed: window before its end,
// where 0 means a third of its life, and later by up to half of the window, by
// a share that follows from jitterKey alone: certificates that were issued in
// one hour are renewed over weeks, and each always at the same time. An empty
// jitterKey adds nothing.
func RenewalDue(notBefore, notAfter time.Time, window time.Duration, jitterKey string) time.Time {
	life := notAfter.Sub(notBefore)
	if window <= 0 || window > life {
		window = life / 3
	}
	due := notAfter.Add(-window)
	if jitterKey == "" {
		return due
	}
	sum := sha256.Sum256([]byte(jitterKey))
	share := time.Duration(binary.BigEndian.Uint16(sum[:])) // of 1<<16: no product overflows
	return due.Add(window / 2 / (1 << 16) * share)
}

// Renew issues the successor of signer to whoever has signer's key: the caller
// has verified its signature over the request. r.Challenge is not looked at.
//
// Who signer is follows from our own row of exactly these bytes, never from what
// stands in them: a certificate that looks like one of ours, or was issued by a CA
// of the same name, is ErrNotFound. Each certificate is good for one successor, within
// its renewal window (else ErrNotDue), while it is neither expired at our time
// nor revoked, and is the pinned or the newest of its kind (else
// ErrChallengeInvalid). The key may stay the same, or be new; one of another device
// is ErrKeyRefused. The same request again, at any time, gives the same certificate.
func (i *Issuer) Renew(ctx context.Context, signer *x509.Certificate, r Request) (*x509.Certificate, error) {
	cert, err := i.renew(ctx, signer, r)
	if err != nil {
		return nil, fmt.Errorf("renew: %w", err)
	}
	return cert, nil
}

func (i *Issuer) renew(ctx context.Context, signer *x509.Certificate, r Request) (*x509.Certificate, error) {
	row, err := i.Lookup(ctx, hash(signer.Raw))
	if err != nil {
		return nil, err
	}
	s, err := i.start(r)
	if err != nil {
		return nil, err
	}
	if due := RenewalDue(row.NotBefore, row.NotAfter, i.Window, ""); s.now.Before(due) {
		return nil, fmt.Errorf("%w: it may be from %s on", ErrNotDue, due.Format(time.RFC3339))
	}
	kept, err := i.Renewals.IssueRenewal(ctx, row.SHA256, s.claim, s.now, func(g Grant) (Certificate, audit.Entry, error) {
		if err := row.renewable(g, s.now); err != nil {
			return Certificate{}, audit.Entry{}, err
		}
		return i.sign(ctx, s, g)
	})
	if err != nil {
		return nil, err
	}
	return s.issued(kept)
}

// renewable looks once more at what the store has looked at: nothing that it
// could have got wrong may make a certificate live for ever.
func (c Certificate) renewable(g Grant, now time.Time) error {
	switch {
	case !c.RevokedAt.IsZero():
		return fmt.Errorf("%w: certificate is revoked", ErrChallengeInvalid)
	case !now.Before(c.NotAfter):
		return fmt.Errorf("%w: certificate has expired", ErrChallengeInvalid)
	case g.Rule != c.Rule || g.UserID != c.UserID || g.EnrollmentID != c.EnrollmentID || g.Profile != c.Profile:
		return fmt.Errorf("%w: the store returned another's grant", ErrChallengeInvalid)
	}
	return nil
}
