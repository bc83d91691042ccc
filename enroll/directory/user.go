package directory

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
)

var (
	// ErrNotFound says that no such user is on record (a removed one is not).
	ErrNotFound = errors.New("no such user")
	// ErrInvalid says that a user's data cannot be accepted; the refusals name the fields.
	ErrInvalid = errors.New("invalid user")
	// ErrConflict says that another user already has that UPN or email.
	ErrConflict = errors.New("user exists")
)

// UserID identifies a user for ever (UUIDv7), across changes of UPN and email.
type UserID string

// User is a person with a mailbox. UPN and Email are unique without regard to
// case; they are kept as entered.
type User struct {
	ID          UserID   `json:"id"`
	UPN         string   `json:"upn"`
	Email       string   `json:"email"`
	Username    string   `json:"username,omitempty"`     // login name without domain; the UPN's local part when empty on entry
	DomainName  string   `json:"domain_name,omitempty"`  // Windows domain for on-premises Exchange; may be empty
	DisplayName string   `json:"display_name,omitempty"` // the UPN when empty on entry
	FirstName   string   `json:"first_name,omitempty"`
	MiddleName  string   `json:"middle_name,omitempty"`
	LastName    string   `json:"last_name,omitempty"`
	Groups      []string `json:"groups,omitempty"` // sorted, without doubles
	// SharedMailbox marks a mailbox that several people read. Exchange
	// ActiveSync does not serve it: nothing is ever set up for it.
	SharedMailbox bool      `json:"shared_mailbox,omitempty"`
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

// Page bounds a listing: entries after the cursor, at most Limit (1-1000, 0 = 100).
type Page struct {
	After string
	Limit int
}

// Store keeps users. internal/store implements it.
type Store interface {
	// SaveUsers inserts or updates by UPN (case-insensitive), all or none, in
	// one transaction with the entries. It returns the users as stored: an
	// existing one keeps its ID and CreatedAt. An email that belongs to another
	// UPN fails with ErrConflict. A UPN that was removed before starts a new user.
	// Groups, names and addresses decide what a phone should have, so each active
	// enrolment of an existing user gets an outbox event. Decisions about mailboxes
	// rest on users: each of users gets an EventAccess.
	SaveUsers(ctx context.Context, users []User, entries []audit.Entry) ([]User, error)
	// UserByID and UserByUPN return ErrNotFound for unknown and removed users.
	UserByID(ctx context.Context, id UserID) (User, error)
	UserByUPN(ctx context.Context, upn string) (User, error)
	// ListUsers returns users in the order of their UPN, those of group only
	// when group is not empty; the cursor is the last UPN of the page before.
	ListUsers(ctx context.Context, group string, page Page) ([]User, error)
	// RemoveUser marks the user as removed, deletes the secrets that were theirs
	// alone (templates.SecretStore), revokes their open invitations and
	// challenges, forgets their mail clients and what admins said of them (the feed
	// of decisions says so), and writes an outbox event for each of their
	// enrolments and an EventAccess, in one transaction. From its commit on the user is unknown to every lookup,
	// so that decisions about that mailbox become block. ErrNotFound when unknown.
	RemoveUser(ctx context.Context, id UserID, now time.Time, entry audit.Entry) error
}
