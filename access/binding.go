package access

import (
	"context"
	"errors"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

var (
	// ErrInvalid says that a client cannot be asked about; the refusals name the fields.
	ErrInvalid = errors.New("invalid decision request")
	// ErrUnavailable says that no decision could be made: storage is in trouble.
	// Whoever asked must not let the client in.
	ErrUnavailable = errors.New("no decision can be made now")
	// ErrNotFound says that no such device, rule, policy or denial is on record.
	ErrNotFound = errors.New("no such device, rule, policy or denial")
	// ErrGone says that a cursor is older than what is kept.
	ErrGone = errors.New("the cursor is too old")
)

// Binding says that an EAS DeviceId belongs to an enrolment, and through it to
// a mailbox. It is derived from the enrolment's own DeviceInformation
// (EASDeviceIdentifier), so it ends when the enrolment's report says otherwise.
type Binding struct {
	EnrollmentID mdm.EnrollmentID
	UserID       directory.UserID
	EASDeviceID  string // lower case
	State        mdm.EnrollmentState
	Withheld     mdm.Withholding // kept from the device by an admin
}

// Store finds whom a request is about. internal/store implements it.
type Store interface {
	// UsersByLogin returns the users whose UPN, email, username or
	// DOMAIN\username equals login without regard to case: none without error
	// when nobody matches, and more than one when a bare username is ambiguous.
	// Removed users never match.
	UsersByLogin(ctx context.Context, login string) ([]directory.User, error)
	// Bindings returns the user's bindings to that DeviceId (compared in lower
	// case), active enrolments first, then the newest; none without error.
	Bindings(ctx context.Context, user directory.UserID, deviceID string) ([]Binding, error)
}
