package access

import (
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// Person is a mailbox's owner as far as a decision looks at one.
type Person struct {
	ID      directory.UserID `json:"id"`
	UPN     string           `json:"upn"`
	Groups  []string         `json:"groups,omitempty"`
	MailOff *Note            `json:"mail_off,omitempty"` // ActiveSync is off for this user; nil: on
}

// Note says who ordered something, when, and why.
type Note struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

// Phone is one enrolment of the person.
type Phone struct {
	EnrollmentID mdm.EnrollmentID    `json:"enrollment_id"`
	State        mdm.EnrollmentState `json:"state"`
	Withheld     mdm.Withholding     `json:"withheld,omitempty"`
	Platform     mdm.Platform        `json:"platform"`
	Ownership    mdm.Ownership       `json:"ownership"`
	Product      string              `json:"product,omitempty"` // "iPhone15,4"
	OSVersion    string              `json:"os_version,omitempty"`
	EASKey       DeviceKey           `json:"eas_key,omitempty"`      // of the DeviceId that the phone reported of itself
	Certificates []string            `json:"certificates,omitempty"` // lower-case hex SHA-256 of its mail identities that are valid and unrevoked
	Proof        Proof               `json:"proof,omitempty"`        // how the device that is asked about is known to be this phone
	Verdict      compliance.Verdict  `json:"verdict"`                // the zero Verdict: none yet; Findings without those that are met, but for mail_profile
}

// Proof is how a mail client's DeviceId is known to belong to an enrolment.
type Proof string

const (
	ProofNone        Proof = ""
	ProofReported    Proof = "reported"    // the phone told its EASDeviceIdentifier over MDM: exact
	ProofCertificate Proof = "certificate" // the mail client proved one of the phone's certificates to the gate: exact
	ProofConfirmed   Proof = "confirmed"   // an admin confirmed a probable one
	ProofProbable    Proof = "probable"    // guessed at first contact: counts for nothing until an admin confirms it
)

// Counts reports whether conditions may be judged by the phone that is so bound.
func (p Proof) Counts() bool {
	return p == ProofReported || p == ProofCertificate || p == ProofConfirmed
}

// Personal is an admin's word about one user's device, or all of them. Block and
// Allow exclude each other; Exempt stands beside them.
type Personal struct {
	UserID    directory.UserID `json:"user_id"`
	Key       DeviceKey        `json:"device_key,omitempty"` // empty: every device of the user
	Kind      PersonalKind     `json:"kind"`
	Note                       // who, when, why
	ExpiresAt time.Time        `json:"expires_at,omitzero"` // zero: never; an exemption always expires, within 90 days
}

// PersonalKind is what an admin says of a device.
type PersonalKind string

const (
	PersonalAllow  PersonalKind = "allow"
	PersonalBlock  PersonalKind = "block"
	PersonalExempt PersonalKind = "exempt" // from conditional access, until it expires
)
