package access

import "errors"

var (
	// ErrInvalid says that a client cannot be asked about; the refusals name the fields.
	ErrInvalid = errors.New("invalid decision request")
	// ErrUnavailable says that no decision can be made, as nothing was loaded yet.
	// Whoever asked must not let the client in. Later trouble of storage is no error,
	// but a decision: StepUnavailable.
	ErrUnavailable = errors.New("no decision can be made now")
	// ErrNotFound says that no such device, rule, policy or denial is on record.
	ErrNotFound = errors.New("no such device, rule, policy or denial")
	// ErrConflict says that a device is on an enrolled phone, and not to be forgotten.
	ErrConflict = errors.New("the device is on an enrolled phone")
	// ErrGone says that a cursor is older than what is kept.
	ErrGone = errors.New("the cursor is too old")
)
