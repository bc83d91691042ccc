package enroll

import (
	"context"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// ActionStore keeps the explicit acts of admins. internal/store implements it.
type ActionStore interface {
	// CreateAction inserts an act in state Unapproved or Pending with the entry
	// and EventAction. ErrNotFound when the enrolment is unknown; ErrConflict when
	// it has ended or is not active, or when an act of that kind is open on it
	// (queries and commands excepted, of which there may be 100).
	//
	// Enrollment.Withheld follows from the acts, with every change of one: the
	// most that any of them withholds that is Pending or Sent, or that is
	// Acknowledged, Failed or Expired and newer than the newest Resend that was
	// ever Pending. A wipe that failed, or that its phone never came for, keeps the
	// mailbox shut, and Resend opens it unless another act is open.
	CreateAction(ctx context.Context, a mdm.Action, entry audit.Entry) error
	// ActionByID returns ErrNotFound when unknown.
	ActionByID(ctx context.Context, id mdm.ActionID) (mdm.Action, error)
	// ListActions returns those of every enrolment of a device, newest first and
	// without their results; the cursor is the last ID of the page before.
	ListActions(ctx context.Context, device mdm.DeviceID, page directory.Page) ([]mdm.Action, error)
	// MoveAction turns an act from one of the states into another with the entry
	// and EventAction: approved (Unapproved to Pending, by sets ApprovedBy, and
	// the withholding begins), cancelled (from Unapproved or Pending: the withholding
	// ends unless another act needs it), failed, or, for an act that needs more
	// than one command, sent (Pending to Sent, At becomes SentAt) and
	// acknowledged; acknowledged also for one that is forced: where ActionKind.Ends, the
	// enrolment ends as Retired with it. ErrConflict when it is in none of them.
	MoveAction(ctx context.Context, id mdm.ActionID, move ActionMove, entry audit.Entry) error
	// ExpireActions ends up to limit acts whose time has passed, with one audit
	// entry and EventAction each: Unapproved ones as Cancelled, Pending and Sent
	// ones as Expired. A late answer still counts.
	ExpireActions(ctx context.Context, now time.Time, limit int) (int, error)
}

// ActionMove is a change of an act's state by compare-and-swap.
type ActionMove struct {
	From  []mdm.ActionState
	To    mdm.ActionState
	By    string // the token's owner; empty when the device did it
	Error string // for Failed
	At    time.Time
}

// CommandStore lists what was handed to a device. internal/store implements it.
type CommandStore interface {
	// ListCommands returns those of every enrolment of a device, newest first;
	// the cursor is the last ID of the page before.
	ListCommands(ctx context.Context, device mdm.DeviceID, page directory.Page) ([]mdm.Command, error)
}

// HeldStore keeps enrolments that wait for an admin, and what an admin alone may
// change of an enrolment. internal/store implements it.
type HeldStore interface {
	// ListHeld returns the held enrolments, oldest first; the cursor is the last
	// ID of the page before.
	ListHeld(ctx context.Context, page directory.Page) ([]HeldRow, error)
	// AdmitHeld turns Held into Enrolled (Authenticated while it has no push
	// token), takes over what its phone says of itself into the device's row,
	// and ends the device's other active enrolments as Replaced, as Activate
	// does, with the entry and events. It is not held again for what was ordered
	// until now. ErrConflict when it is not Held or its user was removed,
	// ErrNotFound when unknown.
	AdmitHeld(ctx context.Context, id mdm.EnrollmentID, now time.Time, entry audit.Entry) error
	// RefuseHeld turns Held into Refused and revokes its certificates, with the
	// entry and EventEnded. The same errors, but for the user.
	RefuseHeld(ctx context.Context, id mdm.EnrollmentID, now time.Time, entry audit.Entry) error
	// SetOwnership turns Corporate into Personal, with the entry; ErrConflict
	// for the other way round, and for an Android device with a wipe that is Sent:
	// Google may carry it out until it was cancelled there. The policy of an Android
	// phone is due then. What is so already stays without an entry.
	SetOwnership(ctx context.Context, id mdm.EnrollmentID, o mdm.Ownership, entry audit.Entry) error
	// SetLabel names a device, with the entry; ErrNotFound when unknown.
	SetLabel(ctx context.Context, id mdm.DeviceID, label string, entry audit.Entry) error
}

// HeldRow is a held enrolment beside what stands in its way.
type HeldRow struct {
	Enrollment mdm.Enrollment
	Device     mdm.Device // as on record, not as the held phone says
	UPN        string     // who asks
	HolderUPN  string     // who else holds the device; empty when nobody does (any more)
	Act        mdm.Action // what it would have evaded when it came, as that stands now: ID, EnrollmentID, Kind, State, RequestedBy, RequestedAt; zero when nothing
}

// PushStore keeps what a wake-up needs. internal/store implements it.
type PushStore interface {
	// Push returns ErrNotFound when the enrolment is unknown or has no token yet.
	Push(ctx context.Context, id mdm.EnrollmentID) (mdm.Push, error)
	// RequestReport notes in the enrolment's Report that it was asked for at that
	// moment; one that was asked for later stays so. An unknown enrolment is no error.
	RequestReport(ctx context.Context, id mdm.EnrollmentID, at time.Time) error
}

// WakeStore keeps which phones are to be woken. One row per enrolment stands for
// any number of reasons: pushes coalesce, the last one wins. internal/store implements it.
type WakeStore interface {
	// RequestWake makes the named enrolments due at that moment, all active ones
	// when ids is nil; one that is due earlier stays so, but for a microsecond:
	// it is then due at another moment than a wake-up that is under way says, and
	// outlives it, as that one may reach the phone too early. Enrolments that are
	// not active, poll-only, without a token or with a dead one are left out.
	// It returns how many are due at that moment for it, those included that were
	// due before: whoever looks for due ones must look once more, or what is under
	// way would be found again only by the clock.
	RequestWake(ctx context.Context, ids []mdm.EnrollmentID, at time.Time) (int, error)
	// RequestSilent does so for those that were neither seen nor pushed since
	// then, at most limit of them.
	RequestSilent(ctx context.Context, since, at time.Time, limit int) (int, error)
	// DueWakes returns up to limit of what is due at now, the longest due first,
	// without unlock tokens.
	DueWakes(ctx context.Context, now time.Time, limit int) ([]Wakeup, error)
	// SaveWake notes what became of a wake-up unless the token changed meanwhile
	// or it is due at another moment than w says. Dead sets the token aside
	// until TokenUpdate brings another; nothing else of the enrolment changes.
	SaveWake(ctx context.Context, w Wakeup, r WakeResult) error
	// PushState counts what push can do for the active enrolments of a topic.
	PushState(ctx context.Context, topic string) (PushState, error)
}

// Wakeup is one phone to be woken.
type Wakeup struct {
	EnrollmentID mdm.EnrollmentID
	Due          time.Time
	Attempts     int // without success so far
	Push         mdm.Push
}

// WakeResult is what became of a wake-up.
type WakeResult struct {
	At    time.Time
	Next  time.Time // when to try again; zero: done with it
	Dead  bool      // the push service says that this token is no more (410)
	Error string    // reason in the push service's own word; empty on success
}

// PushState is the fleet as push sees it.
type PushState struct {
	Active     int       // active enrolments of Apple phones
	Reachable  int       // hold that topic and a live token
	PollOnly   int       // enrolled under a placeholder topic
	OtherTopic int       // hold another push topic: lost to this certificate
	Dead       int       // token set aside
	Due        int       // waiting to be woken
	LastPushAt time.Time // zero when never
}
