package android

import (
	"context"
	"errors"
	"time"

	"sallyport/mdm"
)

var (
	// ErrUnknownOperation says that no command of ours is known by that operation
	// yet: its row may be about to be committed, so Google shall tell it again.
	ErrUnknownOperation = errors.New("operation is not on record")
	// ErrUnknownPhone says that no enrolment is on record for a device's name.
	ErrUnknownPhone = errors.New("device is not on record")
)

// Phone is one device as Google tells of it.
type Phone struct {
	Name     string   // resource name: "enterprises/LC0…/devices/3f…"
	Previous []string // resource names that the same device had before, oldest first
	Ticket   string   // what its enrolment token carried in additionalData; empty when Google does not tell it (any more)
	Device   mdm.Device
	// Ownership as Google sees it; a work profile on a company's device is Corporate.
	Ownership mdm.Ownership
	Mode      Mode
	Deleted   bool   // state or appliedState is DELETED: management is gone from it
	Disabled  bool   // an admin disabled it at Google
	Policy    string // last part of the name of the policy that it should have
	// Report is what it told; every group's At is when the device reported it
	// (lastStatusReportTime), not when we heard of it.
	Report mdm.Report
}

// Mode is how much of a device is managed.
type Mode string

const (
	WorkProfile  Mode = "work_profile"  // PROFILE_OWNER: a part of the device
	FullyManaged Mode = "fully_managed" // DEVICE_OWNER
)

// Outcome is what became of a command.
type Outcome struct {
	Operation string // resource name: "enterprises/E/devices/D/operations/N"
	Done      bool
	Failed    bool
	Cancelled bool   // it failed because it was taken back in time
	Error     string // Google's code and words in plain text; empty unless Failed
	Result    string // what a RequestDeviceInfo brought, for people; empty otherwise
	At        time.Time
}

// Admitter takes what Google tells. enroll implements it. Everything may come
// twice, late and in any order.
type Admitter interface {
	// Met takes note of a device: one that carries a ticket of ours and is not on
	// record yet is enrolled; a report older than the one on record changes nothing;
	// one that is Deleted ends its enrolment. A device that nothing ties to us
	// is ErrUnknownPhone, and changes nothing.
	Met(ctx context.Context, p Phone) error
	// Done takes note of what became of a command. ErrUnknownOperation when it is
	// not on record.
	Done(ctx context.Context, o Outcome) error
}
