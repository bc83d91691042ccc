package problem

import "sallyport/internal/refusal"

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
}

// TypePrefix starts every Problem's Type.
const TypePrefix = "urn:sallyport:problem:"
