package compliance

import (
	"context"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// Spell is the time in which a phone does not comply, from the first failed rule
// until all are met. It goes on through silence, which does not count.
type Spell struct {
	EnrollmentID mdm.EnrollmentID
	ID           string // tells it from every other
	StartedAt    time.Time
	Watched      time.Duration // how long we have watched it
	Reported     time.Duration // of that, while the phone itself told what it fails
	Running      Watching      // WatchPaused, WatchFailing or WatchReported
	UserAt       time.Time     // when each action was done; zero: it was not
	AdminsAt     time.Time
	RetireAt     time.Time
}

// Watching says what a verdict does to the spell of its enrolment.
type Watching int

const (
	WatchPaused   Watching = iota // silent, or not evaluated: it neither counts nor ends
	WatchFailing                  // it counts
	WatchReported                 // it counts, and the phone itself told what it fails
	WatchOver                     // the phone complies, or is no longer ours to judge
)

// Watching is only right of a verdict that was just made: Finding.Reported is not kept.
func (v Verdict) Watching() Watching {
	failing := WatchFailing
	for _, f := range v.Findings {
		switch {
		case f.State != Failed:
		case f.Rule == RuleEnrolled, f.Rule == RuleWithdrawn:
			return WatchOver
		case f.Reported:
			failing = WatchReported
		}
	}
	switch v.State {
	case Compliant:
		return WatchOver
	case InGrace, NotCompliant:
		return failing
	}
	return WatchPaused
}

// NoticeKind says who is to be told.
type NoticeKind string

const (
	NoticeUser   NoticeKind = "notify_user"
	NoticeAdmins NoticeKind = "notify_admins"
)

// Notice is one message that a policy asks for. Whoever sends it must take it for
// the same when it comes with the same Key again: it comes until it was taken.
type Notice struct {
	Key          string           `json:"key"`
	Kind         NoticeKind       `json:"kind"`
	EnrollmentID mdm.EnrollmentID `json:"enrollment_id"`
	UserID       directory.UserID `json:"user_id"`
	UPN          string           `json:"user"`
	Policy       string           `json:"policy"`
	State        State            `json:"state"`
	Findings     []Finding        `json:"findings"` // the failed ones
	Since        time.Time        `json:"since"`    // when the phone began not to comply
	At           time.Time        `json:"at"`       // when the notice fell due
	BlockAt      time.Time        `json:"block_at,omitzero"`
	RetireAt     time.Time        `json:"retire_at,omitzero"`
}

// Notifier delivers notices. An error means that it comes again later.
type Notifier interface {
	Notify(ctx context.Context, n Notice) error
}

// Retirer ends the management of a phone as an administrator's act would. enroll
// implements it.
type Retirer interface {
	// RetireFor orders it on behalf of a policy, unless such an act is under way. Where the
	// server asks for a second owner's consent, so does this. It does nothing to an
	// enrolment that does not stand for its device any more.
	RetireFor(ctx context.Context, id mdm.EnrollmentID, policy string) error
}

// WatchStore keeps spells and notices. internal/store implements it.
//
// SaveVerdict and SaveVerdicts of the same store begin, count on, pause and end a
// spell as Verdict.Watching of the new verdict says, in the same transaction:
// each adds the time since the last one, an hour at most, and nothing where the
// clock went back. A spell that begins or goes on after a pause, or whose verdict
// names another policy, is due at once; one that ends takes its notices along.
type WatchStore interface {
	// Watched is how long an enrolment was watched; zero where it has no spell.
	Watched(ctx context.Context, id mdm.EnrollmentID) (Watched, error)
	// Spell returns ErrNotFound where there is none.
	Spell(ctx context.Context, id mdm.EnrollmentID) (Spell, error)
	// DueSpells returns those to be looked at now, at most limit: also those whose
	// time lies more than a day ahead, as a clock that was set right leaves it.
	DueSpells(ctx context.Context, now time.Time, limit int) ([]mdm.EnrollmentID, error)
	// SaveSpell notes what was done in a spell and when it is to be looked at next,
	// with the notices and entries; nothing where that spell is over. A notice whose
	// Key is on record stays as it is.
	SaveSpell(ctx context.Context, s Spell, next time.Time, notices []Notice, entries []audit.Entry) error
	// DueNotices returns those to be delivered now, the longest due first.
	DueNotices(ctx context.Context, now time.Time, limit int) ([]Notice, error)
	// NoticeTaken forgets one that was delivered.
	NoticeTaken(ctx context.Context, key string) error
	// NoticeFailed has it come again, after 1, 2, 4 minutes and so on to an hour.
	NoticeFailed(ctx context.Context, key string, now time.Time) error
}
