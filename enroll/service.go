package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"sallyport/certs"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/cms"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/apple"
	"sallyport/templates"
)

// Certifier is the part of the authority that enroll needs. *certs.Issuer is one.
type Certifier interface {
	// Mint makes a one-time challenge for the grant.
	Mint(ctx context.Context, g certs.Grant, ttl time.Duration) (secret.Value, error)
	// MintAs is Mint with a challenge of the caller's: 256 bits in hex.
	MintAs(ctx context.Context, text secret.Value, g certs.Grant, ttl time.Duration) error
	// Lookup finds a certificate that we issued by its SHA-256 in lower-case
	// hex, revoked or not; certs.ErrNotFound when we did not.
	Lookup(ctx context.Context, sha256 string) (certs.Certificate, error)
}

// TemplateSource is the part of templates.Store that enroll reads.
type TemplateSource interface {
	// CurrentRevisions returns the newest revision of every template by name.
	CurrentRevisions(ctx context.Context) ([]templates.Revision, error)
}

// SecretSource is the part of templates.SecretStore that enroll reads.
type SecretSource interface {
	// SecretsFor returns the secrets that a user's profiles may need, with their values.
	SecretsFor(ctx context.Context, user directory.UserID) ([]templates.Secret, error)
}

// SecuritySource is the part of templates.SecurityStore that enroll reads.
type SecuritySource interface {
	// CurrentSecurityPolicies returns the newest revision of every policy by name.
	CurrentSecurityPolicies(ctx context.Context) ([]templates.SecurityRevision, error)
}

// Hands tells owners of tokens apart. *auth.Service is one.
type Hands interface {
	// SameHand reports whether one person may hold tokens of both owners.
	SameHand(ctx context.Context, a, b string) (bool, error)
}

// Service leads phones from an invitation to a working mailbox. Its fields are
// its configuration; all of them are needed except those that say otherwise.
type Service struct {
	Invitations  InvitationStore
	Enrollments  EnrollmentStore
	Plans        PlanStore
	Facts        FactStore
	Devices      DeviceStore
	Users        directory.Store
	Certificates Certifier
	Templates    TemplateSource
	Secrets      SecretSource
	Security     SecuritySource
	Acts         ActionStore
	History      CommandStore
	Holds        HeldStore
	Pushes       PushStore
	Wakes        WakeStore
	Renewals     RenewalStore
	Hands        Hands
	SMIME        SMIMESource // nil: templates that ask for S/MIME certificates are not delivered
	Demands      Demands     // nil: no policy asks for more than usual
	Mailboxes    MailboxStore
	AppSchemas   AndroidSchemaStore
	Audit        audit.Log // refusals; everything else is written with its act

	// Root is the first root that this installation ever had. On the phone its
	// payload keeps the place that it has had since then.
	Root *x509.Certificate
	// Anchors are all roots that phones shall trust now, which the enrolment
	// profile brings along; nil means Root alone.
	Anchors func() []*x509.Certificate
	// Distrusted reports whether an issuing certificate (hex of its SubjectKeyId) was
	// retired; nil means that none was.
	Distrusted func(issuer string) bool
	// Recall takes back the command of an act that somebody else has for the device,
	// and reports whether it is known by now what came of that; nil: nothing can be.
	Recall func(ctx context.Context, act mdm.Action) (known bool, err error)
	Signer func() cms.Identity                      // signs profiles; asked each time, as it may be renewed
	MAC    func(purpose string, data []byte) []byte // HMAC under a key that never leaves the server
	Topic  func() (topic string, placeholder bool)  // push topic; a placeholder until a push certificate is imported

	PublicURL     string        // "https://mdm.example.com", no slash at the end; never changes
	Organization  string        // shown on the phone
	SecondOwner   bool          // wipe and retire wait for the token of another owner
	MailboxLimit  int           // how many devices a mailbox's server takes; 0: nobody knows, and nothing waits
	InquiryMaxAge time.Duration // facts older than this, seen from the beginning of a connection, are asked again; 0 asks in every connection

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means no log

	known atomic.Pointer[catalog] // the newest that was read
	memo  memo

	schemas atomic.Pointer[readSchemas] // the newest that were read
}

var (
	_ apple.Admitter      = (*Service)(nil)
	_ apple.Planner       = (*Service)(nil)
	_ compliance.Expecter = (*Service)(nil)

	_ Certifier      = (*certs.Issuer)(nil)
	_ TemplateSource = templates.Store(nil)
	_ SecretSource   = templates.SecretStore(nil)
	_ SecuritySource = templates.SecurityStore(nil)
)

// Validate reports every field that is missing.
func (s *Service) Validate() error {
	var faults []error
	need := func(there bool, field string) {
		if !there {
			faults = append(faults, errors.New("enroll.Service: "+field+" is missing"))
		}
	}
	need(s.Invitations != nil, "Invitations")
	need(s.Enrollments != nil, "Enrollments")
	need(s.Plans != nil, "Plans")
	need(s.Facts != nil, "Facts")
	need(s.Devices != nil, "Devices")
	need(s.Users != nil, "Users")
	need(s.Certificates != nil, "Certificates")
	need(s.Templates != nil, "Templates")
	need(s.Secrets != nil, "Secrets")
	need(s.Security != nil, "Security")
	need(s.Acts != nil, "Acts")
	need(s.History != nil, "History")
	need(s.Holds != nil, "Holds")
	need(s.Pushes != nil, "Pushes")
	need(s.Wakes != nil, "Wakes")
	need(s.Renewals != nil, "Renewals")
	need(s.Hands != nil, "Hands")
	need(s.Mailboxes != nil, "Mailboxes")
	need(s.AppSchemas != nil, "AppSchemas")
	need(s.Audit != nil, "Audit")
	need(s.Root != nil, "Root")
	need(s.Signer != nil, "Signer")
	need(s.MAC != nil, "MAC")
	need(s.Topic != nil, "Topic")
	need(s.PublicURL != "", "PublicURL")
	need(s.MailboxLimit >= 0, "MailboxLimit (not negative)")
	need(s.InquiryMaxAge >= 0, "InquiryMaxAge (not negative)")
	return errors.Join(faults...)
}

// now is the service's clock, in the precision that the store keeps.
func (s *Service) now() time.Time { return moment(s.Now) }

func (s *Service) log() *slog.Logger { return logger(s.Log) }
