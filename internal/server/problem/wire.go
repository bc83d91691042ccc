package problem

import (
	"time"

	"sallyport/internal/refusal"
)

// ContentType is that of a Problem (RFC 9457, section 3).
const ContentType = "application/problem+json"

// Problem is the body of every answer of the API from 400 on.
type Problem struct {
	Type      string           `json:"type"` // stable: "urn:sallyport:problem:not-found"
	Title     string           `json:"title"`
	Status    int              `json:"status"`
	Detail    string           `json:"detail,omitempty"` // in words for the caller; empty where it could tell too much
	Errors    []*refusal.Error `json:"errors,omitempty"` // field, reason, remedy
	RequestID string           `json:"request_id,omitempty"`

	RetryAfter time.Duration `json:"-"` // of the header: for "too many" and "unavailable", a default where nobody knows better
}

// TypePrefix starts every Problem's Type.
const TypePrefix = "urn:sallyport:problem:"
