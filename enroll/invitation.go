package enroll

import (
	"errors"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

var (
	// ErrNotFound says that no such invitation, enrolment or device is on record.
	ErrNotFound = errors.New("not found")
	// ErrInvitationUsed, ErrInvitationExpired and ErrInvitationRevoked say why a
	// code that was once good no longer is.
	ErrInvitationUsed    = errors.New("invitation already used")
	ErrInvitationExpired = errors.New("invitation expired")
	ErrInvitationRevoked = errors.New("invitation revoked")
	// ErrInvalid says that a request cannot be accepted; the refusals name the fields.
	ErrInvalid = errors.New("invalid enrolment request")
	// ErrConflict says that the stored state is not the one that the act needs.
	ErrConflict = errors.New("state changed meanwhile")
	// ErrForeign says that a phone is enrolled for another user: nothing was changed.
	ErrForeign = errors.New("device is enrolled for another user")
)

// InvitationState is where an invitation stands.
type InvitationState string

const (
	InvitationOpen    InvitationState = "open"
	InvitationUsed    InvitationState = "used" // its identity certificate was issued
	InvitationRevoked InvitationState = "revoked"
	InvitationExpired InvitationState = "expired" // derived from ExpiresAt, never stored
)

// InvitationID identifies an invitation (UUIDv7); unlike the code it is no secret.
type InvitationID string

// Invitation entitles one user to enrol one phone.
type Invitation struct {
	ID        InvitationID
	CodeHash  []byte // HMAC of the code; the code itself is not kept
	UserID    directory.UserID
	UPN       string // of the user; filled by the store on reading
	Ownership mdm.Ownership
	PINHash   []byte // HMAC of a 6-digit PIN told apart from the URL; nil when none is asked
	State     InvitationState
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt time.Time
	UsedAt    time.Time // zero while not used
}

// StateAt is the state with expiry taken into account.
func (i Invitation) StateAt(now time.Time) InvitationState {
	if i.State == InvitationOpen && !now.Before(i.ExpiresAt) {
		return InvitationExpired
	}
	return i.State
}

// Issued is an invitation with what its user must be told once.
type Issued struct {
	Invitation Invitation
	User       directory.User
	URL        secret.Value // holds the code
	PIN        secret.Value // empty when none is asked
}
