// Package logkey names the attributes of log records, so that one thing has
// one name in every room. Leaf. Unstable.
package logkey

// Attribute names. Values are identifiers, never secrets, bodies or mail addresses.
const (
	Component   = "component"
	Command     = "command_id"
	Device      = "device_id"
	Enrollment  = "enrollment_id"
	Error       = "error"
	Invitation  = "invitation_id"
	Method      = "method"
	Path        = "path"
	RemoteAddr  = "remote_addr"
	RequestID   = "request_id"
	RequestType = "request_type"
	Status      = "status"
	Duration    = "duration"
	User        = "user_id"
)
