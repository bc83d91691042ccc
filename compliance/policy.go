package compliance

import (
	"context"
	"errors"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

var (
	// ErrNotFound says that no such policy, verdict or enrolment is on record.
	ErrNotFound = errors.New("no such policy, verdict or enrolment")
	// ErrInvalid says that a policy cannot be accepted; the refusals name the fields.
	ErrInvalid = errors.New("invalid compliance policy")
)

// Policy is one immutable revision of a set of rules.
type Policy struct {
	Name      string    `json:"name"` // unique, lower case letters, digits and dashes
	Number    int       `json:"revision"`
	Spec      Spec      `json:"spec"`
	Source    string    `json:"source"` // the YAML that an admin applied
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
}

// Spec is what a policy says. A zero rule is not asked for.
type Spec struct {
	Name   string             `yaml:"name" json:"name"`
	Assign directory.Audience `yaml:"assign" json:"assign"`
	Rules  Rules              `yaml:"rules" json:"rules"`
	Grace  Duration           `yaml:"grace" json:"grace,omitempty"` // how long a failed rule may stay failed before it blocks; 0 = at once
	// Actions are what follows with time.
	Actions Actions `yaml:"actions" json:"actions,omitzero"`
}

// Rules are what a policy asks. A zero rule is not asked.
//
// A template's new revision makes mail_profile fail on every phone until it has
// installed it: a policy that asks for it wants some grace. reported_within looks
// at the oldest of the facts that the other rules rest on, so it should be at
// least twice the server's inquiry_max_age.
type Rules struct {
	MailProfile         bool      `yaml:"mail_profile" json:"mail_profile"`                 // the mail profile is installed, managed by us, at the current revision
	Passcode            bool      `yaml:"passcode" json:"passcode"`                         // a passcode is present and compliant
	MinimumOS           MinimumOS `yaml:"minimum_os" json:"minimum_os,omitempty"`           // no older system
	IdentityCertificate bool      `yaml:"identity_certificate" json:"identity_certificate"` // the phone's identity is ours, unexpired, unrevoked
	Encryption          bool      `yaml:"encryption" json:"encryption,omitempty"`           // what it holds is encrypted under a passcode
	Supervised          bool      `yaml:"supervised" json:"supervised,omitempty"`           // it is supervised
	NotJailbroken       bool      `yaml:"not_jailbroken" json:"not_jailbroken,omitempty"`   // it was not broken into, where its platform can tell
	ForbiddenApps       []string  `yaml:"forbidden_apps" json:"forbidden_apps,omitempty"`   // bundle identifiers
	RequiredApps        []string  `yaml:"required_apps" json:"required_apps,omitempty"`     // bundle identifiers
	Custom              []Custom  `yaml:"custom" json:"custom,omitempty"`                   // in the administrator's own words
	ReportedWithin      Duration  `yaml:"reported_within" json:"reported_within,omitempty"` // 1h to 8760h; silent for longer = unknown
}

// askNothing reports whether every phone would pass.
func (r Rules) askNothing() bool {
	asked := r.MailProfile || r.Passcode || r.IdentityCertificate || r.Encryption || r.Supervised || r.ReportedWithin != 0
	return !asked && len(r.MinimumOS)+len(r.ForbiddenApps)+len(r.RequiredApps)+len(r.Custom) == 0
}

// Store keeps policies and verdicts. internal/store implements it.
type Store interface {
	// SavePolicy appends the next revision, with the entry and an
	// EventPolicyChanged; unchanged Source writes nothing, as in templates.Store.
	SavePolicy(ctx context.Context, p Policy, entry audit.Entry) (stored Policy, changed bool, err error)
	// Policies returns the newest revision of every policy by name.
	Policies(ctx context.Context) ([]Policy, error)
	// PolicyRevisions counts the revisions of all policies: it tells one state of
	// them from every other.
	PolicyRevisions(ctx context.Context) (int, error)
	// Verdict returns the stored verdict; ErrNotFound when there is none yet.
	Verdict(ctx context.Context, id mdm.EnrollmentID) (Verdict, error)
	// SaveVerdict replaces the verdict if the stored one still is before (zero
	// At = none); otherwise it returns ErrStale and writes nothing. Where it
	// says anything else than before, it writes an EventVerdict in the same
	// transaction, and the entry where that is the State.
	SaveVerdict(ctx context.Context, before, after Verdict, entry audit.Entry) error
	// DueVerdicts returns enrolments whose verdict's ValidUntil is before now, at most limit.
	DueVerdicts(ctx context.Context, now time.Time, limit int) ([]mdm.EnrollmentID, error)
}

// ErrStale says that a verdict changed under the evaluation: evaluate again.
var ErrStale = errors.New("verdict changed meanwhile")

// Expecter says what should be true of a device. enroll implements it.
type Expecter interface {
	// Expected returns what we expect and what was reported, read together.
	// ErrNotFound of this room when no such enrolment is on record.
	Expected(ctx context.Context, id mdm.EnrollmentID) (Expected, mdm.Report, error)
	// Subjects returns the same of up to limit active enrolments after the cursor, in the
	// order of their ID, with the verdict on record and Expected.Watched. Of the
	// report it may leave out what no rule looks at.
	Subjects(ctx context.Context, after mdm.EnrollmentID, limit int) ([]Subject, error)
	// Unmailed names up to limit users of an audience to whom no mail template is
	// assigned, in the order of their UPN, and says how many there are.
	Unmailed(ctx context.Context, a directory.Audience, limit int) (upns []string, total int, err error)
}
