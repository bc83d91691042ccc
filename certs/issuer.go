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
	if !minted(text) {
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

// minted says of a text whether it can be a challenge: nothing else that is hashed
// (RenewalHash) is one.
func minted(text secret.Value) bool {
	raw, err := hex.DecodeString(text.Reveal())
	return err == nil && len(raw) == challengeBytes
}

// Request is all that a client contributes to its certificate.
type Request struct {
	Challenge     secret.Value // of Issue alone
	PublicKey     crypto.PublicKey
	TransactionID string
}

// Issue uses the challenge for this transaction and key, and issues the
// certificate that its grant describes. The same request again, at any time,
// gives the same certificate. ErrKeyRefused and ErrChallengeInvalid leave the
// challenge as it was.
//
// No certificate leaves that is not on record: the challenge, the certificate and
// what the trail says of it are durable before it is returned, all or none.
func (i *Issuer) Issue(ctx context.Context, r Request) (*x509.Certificate, error) {
	s, err := i.start(r)
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	if !minted(r.Challenge) {
		return nil, fmt.Errorf("issue: %w: there is none, or none of ours", ErrChallengeInvalid)
	}
	kept, err := i.Store.Issue(ctx, secret.Hash(r.Challenge.Reveal()), s.claim, s.now, func(g Grant) (Certificate, audit.Entry, error) {
		return i.sign(ctx, s, g)
	})
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	cert, err := s.issued(kept)
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	return cert, nil
}

// issuance is one request on its way to a certificate.
type issuance struct {
	key   crypto.PublicKey
	now   time.Time
	claim Claim
	made  *x509.Certificate // the last one that was signed
}

// start checks what can be checked before anything is looked up.
func (i *Issuer) start(r Request) (*issuance, error) {
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
	claim := Claim{TransactionID: printable(r.TransactionID), KeyHash: secret.Hash(string(spki))}
	return &issuance{key: r.PublicKey, now: i.now(), claim: claim}, nil
}

// sign makes the certificate of a grant, as a Signing.
func (i *Issuer) sign(ctx context.Context, s *issuance, g Grant) (Certificate, audit.Entry, error) {
	if err := g.validate(); err != nil {
		return Certificate{}, audit.Entry{}, err
	}
	r := issuanceRules[g.Rule]
	name := g.CommonName
	if r.mail { // which leaves the login out of the other names
		name = g.Mail
	}
	c := content{
		subject: pkix.Name{Organization: []string{i.Authority.organization}, CommonName: commonName(name)},
		names:   names{upn: g.UPN, mail: g.Mail},
		serial:  newSerial(), key: s.key,
	}
	c.notBefore, c.notAfter = r.period(s.now)
	ca := i.Authority.newest(roleIssuing)
	cert, err := sign(r, c, &ca, nil)
	if err != nil {
		return Certificate{}, audit.Entry{}, fmt.Errorf("sign certificate of rule %s: %w", g.Rule, err)
	}
	s.made = cert
	row := Certificate{
		SHA256: hash(cert.Raw), DER: cert.Raw, Serial: hex.EncodeToString(c.serial), Rule: g.Rule,
		UserID: g.UserID, InvitationID: g.InvitationID, EnrollmentID: g.EnrollmentID, Profile: g.Profile,
		Issuer: hex.EncodeToString(ca.cert.SubjectKeyId), KeyHash: hex.EncodeToString(s.claim.KeyHash),
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
	}
	return row, audit.New(ctx, s.now, actionIssue, row.SHA256, audit.Done,
		"transaction", s.claim.TransactionID, "key", row.KeyHash, "serial", row.Serial, "rule", string(row.Rule),
		"user", row.UserID, "invitation", row.InvitationID, "enrollment", row.EnrollmentID), nil
}

// issued is the certificate that is on record: the one that was made now, or the one
// that the same request was given before.
func (s *issuance) issued(kept Certificate) (*x509.Certificate, error) {
	if s.made != nil && bytes.Equal(s.made.Raw, kept.DER) {
		return s.made, nil
	}
	cert, err := x509.ParseCertificate(kept.DER)
	if err != nil {
		return nil, fmt.Errorf("read issued certificate: %w", err)
	}
	if !bytes.Equal(secret.Hash(string(cert.RawSubjectPublicKeyInfo)), s.claim.KeyHash) {
		return nil, fmt.Errorf("%w: the store returned another's certificate", ErrChallengeInvalid)
	}
	return cert, nil
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

func hash(der []byte) string { return hex.EncodeToString(secret.Hash(string(der))) }

// printable is a client's text as every database and the audit trail take it.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return "hex:" + hex.EncodeToString([]byte(s))
}
