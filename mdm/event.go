package mdm

import "time"

// EventKind names what happened.
type EventKind string

const (
	EventEnrolled       EventKind = "enrolled"        // TokenUpdate made an enrolment active
	EventReported       EventKind = "reported"        // a contact changed what we know: facts, results
	EventEnded          EventKind = "ended"           // checked out or replaced
	EventUserChanged    EventKind = "user_changed"    // one for each active enrolment of that user, whose data or S/MIME keys are others
	EventUserRemoved    EventKind = "user_removed"    // one for each enrolment of that user
	EventPolicyChanged  EventKind = "policy_changed"  // EnrollmentID is empty: all are concerned
	EventTemplateChange EventKind = "template_change" // EnrollmentID is empty: all are concerned
	EventVerdict        EventKind = "verdict"         // a verdict's state changed
	EventIdentity       EventKind = "identity"        // a certificate of the enrolment was revoked or took the place of another
	EventAction         EventKind = "action"          // an act was ordered, cancelled or has come to its end
)

// Event is one row of the outbox. Delivery is at least once and in the order
// of ID; handlers are idempotent.
type Event struct {
	ID           int64
	Kind         EventKind
	EnrollmentID EnrollmentID
	At           time.Time
}
