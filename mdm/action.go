package mdm

import (
	"time"

	"sallyport/internal/secret"
)

// ActionID identifies one explicit act of an admin upon a device (UUIDv7).
type ActionID string

// ActionKind names what an admin may ask of a device. Everything else that a
// device should have or tell is derived, and never stored in advance.
type ActionKind string

const (
	ActionWipe           ActionKind = "wipe"            // erase everything; corporate devices only
	ActionSelectiveWipe  ActionKind = "selective_wipe"  // remove mail and everything else that we installed, stay enrolled
	ActionRemovePolicies ActionKind = "remove_policies" // remove security policies only
	ActionLock           ActionKind = "lock"            // lock the screen, with a message and a number to call
	ActionClearPasscode  ActionKind = "clear_passcode"  // remove the passcode; the user sets a new one
	ActionRename         ActionKind = "rename"          // our label; on supervised devices the device's own name too
	ActionRetire         ActionKind = "retire"          // remove the enrolment profile, end the enrolment, revoke its certificates
	ActionResend         ActionKind = "resend"          // install the mail profile again, whatever the device lists
	ActionQuery          ActionKind = "query"           // ask for facts that are not asked by themselves
	ActionCommand        ActionKind = "command"         // a command in the admin's own words
)

// ActionState is where an act stands.
type ActionState string

const (
	ActionUnapproved   ActionState = "unapproved" // a second owner has to agree
	ActionPending      ActionState = "pending"    // the device takes it at its next contact; may still be cancelled
	ActionSent         ActionState = "sent"       // handed to the device, which has not answered yet
	ActionAcknowledged ActionState = "acknowledged"
	ActionFailed       ActionState = "failed"
	ActionCancelled    ActionState = "cancelled"
	ActionExpired      ActionState = "expired" // the device did not come in time
)

// Open reports whether the act is still under way.
func (s ActionState) Open() bool {
	return s == ActionUnapproved || s == ActionPending || s == ActionSent
}

// Verb names in the audit trail how an act came into this state.
func (s ActionState) Verb() string {
	switch s {
	case ActionUnapproved, ActionPending:
		return "order"
	case ActionSent:
		return "send"
	case ActionAcknowledged:
		return "acknowledge"
	case ActionFailed:
		return "fail"
	case ActionCancelled:
		return "cancel"
	case ActionExpired:
		return "expire"
	}
	return string(s)
}

// Ends reports whether the enrolment is over once the device has acknowledged.
func (k ActionKind) Ends() bool { return k == ActionWipe || k == ActionRetire }

// Withholds is what is kept from the device from the moment the act is ordered.
func (k ActionKind) Withholds() Withholding {
	switch k {
	case ActionWipe, ActionRetire, ActionSelectiveWipe:
		return WithholdEverything
	case ActionRemovePolicies:
		return WithholdPolicies
	}
	return WithholdNothing
}

// Withholding is what an admin keeps from a device though it is assigned.
type Withholding string

const (
	WithholdNothing    Withholding = ""
	WithholdPolicies   Withholding = "policies"   // security policies
	WithholdEverything Withholding = "everything" // mail too: the mailbox is shut
)

// ActionParameters are what an act needs beside its kind. The store seals them:
// a command in the admin's own words may hold a secret.
type ActionParameters struct {
	Message     string `json:"message,omitempty"`      // lock: shown on the lock screen
	PhoneNumber string `json:"phone_number,omitempty"` // lock: to be called from the lock screen
	Name        string `json:"name,omitempty"`         // rename
	Query       string `json:"query,omitempty"`        // query: the RequestType
	Raw         []byte `json:"raw,omitempty"`          // command: its plist, the Command dictionary alone
}

// Action is one explicit act upon one enrolment.
type Action struct {
	ID           ActionID
	EnrollmentID EnrollmentID
	Kind         ActionKind
	Parameters   ActionParameters
	State        ActionState
	CommandID    CommandID // the last command that carried it; empty while pending
	RequestedBy  string    // the token's owner
	RequestedAt  time.Time
	ApprovedBy   string // empty when no second owner was needed
	SentAt       time.Time
	DoneAt       time.Time // acknowledged, failed, cancelled or expired
	ExpiresAt    time.Time
	Error        string       // root cause in plain words; empty unless failed
	Result       secret.Value // query and command: the answer as a plist, at most 64 KiB
}
