package mdm

import (
	"time"

	"sallyport/enroll/directory"
)

// EventKind names what happened.
type EventKind string

const (
	EventEnrolled       EventKind = "enrolled"        // TokenUpdate made an enrolment active
	EventReported       EventKind = "reported"        // a contact changed what we know: facts, results
	EventEnded          EventKind = "ended"           // checked out or replaced
	EventUserChanged    EventKind = "user_changed"    // one for each active enrolment of that user, whose data, S/MIME keys or devices are others
	EventUserRemoved    EventKind = "user_removed"    // one for each enrolment of that user
	EventPolicyChanged  EventKind = "policy_changed"  // EnrollmentID is empty: all are concerned
	EventTemplateChange EventKind = "template_change" // EnrollmentID is empty: all are concerned
	EventVerdict        EventKind = "verdict"         // a verdict's state changed, or what it tells of a rule
	EventIdentity       EventKind = "identity"        // a certificate of the enrolment was revoked, took the place of another, or was issued to an app that tells nobody
	EventAction         EventKind = "action"          // an act was ordered, cancelled or has come to its end
	// EventAccess is about what decisions rest on beside enrolments: rules,
	// policies and the default (UserID is empty: all are concerned), or one user's
	// devices, exceptions and mailbox. EnrollmentID is always empty, and no verdict
	// depends on it.
	EventAccess EventKind = "access"
	// EventDecision says that the published decision on a device of UserID changed.
	EventDecision EventKind = "decision"
)

// Event is one row of the outbox. Delivery is at least once and in the order
// of ID; handlers are idempotent.
type Event struct {
	ID           int64
	Kind         EventKind
	EnrollmentID EnrollmentID
	UserID       directory.UserID // of EventAccess and EventDecision alone
	At           time.Time
}
