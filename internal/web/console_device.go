package web

import "time"

// ConsoleDevices is one page of the list.
type ConsoleDevices struct {
	Search, Decision, Verdict string // what was asked for; empty: everything
	Rows                      []ConsoleRow
	Next                      string // address of what follows; empty: nothing does
	Looked                    int    // people that were looked at before the search was broken off; 0: it was not
	Start                     string // address of the first page; empty: this is it
}

// Filtered reports whether something was asked for.
func (d ConsoleDevices) Filtered() bool { return d.Search+d.Decision+d.Verdict != "" }

// ConsoleRow is a mail client with its phone, or one of the two. Whatever is empty
// no source has told.
type ConsoleRow struct {
	Address                              string // of its own page
	User, Name, Model, System, Ownership string
	Verdict                              string
	VerdictSince                         time.Time
	Decision, Step, Fact                 string
	DecisionSince                        time.Time
	MailAt, PhoneAt                      time.Time // newest contacts
}

// ConsoleDevice is one device with all that is known of it. What is nil is not there.
type ConsoleDevice struct {
	User     string
	Name     string // of the device, as its reader would call it
	Decision *ConsoleDecision
	Verdict  *ConsoleVerdict
	Phone    *ConsolePhone
	Client   *ConsoleClient
	LeftOut  []ConsoleLeftOut
	Advice   []ConsoleAdvice
	Bindings []ConsoleBinding
	Words    []ConsoleWord
	Inputs   string // JSON
	Commands []ConsoleCommand
}

// ConsoleDecision is what a gate would be told now, and why.
type ConsoleDecision struct {
	Effect, Step string
	Since        time.Time // when it was published so; zero: not yet
	ValidUntil   time.Time
	Reasons      []ConsoleReason
	Trace        []ConsoleStep // in the order of the decision; the last one decided
}

// ConsoleReason is one ground, in the words that the user reads.
type ConsoleReason struct {
	Rule, Fact, Fix string
	Since           time.Time
}

// ConsoleStep is one line of the trace.
type ConsoleStep struct {
	Step, Subject, Outcome, Fact string
	Decided                      bool
}

// ConsoleVerdict is what compliance says of the phone.
type ConsoleVerdict struct {
	State, Policy               string
	Since, At, GraceUntil, Ends time.Time
	Findings                    []ConsoleFinding
}

// ConsoleFinding is the outcome of one rule.
type ConsoleFinding struct {
	Rule, State, Fact, Expected, Fix string
	Since                            time.Time
}

// ConsolePhone is what the phone and our books say of it.
type ConsolePhone struct {
	ID, Enrollment, State, Ownership, Platform string
	Name, Label, Product, Model, System        string
	Serial, UDID, EASDeviceID, Withheld        string
	PollOnly                                   bool
	EnrolledAt, SeenAt, EndedAt                time.Time
}

// ConsoleLeftOut is a template of the user that is not on the phone, as another one
// has its place.
type ConsoleLeftOut struct {
	Template       string
	App            string // that it would set up; empty but on Android
	Reason, Remedy string
}

// ConsoleClient is what the mail client says of itself.
type ConsoleClient struct {
	ID, Type, Model, System, Agent, Protocol, Address string
	Spellings                                         []string
	FirstAt, LastAt, SyncAt                           time.Time
}

// ConsoleAdvice is a next step: what it does, and the line that does it.
type ConsoleAdvice struct{ Key, Command string }

// ConsoleBinding is an enrolment that the mail client is, or may be.
type ConsoleBinding struct{ Enrollment, State, Proof, Verdict string }

// ConsoleWord is what an admin has said of the device.
type ConsoleWord struct {
	Kind, By, Reason string
	Every            bool // of every device of the user
	At, Until        time.Time
}

// ConsoleCommand is a command that was handed to the phone.
type ConsoleCommand struct {
	Type, Subject, State, Error string
	SentAt, DoneAt              time.Time
}

// ConsoleDevices renders the list of devices.
func (p *Pages) ConsoleDevices(acceptLanguage string, f ConsoleFrame, d ConsoleDevices) ([]byte, error) {
	return p.console(acceptLanguage, "devices", f, "", d)
}

// ConsoleDevice renders the page of one device.
func (p *Pages) ConsoleDevice(acceptLanguage string, f ConsoleFrame, d ConsoleDevice) ([]byte, error) {
	return p.console(acceptLanguage, "device", f, "", d)
}
