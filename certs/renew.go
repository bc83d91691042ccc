package certs

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
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
	s, err := i.start(ctx, r)
	if err != nil {
		return nil, err
	}
	if due := RenewalDue(row.NotBefore, row.NotAfter, i.Window, ""); s.now.Before(due) {
		return nil, fmt.Errorf("%w: it may be from %s on", ErrNotDue, due.Format(time.RFC3339))
	}
	if err := i.mayShareKey(ctx, s, Grant{UserID: row.UserID, EnrollmentID: row.EnrollmentID}); err != nil {
		return nil, err
	}
	s.hash = RenewalHash(row.SHA256)
	claimed, err := i.Renewals.ClaimRenewal(ctx, row.SHA256, s.claim, s.now, s.intent)
	if err != nil {
		return nil, fmt.Errorf("claim renewal: %w", err)
	}
	if claimed.Certificate == nil {
		if err := row.renewable(claimed); err != nil {
			return nil, err
		}
	}
	return i.finish(ctx, s, claimed)
}

// mayShareKey looks before the claim: a certificate is good for one only.
func (i *Issuer) mayShareKey(ctx context.Context, s *issuance, g Grant) error {
	holder, err := i.Renewals.KeyHolder(ctx, hex.EncodeToString(s.claim.KeyHash))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up key: %w", err)
	}
	return holder.MayShareKey(g)
}

// renewable looks once more at what the store has looked at: nothing that it
// could have got wrong may make a certificate live for ever. A claim that was made in
// time may be finished later, but not after a revocation.
func (c Certificate) renewable(claimed Claimed) error {
	g := claimed.Grant
	switch {
	case !c.RevokedAt.IsZero():
		return fmt.Errorf("%w: certificate is revoked", ErrChallengeInvalid)
	case claimed.Claim.NotBefore.Add(backdate).After(c.NotAfter):
		return fmt.Errorf("%w: certificate has expired", ErrChallengeInvalid)
	case g.Rule != c.Rule || g.UserID != c.UserID || g.EnrollmentID != c.EnrollmentID || g.Profile != c.Profile:
		return fmt.Errorf("%w: the store returned another's grant", ErrChallengeInvalid)
	}
	return nil
}
