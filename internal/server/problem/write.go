package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"sallyport/internal/audit"
)

// retryAfter is what a caller is told who comes too often or too early.
const retryAfter = 30 * time.Second

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
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="sallyport"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the caller is gone if this fails: nobody is left to tell
}
