package mdm

import (
	"time"

	"sallyport/internal/secret"
)

// CommandID is the CommandUUID on the wire (UUIDv4). It belongs to one enrolment.
type CommandID string

// CommandState is what became of a command that was handed to a device.
type CommandState string

const (
	Sent         CommandState = "sent"         // its row is committed, its bytes left or are about to
	Acknowledged CommandState = "acknowledged" // done
	Failed       CommandState = "failed"       // Error or CommandFormatError
	NotNow       CommandState = "not_now"      // the device declined for this connection
	Superseded   CommandState = "superseded"   // never answered, and a later command took its place
)

// Command is the record of one command that was handed to a device. The bytes
// are not kept: what a device should have is derived anew at every contact.
type Command struct {
	ID           CommandID
	EnrollmentID EnrollmentID
	RequestType  string // "InstallProfile", "DeviceInformation", ...
	Subject      string // what the command is about: the profile identifier for InstallProfile, else empty
	Revision     string // top-level PayloadUUID for InstallProfile, else empty
	State        CommandState
	Error        string      // last item of the ErrorChain in plain words; empty unless failed
	Chain        []ErrorItem // the whole ErrorChain; nil unless failed
	ActionID     ActionID    // the act that it carries out; empty for what was derived
	SentAt       time.Time
	DoneAt       time.Time // zero while Sent
}

// Status is what a device says when it polls.
type Status string

const (
	StatusIdle         Status = "Idle"
	StatusAcknowledged Status = "Acknowledged"
	StatusError        Status = "Error"
	StatusFormatError  Status = "CommandFormatError"
	StatusNotNow       Status = "NotNow"
)

// ErrorItem is one link of a device's ErrorChain; the last one is the root cause.
type ErrorItem struct {
	Code        int    `json:"code"`
	Domain      string `json:"domain"`
	Description string `json:"description"` // US English where the device sends it
}

// Contact is one poll of a device: idle, or the result of a command.
type Contact struct {
	At        time.Time
	Status    Status
	CommandID CommandID // empty when idle
	Report    Report    // facts that came with the result; zero when none
	Errors    []ErrorItem
	// Result is the whole answer to an acknowledged command as an XML plist; empty
	// when it is larger than 64 KiB. Only that to a query or to a command in an
	// admin's own words is kept. It may hold secrets.
	Result secret.Value
	// Absent: somebody else says what became of the command, and the device may not
	// have come for long. That it was seen then is not noted.
	Absent bool
}
