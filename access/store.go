package access

import (
	"context"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// Entry is one person with all that belongs to them, as one consistent read.
type Entry struct {
	Person   Person
	Logins   []string // folded: UPN, email, username, DOMAIN\username; a bare username may be another's, too
	Devices  []Device
	Phones   []Phone // active first, then the newest; Proof is left empty; ended ones as long as a Device or report names their EASKey; never held or refused ones
	Personal []Personal
}

// Source fills the decision set. internal/store implements it.
type Source interface {
	// World returns the default, every rule, and the newest revision of every
	// policy that is in force, in one read.
	World(ctx context.Context) (World, error)
	// Entries returns the people on record after the cursor, in the order of ID, at
	// most limit. Removed users are absent.
	Entries(ctx context.Context, after directory.UserID, limit int) ([]Entry, error)
	// EntriesOf returns those of ids that are on record, in any order.
	EntriesOf(ctx context.Context, ids []directory.UserID) ([]Entry, error)
	// Owners returns to whom the enrolments belong; unknown ones are absent.
	Owners(ctx context.Context, ids []mdm.EnrollmentID) (map[mdm.EnrollmentID]directory.UserID, error)
	// Lapsed returns the owners of enrolments of which a mail certificate, that was not
	// revoked, has ended after from, at until at the latest: no event tells of it.
	Lapsed(ctx context.Context, from, until time.Time) ([]directory.UserID, error)
	// LastEvent is the ID of the newest event in the outbox. What Source returned
	// after that call holds at least all that this event and older ones tell of.
	LastEvent(ctx context.Context) (int64, error)
}

// Register keeps the devices that were met, and what they were refused.
type Register interface {
	// Meet returns the device of that user and key, and makes it at first contact,
	// with an EventAccess of the user. Bound and Proof are set by the caller through
	// guess: the enrolment that it probably is, or empty. A sighting without a time is
	// none: the device is known by its phone's report, and has not come yet.
	Meet(ctx context.Context, s Sighting, guess mdm.EnrollmentID) (Device, error)
	// Seen notes what is new in later contacts: type, agent, version, address,
	// times to the minute, a new spelling. Unknown devices are left out. What
	// decisions may rest on (all but times and address) writes an EventAccess.
	Seen(ctx context.Context, list []Sighting) error
	// SaveDenials adds to the denials of the same Key, or starts new ones.
	SaveDenials(ctx context.Context, list []Denial) error
	// Denial returns one; ErrNotFound.
	Denial(ctx context.Context, id string) (Denial, error)
	// Denials lists the newest first, of that user only when user is not empty.
	Denials(ctx context.Context, user directory.UserID, before string, limit int) ([]Denial, error)
}

// RuleStore keeps the world. Each write emits an EventAccess without a user, with
// the entry in the same transaction.
type RuleStore interface {
	World(ctx context.Context) (World, error)
	SaveRule(ctx context.Context, r Rule, entry audit.Entry) error
	// RemoveRule returns ErrNotFound when there is none.
	RemoveRule(ctx context.Context, id RuleID, entry audit.Entry) error
	SetDefault(ctx context.Context, e Effect, entry audit.Entry) error
	// SavePolicy appends the next revision; unchanged Source writes nothing, as in
	// compliance.Store. A policy whose Assign is empty is withdrawn: no longer in World.
	SavePolicy(ctx context.Context, p Policy, entry audit.Entry) (stored Policy, changed bool, err error)
}

// DeviceFilter selects devices. Zero fields select everything.
type DeviceFilter struct {
	User   directory.UserID
	Effect Effect // as published
	Family string // DeviceType, exact without regard to case
	Model  string
	After  DeviceID
	Limit  int // 1-1000, 0 = 100
}

// DeviceStore keeps what admins say of people and their devices. Each write
// emits an EventAccess of the user, with the entry in the same transaction.
type DeviceStore interface {
	// Devices lists in the order of ID, with the user's UPN.
	Devices(ctx context.Context, f DeviceFilter) ([]DeviceRow, error)
	// Device returns one; ErrNotFound.
	Device(ctx context.Context, id DeviceID) (DeviceRow, error)
	// SavePersonal replaces what is on record for that user, key and kind; Allow and
	// Block replace each other.
	SavePersonal(ctx context.Context, list []Personal, entries []audit.Entry) error
	// RemovePersonal takes it back; ErrNotFound when there is none.
	RemovePersonal(ctx context.Context, user directory.UserID, key DeviceKey, kind PersonalKind, entry audit.Entry) error
	// Bind confirms (proof ProofConfirmed) or ends (enrolment empty) a binding.
	Bind(ctx context.Context, id DeviceID, to mdm.EnrollmentID, proof Proof, entry audit.Entry) error
}

// MailStore turns ActiveSync on and off for a user.
type MailStore interface {
	// SetMail turns it off with a note, or on (nil), with an EventAccess of the
	// user. ErrNotFound for a user who is not on record.
	SetMail(ctx context.Context, user directory.UserID, off *Note, entry audit.Entry) error
	// RemoveDevice forgets a partnership and appends a Change that says so; personal
	// words about it stay. The user's phones that are not set up yet (Enrolled) get an
	// EventUserChanged: they may have waited for the place. ErrNotFound.
	RemoveDevice(ctx context.Context, id DeviceID, entry audit.Entry) error
}

// DeviceRow is a device as lists show it.
type DeviceRow struct {
	Device
	UPN        string `json:"user"`
	Compliance string `json:"compliance,omitempty"` // of the bound enrolment; empty: none
}

// ChangeStore publishes decisions.
type ChangeStore interface {
	// Publish writes the new word on each device (Effect, Step, SinceAt) if the
	// stored Effect still is Before, and the rows of the feed, in one transaction
	// with an EventDecision each. It returns those that were written, with Seq.
	Publish(ctx context.Context, list []Change) ([]Change, error)
	// Changes returns rows after the cursor, oldest first. ErrGone when rows after
	// it were dropped already: start anew with Snapshot.
	Changes(ctx context.Context, after int64, limit int) ([]Change, error)
	// Snapshot returns the newest row of each device whose ID is after the cursor,
	// in the order of device ID, at most limit, and the newest Seq at that moment.
	Snapshot(ctx context.Context, after DeviceID, limit int) ([]Change, int64, error)
	// Timed returns the users for whom time alone may change a decision before
	// until: personal words that expire, as well as policies that start.
	Timed(ctx context.Context, from, until time.Time, limit int) ([]directory.UserID, error)
	// Prune drops rows that a newer one of the same device has followed for 30 days,
	// and the last rows of devices that were forgotten as long ago.
	Prune(ctx context.Context, now time.Time) (int64, error)
}
