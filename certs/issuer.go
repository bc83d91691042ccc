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

// Issuer turns challenges, and certificates that are due, into certificates.
type Issuer struct {
	Authority   *Authority
	Store       Store
	Renewals    RenewalStore
	Revocations RevocationStore
	Window      time.Duration    // how long before its end a certificate may be renewed; 0 means a third of its life
	Now         func() time.Time // nil means time.Now
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
	// Hex, since some SCEP clients write a challengePassword as PrintableString,
	// which has no "_".
	text := secret.New(hex.EncodeToString(secret.Random(challengeBytes)))
	if err := i.MintAs(ctx, text, g, ttl); err != nil {
		return secret.Value{}, err
	}
	return text, nil
}

// MintAs is Mint for whoever has to know the challenge again without keeping it: 64
// hex digits that nobody can tell beforehand, and that were never minted before.
func (i *Issuer) MintAs(ctx context.Context, text secret.Value, g Grant, ttl time.Duration) error {
	if raw, err := hex.DecodeString(text.Reveal()); err != nil || len(raw) != challengeBytes {
		return fmt.Errorf("mint challenge: %w: it is no 256 bits in hex", ErrGrantInvalid)
	}
	if err := g.mintable(); err != nil {
		return fmt.Errorf("mint challenge: %w", err)
	}
	if ttl <= 0 {
		return fmt.Errorf("mint challenge: %w: it would have expired", ErrGrantInvalid)
	}
	now := i.now()
	err := i.Store.SaveChallenge(ctx, Challenge{Hash: secret.Hash(text.Reveal()), Grant: g, CreatedAt: now, ExpiresAt: now.Add(ttl)})
	if err != nil {
		return fmt.Errorf("mint challenge: %w", err)
	}
	return nil
}

// Request is all that a client contributes to its certificate.
type Request struct {
	Challenge     secret.Value // of Issue alone
	PublicKey     crypto.PublicKey
	TransactionID string
}

// Issue claims the challenge for this transaction and key and issues the
// certificate that its grant describes. The same request again, at any time,
// gives the same certificate. ErrKeyRefused and ErrChallengeInvalid leave the
// challenge as it was.
//
// An intent is on record before anything is signed and the certificate before
// it leaves; signing happens between two transactions, not in one.
func (i *Issuer) Issue(ctx context.Context, r Request) (*x509.Certificate, error) {
	s, err := i.start(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	if r.Challenge.IsZero() {
		return nil, fmt.Errorf("issue: %w: there is none", ErrChallengeInvalid)
	}
	s.hash = secret.Hash(r.Challenge.Reveal())
	claimed, err := i.Store.ClaimChallenge(ctx, s.hash, s.claim, s.now, s.intent)
	if err != nil {
		return nil, fmt.Errorf("issue: claim challenge: %w", err)
	}
	cert, err := i.finish(ctx, s, claimed)
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	return cert, nil
}

// issuance is one request on its way to a certificate.
type issuance struct {
	key    crypto.PublicKey
	now    time.Time
	claim  Claim
	intent audit.Entry
	hash   []byte // of the challenge, or what stands in its place
}

// start checks what can be checked before anything is claimed.
func (i *Issuer) start(ctx context.Context, r Request) (*issuance, error) {
	if err := CheckKey(r.PublicKey); err != nil {
		return nil, err
	}
	if i.Authority.members().owns(r.PublicKey) {
		return nil, fmt.Errorf("%w: it is one of the authority's own", ErrKeyRefused)
	}
	if n := len(r.TransactionID); n == 0 || n > maxTransactionID {
		return nil, fmt.Errorf("%w: transaction identifier of %d bytes", ErrChallengeInvalid, n)
	}
	spki, err := x509.MarshalPKIXPublicKey(r.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyRefused, err)
	}
	s := &issuance{key: r.PublicKey, now: i.now()}
	s.claim = Claim{TransactionID: r.TransactionID, KeyHash: secret.Hash(string(spki)), Serial: newSerial()}
	s.claim.NotBefore, s.claim.NotAfter = rule{lifetime: longestByChallenge()}.period(s.now)
	s.intent = audit.New(ctx, s.now, actionIssue, hex.EncodeToString(s.claim.KeyHash), audit.Intent,
		"transaction", printable(r.TransactionID), "serial", hex.EncodeToString(s.claim.Serial))
	return s, nil
}

// finish issues what was claimed, or returns what was issued under it before.
func (i *Issuer) finish(ctx context.Context, s *issuance, c Claimed) (*x509.Certificate, error) {
	if c.Claim.TransactionID != s.claim.TransactionID || !bytes.Equal(c.Claim.KeyHash, s.claim.KeyHash) {
		return nil, fmt.Errorf("%w: the store returned another's claim", ErrChallengeInvalid)
	}
	if c.Certificate != nil {
		return parse(c.Certificate)
	}
	cert, issuer, err := i.sign(c, s.key)
	if err != nil {
		return nil, err
	}
	return i.record(ctx, s.hash, c, cert, issuer)
}

func (i *Issuer) sign(c Claimed, key crypto.PublicKey) (cert, issuer *x509.Certificate, err error) {
	if err := c.Grant.validate(); err != nil {
		return nil, nil, err
	}
	r := issuanceRules[c.Grant.Rule]
	name := c.Grant.CommonName
	if r.mail { // which leaves the login out of the other names
		name = c.Grant.Mail
	}
	ca := i.Authority.newest(roleIssuing)
	cert, err = sign(r, content{
		subject:   pkix.Name{Organization: []string{i.Authority.organization}, CommonName: commonName(name)},
		names:     names{upn: c.Grant.UPN, mail: c.Grant.Mail},
		serial:    c.Claim.Serial,
		notBefore: c.Claim.NotBefore, notAfter: earlier(c.Claim.NotAfter, c.Claim.NotBefore.Add(r.lifetime)),
		key: key,
	}, &ca, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("sign certificate: %w", err)
	}
	return cert, ca.cert, nil
}

// longestByChallenge is what a claim reserves: it is made before the grant, and
// so its rule, is known. What is signed lasts as long as its rule says.
func longestByChallenge() time.Duration {
	var longest time.Duration
	for _, r := range issuanceRules {
		if r.byChallenge {
			longest = max(longest, r.lifetime)
		}
	}
	return longest
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// record stores the certificate, or returns the one that a parallel run of the
// same transaction stored first.
func (i *Issuer) record(ctx context.Context, hashed []byte, c Claimed, cert, issuer *x509.Certificate) (*x509.Certificate, error) {
	now := i.now()
	row := Certificate{
		SHA256: hash(cert.Raw), DER: cert.Raw, Serial: hex.EncodeToString(c.Claim.Serial), Rule: c.Grant.Rule,
		UserID: c.Grant.UserID, InvitationID: c.Grant.InvitationID, EnrollmentID: c.Grant.EnrollmentID, Profile: c.Grant.Profile,
		Issuer: hex.EncodeToString(issuer.SubjectKeyId), KeyHash: hex.EncodeToString(c.Claim.KeyHash),
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
	}
	entry := audit.New(ctx, now, actionIssue, row.SHA256, audit.Done,
		"key", row.KeyHash, "serial", row.Serial, "rule", string(row.Rule),
		"user", row.UserID, "invitation", row.InvitationID, "enrollment", row.EnrollmentID)
	kept, err := i.Store.RecordIssued(ctx, hashed, row, now, entry)
	if err != nil {
		return nil, fmt.Errorf("record certificate: %w", err)
	}
	if kept.SHA256 == row.SHA256 {
		return cert, nil
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
