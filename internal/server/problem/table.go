package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sallyport/access"
	"sallyport/certs"
	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/auth"
	"sallyport/internal/notify"
	"sallyport/internal/refusal"
	"sallyport/mdm/android"
	"sallyport/mdm/apple/apns"
	"sallyport/templates"
)

// Sentinels of the HTTP front itself.
var (
	ErrMalformed   = errors.New("request cannot be read")
	ErrNotFound    = errors.New("no such resource")
	ErrMethod      = errors.New("method not allowed here")
	ErrTooLarge    = errors.New("body too large")
	ErrMediaType   = errors.New("content type not accepted here")
	ErrTooMany     = errors.New("too many requests")
	ErrCrossOrigin = errors.New("request from a foreign page")
	ErrUnavailable = errors.New("temporarily unavailable")
	// ErrPrecondition says that the caller's If-Match does not hold.
	ErrPrecondition = errors.New("precondition failed")
	// ErrNoCondition says that the caller's request needs one (RFC 6585, section 3).
	ErrNoCondition = errors.New("precondition required")
)

// tooMany is ErrTooMany with the time after which it is over.
type tooMany struct{ after time.Duration }

func (tooMany) Error() string { return ErrTooMany.Error() }
func (tooMany) Unwrap() error { return ErrTooMany }

// TooMany is ErrTooMany for a caller who may come again after that time.
func TooMany(after time.Duration) error { return tooMany{after} }

// retryAfter is what a caller is told who comes too often or too early, where
// nobody knows better.
const retryAfter = 30 * time.Second

type row struct {
	err    error
	status int
	name   string // end of the type URI: never changes once released
	title  string
}

// table is searched from the top: the first sentinel that the error wraps decides.
var table = []row{
	{auth.ErrUnauthenticated, http.StatusUnauthorized, "unauthenticated", "No valid token"},
	{enroll.ErrAgent, http.StatusUnauthorized, "unauthenticated", "No valid token"},
	{access.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "No decision can be made now"},
	{auth.ErrForbidden, http.StatusForbidden, "forbidden", "Your role may not do this"},
	{ErrTooMany, http.StatusTooManyRequests, "too-many-requests", "Too many requests"},
	{ErrCrossOrigin, http.StatusForbidden, "cross-origin", "Request from a foreign page"},
	{ErrTooLarge, http.StatusRequestEntityTooLarge, "too-large", "Body too large"},
	{ErrMediaType, http.StatusUnsupportedMediaType, "media-type", "Content type not accepted"},
	{ErrPrecondition, http.StatusPreconditionFailed, "precondition-failed", "Changed since you read it"},
	{ErrNoCondition, http.StatusPreconditionRequired, "precondition-required", "Say which revision you change"},
	{ErrMethod, http.StatusMethodNotAllowed, "method", "Method not allowed"},
	{ErrMalformed, http.StatusBadRequest, "malformed", "Request cannot be read"},

	{directory.ErrInvalid, http.StatusBadRequest, "invalid", "Invalid user"},
	{templates.ErrInvalid, http.StatusBadRequest, "invalid", "Invalid template"},
	{templates.ErrRender, http.StatusConflict, "render", "Template cannot be rendered for this user"},
	{compliance.ErrInvalid, http.StatusBadRequest, "invalid", "Invalid compliance policy"},
	{apns.ErrInvalid, http.StatusBadRequest, "invalid", "Invalid push certificate"},
	{certs.ErrAuthorityInvalid, http.StatusBadRequest, "invalid", "Not usable as an authority"},
	{certs.ErrSMIME, http.StatusBadRequest, "invalid", "Invalid S/MIME request"},
	{certs.ErrReasonInvalid, http.StatusBadRequest, "invalid", "Invalid revocation reason"},
	{enroll.ErrInvalid, http.StatusBadRequest, "invalid", "Invalid request"},
	{android.ErrAccount, http.StatusBadRequest, "invalid", "Not usable as a service account"},
	{access.ErrInvalid, http.StatusBadRequest, "invalid", "Invalid decision request"},
	{notify.ErrInvalid, http.StatusBadRequest, "invalid", "Invalid mail"},
	{auth.ErrInvalid, http.StatusBadRequest, "invalid", "Invalid token request"},

	{directory.ErrConflict, http.StatusConflict, "conflict", "User exists"},
	{templates.ErrConflict, http.StatusConflict, "conflict", "Changed meanwhile, or in use"},
	{certs.ErrAuthorityState, http.StatusConflict, "conflict", "Not possible in this state of the authority"},
	{certs.ErrSMIMEConflict, http.StatusConflict, "conflict", "Not possible beside the keys on record"},
	{certs.ErrExportNotReady, http.StatusConflict, "export-not-ready", "Export cannot be approved or taken now"},
	{certs.ErrSameHand, http.StatusConflict, "same-hand", "A second owner is needed"},
	{enroll.ErrAction, http.StatusConflict, "action", "Not possible with this device"},
	{enroll.ErrAgentKey, http.StatusConflict, "key", "Not possible with this key"},
	{enroll.ErrNoAndroid, http.StatusConflict, "no-android", "Not signed up at Google"},
	{enroll.ErrGoogle, http.StatusBadGateway, "google", "Google refused"},
	{enroll.ErrForeign, http.StatusConflict, "conflict", "Device is enrolled for another user"},
	{enroll.ErrConflict, http.StatusConflict, "conflict", "State changed meanwhile"},
	{access.ErrConflict, http.StatusConflict, "conflict", "The device is on an enrolled phone"},
	{access.ErrGone, http.StatusGone, "cursor-gone", "The cursor is too old"},
	{enroll.ErrInvitationUsed, http.StatusGone, "invitation-used", "Invitation already used"},
	{enroll.ErrInvitationExpired, http.StatusGone, "invitation-expired", "Invitation expired"},
	{enroll.ErrInvitationRevoked, http.StatusGone, "invitation-revoked", "Invitation revoked"},

	{directory.ErrNotFound, http.StatusNotFound, "not-found", "No such user"},
	{templates.ErrNotFound, http.StatusNotFound, "not-found", "No such template, revision, secret or security policy"},
	{compliance.ErrNotFound, http.StatusNotFound, "not-found", "No such compliance policy or verdict"},
	{access.ErrNotFound, http.StatusNotFound, "not-found", "No such mail client, access rule, policy or denial"},
	{access.ErrWebhook, http.StatusNotFound, "not-found", "No such webhook"},
	{auth.ErrNotFound, http.StatusNotFound, "not-found", "No such token"},
	{certs.ErrExportNotFound, http.StatusNotFound, "not-found", "No such export"},
	{certs.ErrNotFound, http.StatusNotFound, "not-found", "No such certificate"},
	{enroll.ErrNotFound, http.StatusNotFound, "not-found", "Not found"},
	{ErrNotFound, http.StatusNotFound, "not-found", "Not found"},

	{ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "Temporarily unavailable"},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "unavailable", "Temporarily unavailable"},
	{context.Canceled, http.StatusServiceUnavailable, "unavailable", "Temporarily unavailable"},
}

// Of turns an error into the problem that its caller is told. Only refusals
// speak of what went wrong: any other text of an error stays inside.
func Of(err error) Problem {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = refusal.New(ErrTooLarge, "", fmt.Sprintf("more than %d bytes", tooLarge.Limit), "send less at once")
	}
	for _, r := range table {
		if errors.Is(err, r.err) {
			p := Problem{Type: TypePrefix + r.name, Title: r.title, Status: r.status, Errors: refusal.All(err)}
			if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
				p.RetryAfter = retryAfter
			}
			var known tooMany
			if errors.As(err, &known) && known.after > 0 {
				p.RetryAfter = known.after
			}
			return p
		}
	}
	return Problem{Type: TypePrefix + "internal", Title: "Internal error", Status: http.StatusInternalServerError}
}
