package certs

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
)

var (
	// ErrNotFound says that no such certificate or challenge is on record.
	ErrNotFound = errors.New("no such certificate")
	// ErrChallengeInvalid covers a challenge that is unknown, expired, used by
	// another transaction, void because a sibling was used, or whose invitation
	// was revoked. The client is told no more than that; the audit row says which.
	ErrChallengeInvalid = errors.New("challenge not valid")
	// ErrKeyRefused says that a public key is of a kind or strength that we do not certify.
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
)

// Grant is what a challenge entitles its bearer to: resolved when the
// challenge is minted, so that nothing is looked up from what a client says.
type Grant struct {
	Rule         RuleName `json:"rule"`
	CommonName   string   `json:"common_name"`
	UPN          string   `json:"upn,omitempty"`  // otherName 1.3.6.1.4.1.311.20.2.3
	Mail         string   `json:"mail,omitempty"` // rfc822Name
	UserID       string   `json:"user_id"`
	InvitationID string   `json:"invitation_id,omitempty"` // mdm-identity: the invitation that issuing burns
	EnrollmentID string   `json:"enrollment_id,omitempty"` // mail-identity: the phone it was pushed to
}

// Challenge is a one-time password for SCEP, as stored: the hash only.
type Challenge struct {
	Hash      []byte // SHA-256 of the 256-bit challenge's text
	Grant     Grant
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Claim binds a challenge to the one request that uses it. Serial and the
// validity are fixed here, before anything is signed, so that a retry after a
// crash is the same certificate.
type Claim struct {
	TransactionID string // 1 to 255 bytes, as the client sent it
	KeyHash       []byte // SHA-256 of the SubjectPublicKeyInfo
	Serial        []byte // big-endian, 16 random bytes, positive
	NotBefore     time.Time
	NotAfter      time.Time
}

// Claimed is a claim that holds. Certificate is the DER that was issued under
// it before, or nil.
type Claimed struct {
	Grant       Grant
	Claim       Claim // the one on record: for a retry the first one's serial and validity
	Certificate []byte
}

// Certificate is one row of what we issued.
type Certificate struct {
	SHA256       string // lower-case hex of the DER
	DER          []byte
	Serial       string // lower-case hex
	Rule         RuleName
	UserID       string
	InvitationID string
	EnrollmentID string
	NotBefore    time.Time
	NotAfter     time.Time
	RevokedAt    time.Time // zero while valid
}

// Store keeps challenges and certificates. internal/store implements it.
type Store interface {
	SaveChallenge(ctx context.Context, c Challenge) error
	// ClaimChallenge claims the challenge for claim, together with the audit
	// entry (the intent) and, in the same transaction, makes void every other
	// challenge of the same invitation or of the same enrolment and rule. The
	// same transaction ID and key hash again return the claim on record and, if
	// there is one, its certificate. Everything else is ErrChallengeInvalid,
	// wrapped with a reason that is fit for the audit trail only: unknown,
	// expired at now (a claim made in time may still be repeated), claimed by
	// another, void, invitation revoked or used by another challenge, enrolment
	// ended, user removed.
	ClaimChallenge(ctx context.Context, hash []byte, claim Claim, now time.Time, entry audit.Entry) (Claimed, error)
	// RecordIssued writes the certificate under its claimed challenge, with the
	// entry, and burns the invitation of the grant in the same transaction. When
	// the challenge already has a certificate that one is returned and nothing is
	// written. ErrChallengeInvalid when the claim was made void meanwhile.
	RecordIssued(ctx context.Context, hash []byte, cert Certificate, now time.Time, entry audit.Entry) (Certificate, error)
	// CertificateByHash looks up by SHA-256 in lower-case hex. ErrNotFound when unknown.
	CertificateByHash(ctx context.Context, sha256 string) (Certificate, error)
	// Certificates returns those of one enrolment and rule, newest first.
	Certificates(ctx context.Context, enrollmentID string, rule RuleName) ([]Certificate, error)
}

// KeyRecord is one of the authority's own certificates with its private key.
type KeyRecord struct {
	Role        string // "root", "issuing", "scep-ra", "profile-signer", "server"; RolePush, RolePushRequest
	Certificate []byte // DER; of RolePushRequest the request
	Key         []byte // PKCS#8 DER; the store seals it
	CreatedAt   time.Time
}

// KeyStore keeps the authority's own keys, sealed.
type KeyStore interface {
	// Keys returns every record, newest first within a role; none without error at first start.
	Keys(ctx context.Context) ([]KeyRecord, error)
	// SaveKeys adds records, all or none, with the entry.
	SaveKeys(ctx context.Context, records []KeyRecord, entry audit.Entry) error
}
