package access

import "time"

// Effect is what a gate should do with a request.
type Effect string

const (
	Allow      Effect = "allow"
	Quarantine Effect = "quarantine" // let it connect, give it nothing but an explanation
	Block      Effect = "block"
)

// Reason is one ground of a decision, in words for the person concerned.
type Reason struct {
	Rule  string    `json:"rule"`
	Fact  string    `json:"fact"`
	Since time.Time `json:"since"`
	Fix   string    `json:"fix"`
}

// Decision is the answer. It holds until ValidUntil at the latest.
type Decision struct {
	Effect     Effect    `json:"decision"`
	Step       Step      `json:"step"` // the one that decided
	Reasons    []Reason  `json:"reasons"`
	ValidUntil time.Time `json:"valid_until"` // the earlier of the verdict's and now + 300 s
	// Why is the address of the reason page: unguessable, for the mailbox's owner
	// alone. Empty where there is nothing to explain, or nobody to whom.
	Why string `json:"reason_url,omitempty"`
}

// Step is a place in the order of Decide. The first one that applies decides.
type Step string

const (
	StepUser             Step = "user"              // nobody, or more than one, has this mailbox: block
	StepMailOff          Step = "mail_off"          // mail by ActiveSync is off for the user: block
	StepPersonalBlock    Step = "personal_block"    // an admin blocked this device, or took its mail away: block
	StepConditionsFailed Step = "conditions_failed" // an enforced policy's conditions failed, and no exemption: block
	StepPersonalAllow    Step = "personal_allow"    // an admin allowed this device: allow
	StepRuleBlock        Step = "rule_block"        // a rule says block
	StepRuleQuarantine   Step = "rule_quarantine"   // a rule says quarantine
	StepConditionsPassed Step = "conditions_passed" // all conditions of the enforced policies hold: allow
	StepRuleAllow        Step = "rule_allow"        // a rule says allow
	StepDefault          Step = "default"           // nothing else applied
	// StepUnavailable stands outside the order: storage is out of reach for too
	// long, or the device is not known and cannot be looked up: block.
	StepUnavailable Step = "unavailable"
)

// TraceLine is what one step had to say. A trace has one line for each step up
// to the one that decided, and one for each policy that is assigned to the user,
// whether it enforces or only reports.
type TraceLine struct {
	Step    Step   `json:"step"`
	Subject string `json:"subject,omitempty"` // the policy ("name@revision"), the rule's ID, the enrolment
	Outcome string `json:"outcome"`           // "applies", "does not apply", "passed", "failed", "open", "would block"
	Fact    string `json:"fact"`
}
