package adminapi

import (
	"context"
	"io"
	"time"

	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/templates"
)

// UserService is the directory. *directory.Service is one.
type UserService interface {
	Save(ctx context.Context, users []directory.User) ([]directory.User, error)
	Remove(ctx context.Context, upn string) error
	Get(ctx context.Context, upn string) (directory.User, error)
	List(ctx context.Context, group string, page directory.Page) ([]directory.User, error)
	Import(ctx context.Context, csv io.Reader) (added, updated int, err error)
}

// TemplateService keeps the mail templates. *templates.Service is one.
type TemplateService interface {
	ApplyExpecting(ctx context.Context, source []byte, expected int) (templates.Revision, bool, error)
	Assign(ctx context.Context, name string, assign directory.Audience, exclude *directory.Audience, expected int) (templates.Revision, bool, error)
	List(ctx context.Context) ([]templates.Revision, error)
	Get(ctx context.Context, name string) (templates.Revision, error)
}

// RevisionService keeps what templates were before. *templates.Service is one.
type RevisionService interface {
	Revisions(ctx context.Context, name string) ([]templates.Revision, error)
	Revision(ctx context.Context, name string, number int) (templates.Revision, error)
	RollbackExpecting(ctx context.Context, name string, number, expected int) (templates.Revision, bool, error)
}

// TemplateViewer shows what templates would do. *templates.Viewer is one.
type TemplateViewer interface {
	Preview(ctx context.Context, q templates.PreviewRequest) (templates.Preview, error)
	Check(ctx context.Context, q templates.CheckRequest) (templates.CheckReport, error)
	Plan(ctx context.Context, source []byte) (templates.ChangePlan, error)
	Unreached(ctx context.Context, assign, exclude directory.Audience) ([]*refusal.Error, error)
}

// SecurityService keeps the security policies. *templates.Service is one.
type SecurityService interface {
	ApplySecurityExpecting(ctx context.Context, source []byte, expected int) (templates.SecurityRevision, bool, error)
	ListSecurity(ctx context.Context) ([]templates.SecurityRevision, error)
	GetSecurity(ctx context.Context, name string) (templates.SecurityRevision, error)
}

// SecretService keeps what templates refer to by name. *templates.Service is one.
type SecretService interface {
	SetSecret(ctx context.Context, in templates.SecretInput) (templates.Secret, error)
	ListSecrets(ctx context.Context) ([]templates.Secret, error)
	RemoveSecret(ctx context.Context, name, upn string) error
}

// ComplianceService keeps the policies. *compliance.Service is one.
type ComplianceService interface {
	Apply(ctx context.Context, source []byte) (compliance.Policy, bool, error)
	Plan(ctx context.Context, spec compliance.Spec) (compliance.Impact, error)
	Policies(ctx context.Context) ([]compliance.Policy, error)
	Unmailed(ctx context.Context, spec compliance.Spec) (upns []string, total int, err error)
	Progress(ctx context.Context) (compliance.Run, error)
}

// InvitationService makes, lists and revokes invitations. *enroll.Service is one.
type InvitationService interface {
	InviteAll(ctx context.Context, r enroll.InviteRequest) (enroll.Invited, error)
	ListInvitations(ctx context.Context, upn string, page directory.Page) ([]enroll.Invitation, error)
	RevokeInvitation(ctx context.Context, id string) error
}

// TokenService makes, lists and revokes tokens. *auth.Service is one.
type TokenService interface {
	Create(ctx context.Context, role auth.Role, owner string, ttl time.Duration) (auth.Issued, error)
	List(ctx context.Context) ([]auth.Token, error)
	Revoke(ctx context.Context, id string) error
}

// Backup writes a consistent copy of the database. *store.DB is one.
type Backup interface {
	Backup(ctx context.Context, w io.Writer) error
}

// Deps is what the handlers work with; all of it is needed.
type Deps struct {
	Users        UserService
	Templates    TemplateService
	Revisions    RevisionService
	Viewer       TemplateViewer
	Security     SecurityService
	Secrets      SecretService
	Compliance   ComplianceService
	Access       AccessService
	Invitations  InvitationService
	Tokens       TokenService
	Actions      ActionService
	Devices      DeviceService
	Held         HeldService
	Android      AndroidService
	Push         PushService
	Mails        MailService
	Certificates CertificateService
	People       People
	Hand         HandService
	Audit        audit.Log
	Authority    Authority
	Rollover     RolloverService
	Endings      EndingService
	Backup       Backup
	Storage      StorageService
	SMIME        SMIMEService
	SMIMEExports SMIMEExportService

	DeviceReport     DeviceReport
	DeploymentReport DeploymentReport
	Mailboxes        MailboxService

	Now func() time.Time // nil means time.Now
}

// API holds the handlers. Who may call them, and how much they read, is in the
// server's route table.
type API struct{ d Deps }

// New makes the handlers.
func New(d Deps) *API {
	if d.Now == nil {
		d.Now = time.Now
	}
	return &API{d: d}
}
