package certs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

var (
	// ErrNotFound says that no such certificate or challenge is on record.
	ErrNotFound = errors.New("no such certificate")
	// ErrChallengeInvalid covers a challenge that is unknown, expired, used by
	// another transaction, void because a sibling was used, or whose invitation
	// was revoked. The client is told no more than that; the audit row says which.
	ErrChallengeInvalid = errors.New("challenge not valid")
	// ErrKeyRefused says that a public key is of a kind or strength that we do not
	// certify, at all or by that rule.
	ErrKeyRefused = errors.New("public key refused")
)

// RuleName names an issuance rule.
type RuleName string

const (
	RuleMDMIdentity   RuleName = "mdm-identity"   // the phone's key for check-in and profile encryption
	RuleMailIdentity  RuleName = "mail-identity"  // client authentication at the mail server
	RuleProfileSigner RuleName = "profile-signer" // ours, signs profiles
	RuleServer        RuleName = "server"         // ours, TLS of the embedded default
	RuleRA            RuleName = "scep-ra"        // ours, RSA, opens and signs SCEP messages

	RuleSMIMESigning    RuleName = "smime-signing"    // signs a user's mail
	RuleSMIMEEncryption RuleName = "smime-encryption" // a user's mail is encrypted to it; we keep the key, so that old mail stays readable
)

// Grant is what a challenge entitles its bearer to: resolved when the
// challenge is minted, so that nothing is looked up from what a client says.
type Grant struct {
	Rule         RuleName `json:"rule"`
	CommonName   string   `json:"common_name"`
	UPN          string   `json:"upn,omitempty"`  // otherName 1.3.6.1.4.1.311.20.2.3
	Mail         string   `json:"mail,omitempty"` // rfc822Name
	UserID       string   `json:"user_id"`
	InvitationID string   `json:"invitation_id,omitempty"` // mdm-identity of a phone that enrols: the invitation that issuing burns
	EnrollmentID string   `json:"enrollment_id,omitempty"` // the phone that it was pushed to, or whose certificate it renews
	Profile      string   `json:"profile,omitempty"`       // identifier of the mail profile that it was pushed with
	AccessRights int      `json:"access_rights,omitempty"` // mdm-identity: what the enrolment profile that it was pushed with asks for
	RequestedBy  string   `json:"requested_by,omitempty"`  // owner of the token by which an admin asked for it by hand; neither invitation nor enrolment then
}

// validate refuses what no certificate is made of.
func (g Grant) validate() error {
	switch {
	case !issuanceRules[g.Rule].byChallenge:
		return fmt.Errorf("%w: rule %q", ErrGrantInvalid, g.Rule)
	case g.CommonName == "" || g.UserID == "":
		return fmt.Errorf("%w: no common name or user", ErrGrantInvalid)
	}
	for _, text := range []string{g.CommonName, g.UPN, g.Mail} {
		if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
			return fmt.Errorf("%w: control character in a name", ErrGrantInvalid)
		}
	}
	return nil
}

// mintable is validate for a grant that a challenge is made for: it must be
// known whom the challenge is given to.
func (g Grant) mintable() error {
	if err := g.validate(); err != nil {
		return err
	}
	byHand := g.RequestedBy != ""
	switch {
	case byHand && (g.InvitationID != "" || g.EnrollmentID != "" || g.Profile != ""):
		return fmt.Errorf("%w: asked for by hand, and pushed", ErrGrantInvalid)
	case g.Rule == RuleMDMIdentity && g.InvitationID == "" && g.EnrollmentID == "":
		return fmt.Errorf("%w: no invitation and no enrolment", ErrGrantInvalid)
	case g.Rule != RuleMDMIdentity && g.EnrollmentID == "" && !byHand:
		return fmt.Errorf("%w: no enrolment", ErrGrantInvalid)
	}
	return nil
}

// Challenge is a one-time password for SCEP, as stored: the hash only.
type Challenge struct {
	Hash      []byte // SHA-256 of the 256-bit challenge's text
	Grant     Grant
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Claim is the one request that a challenge is used by.
type Claim struct {
	TransactionID string // what the client sent, 1 to 255 bytes; "hex:" and their digits where that is no printable text
	KeyHash       []byte // SHA-256 of the SubjectPublicKeyInfo
}

// Signing makes the certificate that a grant entitles to, with its row and what the
// trail says of it. A store calls it within the unit of work that puts both on
// record, once for each try of that: of the certificates that it made, only the one
// that the store returns is on record, and no other may be given to anybody.
type Signing func(Grant) (Certificate, audit.Entry, error)

// Certificate is one row of what we issued.
type Certificate struct {
	SHA256       string // lower-case hex of the DER
	DER          []byte
	Serial       string // lower-case hex
	Rule         RuleName
	UserID       string
	InvitationID string
	EnrollmentID string // of an mdm-identity from its enrolment on
	Profile      string // as in Grant
	Issuer       string // lower-case hex of the issuing certificate's SubjectKeyId; empty on rows older than this field
	KeyHash      string // lower-case hex of the SHA-256 of its SubjectPublicKeyInfo; empty on rows older than this field
	NotBefore    time.Time
	NotAfter     time.Time
	RevokedAt    time.Time // zero while valid
	Reason       RevocationReason
}

// MayShareKey refuses, with ErrKeyRefused, that another certificate is made of this
// one's key: where it would be another device's, since a certificate says who
// has the key, and two cannot; and where the key was lost.
func (c Certificate) MayShareKey(g Grant) error {
	switch {
	case c.UserID != g.UserID || c.EnrollmentID != g.EnrollmentID:
		return fmt.Errorf("%w: it is another device's", ErrKeyRefused)
	case c.Lost():
		return fmt.Errorf("%w: it was compromised", ErrKeyRefused)
	}
	return nil
}

// Lost reports whether its key is known to be in other hands.
func (c Certificate) Lost() bool { return c.Reason == ReasonKeyCompromise && !c.RevokedAt.IsZero() }

// RevocationReason is why a certificate was revoked (RFC 5280, section 5.3.1).
type RevocationReason int

const (
	ReasonUnspecified          RevocationReason = 0
	ReasonKeyCompromise        RevocationReason = 1
	ReasonAffiliationChanged   RevocationReason = 3
	ReasonSuperseded           RevocationReason = 4 // its successor is in use
	ReasonCessationOfOperation RevocationReason = 5 // the enrolment was retired
)

// CertificateFilter selects certificates. Zero fields select everything.
type CertificateFilter struct {
	UserID         string
	EnrollmentID   string
	Rule           RuleName
	ExpiringBefore time.Time // only those that are neither revoked nor expired now, and end before
	Now            time.Time // for ExpiringBefore
	After          string    // SHA256 of the last one of the page before
	Limit          int       // 1-1000, 0 = 100
}

// Revoked is one line of a CRL.
type Revoked struct {
	Serial    string // lower-case hex
	RevokedAt time.Time
	Reason    RevocationReason
}

// RevocationMark changes whenever a certificate is revoked or the reason of that
// becomes another, and once a day.
type RevocationMark struct {
	Count int64     // of certificates that were revoked since yesterday began (UTC)
	Last  time.Time // when the last one was revoked
	// Raised counts the revocations whose reason became ReasonKeyCompromise later on.
	Raised int64
}

// Store keeps challenges and certificates. internal/store implements it.
type Store interface {
	SaveChallenge(ctx context.Context, c Challenge) error
	// Issue takes the challenge for claim and puts on record what sign makes of its
	// grant, with the entry; in the same transaction it burns the invitation of the
	// grant and makes void every other challenge of the same invitation or of the same
	// enrolment, rule and profile. The same transaction ID and key hash again return the
	// certificate on record, and sign nothing. Everything else is ErrChallengeInvalid,
	// wrapped with a reason that is fit for the audit trail only: unknown,
	// expired at now (what was issued in time may still be asked for again), used by
	// another, void, invitation revoked or used by another challenge, enrolment
	// ended, user removed; or the certificate is not the grant's or of another key.
	// ErrKeyRefused when MayShareKey of the newest certificate of that key, or of one
	// whose key was lost, says so. Either leaves everything as it was.
	//
	// The enrolment's mdm.Renewal of that rule and profile is done with it; one by
	// RenewalRights only where the grant asks for no more than the device's owner is given.
	// Of a mail-identity EventAccess tells, and EventIdentity where it was issued to
	// Samsung's plugin.
	Issue(ctx context.Context, hash []byte, claim Claim, now time.Time, sign Signing) (Certificate, error)
	// CertificateByHash looks up by SHA-256 in lower-case hex. ErrNotFound when unknown.
	CertificateByHash(ctx context.Context, sha256 string) (Certificate, error)
	// Certificates returns those of one enrolment and rule, newest first. Which is newer,
	// here and wherever it matters, follows from the order in which they were recorded,
	// whatever the clock was set to meanwhile.
	Certificates(ctx context.Context, enrollmentID string, rule RuleName) ([]Certificate, error)
}

// RenewalStore keeps what a certificate is renewed by. internal/store implements it.
type RenewalStore interface {
	// IssueRenewal replaces a certificate, once, by its own signature: as Issue does with a
	// challenge whose hash is RenewalHash(signer), which comes into being with that. The
	// grant is that of the certificate, without its invitation, with the names of
	// the user as they are now. The same transaction ID and key hash again return the
	// successor, and so for ever.
	//
	// ErrChallengeInvalid, with a reason for the audit trail, when the certificate
	// is unknown, revoked, expired at now, among the Successors of one that is Lost, of a
	// rule that no challenge names,
	// replaced by another request, of an enrolment that is not active or a user who was
	// removed; an mdm-identity that is not the pinned one of its enrolment; any
	// other that is not the newest of its enrolment, rule and profile. What has no
	// enrolment has no newest: a user may have been given one by hand for each device.
	IssueRenewal(ctx context.Context, signer string, claim Claim, now time.Time, sign Signing) (Certificate, error)
	// Successors returns what IssueRenewal made of a certificate, of that, and so on to
	// the end of the line: valid, expired or revoked. What another challenge brought
	// is none of them. Empty when there is none, or the certificate is unknown.
	Successors(ctx context.Context, sha256 string) ([]Certificate, error)
}

// RevocationStore keeps what is on record about what we issued. internal/store implements it.
type RevocationStore interface {
	// ListCertificates returns them in the order of SHA256, without DER.
	ListCertificates(ctx context.Context, f CertificateFilter) ([]Certificate, error)
	// Revoke marks a certificate at now, with the entry and, when it is an active
	// enrolment's, EventIdentity. One that is revoked already stays as it is, and
	// nothing is written; ErrNotFound when unknown.
	//
	// ReasonKeyCompromise is about the key: every other certificate of the same
	// KeyHash that is not revoked is, whoever has it, in the same transaction and
	// with an entry and the events of its own ("same_key_as"); so are the S/MIME keys that
	// the user has imported of it. So are the Successors of each of these ("renewed_from"),
	// as if the same were said of them. Of one that was revoked for another reason before,
	// this one takes its place, at the old time, in a line of successors too. Claims by
	// versions before ADR 0009 come to nothing.
	Revoke(ctx context.Context, sha256 string, reason RevocationReason, now time.Time, entry audit.Entry) (Certificate, error)
	// RevocationMark is cheap: it is asked at every request for a CRL.
	RevocationMark(ctx context.Context) (RevocationMark, error)
	// RevokedBy lists what an issuing certificate (hex of its SubjectKeyId) signed,
	// was revoked, and had not expired before since. Rows without an issuer are read for theirs.
	RevokedBy(ctx context.Context, issuer string, since time.Time) ([]Revoked, error)
	// CountValid counts, for each issuer, the certificates that are neither
	// revoked nor expired at now.
	CountValid(ctx context.Context, now time.Time) (map[string]int, error)
}

// KeyRecord is one of the authority's own certificates with its private key.
type KeyRecord struct {
	Role        string // "root", "intermediate", "issuing", "issuing-request", "scep-ra", "profile-signer", "server"; RolePush, RolePushRequest
	Certificate []byte // DER; of the requests a PKCS#10 request
	Key         []byte // PKCS#8 DER; the store seals it. Empty where the key is elsewhere: an offline root, a corporate CA
	CreatedAt   time.Time
	ActiveAt    time.Time // from when on it is used; zero while it is staged: trusted, and not used to sign
	RetiredAt   time.Time // from when on it is neither used nor trusted; zero while it is
}

// KeyStore keeps the authority's own keys, sealed.
type KeyStore interface {
	// Keys returns every record, newest first within a role; none without error at first start.
	Keys(ctx context.Context) ([]KeyRecord, error)
	// SaveKeys adds records, all or none, with the entry.
	SaveKeys(ctx context.Context, records []KeyRecord, entry audit.Entry) error
}

// KeyMover moves the authority's keys through their life. internal/store implements it.
type KeyMover interface {
	// MoveKeys sets ActiveAt and RetiredAt of the records with these Certificates,
	// all or none, with the entry; ErrNotFound when one is not on record.
	MoveKeys(ctx context.Context, records []KeyRecord, entry audit.Entry) error
}

// RenewalHash takes the place of a challenge's hash for the one renewal that a
// certificate (SHA-256 in lower-case hex) is good for.
func RenewalHash(sha256 string) []byte { return secret.Hash("renewal of " + sha256) }
