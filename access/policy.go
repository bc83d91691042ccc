package access

import (
	"time"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// Policy is one immutable revision of a conditional-access policy.
type Policy struct {
	Name      string    `json:"name"` // unique, lower case letters, digits and dashes
	Number    int       `json:"revision"`
	Spec      Spec      `json:"spec"`
	Source    string    `json:"source,omitempty"` // the YAML that an admin applied
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
}

// Mode says what a policy does where its conditions fail.
type Mode string

const (
	ReportOnly Mode = "report-only"
	Enforce    Mode = "enforce"
)

// Requirement is a condition of a policy.
type Requirement string

const (
	// RequireEnrolled passes for an active enrolment, fails for one that has
	// ended, and is open for one that is not finished.
	RequireEnrolled Requirement = "enrolled"
	// RequireCompliant passes for compliant and in grace, fails for not compliant
	// and unknown, and is open while not evaluated.
	RequireCompliant Requirement = "compliant"
	// RequireMailProfile asks the verdict's finding mail_profile: met passes; failed
	// passes while the verdict is in grace and fails otherwise; no finding, or one
	// that was not reported, is open.
	RequireMailProfile Requirement = "mail_profile"
	// RequireCertificate passes where the client proved a valid mail identity of
	// the phone to the gate, fails where it proved another certificate, and is open
	// where it proved none.
	RequireCertificate Requirement = "client_certificate"
)

// Spec is what a policy says. A policy without a binding to judge has neither
// passed nor failed.
type Spec struct {
	Name   string             `json:"name"`
	Assign directory.Audience `json:"assign"`
	// Except and BreakGlass are never targeted; BreakGlass names the users by whom
	// admins get in when everything else fails, and only users.
	Except     directory.Audience `json:"except"`
	BreakGlass []string           `json:"break_glass,omitempty"`
	Platforms  []mdm.Platform     `json:"platforms,omitempty"` // of the phone; empty: all
	StartsAt   time.Time          `json:"starts_at,omitzero"`  // until then report-only
	Mode       Mode               `json:"mode"`
	Require    []Requirement      `json:"require"` // at least one
	// BlockText and QuarantineText are the admin's own words in the mail that tells
	// of a block or a quarantine: plain text, at most 2000 bytes; may be empty.
	BlockText      string `json:"block_text,omitempty"`
	QuarantineText string `json:"quarantine_text,omitempty"`
}
