package agent

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// apiError is a refusal in Google's words
// (https://cloud.google.com/apis/design/errors#http_mapping).
type apiError struct {
	code    int    // of HTTP
	status  string // google.rpc.Code
	message string
	details []any
	breach  bool // a good server never provokes it: it goes on the list of violations
}

const (
	invalidArgument    = "INVALID_ARGUMENT"
	failedPrecondition = "FAILED_PRECONDITION"
	permissionDenied   = "PERMISSION_DENIED"
	resourceExhausted  = "RESOURCE_EXHAUSTED"
)

// broken is a request that Google would not understand.
func broken(field, format string, args ...any) *apiError {
	e := &apiError{code: http.StatusBadRequest, status: invalidArgument, message: fmt.Sprintf(format, args...), breach: true}
	if field != "" {
		e.details = []any{object{
			"@type":           "type.googleapis.com/google.rpc.BadRequest",
			"fieldViolations": []any{object{"field": field, "description": e.message}},
		}}
	}
	return e
}

// missing is a resource that is not there (any more), which happens to the best.
func missing(what string) *apiError {
	return &apiError{code: http.StatusNotFound, status: "NOT_FOUND", message: "Requested entity was not found: " + what + "."}
}

// unready is a request that is well formed and cannot be done now.
func unready(format string, args ...any) *apiError {
	return &apiError{code: http.StatusBadRequest, status: failedPrecondition, message: fmt.Sprintf(format, args...), breach: true}
}

// denied carries the machine's reason (google.rpc.ErrorInfo).
func denied(reason, format string, args ...any) *apiError {
	return &apiError{
		code: http.StatusForbidden, status: permissionDenied, message: fmt.Sprintf(format, args...),
		details: []any{errorInfo(reason)},
	}
}

func errorInfo(reason string) object {
	return object{
		"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "androidmanagement.googleapis.com",
		"metadata": object{"service": "androidmanagement.googleapis.com"},
	}
}

// envelope is the body of a refusal.
func (e *apiError) envelope() []byte {
	inner := object{"code": e.code, "message": e.message, "status": e.status}
	if len(e.details) > 0 {
		inner["details"] = e.details
	}
	body, err := json.MarshalIndent(object{"error": inner}, "", "  ")
	if err != nil {
		return []byte(`{"error":{"code":500,"status":"INTERNAL"}}`)
	}
	return append(body, '\n')
}

func (e *apiError) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if e.code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/"`)
	}
	w.WriteHeader(e.code)
	_, _ = w.Write(e.envelope()) // the caller may be gone
}

// Violation is something that a good server never does.
type Violation struct {
	Method string `json:"method"` // of the API, or what else was asked
	Text   string `json:"text"`   // what was wrong; never a token or a key
}

func (v Violation) String() string { return v.Method + ": " + v.Text }
