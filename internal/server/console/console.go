package console

import (
	"context"
	"net/http"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/web"
	"sallyport/mdm"
	"sallyport/templates"
)

// Tokens recognises tokens. *auth.Service is one.
type Tokens interface {
	Authenticate(ctx context.Context, text string) (auth.Principal, error)
	// Again recognises who was let in before, from what was kept of the token.
	Again(ctx context.Context, hash []byte) (auth.Principal, error)
}

// Fleet lists what is on record of people's devices. *access.Reporter is one.
type Fleet interface {
	Rows(ctx context.Context, after directory.UserID, limit int) ([]access.ReportRow, directory.UserID, error)
	RowsOf(ctx context.Context, ids []directory.UserID) ([]access.ReportRow, error)
}

// Logins finds people. *access.Engine is one.
type Logins interface {
	// Named returns the people whose login it is, none without error.
	Named(ctx context.Context, login string) ([]directory.UserID, error)
}

// Clients knows mail clients. *access.Service is one.
type Clients interface {
	ListOf(ctx context.Context, upn string, f access.DeviceFilter) ([]access.DeviceRow, error)
	Show(ctx context.Context, id access.DeviceID) (access.Detail, error)
}

// Explainer says what is decided now, and why. *access.Explainer is one.
type Explainer interface {
	Question(ctx context.Context, c access.Client) (access.Explained, error)
}

// Phones knows the phones on record. *enroll.Service is one.
type Phones interface {
	ListDevices(ctx context.Context, f enroll.DeviceFilter) ([]enroll.DeviceRow, error)
	Device(ctx context.Context, id mdm.DeviceID) (enroll.DeviceRow, error)
}

// Commands knows what phones were told and should have. *enroll.Service is one.
type Commands interface {
	Commands(ctx context.Context, id mdm.DeviceID, page directory.Page) ([]mdm.Command, error)
	MailSettings(ctx context.Context, id mdm.DeviceID) (enroll.MailSettings, error)
}

// Verdicts knows the current verdicts. *compliance.Service is one.
type Verdicts interface {
	Current(ctx context.Context, id mdm.EnrollmentID) (compliance.Verdict, error)
}

// Templates keeps the mail templates. *templates.Service is one.
type Templates interface {
	List(ctx context.Context) ([]templates.Revision, error)
	Get(ctx context.Context, name string) (templates.Revision, error)
}

// Previewer renders templates. *templates.Viewer is one.
type Previewer interface {
	Preview(ctx context.Context, q templates.PreviewRequest) (templates.Preview, error)
}

// Deps is what the pages are made from; all of it is needed.
type Deps struct {
	Tokens    Tokens
	Fleet     Fleet
	Logins    Logins
	Clients   Clients
	Explains  Explainer
	Phones    Phones
	Commands  Commands
	Verdicts  Verdicts
	Templates Templates
	Viewer    Previewer
	Audit     audit.Log
	// Refuse notes a token that lets nobody in, or not here, as the API does: the
	// error that comes back is the same one, or that the caller's network has had its
	// share. target is the token's ID where it is known.
	Refuse func(r *http.Request, action, target string, err error) error

	Pages        *web.Pages
	Organization string
	Roles        []auth.Role // that may look
	Now          func() time.Time
}

// Console holds the handlers. Who may call them is in the server's route table.
type Console struct {
	d        Deps
	sessions sessions
}

// New makes the handlers.
func New(d Deps) *Console { return &Console{d: d} }

const html = "text/html; charset=utf-8"
