package enroll

import (
	"context"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/android"
	"sallyport/profiles/managedconfig"
)

// AndroidEnterprise is what ties this installation to Google's Android Management
// API. There is at most one.
type AndroidEnterprise struct {
	Project    string       // the customer's own cloud project
	Topic      string       // "projects/P/topics/T": what Google tells of devices goes there
	Account    secret.Value // key file of its service account, JSON
	Signup     string       // resource name of the sign-up under way; empty when none is
	StateHash  []byte       // of the state that the callback must bring; nil when no sign-up is under way
	StateUntil time.Time
	Name       string       // "enterprises/LC0…"; empty until the sign-up is finished
	Secret     secret.Value // last part of the URL at which Google tells us of devices
	CreatedAt  time.Time
	FinishedAt time.Time // zero until the sign-up is finished
	SetUpAt    time.Time // when Google took all that we set up of it; zero: not since it last changed
	NotifiedAt time.Time // when Google told of something last, to the minute; zero: never
}

// AndroidEnterpriseStore keeps it, its secrets sealed. internal/store implements it.
type AndroidEnterpriseStore interface {
	// AndroidEnterprise returns ErrNotFound when no sign-up was ever begun.
	AndroidEnterprise(ctx context.Context) (AndroidEnterprise, error)
	// BeginSignup takes the place of a sign-up that was never finished, with the
	// entry. ErrConflict when there is an enterprise.
	BeginSignup(ctx context.Context, e AndroidEnterprise, entry audit.Entry) error
	// FinishSignup names the enterprise that came of the sign-up under that state,
	// which is void from then on, with the entry. ErrConflict when no such sign-up
	// is under way (any more).
	FinishSignup(ctx context.Context, stateHash []byte, name string, at time.Time, entry audit.Entry) error
	// ReplaceAccount puts another key of the same project in place, and another
	// topic, with the entry: the enterprise is to be set up once more. ErrConflict
	// for another project, ErrNotFound without an enterprise.
	ReplaceAccount(ctx context.Context, e AndroidEnterprise, entry audit.Entry) error
	// AndroidSetUp notes SetUpAt.
	AndroidSetUp(ctx context.Context, at time.Time) error
}

// AndroidTicket is what an enrolment token at Google carries: an opaque number
// that leads to an invitation.
type AndroidTicket struct {
	Hash         []byte // of the ticket, which is not kept
	InvitationID InvitationID
	Ownership    mdm.Ownership
	Token        string // resource name at Google of the token that carries it
	CreatedAt    time.Time
	ExpiresAt    time.Time        // of the token
	VoidAt       time.Time        // a fresh one took its place; zero while none did
	UsedAt       time.Time        // zero until a phone came with it
	EnrollmentID mdm.EnrollmentID // of that phone
	Due          time.Time        // when the token is to be deleted at Google; zero: it is gone
	Attempts     int              // to delete it, without success
}

// AndroidTicketStore keeps tickets. internal/store implements it.
type AndroidTicketStore interface {
	// CreateTicket inserts a ticket whose token falls due when it expires, with the
	// entry; those of the same invitation that were not used become void, and their
	// tokens fall due at once. ErrConflict unless the invitation is open at CreatedAt.
	CreateTicket(ctx context.Context, t AndroidTicket, entry audit.Entry) error
	// TicketByHash returns ErrNotFound when unknown.
	TicketByHash(ctx context.Context, hash []byte) (AndroidTicket, error)
	// NewestTicket is the one that was used, or else the newest of an invitation;
	// ErrNotFound when there is none.
	NewestTicket(ctx context.Context, id InvitationID) (AndroidTicket, error)
	// DueTickets returns up to limit whose tokens are to be deleted at now, the
	// longest due first.
	DueTickets(ctx context.Context, now time.Time, limit int) ([]AndroidTicket, error)
	// TicketTried notes an attempt to delete a token: next is when to try again,
	// zero when it is gone.
	TicketTried(ctx context.Context, hash []byte, next time.Time) error
}

// AndroidPhone is what ties an enrolment to a device at Google.
type AndroidPhone struct {
	EnrollmentID mdm.EnrollmentID
	Name         string // resource name: "enterprises/E/devices/D"
	Mode         android.Mode
	ReportedAt   time.Time // when it reported what is on record; zero: never
	Sent         AndroidPolicy
	Due          time.Time // when its policy is to be looked at again; zero: nothing waits
	Attempts     int       // without success so far
	Error        string    // of the last attempt, in plain words; empty after success
	MissingSince time.Time // since when complete lists of Google's devices lack it; zero: they do not
}

// AndroidPolicy is what Google was told last of a device's policy.
type AndroidPolicy struct {
	Name     string `json:"name,omitempty"` // last part of the policy's name; empty: none of its own yet
	Hash     string `json:"hash,omitempty"` // of all of it; empty: it is to be sent whatever it is
	MailHash string `json:"mail_hash,omitempty"`
	Version  int64  `json:"version,omitempty"`
	// Since is the first version that differs from this one in nothing but the companion
	// app, and BareHash stands for that: a phone that has it keeps its policy.
	Since    int64             `json:"since,omitempty"`
	BareHash string            `json:"bare_hash,omitempty"`
	Assigned bool              `json:"assigned,omitempty"` // the device was told to have it
	Mail     []AndroidMail     `json:"mail,omitempty"`
	Keys     map[string]string `json:"keys,omitempty"`   // revisions that the companion app was told, by alias
	KnoxAt   time.Time         `json:"knox_at,omitzero"` // when the challenge was made that the Knox Service Plugin was told
}

// AndroidMail is a mail account in a policy.
type AndroidMail struct {
	Identifier  string `json:"identifier"` // templates.ProfileIdentifier
	Name        string `json:"name"`       // of the template
	UUID        string `json:"uuid"`       // of the rendered configuration and its app
	Package     string `json:"package"`
	EASDeviceID string `json:"eas_device_id,omitempty"` // that the app is told to present; empty where it makes its own
	Alias       string `json:"alias,omitempty"`         // of the key that the app is told to sign in with; empty: none
	Since       int64  `json:"since"`                   // the first version of the policy that has it so
}

// AndroidAdmission is a phone that came with a ticket.
type AndroidAdmission struct {
	Ticket     []byte // hash
	Phone      AndroidPhone
	Previous   []string // resource names that the same device had before
	Device     mdm.Device
	Enrollment mdm.Enrollment
	Report     mdm.Report
	Entry      audit.Entry
}

// AndroidPhoneStore keeps phones and what they report. internal/store implements it.
type AndroidPhoneStore interface {
	// AdmitAndroid enrols a phone in one transaction: the ticket is used, its token
	// falls due, its invitation is used up; the enrolment is made as
	// EnrollmentStore.Admit does, and made active as Activate does, with the same
	// rules of who is Held and what is Replaced. A device that has another identifier
	// now than under one of its previous names is the one on record. The
	// report is its first, and the phone's policy is due at once. ErrConflict, and
	// nothing, when the ticket was used by another phone, its invitation is not
	// open (whatever the time: the token was), or the name is that of an enrolment
	// which has not ended; ErrNotFound when the ticket or its user is unknown.
	AdmitAndroid(ctx context.Context, a AndroidAdmission) (mdm.Enrollment, error)
	// AndroidPhone finds by the name at Google; ErrNotFound.
	AndroidPhone(ctx context.Context, name string) (AndroidPhone, error)
	// AndroidPhoneOf finds by enrolment; ErrNotFound.
	AndroidPhoneOf(ctx context.Context, id mdm.EnrollmentID) (AndroidPhone, error)
	// SaveAndroidReport merges a report that the phone made at that moment, as
	// AndroidPolicy.Confirm completes it, and notes that it was seen then, with
	// EventReported. One that is older than ReportedAt, or of an enrolment that has
	// ended, changes nothing, and is no error; ErrNotFound for an unknown phone.
	SaveAndroidReport(ctx context.Context, id mdm.EnrollmentID, at time.Time, r mdm.Report) error
	// NoteNotified notes that Google told of something at that moment.
	NoteNotified(ctx context.Context, at time.Time) error
}

// AndroidPolicyStore keeps which phones' policies are to be looked at. One row per
// phone stands for any number of reasons. internal/store implements it.
type AndroidPolicyStore interface {
	// RequestPolicies makes the named enrolments' phones due at that moment, those
	// of all enrolments that have not ended when ids is nil; one that is due earlier
	// stays so, but for a microsecond, and counts (see WakeStore). Attempts that
	// failed are forgotten. It returns how many phones are due at that moment for it.
	RequestPolicies(ctx context.Context, ids []mdm.EnrollmentID, at time.Time) (int, error)
	// DuePolicies returns up to limit of what is due at now, the longest due first.
	DuePolicies(ctx context.Context, now time.Time, limit int) ([]AndroidPhone, error)
	// SavePolicy notes Sent, Attempts and Error of a phone; next becomes Due unless it
	// is due at another moment meanwhile than p says. Where that changes what
	// AndroidPolicy.Confirm makes of the report on record, that changes with it, with
	// EventReported. ErrNotFound for an unknown phone.
	SavePolicy(ctx context.Context, p AndroidPhone, next time.Time) error
	// KeepPolicies is SavePolicy for phones that went well and whose Sent is as it
	// was, in one transaction: none of them is due any more but who was made due
	// meanwhile.
	KeepPolicies(ctx context.Context, phones []AndroidPhone) error
	// AndroidState counts.
	AndroidState(ctx context.Context) (AndroidState, error)
}

// AndroidState is the fleet of Android phones.
type AndroidState struct {
	Active  int            `json:"active"`          // active enrolments
	Due     int            `json:"due"`             // wait for their policy to be looked at
	Failing int            `json:"failing"`         // of them, after an attempt that failed
	Left    int            `json:"left"`            // keep the policy that they have, as none can be made that is better
	Missing int            `json:"missing"`         // that Google's list lacks
	Errors  map[string]int `json:"errors"`          // what the failing ones and those say, by number of phones
	Tokens  int            `json:"tokens_to_clear"` // used or expired, and not deleted at Google yet
	// What one of them said last, and when; empty and zero where none did.
	NewestError string    `json:"newest_error,omitempty"`
	FailedAt    time.Time `json:"failed_at,omitzero"`
	ReportedAt  time.Time `json:"reported_at,omitzero"` // the newest report of an active one
}

// AndroidListStore compares what is on record to Google's list of devices.
// internal/store implements it.
type AndroidListStore interface {
	// LivePhones returns up to limit phones whose enrolments have not ended, after
	// the cursor in the order of their enrolments' IDs.
	LivePhones(ctx context.Context, after mdm.EnrollmentID, limit int) ([]AndroidPhone, error)
	// SaveMissing notes AndroidPhone.MissingSince; ErrNotFound for an unknown phone.
	SaveMissing(ctx context.Context, id mdm.EnrollmentID, since time.Time) error
}

// AndroidOperationStore ties Google's operations to our commands. internal/store
// implements it.
type AndroidOperationStore interface {
	// SaveOperation is repeatable.
	SaveOperation(ctx context.Context, o AndroidOperation) error
	// OperationByName returns ErrNotFound when unknown.
	OperationByName(ctx context.Context, name string) (AndroidOperation, error)
	// OperationOf is the operation of a command; ErrNotFound when there is none.
	OperationOf(ctx context.Context, id mdm.CommandID) (AndroidOperation, error)
	// OpenOperations returns up to limit whose commands are Sent, after the cursor in
	// the order of their names.
	OpenOperations(ctx context.Context, after string, limit int) ([]AndroidOperation, error)
}

// AndroidOperation is what Google made of a command.
type AndroidOperation struct {
	Name         string // "enterprises/E/devices/D/operations/N"
	EnrollmentID mdm.EnrollmentID
	CommandID    mdm.CommandID
	CreatedAt    time.Time
}

// AndroidSchemaStore keeps what mail apps say of their managed configurations, so
// that every server renders alike. internal/store implements it.
type AndroidSchemaStore interface {
	// AndroidSchemas returns what is on record, by package; none without error.
	AndroidSchemas(ctx context.Context) (map[managedconfig.Package]AndroidSchema, error)
	// SaveAndroidSchema takes the place of the app's one before.
	SaveAndroidSchema(ctx context.Context, s AndroidSchema) error
}

// AndroidSchema is an app's schema as Google told it.
type AndroidSchema struct {
	Schema    managedconfig.Schema
	FetchedAt time.Time
}
