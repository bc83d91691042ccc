package enroll

import (
	"context"
	"errors"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// InvitationStore keeps invitations. internal/store implements it.
type InvitationStore interface {
	// CreateInvitations inserts all or none, with the entries.
	CreateInvitations(ctx context.Context, invitations []Invitation, entries []audit.Entry) error
	// InvitationByCode finds by HMAC, in any state; ErrNotFound when unknown or its user was removed.
	InvitationByCode(ctx context.Context, codeHash []byte) (Invitation, error)
	// InvitationByID finds by ID, in any state, with the same errors.
	InvitationByID(ctx context.Context, id InvitationID) (Invitation, error)
	// ListInvitations returns them newest first, of one user only when user is
	// not empty; the cursor is the last ID of the page before.
	ListInvitations(ctx context.Context, user directory.UserID, page directory.Page) ([]Invitation, error)
	// RevokeInvitation turns open into revoked and makes its challenges void,
	// with the entry. ErrConflict when it is not open, ErrNotFound when unknown.
	RevokeInvitation(ctx context.Context, id InvitationID, entry audit.Entry) error
}

// EnrollmentStore keeps devices and enrolments. internal/store implements it.
type EnrollmentStore interface {
	// EnrollmentByCertificate and EnrollmentByID return ErrNotFound when unknown.
	EnrollmentByCertificate(ctx context.Context, certificateHash string) (mdm.Enrollment, error)
	EnrollmentByID(ctx context.Context, id mdm.EnrollmentID) (mdm.Enrollment, error)
	// Pinned is EnrollmentByCertificate together with our row of that certificate,
	// at one moment; zero when it is not on record. An mdm-identity that was issued
	// for an enrolment which is not pinned to it (its successor that was never
	// used, or one that has been replaced) finds that enrolment too: the caller
	// compares CertificateHash, and looks at the row.
	Pinned(ctx context.Context, certificateHash string) (mdm.Enrollment, certs.Certificate, error)
	// Admit creates the enrolment in state Authenticated and, if needed, its
	// device (by platform and UDID), with the entry. The enrolment that the
	// certificate already has is returned unchanged. When the device has an
	// active enrolment of another user the new one is Held, the device's row
	// and everything of the other enrolment stay as they are, and a Refused
	// "enrollment.hold" is written instead of the entry; what its phone says of
	// itself is kept with it alone, for AdmitHeld. ErrNotFound when the user is
	// unknown, or removed.
	//
	// So it is for whatever user, the same one too, when it would evade an act: one
	// upon another enrolment of the device that withholds everything, counts for
	// Enrollment.Withheld as CreateAction says (not cancelled by an admin, not lifted by a resend),
	// and was ordered after the invitation was made and after AdmitHeld. An
	// invitation that is not on record is older than every act. Where the device's
	// last enrolment besides is Corporate and the new one Personal, an act upon that
	// one which is not Acknowledged counts even if the invitation is newer.
	Admit(ctx context.Context, d mdm.Device, e mdm.Enrollment, entry audit.Entry) (mdm.Enrollment, error)
	// Activate stores the push data (sealed) and turns Authenticated into
	// Enrolled at now; other active enrolments of the device become Replaced, and
	// what the same user began on it earlier (Authenticated, Held) with them, and
	// their certificates are revoked (superseded). It writes the entry and EventEnrolled, EventEnded. For an already active
	// enrolment only the push data change, and for one that is Held: it stays so.
	// When the device meanwhile has an active enrolment of another user, or this one
	// would evade an act, it becomes Held as in Admit, with its push data. ErrConflict when it has ended.
	// An empty UnlockToken leaves the one on record. Push data that others have
	// followed since are those of a recorded message: they change nothing, unless
	// the token on record is dead. A token other than the one
	// on record ends what SaveWake said of that one; its UpdatedAt is made later
	// than the old one's where the clock does not do so.
	Activate(ctx context.Context, id mdm.EnrollmentID, push mdm.Push, now time.Time, entry audit.Entry) error
	// End turns an enrolment that has not ended into state (CheckedOut, Retired),
	// with the entry and EventEnded; one that has ended stays as it is, without
	// error. Its open challenges become void and nobody wakes it any more. Acts of
	// kind retire that are Pending or Sent become Acknowledged, and CheckedOut is
	// Retired then: it is what was asked for. Other acts that are Sent become Failed
	// ("the enrolment ended"), as nobody hears an answer any more, and so do Pending
	// ones that withhold everything: an end is not an admin who takes them back.
	// Those that are Unapproved, or Pending otherwise, become Cancelled. Each has its EventAction and an audit entry. The
	// enrolment's certificates are revoked (cessationOfOperation).
	End(ctx context.Context, id mdm.EnrollmentID, state mdm.EnrollmentState, now time.Time, entry audit.Entry) error
}

// ErrHeard says that a result is on record already.
var ErrHeard = errors.New("result is on record already")

// PlanStore keeps what passes between a phone and us. internal/store implements it.
type PlanStore interface {
	// SaveContact notes one contact in one transaction: LastSeenAt unless Absent; IdleAt when
	// idle; on Idle every command still Sent becomes Superseded, except one whose
	// act is Sent with it: that is repeated under the same CommandUUID until it is
	// answered or the act has expired, so that it is never executed twice; with a result
	// the command becomes Acknowledged, Failed or NotNow (only from Sent or NotNow or
	// Superseded: a result that arrives twice changes nothing; one for a command of another
	// enrolment is ErrNotFound and changes nothing); the facts are merged into
	// the report; EventReported is written when facts or a command's state changed.
	//
	// A command that carries out an act moves the act with it: to Acknowledged
	// whatever was thought of it before (where ActionKind.Ends, the enrolment is
	// ended as Retired and its certificates are revoked), to Failed, or, when it
	// is the act's last command, back to Pending on NotNow, as if never sent. Acknowledged and
	// Failed bring EventAction and an audit entry; NotNow does not, or every
	// wake-up of a locked phone would cause the next. Result is kept with the act,
	// sealed. An act that needs several commands gives its ID to none of them: MoveAction.
	SaveContact(ctx context.Context, id mdm.EnrollmentID, c mdm.Contact) error
	// LoadPlan reads what Plan needs, at one moment.
	LoadPlan(ctx context.Context, id mdm.EnrollmentID) (Have, error)
	// PinnedPlan is LoadPlan for the enrolment that is pinned to the certificate
	// with this SHA-256, together with what our row of that certificate says of its
	// use (SHA256, Rule, NotBefore, NotAfter, RevokedAt); zero when it is not on record.
	PinnedPlan(ctx context.Context, certificateHash string) (Have, certs.Certificate, error)
	// SaveCommand writes a command's row in state Sent. One with an ActionID
	// turns its act from Pending or Sent into Sent, with the command's ID;
	// ErrConflict, and no row, when the act is in another state (cancelled
	// meanwhile), belongs to another enrolment, or is a wipe of what is not
	// Corporate. An act's last command that was not answered, or with NotNow, may
	// be saved again: it is Sent once more. Any other ID on record is ErrConflict; an unknown enrolment ErrNotFound.
	//
	// pending is the contact that the command answers, where SaveContact was not
	// told of it; nil where it was. It goes on record in the same transaction: of
	// an Idle IdleAt and LastSeenAt (nothing is superseded: the caller saw nothing
	// Sent); of a result all that SaveContact would write. A result that changes
	// nothing any more, since another server was told it meanwhile, is ErrHeard:
	// then the command is not written either, and was planned for in vain.
	SaveCommand(ctx context.Context, c mdm.Command, pending *mdm.Contact) error
	// Advance turns state from into to, if it still is from; ErrConflict otherwise.
	Advance(ctx context.Context, id mdm.EnrollmentID, from, to mdm.EnrollmentState) error
}

// Have is what we know of one device when we plan its next step.
type Have struct {
	Enrollment mdm.Enrollment
	Report     mdm.Report
	User       directory.User // whose device it is; zero when removed
	Catalog    Catalog        // state of the templates and security policies
	Demands    int            // how many revisions of compliance policies there are
	// Commands are the newest ones first, for each pair of request type and
	// subject the last 5 at most.
	Commands []mdm.Command
	// Actions are the acts in state Pending or Sent, the oldest first.
	Actions   []mdm.Action
	Sent      AndroidPolicy // of an Android phone: what Google was told last; it may be newer than the rest
	Companion string        // package of the companion app, for an Android phone; empty: none is set
	Trouble   string        // of an Android phone: why it was not provided for at Google, in plain words; empty: it was
	// MissingSince is since when Google's complete lists lack an Android phone; zero: they do not.
	MissingSince time.Time
}

// DeviceRow is one line of the device list: a device's active enrolment, or else
// its newest one (held or refused only where there is no other), with what is
// known of it.
type DeviceRow struct {
	Device     mdm.Device
	Enrollment mdm.Enrollment
	UPN        string // of the user; empty when the user was removed
	Report     mdm.Report
	Verdict    string // compliance state, empty when not evaluated yet
	ChangedAt  time.Time
}

// DeviceFilter selects devices. Zero fields select everything.
type DeviceFilter struct {
	UPN          string
	EASDeviceID  string // compared in lower case; never finds held or refused enrolments
	State        string // compliance state
	ChangedSince time.Time
	After        mdm.DeviceID // paging cursor
	Limit        int          // 1-1000, 0 = 100
}

// DeviceStore lists devices. internal/store implements it.
type DeviceStore interface {
	// ListDevices returns rows in the order of device ID; none without error.
	ListDevices(ctx context.Context, f DeviceFilter) ([]DeviceRow, error)
	// DeviceByID returns ErrNotFound when unknown.
	DeviceByID(ctx context.Context, id mdm.DeviceID) (DeviceRow, error)
}
