package access

import (
	"fmt"
	"slices"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// facts is all that a decision rests on.
type facts struct {
	users    []directory.User
	bindings []Binding // of the one user and the client's DeviceId
	// verdicts are those of the active bindings.
	verdicts []compliance.Verdict
}

// decide is pure. In this order:
//
//	unknown user, or a login that more than one has    block
//	no binding of the device to the user               quarantine
//	only bindings whose enrolment has ended            block
//	an enrolment that is not finished                  quarantine
//	an admin withdrew the mail                         block
//	otherwise the verdict says
//	  compliant, in grace                              allow
//	  not evaluated                                    quarantine
//	  not compliant, unknown, anything else            block
//
// Where one DeviceId is bound to several active enrolments of the user, the
// strictest answer counts: a phone reports its DeviceId itself, so a second one
// could otherwise speak for the first.
func decide(f facts, now time.Time) Decision {
	switch {
	case len(f.users) == 0:
		return plain(Block, now, RuleUser, "nobody here has this mailbox",
			"Check the user name in the mail account; if it is right, ask your administrator.")
	case len(f.users) > 1:
		return plain(Block, now, RuleUser, "the user name belongs to more than one person",
			"Use your full e-mail address as the user name of the mail account.")
	case len(f.bindings) == 0:
		return plain(Quarantine, now, RuleDevice, "this device is not enrolled for this mailbox",
			"Enrol the phone with the link from your administrator, and use the mail account that it then sets up.")
	case len(f.verdicts) == 0:
		return withoutVerdict(f.bindings, now)
	}
	strictest := byVerdict(f.verdicts[0], now)
	for _, v := range f.verdicts[1:] {
		if d := byVerdict(v, now); d.Effect.strictness() > strictest.Effect.strictness() {
			d.ValidUntil = earlier(d.ValidUntil, strictest.ValidUntil)
			strictest = d
		} else {
			strictest.ValidUntil = earlier(d.ValidUntil, strictest.ValidUntil)
		}
	}
	if strictest.Effect != Block && withdrawn(f.bindings) { // the verdict is older than the act
		return plain(Block, now, ruleWithdrawn, "an administrator withdrew the mail from this phone",
			"Ask your administrator: once the mail profile is sent again, the mailbox opens by itself.")
	}
	return strictest
}

func withdrawn(bindings []Binding) bool {
	return slices.ContainsFunc(bindings, func(b Binding) bool {
		return b.State.Active() && b.Withheld == mdm.WithholdEverything
	})
}

// withoutVerdict is about a device that is bound, but to no active enrolment.
func withoutVerdict(bindings []Binding, now time.Time) Decision {
	for _, b := range bindings {
		if !b.State.Ended() {
			return plain(Quarantine, now, RuleDevice, "the phone's enrolment is not finished",
				"Finish the enrolment on the phone: install the downloaded profile in Settings.")
		}
	}
	fact := "management was removed from the phone"
	if bindings[0].State == mdm.Replaced {
		fact = "the phone was enrolled anew"
	}
	return plain(Block, now, RuleDevice, fact, "Ask your administrator for a new invitation: this phone must be set up again.")
}

// byVerdict turns a verdict into a decision. Every refusal carries at least one
// reason with what to do about it.
func byVerdict(v compliance.Verdict, now time.Time) Decision {
	d := Decision{ValidUntil: earlier(v.ValidUntil, now.Add(maxValid))}
	switch v.State {
	case compliance.Compliant:
		d.Effect = Allow
		d.Reasons = []Reason{{Rule: RuleVerdict, Fact: fmt.Sprintf("the phone meets policy %s", v.Policy), Since: v.Since}}
		return d
	case compliance.InGrace:
		d.Effect = Allow
		d.Reasons = append([]Reason{{Rule: RuleVerdict, Since: v.Since,
			Fact: fmt.Sprintf("the phone does not meet policy %s, and is in grace until %s", v.Policy, v.GraceUntil.UTC().Format("2006-01-02 15:04 UTC")),
			Fix:  "Do what the other reasons say before the grace ends."}}, reasons(v, compliance.Failed)...)
		return d
	case compliance.NotEvaluated:
		d.Effect = Quarantine
		d.Reasons = append(reasons(v, compliance.Unasked), reasons(v, compliance.Failed)...)
		if v.Policy == "" && len(d.Reasons) == 0 {
			d.Reasons = []Reason{{Rule: RulePolicy, Fact: "no compliance policy applies to this user", Since: v.Since,
				Fix: "Ask your administrator to assign a compliance policy to you: none is."}}
		}
	default:
		d.Effect = Block
		d.Reasons = reasons(v, compliance.Failed)
	}
	if len(d.Reasons) == 0 {
		d.Reasons = []Reason{{Rule: RuleVerdict, Fact: fmt.Sprintf("the phone's verdict is %q", v.State), Since: v.Since,
			Fix: "Unlock the phone and connect it to the internet; if that does not help, ask your administrator."}}
	}
	return d
}

func reasons(v compliance.Verdict, state compliance.RuleState) []Reason {
	var list []Reason
	for _, f := range v.Findings {
		if f.State == state {
			list = append(list, Reason{Rule: string(f.Rule), Fact: f.Fact, Since: f.Since, Fix: f.Fix})
		}
	}
	return list
}

// plain is a decision on one ground that begins now, as nobody noted when it began.
func plain(e Effect, now time.Time, rule, fact, fix string) Decision {
	return Decision{Effect: e, Reasons: []Reason{{Rule: rule, Fact: fact, Since: now, Fix: fix}}, ValidUntil: now.Add(maxValid)}
}

// strictness orders effects; what nobody knows is the strictest.
func (e Effect) strictness() int {
	switch e {
	case Allow:
		return 0
	case Quarantine:
		return 1
	default:
		return 2
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
