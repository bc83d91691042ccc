package mdm

import (
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/secret"
)

// EnrollmentID identifies one enrolment of one device (UUIDv7). A phone that
// enrols again gets a new one.
type EnrollmentID string

// EnrollmentState is where an enrolment stands on its way.
type EnrollmentState string

const (
	Authenticated EnrollmentState = "authenticated" // Authenticate was accepted; not enrolled yet
	Enrolled      EnrollmentState = "enrolled"      // TokenUpdate was accepted
	Configured    EnrollmentState = "configured"    // the phone has confirmed the mail profile
	CheckedOut    EnrollmentState = "checked_out"   // the phone said that the user removed management
	Replaced      EnrollmentState = "replaced"      // the same phone enrolled again
	Retired       EnrollmentState = "retired"       // an admin ended it: wiped, or un-enrolled and revoked
	Held          EnrollmentState = "held"          // a known device came under another user: an admin decides
	Refused       EnrollmentState = "refused"       // was held, and an admin said no
)

// Active reports whether the phone may still be given commands.
func (s EnrollmentState) Active() bool { return s == Enrolled || s == Configured }

// Ended reports whether the enrolment is over for good.
func (s EnrollmentState) Ended() bool {
	return s == CheckedOut || s == Replaced || s == Retired || s == Refused
}

// Enrollment ties a device to a user under one identity certificate.
type Enrollment struct {
	ID              EnrollmentID
	DeviceID        DeviceID
	UserID          directory.UserID
	InvitationID    string
	Platform        Platform
	Ownership       Ownership
	State           EnrollmentState
	Withheld        Withholding // kept from the device by an admin
	UDID            string      // as in Device
	CertificateHash string      // lower-case hex SHA-256 of the pinned identity certificate (DER)
	AccessRights    int         // as granted by the enrolment profile; Apple freezes it
	Topic           string      // push topic in the enrolment profile; Apple freezes it
	PollOnly        bool        // enrolled under a placeholder topic: push can never reach it
	CreatedAt       time.Time
	EnrolledAt      time.Time // zero until TokenUpdate
	LastSeenAt      time.Time // last authenticated message of any kind; to the minute where it brought nothing new
	IdleAt          time.Time // last Idle that is on record: when the current connection began
	EndedAt         time.Time // zero while not ended
	Renewals        []Renewal // identities that are due to be replaced, the oldest first
}

// Renewal is an identity of an enrolment that is due to be replaced: the profile
// that brought it is sent again, with the same identifiers and payload UUIDs and a
// fresh challenge. It is done when the successor was issued.
type Renewal struct {
	Rule        string        `json:"rule"`              // issuance rule, as certs.RuleName
	Profile     string        `json:"profile,omitempty"` // identifier of the mail profile; empty: the enrolment profile
	Certificate string        `json:"certificate"`       // lower-case hex SHA-256 of what is replaced
	DueAt       time.Time     `json:"due_at"`
	Reason      RenewalReason `json:"reason"`
}

// RenewalReason is why an identity is replaced.
type RenewalReason string

const (
	RenewalExpiry RenewalReason = "expiry" // it ends soon
	RenewalTrust  RenewalReason = "trust"  // its profile brings another root along
	RenewalRights RenewalReason = "rights" // the device became personal: the right to erase it goes
)

// Push is what a wake-up needs. The store seals Token, Magic and UnlockToken.
type Push struct {
	Topic       string
	Token       secret.Value // raw bytes
	Magic       secret.Value
	UnlockToken secret.Value // may be empty; clears the passcode
	UpdatedAt   time.Time
}
