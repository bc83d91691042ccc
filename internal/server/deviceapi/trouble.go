package deviceapi

import (
	"errors"
	"net/http"

	"sallyport/certs/scep"
	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/internal/server/problem"
	"sallyport/internal/web"
	"sallyport/mdm/apple"
	"sallyport/templates"
)

// WritePage answers a person with a page that says what went wrong and what to do.
func (a *API) WritePage(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.Of(err)
	status := p.Status
	requestID := ""
	if status >= http.StatusInternalServerError {
		requestID = audit.RequestID(r.Context())
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.SetRetryAfter(w.Header(), p.RetryAfter)
	body, renderErr := a.d.Pages.Trouble(r.Header.Get("Accept-Language"), troubleOf(err, status), web.Trouble{
		Organization: a.d.Organization, RequestID: requestID, Wait: p.RetryAfter,
	})
	if renderErr != nil { // cannot happen: every page is rendered in a test
		http.Error(w, http.StatusText(status), status)
		return
	}
	_ = writePage(w, status, body)
}

// troubleOf names the page. A code that is unknown, malformed or of a removed
// user gets one and the same.
func troubleOf(err error, status int) string {
	switch {
	case errors.Is(err, enroll.ErrNotFound):
		return "unknown"
	case errors.Is(err, errLost):
		return "lost"
	case errors.Is(err, enroll.ErrInvitationUsed):
		return "used"
	case errors.Is(err, enroll.ErrInvitationExpired):
		return "expired"
	case errors.Is(err, enroll.ErrInvitationRevoked):
		return "revoked"
	case errors.Is(err, errPINs):
		return "pins"
	case errors.Is(err, problem.ErrTooMany):
		return "many"
	case errors.Is(err, problem.ErrCrossOrigin):
		return "foreign"
	case errors.Is(err, templates.ErrRender):
		return "settings"
	case errors.Is(err, errSignup) && errors.Is(err, enroll.ErrGoogle):
		return "google"
	case errors.Is(err, errSignup) && status < http.StatusInternalServerError:
		return "signup"
	case status == http.StatusServiceUnavailable:
		return "down"
	case status >= http.StatusInternalServerError:
		return "broken"
	case status == http.StatusMethodNotAllowed, status == http.StatusUnsupportedMediaType,
		status == http.StatusRequestEntityTooLarge, status == http.StatusBadRequest:
		return "request"
	}
	return "missing"
}

// ProtocolStatus is the status for trouble on /mdm and /scep: 400 for what is
// the message's own fault, 503 for everything else, so that a phone tries again
// and never takes our trouble for its dismissal.
func ProtocolStatus(err error) int {
	if apple.Refused(err) || errors.Is(err, scep.ErrBadRequest) {
		return http.StatusBadRequest
	}
	for _, fault := range [...]error{problem.ErrMalformed, problem.ErrTooLarge, problem.ErrMethod, problem.ErrNotFound} {
		if errors.Is(err, fault) {
			return http.StatusBadRequest
		}
	}
	return http.StatusServiceUnavailable
}

// WriteProtocol answers a phone with that status and no more.
func WriteProtocol(w http.ResponseWriter, err error) {
	status := ProtocolStatus(err)
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "30")
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(http.StatusText(status) + "\n"))
}
