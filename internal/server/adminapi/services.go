package adminapi

import (
	"context"
	"crypto/x509"
	"io"
	"time"

	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/templates"
)

// Users is the directory. *directory.Service is one.
type Users interface {
	Save(ctx context.Context, users []directory.User) ([]directory.User, error)
	Remove(ctx context.Context, upn string) error
	Get(ctx context.Context, upn string) (directory.User, error)
	List(ctx context.Context, group string, page directory.Page) ([]directory.User, error)
	Import(ctx context.Context, csv io.Reader) (added, updated int, err error)
}

// Templates are the mail templates. *templates.Service is one.
type Templates interface {
	Apply(ctx context.Context, source []byte) (templates.Revision, bool, error)
	List(ctx context.Context) ([]templates.Revision, error)
	Get(ctx context.Context, name string) (templates.Revision, error)
}

// Compliance are the policies. *compliance.Service is one.
type Compliance interface {
	Apply(ctx context.Context, source []byte) (compliance.Policy, bool, error)
	Policies(ctx context.Context) ([]compliance.Policy, error)
}

// Invitations are made, listed and revoked. *enroll.Service is one.
type Invitations interface {
	Invite(ctx context.Context, r enroll.InviteRequest) ([]enroll.Issued, error)
	ListInvitations(ctx context.Context, upn string, page directory.Page) ([]enroll.Invitation, error)
	RevokeInvitation(ctx context.Context, id string) error
}

// Tokens are made, listed and revoked. *auth.Service is one.
type Tokens interface {
	Create(ctx context.Context, role auth.Role, owner string, ttl time.Duration) (auth.Issued, error)
	List(ctx context.Context) ([]auth.Token, error)
	Revoke(ctx context.Context, id string) error
}

// Authority shows its certificates. *certs.Authority is one.
type Authority interface {
	Root() *x509.Certificate
	Issuing() *x509.Certificate
}

// Backup writes a consistent copy of the database. *store.DB is one.
type Backup interface {
	Backup(ctx context.Context, w io.Writer) error
}

// Deps is what the handlers work with; all of it is needed.
type Deps struct {
	Users       Users
	Templates   Templates
	Compliance  Compliance
	Invitations Invitations
	Tokens      Tokens
	Audit       audit.Log
	Authority   Authority
	Backup      Backup
	Now         func() time.Time // nil means time.Now
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
