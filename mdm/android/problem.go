package android

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"google.golang.org/api/googleapi"
)

// Problem is a refusal of Google's, or the lack of an answer, in words for the
// administrator.
type Problem struct {
	Code   int           // HTTP status; 0: no answer came
	Reason string        // as Google names it: "PROJECT_NOT_PERMITTED", "invalid_grant"; empty: none given
	Plain  string        // what happened
	Next   string        // what the administrator does about it
	Retry  bool          // the same call may succeed later
	After  time.Duration // not sooner than that, as Google asks; 0: it did not say
	// Caller says that Google refuses who asks, and has not looked at what was
	// asked: another key, or a change in Google Cloud, makes the same call succeed.
	Caller bool
	err    error
}

func (p *Problem) Error() string {
	text := p.Plain
	if p.Reason != "" {
		text += " (" + p.Reason + ")"
	}
	if p.Next != "" {
		text += ": " + p.Next
	}
	return text
}

// Unwrap gives the cause: context.Canceled where the caller gave up.
func (p *Problem) Unwrap() error { return p.err }

// Final reports whether the same call will be refused whenever it is made.
func (p *Problem) Final() bool { return !p.Retry && !p.Caller }

// NotFound reports whether Google does not know the named resource.
func (p *Problem) NotFound() bool { return p.Code == 404 }

// problem puts an error of a call into words. It is nil for nil only.
func problem(err error) *Problem {
	var p *Problem
	var refused *googleapi.Error
	var unsigned *auth.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &unsigned):
		return signInProblem(unsigned)
	case errors.As(err, &refused):
		return refusedProblem(refused)
	}
	p = &Problem{Retry: true, err: err}
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		p.Plain, p.Next = "Google's answer is too long", "it is asked again; see amapi_url if this goes on"
	case errors.Is(err, context.Canceled):
		p.Plain = "the call was given up"
	default:
		p.Plain, p.Next = "Google does not answer", "it is asked again; check that the server may reach androidmanagement.googleapis.com and oauth2.googleapis.com on port 443"
	}
	return p
}

// halfAnswer is an answer that lacks what it must hold.
func halfAnswer(err error) *Problem {
	return &Problem{Plain: "Google's answer is incomplete", Next: "it is asked again", Retry: true, err: err}
}

// words say what a refusal means, by the reason that Google gives.
type words struct{ plain, next string }

var refusals = map[string]words{
	"PROJECT_NOT_PERMITTED": {"Google does not let this Google Cloud project manage devices that way",
		"ask Google to clear the project: https://developers.google.com/android/management/permissible-usage"},
	"PERMISSIBLE_USAGE_RESTRICTION": {"Google restricts this use of the Android Management API",
		"ask Google to clear the project: https://developers.google.com/android/management/permissible-usage"},
	"SERVICE_DISABLED": {"the Android Management API is switched off in the Google Cloud project",
		"switch it on in Google Cloud under APIs & Services (androidmanagement.googleapis.com), and wait a few minutes"},
	"BILLING_DISABLED": {"billing is switched off in the Google Cloud project", "switch it on in Google Cloud"},
	"IAM_PERMISSION_DENIED": {"the service account may not use the Android Management API",
		"give it the role Android Management User (roles/androidmanagement.user) in Google Cloud IAM"},
	"PERMISSION_DENIED": {"the service account may not do this",
		"give it the role Android Management User (roles/androidmanagement.user), and see that the enterprise was signed up by this project"},
	"NOT_FOUND":           {"Google does not know it", "it was removed at Google, or belongs to another project"},
	"UNAUTHENTICATED":     {"Google does not accept the service account's access token", "make a new key of type JSON for the service account and run: sallyport android signup --service-account FILE"},
	"RESOURCE_EXHAUSTED":  {"the project's quota of calls is used up", "it is tried again later; ask for more in Google Cloud under Quotas if this goes on"},
	"RATE_LIMIT_EXCEEDED": {"the project's quota of calls is used up", "it is tried again later; ask for more in Google Cloud under Quotas if this goes on"},
	"INVALID_ARGUMENT":    {"Google refuses what was sent", "see what it says; run: sallyport android doctor"},
	"FAILED_PRECONDITION": {"Google cannot do this in the present state", "see what it says; run: sallyport android doctor"},
	"ALREADY_EXISTS":      {"Google has it already", ""},
	"ABORTED":             {"somebody else changed it at the same moment", "it is tried again"},
	"UNAVAILABLE":         {"Google's service is not available", "it is tried again"},
	"INTERNAL":            {"Google's service has failed", "it is tried again"},
	"DEADLINE_EXCEEDED":   {"Google's service took too long", "it is tried again"},
}

// byStatus is the reason that a status stands for where Google gives none.
var byStatus = map[int]string{
	http.StatusBadRequest: "INVALID_ARGUMENT", http.StatusUnauthorized: "UNAUTHENTICATED", http.StatusForbidden: "PERMISSION_DENIED",
	http.StatusNotFound: "NOT_FOUND", http.StatusConflict: "ABORTED", http.StatusTooManyRequests: "RESOURCE_EXHAUSTED",
	http.StatusInternalServerError: "INTERNAL", http.StatusBadGateway: "UNAVAILABLE", http.StatusServiceUnavailable: "UNAVAILABLE",
	http.StatusGatewayTimeout: "DEADLINE_EXCEEDED",
}

func refusedProblem(e *googleapi.Error) *Problem {
	p := &Problem{Code: e.Code, Retry: retryable(e.Code), After: retryAfter(e.Header), err: e}
	p.Caller = e.Code == http.StatusUnauthorized || e.Code == http.StatusForbidden
	told := reasonsOf(e)
	for _, reason := range told {
		if w, known := refusals[reason]; known {
			p.Reason, p.Plain, p.Next = reason, w.plain, w.next
			break
		}
	}
	if p.Reason == "ALREADY_EXISTS" {
		p.Retry = false
	}
	if p.Plain == "" {
		w := refusals[byStatus[e.Code]]
		if w.plain == "" {
			w = words{fmt.Sprintf("Google answers with status %d", e.Code), "run: sallyport android doctor"}
		}
		p.Plain, p.Next = w.plain, w.next
		if len(told) > 0 {
			p.Reason = clean(told[0], maxWord)
		}
	}
	// Google's own sentence says which field is wrong; it repeats nothing secret.
	if said := clean(e.Message, maxText/2); said != "" && (p.Code == http.StatusBadRequest || p.Code == http.StatusForbidden) {
		p.Plain += ", saying: " + said
	}
	return p
}

func retryable(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooManyRequests:
		return true
	}
	return code >= http.StatusInternalServerError
}

// reasonsOf lists what Google names as the reason, the most specific first: the
// ErrorInfo of google.rpc.Status, a word in its message, the status itself.
func reasonsOf(e *googleapi.Error) []string {
	var body struct {
		Error struct {
			Status  string `json:"status"`
			Details []struct {
				Reason string `json:"reason"`
			} `json:"details"`
		} `json:"error"`
	}
	_ = json.Unmarshal([]byte(e.Body), &body) // a body in other words gives no reason
	var list []string
	for _, d := range body.Error.Details {
		if d.Reason != "" {
			list = append(list, d.Reason)
		}
	}
	for _, word := range []string{"PROJECT_NOT_PERMITTED", "PERMISSIBLE_USAGE_RESTRICTION"} {
		if strings.Contains(e.Message, word) {
			list = append(list, word)
		}
	}
	for _, item := range e.Errors {
		if item.Reason == "accessNotConfigured" {
			list = append(list, "SERVICE_DISABLED")
		}
	}
	if body.Error.Status != "" {
		list = append(list, body.Error.Status)
	}
	return list
}

// retryAfter reads Retry-After (RFC 9110 section 10.2.3), at most a day.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if value == "" {
		return 0
	}
	const most = 24 * time.Hour
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		if seconds < 0 {
			return 0
		}
		return min(time.Duration(min(seconds, int64(most/time.Second)))*time.Second, most)
	}
	if at, err := http.ParseTime(value); err == nil {
		if date, err := http.ParseTime(h.Get("Date")); err == nil && at.After(date) {
			return min(at.Sub(date), most)
		}
	}
	return 0
}

// signInProblem is a refusal at the token endpoint (RFC 6749 section 5.2).
func signInProblem(e *auth.Error) *Problem {
	p := &Problem{Caller: true, err: e}
	if e.Response != nil {
		p.Code, p.After = e.Response.StatusCode, retryAfter(e.Response.Header)
	}
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(e.Body, &body) // a body in other words gives no reason
	p.Reason = clean(body.Error, maxWord)
	const renew = "make a new key of type JSON for the service account and run: sallyport android signup --service-account FILE"
	switch {
	case body.Error == "invalid_grant" && strings.Contains(body.Description, "timeframe"):
		p.Plain, p.Next = "Google does not accept the time of this server's clock", "set the server's clock right"
	case body.Error == "invalid_grant" && strings.Contains(body.Description, "account not found"):
		p.Plain, p.Next = "Google does not know the service account: it was deleted", "make a new service account, and "+renew
	case body.Error == "invalid_grant":
		p.Plain, p.Next = "Google does not accept the service account's key: it was revoked or belongs to another account", renew
	case body.Error == "invalid_client" || body.Error == "unauthorized_client" || body.Error == "disabled_client":
		p.Plain, p.Next = "Google does not accept the service account: it is disabled or not allowed to ask", "enable it in Google Cloud IAM, or "+renew
	case retryable(p.Code):
		p.Plain, p.Next, p.Retry = "Google gives no access token at the moment", "it is tried again", true
	default:
		p.Plain, p.Next = "Google gives the service account no access token", renew
	}
	return p
}
