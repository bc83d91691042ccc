package compliance

import (
	"time"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// State is what a verdict says.
type State string

const (
	Compliant    State = "compliant"
	InGrace      State = "in_grace"
	NotCompliant State = "not_compliant"
	NotEvaluated State = "not_evaluated" // no policy applies, or the phone has not reported what its rules ask
	Unknown      State = "unknown"       // silent for longer than the policy allows
)

// RuleName names a rule in reasons, metrics and texts.
type RuleName string

const (
	RuleEnrolled    RuleName = "enrolled"
	RuleMailProfile RuleName = "mail_profile"
	RulePasscode    RuleName = "passcode"
	RuleMinimumOS   RuleName = "minimum_os"
	RuleIdentity    RuleName = "identity_certificate"
	RuleReported    RuleName = "reported_within"

	RuleEncryption    RuleName = "encryption"
	RuleSupervised    RuleName = "supervised"
	RuleForbiddenApps RuleName = "forbidden_apps"
	RuleRequiredApps  RuleName = "required_apps"
	RuleNotJailbroken RuleName = "not_jailbroken"
	// RuleManaged is asked of every Android phone, whatever the policies ask.
	RuleManaged RuleName = "managed"
	// customPrefix begins the name of every custom rule: "custom.asset-tag".
	customPrefix = "custom."
	// RuleWithdrawn is asked of no policy: an admin's act took the mail away, and
	// that overrules every policy, and none.
	RuleWithdrawn RuleName = "mail_withdrawn"
)

// RuleState is how one rule came out.
type RuleState string

const (
	Met     RuleState = "met"
	Failed  RuleState = "failed"
	Unasked RuleState = "not_reported" // the phone has not told yet
	// CannotTell is for what no phone of that platform can tell: shown, and counted neither way.
	CannotTell RuleState = "cannot_tell"
)

// Finding is the outcome of one rule.
type Finding struct {
	Rule     RuleName  `json:"rule"`
	State    RuleState `json:"state"`
	Fact     string    `json:"fact"`               // what is: "iOS 16.1"
	Expected string    `json:"expected,omitempty"` // what should be: "at least 17.0"
	Since    time.Time `json:"since"`              // when it first came out this way without a break
	Fix      string    `json:"fix,omitempty"`      // what the user should do; empty when met
	// Reported says that the phone itself told what is failed, and not only our own
	// books. It is not kept: whoever needs it evaluates.
	Reported bool `json:"-"`
}

// Verdict is the outcome of a policy for one enrolment.
type Verdict struct {
	EnrollmentID mdm.EnrollmentID `json:"enrollment_id"`
	State        State            `json:"state"`
	Since        time.Time        `json:"since"` // when State began
	At           time.Time        `json:"at"`    // when it was evaluated
	ValidUntil   time.Time        `json:"valid_until"`
	GraceUntil   time.Time        `json:"grace_until,omitzero"`
	Policy       string           `json:"policy,omitempty"` // "name@revision"; empty when none applies
	Findings     []Finding        `json:"findings"`
}

// Expected is what should be true of one enrolment. enroll computes it.
type Expected struct {
	EnrollmentID mdm.EnrollmentID
	UserID       directory.UserID
	UPN          string   // of the user; policies may be assigned by it
	Groups       []string // of the user
	UserRemoved  bool
	Platform     mdm.Platform
	Ownership    mdm.Ownership
	AccessRights int // as granted when it enrolled; 0: unknown
	State        mdm.EnrollmentState
	LastSeenAt   time.Time
	Withheld     mdm.Withholding   // kept from the phone by an admin
	Withdrawal   Withdrawal        // the act behind Withheld, as far as it is known
	Mail         []ExpectedProfile // profiles that carry the mailbox; empty when no template is assigned
	Identity     ExpectedIdentity
	Policy       ExpectedPolicy // Android: what the phone should have applied
	Watched      Watched        // from the books of this room
}

// Watched is how long a phone was watched while it did not comply.
type Watched struct {
	Total  time.Duration
	At     time.Time // up to when; zero: it is not watched
	Paused bool      // it was silent since
}

// maxTick is what one look at the clock adds at most.
const maxTick = time.Hour

// until is the total at that moment.
func (w Watched) until(now time.Time) time.Duration {
	if w.Paused {
		return w.Total
	}
	return w.Total + min(max(now.Sub(w.At), 0), maxTick)
}

// Withdrawal is the act by which an admin took the mail away.
type Withdrawal struct {
	Act string    // in plain words: "a selective wipe"; empty when unknown
	By  string    // who ordered it
	At  time.Time // when it was ordered
}

// ExpectedProfile is a mail profile as it should stand in the phone's ProfileList.
type ExpectedProfile struct {
	Name           string // of the template
	Identifier     string
	UUID           string    // top-level PayloadUUID of the current revision, upper case
	AcknowledgedAt time.Time // when the phone last acknowledged our InstallProfile of exactly this UUID; zero when never
	Refused        string    // why the phone refused it, when the newest InstallProfile of this UUID failed
	Waits          string    // why it is not sent to the phone yet
	Fix            string    // what the user should do about Refused or Waits; empty: the general advice
	Package        string    // Android: the mail app that has the account
	// Previous are revisions that differ from the current one in nothing but an
	// S/MIME key that we renewed by ourselves. A phone that holds one is as it should
	// be until then: nobody is to lose a mailbox over what nobody asked for.
	Previous []PreviousRevision
}

// ExpectedPolicy is the policy at Google's that an Android phone should have
// applied, in this version or a later one. An empty name: none was made yet.
type ExpectedPolicy struct {
	Name    string // last part of it
	Version int64
	// Companion is the app that brings keys; empty: none does. What is wrong with it
	// is no reason to shut a phone out: whether its key has to be there is a rule of
	// its own.
	Companion string
}

// PreviousRevision is a revision that counts as the current one for a while.
type PreviousRevision struct {
	UUID  string // top-level PayloadUUID
	Until time.Time
}

// ExpectedIdentity is the certificate that the enrolment is pinned to; of an
// Android phone, that its mail app signs in with.
type ExpectedIdentity struct {
	SHA256   string
	NotAfter time.Time
	Revoked  bool
	// Distrusted says that it was revoked because the CA that issued it is trusted no more.
	Distrusted bool
	Failure    string // Android: why the companion app could not bring one, in its own words
}

// Good reports whether the phone can show it.
func (i ExpectedIdentity) Good(now time.Time) bool {
	return i.SHA256 != "" && !i.Revoked && now.Before(i.NotAfter)
}
