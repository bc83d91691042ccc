package console

import (
	"errors"
	"net/http"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/internal/web"
)

// vary is what the answers depend on, should anything on the way keep one all the same.
const vary = "Accept-Language, Cookie"

func write(w http.ResponseWriter, status int, body []byte) error {
	w.Header().Set("Vary", vary)
	return wire.WriteBytes(w, status, html, body)
}

// frame is what stands around a page of section.
func (c *Console) frame(r *http.Request, section string) web.ConsoleFrame {
	p, _ := auth.PrincipalFrom(r.Context())
	return web.ConsoleFrame{Organization: c.d.Organization, Owner: p.Owner, Role: string(p.Role), Section: section}
}

// language is that of the reader.
func language(r *http.Request) string { return r.Header.Get("Accept-Language") }

// WritePage answers a person with a page that says what went wrong and what to do.
func (c *Console) WritePage(w http.ResponseWriter, r *http.Request, err error) {
	p := problem.Of(err)
	trouble := web.ConsoleTrouble{Key: troubleOf(p.Status, err), Wait: p.RetryAfter, Faults: faultsOf(p.Errors)}
	if p.Status >= http.StatusInternalServerError {
		trouble.RequestID = audit.RequestID(r.Context())
	}
	w.Header().Set("Cache-Control", "no-store")
	problem.SetRetryAfter(w.Header(), p.RetryAfter)
	body, renderErr := c.d.Pages.ConsoleTrouble(language(r), c.frame(r, ""), trouble)
	if renderErr != nil { // cannot happen: every page is rendered in a test
		http.Error(w, http.StatusText(p.Status), p.Status)
		return
	}
	_ = write(w, p.Status, body)
}

// troubleOf names the page.
func troubleOf(status int, err error) string {
	switch {
	case status == http.StatusTooManyRequests:
		return "many"
	case errors.Is(err, problem.ErrCrossOrigin):
		return "foreign"
	case status == http.StatusForbidden:
		return "forbidden"
	case status == http.StatusNotFound:
		return "missing"
	case status == http.StatusServiceUnavailable:
		return "down"
	case status >= http.StatusInternalServerError:
		return "broken"
	}
	return "request"
}

// faultsOf are refusals as a page shows them.
func faultsOf(all []*refusal.Error) []web.Fault {
	var list []web.Fault
	for _, e := range all {
		list = append(list, web.Fault{Field: e.Field, Reason: e.Reason, Remedy: e.Remedy})
	}
	return list
}
