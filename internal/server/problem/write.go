package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"sallyport/internal/audit"
)

// Write answers r with p.
func Write(w http.ResponseWriter, r *http.Request, p Problem) {
	p.RequestID = audit.RequestID(r.Context())
	body, err := json.Marshal(p)
	if err != nil { // cannot happen: strings and numbers only
		http.Error(w, http.StatusText(p.Status), p.Status)
		return
	}
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="sallyport"`)
	}
	SetRetryAfter(h, p.RetryAfter)
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the caller is gone if this fails: nobody is left to tell
}

// SetRetryAfter tells how long to wait, in whole seconds and never too few; not
// at all where there is nothing to wait for (RFC 9110, section 10.2.3).
func SetRetryAfter(h http.Header, wait time.Duration) {
	if wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
}
