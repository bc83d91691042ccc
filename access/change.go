package access

import (
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// Change is one row of the feed: what is now said of one device. Whoever has read
// all rows knows the newest word on every device; rows are kept until a newer
// one of the same device is 30 days old, and the newest one for ever.
type Change struct {
	Seq          int64            `json:"seq"` // grows by commit; the cursor of feeds, streams and webhooks
	At           time.Time        `json:"at"`
	DeviceID     DeviceID         `json:"device_id"`
	UserID       directory.UserID `json:"user_id"`
	User         string           `json:"user"` // UPN then
	Key          DeviceKey        `json:"device_key"`
	Spellings    []string         `json:"spellings"`
	EnrollmentID mdm.EnrollmentID `json:"enrollment_id,omitempty"`
	Compliance   compliance.State `json:"compliance,omitempty"` // of that enrolment
	// ComplianceBefore is what the row before said of it.
	ComplianceBefore compliance.State `json:"compliance_before,omitempty"`
	Before           Effect           `json:"before,omitempty"` // empty: the first word on this device
	Decision         Decision         `json:"decision"`
	Removed          bool             `json:"removed,omitempty"` // the device or its user is gone: forget it
}
