package access

import (
	"strings"
	"time"

	"sallyport/compliance"
	"sallyport/mdm"
)

// What a Reason rests on, as Reason.Rule names it, beside the rules of a
// compliance verdict. Texts in other languages and metrics know them by name.
const (
	RuleUser          = "user"               // is the mailbox's owner known?
	RuleMailOff       = "mail_off"           // may the owner use ActiveSync at all?
	RulePersonalBlock = "personal_block"     // did an admin block the device?
	RuleDevice        = "device"             // is the mail client bound to an enrolment?
	RulePolicy        = "policy"             // does a compliance policy apply?
	RuleVerdict       = "verdict"            // what does compliance say?
	RuleCertificate   = "client_certificate" // did the mail client prove a certificate of the phone?
	RuleConditions    = "conditions"         // what do the conditional-access policies say?
	RulePersonalAllow = "personal_allow"     // did an admin allow the device?
	RuleKind          = "device_rule"        // what does a rule say of such devices?
	RuleDefault       = "default"            // what is said of everything else?
)

// ruleWithdrawn is compliance's: the act counts from its commit, and not only
// from the verdict that follows it.
const ruleWithdrawn = string(compliance.RuleWithdrawn)

// The words of a fix are for the person who holds the phone.
const (
	fixAsk    = "Ask your administrator."
	fixEnroll = "Enrol the phone with the link from your administrator, and use the mail account that it then sets up."
	fixUnlock = "Unlock the phone and connect it to the internet; if that does not help, ask your administrator."
	fixFinish = "Finish the enrolment on the phone: install the downloaded profile in Settings."
	fixAnew   = "Ask your administrator for a new invitation: this phone must be set up again."
)

func reasonUnknownUser() Reason {
	return Reason{Rule: RuleUser, Fact: "nobody here has this mailbox",
		Fix: "Check the user name in the mail account; if it is right, ask your administrator."}
}

func reasonAmbiguousUser() Reason {
	return Reason{Rule: RuleUser, Fact: "the user name belongs to more than one person",
		Fix: "Use your full e-mail address as the user name of the mail account."}
}

func reasonMailOff(since time.Time) Reason {
	return Reason{Rule: RuleMailOff, Fact: "mail on phones is switched off for this user", Since: since,
		Fix: "Ask your administrator whether it can be switched on."}
}

func reasonBlocked(word *Personal) Reason {
	fact := "an administrator blocked this device"
	if word.Key == "" {
		fact = "an administrator blocked every device of this user"
	}
	return Reason{Rule: RulePersonalBlock, Fact: fact, Since: word.At, Fix: "Ask your administrator why, and whether it can be taken back."}
}

// reasonWithdrawn gives the verdict's own words on the act where it has any yet.
func reasonWithdrawn(p *Phone) Reason {
	if f := p.finding(compliance.RuleWithdrawn); f != nil && f.State == compliance.Failed {
		return ofFinding(*f)
	}
	return Reason{Rule: ruleWithdrawn, Fact: "an administrator withdrew the mail from this phone",
		Fix: "Ask your administrator: once the mail profile is sent again, the mailbox opens by itself."}
}

func reasonUnbound() Reason {
	return Reason{Rule: RuleDevice, Fact: "this device is not enrolled for this mailbox", Fix: fixEnroll}
}

func reasonUnconfirmed() Reason {
	return Reason{Rule: RuleDevice, Fact: "nobody has confirmed yet that this device is the enrolled phone",
		Fix: "Ask your administrator to confirm this device, or use the mail account that the enrolment sets up."}
}

// reasonJourney is about a phone whose enrolment is not finished, or over.
func reasonJourney(state mdm.EnrollmentState) Reason {
	switch {
	case !state.Ended():
		return Reason{Rule: RuleDevice, Fact: "the phone's enrolment is not finished", Fix: fixFinish}
	case state == mdm.Replaced:
		return Reason{Rule: RuleDevice, Fact: "the phone was enrolled anew", Fix: fixAnew}
	default:
		return Reason{Rule: RuleDevice, Fact: "management was removed from the phone", Fix: fixAnew}
	}
}

func reasonMeets(v *compliance.Verdict) Reason {
	return Reason{Rule: RuleVerdict, Fact: "the phone meets policy " + v.Policy, Since: v.Since}
}

func reasonGrace(v *compliance.Verdict) Reason {
	return Reason{Rule: RuleVerdict, Since: v.Since,
		Fact: "the phone does not meet policy " + v.Policy + ", and is in grace until " + stamp(v.GraceUntil),
		Fix:  "Do what the other reasons say before the grace ends."}
}

func reasonNoVerdict(v *compliance.Verdict) Reason {
	if v.State == "" || v.State == compliance.NotEvaluated && v.Policy == "" {
		return Reason{Rule: RulePolicy, Fact: "no compliance policy applies to this user", Since: v.Since,
			Fix: "Ask your administrator to assign a compliance policy to you: none is."}
	}
	return Reason{Rule: RuleVerdict, Fact: `the phone's verdict is "` + string(v.State) + `"`, Since: v.Since, Fix: fixUnlock}
}

// unrenewed is the verdict on a phone that should have been judged anew and could
// not be: what is known of it is too old to count.
func unrenewed(v *compliance.Verdict) compliance.Verdict {
	return compliance.Verdict{EnrollmentID: v.EnrollmentID, State: compliance.Unknown, Since: v.ValidUntil, At: v.At, ValidUntil: v.ValidUntil, Policy: v.Policy,
		Findings: []compliance.Finding{{Rule: RuleVerdict, State: compliance.Failed, Since: v.ValidUntil, Fact: "the server could not judge this phone again",
			Fix: "Wait a moment; if mail does not come back, tell your administrator."}}}
}

func reasonNoMailProfile(v *compliance.Verdict) Reason {
	return Reason{Rule: string(compliance.RuleMailProfile), Fact: "nothing is known of the mail profile on this phone", Since: v.Since,
		Fix: "Ask your administrator: no compliance policy of yours asks for the mail profile."}
}

func reasonCertificate(shown bool) Reason {
	if shown {
		return Reason{Rule: RuleCertificate, Fact: "the mail client showed a certificate that is not, or no longer, this phone's",
			Fix: "Use the mail account that the phone's management set up, and remove one made by hand."}
	}
	return Reason{Rule: RuleCertificate, Fact: "the mail client showed no certificate",
		Fix: "Use the mail account that the phone's management set up: it brings its certificate along."}
}

func reasonAllowed(word *Personal) Reason {
	return Reason{Rule: RulePersonalAllow, Fact: "an administrator allowed this device", Since: word.At}
}

func reasonRule(r *Rule) Reason {
	since := r.At
	if since.IsZero() {
		since = r.CreatedAt
	}
	reason := Reason{Rule: RuleKind, Since: since}
	switch r.Effect {
	case Allow:
		reason.Fact = "devices of this kind are allowed: " + r.Criteria()
	case Quarantine:
		reason.Fact, reason.Fix = "devices of this kind wait until an administrator has looked at them: "+r.Criteria(), "Ask your administrator to allow this device."
	default:
		reason.Fact, reason.Fix = "devices of this kind are blocked: "+r.Criteria(), "Ask your administrator which devices may be used."
	}
	return reason
}

func reasonDefault(e Effect) Reason {
	if e == Allow {
		return Reason{Rule: RuleDefault, Fact: "devices of which nothing else is said are allowed"}
	}
	return Reason{Rule: RuleDefault, Fact: "no conditional-access policy applies to this device", Fix: "Ask your administrator to allow this device."}
}

func ofFinding(f compliance.Finding) Reason {
	return Reason{Rule: string(f.Rule), Fact: f.Fact, Since: f.Since, Fix: f.Fix}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// Criteria says in words of which devices a rule speaks: "family iPhone, OS iOS 16*".
func (r *Rule) Criteria() string {
	var words []string
	for _, c := range r.criteria() {
		if c.value != "" {
			words = append(words, c.name+" "+c.value)
		}
	}
	return strings.Join(words, ", ")
}
