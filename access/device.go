package access

import (
	"time"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// DeviceKey is a DeviceId in the one form in which all its spellings are equal;
// Canonical makes it. Unique per user.
type DeviceKey string

// DeviceID identifies a Device on record (UUIDv7).
type DeviceID string

// Device is an ActiveSync partnership: one mail client of one user, whether its
// phone is enrolled or not. It comes into being at first contact, or when its
// phone tells its DeviceId.
type Device struct {
	ID        DeviceID         `json:"id"`
	UserID    directory.UserID `json:"user_id"`
	Key       DeviceKey        `json:"key"`
	Spellings []string         `json:"spellings"` // as clients and servers wrote it, at most 8
	Type      string           `json:"type,omitempty"`
	Model     string           `json:"model,omitempty"`
	OS        string           `json:"os,omitempty"`
	UserAgent string           `json:"user_agent,omitempty"`
	Protocol  string           `json:"protocol_version,omitempty"`
	Address   string           `json:"address,omitempty"` // of the newest contact
	// Bound is the enrolment that this device was bound to by an admin's
	// confirmation or by a guess, see Proof. What the phone itself reports, or
	// proves by certificate, is found in Phone and never stored here.
	Bound   mdm.EnrollmentID `json:"bound,omitempty"`
	Proof   Proof            `json:"proof,omitempty"`
	FirstAt time.Time        `json:"first_at,omitzero"`
	LastAt  time.Time        `json:"last_at,omitzero"`  // newest contact, to the minute; zero: it has not come yet
	SyncAt  time.Time        `json:"sync_at,omitzero"`  // newest contact that was allowed, to the minute
	Effect  Effect           `json:"effect,omitempty"`  // as last published; empty: never
	Step    Step             `json:"step,omitempty"`    // likewise
	SinceAt time.Time        `json:"since_at,omitzero"` // when Effect began
}

// Sighting is one contact of a mail client of a known user.
type Sighting struct {
	UserID directory.UserID
	Key    DeviceKey
	Client Client
	Effect Effect // what it was answered; empty at first contact, before there is an answer
	At     time.Time
}
