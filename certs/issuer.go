package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

// ErrGrantInvalid says that a grant is incomplete or names a rule that no
// challenge may name.
var ErrGrantInvalid = errors.New("grant not valid")

const (
	challengeBytes   = 32
	maxTransactionID = 255
	actionIssue      = "certificate.issue"
)

// Issuer turns challenges into certificates.
type Issuer struct {
	Authority *Authority
	Store     Store
	Now       func() time.Time // nil means time.Now
}

func (i *Issuer) now() time.Time {
	now := i.Now
	if now == nil {
		now = time.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}

// Mint makes a one-time challenge of 256 bits that entitles its bearer to one
// certificate under g within ttl. Only its hash is stored.
func (i *Issuer) Mint(ctx context.Context, g Grant, ttl time.Duration) (secret.Value, error) {
	if err := g.validate(); err != nil {
		return secret.Value{}, fmt.Errorf("mint challenge: %w", err)
	}
	if ttl <= 0 {
		return secret.Value{}, fmt.Errorf("mint challenge: %w: it would have expired", ErrGrantInvalid)
	}
	// Hex, since some SCEP clients write a challengePassword as PrintableString,
	// which has no "_".
	text := hex.EncodeToString(secret.Random(challengeBytes))
	now := i.now()
	err := i.Store.SaveChallenge(ctx, Challenge{Hash: secret.Hash(text), Grant: g, CreatedAt: now, ExpiresAt: now.Add(ttl)})
	if err != nil {
		return secret.Value{}, fmt.Errorf("mint challenge: %w", err)
	}
	return secret.New(text), nil
}

func (g Grant) validate() error {
	switch {
	case !issuanceRules[g.Rule].byChallenge:
		return fmt.Errorf("%w: rule %q", ErrGrantInvalid, g.Rule)
	case g.CommonName == "" || g.UserID == "":
		return fmt.Errorf("%w: no common name or user", ErrGrantInvalid)
	case g.Rule == RuleMDMIdentity && g.InvitationID == "":
		return fmt.Errorf("%w: no invitation", ErrGrantInvalid)
	case g.Rule == RuleMailIdentity && g.EnrollmentID == "":
		return fmt.Errorf("%w: no enrolment", ErrGrantInvalid)
	}
	for _, text := range []string{g.CommonName, g.UPN, g.Mail} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("%w: control character in a name", ErrGrantInvalid)
		}
	}
	return nil
}

// Request is all that a client contributes to its certificate.
type Request struct {
	Challenge     secret.Value
	PublicKey     crypto.PublicKey
	TransactionID string
}

// Issue claims the challenge for this transaction and key and issues the
// certificate that its grant describes. The same request again, at any time,
// gives the same certificate. ErrKeyRefused is said before the challenge is
// touched; ErrChallengeInvalid changes nothing either.
//
// An intent is on record before anything is signed and the certificate before
// it leaves; signing happens between two transactions, not in one.
func (i *Issuer) Issue(ctx context.Context, r Request) (*x509.Certificate, error) {
	if err := CheckKey(r.PublicKey); err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	if i.Authority.members().owns(r.PublicKey) {
		return nil, fmt.Errorf("issue: %w: it is one of the authority's own", ErrKeyRefused)
	}
	if r.Challenge.IsZero() {
		return nil, fmt.Errorf("issue: %w: there is none", ErrChallengeInvalid)
	}
	if n := len(r.TransactionID); n == 0 || n > maxTransactionID {
		return nil, fmt.Errorf("issue: %w: transaction identifier of %d bytes", ErrChallengeInvalid, n)
	}
	claimed, err := i.claim(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	if claimed.Certificate != nil {
		return parse(claimed.Certificate)
	}
	cert, err := i.sign(claimed, r.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	return i.record(ctx, r, claimed, cert)
}

func (i *Issuer) claim(ctx context.Context, r Request) (Claimed, error) {
	spki, err := x509.MarshalPKIXPublicKey(r.PublicKey)
	if err != nil {
		return Claimed{}, fmt.Errorf("%w: %w", ErrKeyRefused, err)
	}
	now := i.now()
	claim := Claim{TransactionID: r.TransactionID, KeyHash: secret.Hash(string(spki)), Serial: newSerial()}
	claim.NotBefore, claim.NotAfter = rule{lifetime: identityLifetime}.period(now)
	entry := audit.New(ctx, now, actionIssue, hex.EncodeToString(claim.KeyHash), audit.Intent,
		"transaction", printable(r.TransactionID), "serial", hex.EncodeToString(claim.Serial))
	claimed, err := i.Store.ClaimChallenge(ctx, secret.Hash(r.Challenge.Reveal()), claim, now, entry)
	if err != nil {
		return Claimed{}, fmt.Errorf("claim challenge: %w", err)
	}
	if claimed.Claim.TransactionID != claim.TransactionID || !bytes.Equal(claimed.Claim.KeyHash, claim.KeyHash) {
		return Claimed{}, fmt.Errorf("claim challenge: %w: the store returned another's claim", ErrChallengeInvalid)
	}
	return claimed, nil
}

func (i *Issuer) sign(c Claimed, key crypto.PublicKey) (*x509.Certificate, error) {
	if err := c.Grant.validate(); err != nil {
		return nil, err
	}
	issuer := i.Authority.newest(roleIssuing)
	cert, err := sign(issuanceRules[c.Grant.Rule], content{
		subject: pkix.Name{
			Organization: []string{i.Authority.organization}, CommonName: commonName(c.Grant.CommonName),
		},
		names:     names{upn: c.Grant.UPN, mail: c.Grant.Mail},
		serial:    c.Claim.Serial,
		notBefore: c.Claim.NotBefore, notAfter: c.Claim.NotAfter,
		key: key,
	}, &issuer, nil)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return cert, nil
}

// record stores the certificate, or returns the one that a parallel run of the
// same transaction stored first.
func (i *Issuer) record(ctx context.Context, r Request, c Claimed, cert *x509.Certificate) (*x509.Certificate, error) {
	now := i.now()
	row := Certificate{
		SHA256: hash(cert.Raw), DER: cert.Raw, Serial: hex.EncodeToString(c.Claim.Serial), Rule: c.Grant.Rule,
		UserID: c.Grant.UserID, InvitationID: c.Grant.InvitationID, EnrollmentID: c.Grant.EnrollmentID,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
	}
	entry := audit.New(ctx, now, actionIssue, row.SHA256, audit.Done,
		"key", hex.EncodeToString(c.Claim.KeyHash), "serial", row.Serial, "rule", string(row.Rule),
		"user", row.UserID, "invitation", row.InvitationID, "enrollment", row.EnrollmentID)
	kept, err := i.Store.RecordIssued(ctx, secret.Hash(r.Challenge.Reveal()), row, now, entry)
	if err != nil {
		return nil, fmt.Errorf("issue: record certificate: %w", err)
	}
	return parse(kept.DER)
}

// Lookup finds a certificate by the SHA-256 of its DER in hex. ErrNotFound
// when it is none of ours.
func (i *Issuer) Lookup(ctx context.Context, sha256 string) (Certificate, error) {
	cert, err := i.Store.CertificateByHash(ctx, strings.ToLower(sha256))
	if err != nil {
		return Certificate{}, fmt.Errorf("look up certificate: %w", err)
	}
	return cert, nil
}

func parse(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read issued certificate: %w", err)
	}
	return cert, nil
}

func hash(der []byte) string { return hex.EncodeToString(secret.Hash(string(der))) }

// printable is a client's text as it may stand in the audit trail.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return "hex:" + hex.EncodeToString([]byte(s))
}
