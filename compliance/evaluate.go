package compliance

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"sallyport/mdm"
)

const (
	// maxValid bounds a verdict whose answer nothing we know of will change.
	maxValid = 24 * time.Hour
	// settled is for enrolments that have ended for good: no sweep looks at them again.
	settled = 10 * 365 * 24 * time.Hour
	// maxClockStep is how far ahead a moment may be that was noted before our
	// clock was set back. What is further ahead counts for nothing.
	maxClockStep = 24 * time.Hour
)

// usualRules is how many outcomes need no memory of their own.
const usualRules = 8

// Evaluate says how a phone stands under policy (nil when none applies; make
// one of several by Strictest). Expected and report must be of the enrolment
// itself, so that facts of an earlier enrolment of the same phone never count.
//
// The first that holds decides the state:
//
//  1. the enrolment has ended, its user was removed, or an admin's act withdrew
//     the mail: not compliant, without grace;
//  2. the enrolment is not finished, or no policy applies: not evaluated;
//  3. silent for too long: unknown, without grace;
//  4. a rule has failed for longer than the grace: not compliant;
//  5. a rule's fact was not reported: not evaluated, even while another rule is in grace;
//  6. a rule has failed: in grace;
//  7. compliant.
//
// A finding that comes out as in previous keeps its Since, and so grace is
// counted from the first failure without a break. ValidUntil is the first
// moment at which the answer could change without a new fact.
func Evaluate(policy *Policy, expected Expected, report mdm.Report, previous Verdict, now time.Time) Verdict {
	now = now.UTC().Truncate(time.Microsecond)
	v := Verdict{EnrollmentID: expected.EnrollmentID, At: now, ValidUntil: now.Add(maxValid)}
	enrolled := ruleEnrolled(expected)
	var room [usualRules]outcome
	outcomes := append(room[:0], enrolled)
	switch {
	case enrolled.State == Failed:
		v.State, v.ValidUntil = NotCompliant, now.Add(settled)
	case expected.Withheld == mdm.WithholdEverything:
		v.State = NotCompliant // valid for a day only, lest a lost event shut the mailbox for ever
		outcomes = append(outcomes, ruleWithdrawn(expected.Withdrawal))
	case enrolled.State == Unasked || policy == nil:
		v.State = NotEvaluated
	default:
		v.Policy = policy.Label()
		outcomes = ask(outcomes, policy.Spec.Rules, expected, report, now)
	}
	v.Findings = make([]Finding, 0, len(outcomes))
	for _, o := range outcomes {
		o.Since = since(o.Finding, previous, now)
		v.Findings = append(v.Findings, o.Finding)
		if !o.until.IsZero() && o.until.Before(v.ValidUntil) {
			v.ValidUntil = o.until
		}
	}
	if v.State == "" {
		v.decide(policy.Spec, expected.Watched, now)
	}
	v.Since = now
	if previous.State == v.State && previous.Since.Before(now) {
		v.Since = previous.Since
	}
	return v
}

// decide is steps 3 to 7 of Evaluate.
func (v *Verdict) decide(spec Spec, watched Watched, now time.Time) {
	grace := spec.grace().std()
	var graceUntil time.Time
	var silent, overdue, untold bool
	for _, f := range v.Findings {
		switch {
		case f.State == Unasked:
			untold = true
		case f.State == Failed && f.Rule == RuleReported:
			silent = true
		case f.State == Failed:
			end := f.Since.Add(grace)
			if spec.Actions.Block != nil && !watched.At.IsZero() { // a clock that leapt ahead shuts no mailbox
				end = latest(end, now.Add(grace-watched.until(now)))
			}
			overdue = overdue || !now.Before(end)
			graceUntil = earliest(graceUntil, end)
		}
	}
	switch {
	case silent:
		v.State = Unknown
		return
	case overdue:
		v.State = NotCompliant
		return
	case untold:
		v.State = NotEvaluated
	case !graceUntil.IsZero():
		v.State, v.GraceUntil = InGrace, graceUntil
	default:
		v.State = Compliant
	}
	if !graceUntil.IsZero() && graceUntil.Before(v.ValidUntil) {
		v.ValidUntil = graceUntil
	}
}

// ask puts the policy's questions in the order in which they are shown, and appends
// what comes out.
func ask(outcomes []outcome, rules Rules, e Expected, r mdm.Report, now time.Time) []outcome {
	if e.Platform == mdm.Android {
		outcomes = append(outcomes, ruleManaged(e, r))
	}
	if rules.MailProfile {
		outcomes = append(outcomes, ruleMail(e, r, now))
	}
	if rules.Passcode {
		outcomes = append(outcomes, rulePasscode(e, r))
	}
	if rules.Encryption {
		outcomes = append(outcomes, ruleEncryption(e, r))
	}
	if len(rules.MinimumOS) > 0 {
		outcomes = append(outcomes, ruleOS(e, r, rules.MinimumOS, now))
	}
	if rules.Supervised {
		outcomes = append(outcomes, ruleSupervised(e, r))
	}
	if rules.NotJailbroken {
		outcomes = append(outcomes, ruleJailbreak(e, r))
	}
	if len(rules.ForbiddenApps) > 0 {
		outcomes = append(outcomes, ruleForbiddenApps(e, r, rules.ForbiddenApps))
	}
	if len(rules.RequiredApps) > 0 {
		outcomes = append(outcomes, ruleRequiredApps(e, r, rules.RequiredApps))
	}
	rules.Custom = readied(rules.Custom)
	for _, c := range rules.Custom {
		outcomes = append(outcomes, ruleCustom(c, e, r))
	}
	if rules.IdentityCertificate {
		outcomes = append(outcomes, ruleIdentity(e, now))
	}
	if rules.ReportedWithin != 0 {
		outcomes = append(outcomes, ruleReported(e, r, rules, now))
	}
	return outcomes
}

func ruleEnrolled(e Expected) outcome {
	switch {
	case e.UserRemoved:
		return failed(RuleEnrolled, "the user was removed", "Ask your administrator whether your account still exists.")
	case e.State == mdm.CheckedOut:
		return failed(RuleEnrolled, "management was removed from the phone", fixEnroll)
	case e.State == mdm.Replaced:
		return failed(RuleEnrolled, "the phone was enrolled anew", fixEnroll)
	case e.State == mdm.Retired:
		return failed(RuleEnrolled, "an administrator ended the management of this phone", fixEnroll)
	case e.State == mdm.Refused:
		return failed(RuleEnrolled, "an administrator refused this enrolment", fixEnroll)
	case e.State == mdm.Held:
		o := unasked(RuleEnrolled, "this phone is on record for another user")
		o.Fix = "Ask your administrator to admit this phone: it was enrolled for somebody else before."
		return o
	case e.State.Active():
		return met(RuleEnrolled, "the phone is managed", time.Time{})
	default:
		o := unasked(RuleEnrolled, "the enrolment is not finished")
		o.Fix = "Finish the enrolment on the phone: install the downloaded profile in Settings."
		return o
	}
}

// ruleWithdrawn tells what an administrator did, and never comes out well: it is
// asked only where the mail was withdrawn.
func ruleWithdrawn(w Withdrawal) outcome {
	fact := "an administrator withdrew the mail from this phone"
	if w.Act != "" {
		fact += fmt.Sprintf(": %s, ordered by %s at %s", w.Act, cmp.Or(w.By, "an unknown person"), w.At.UTC().Format("2006-01-02 15:04 MST"))
	}
	o := failed(RuleWithdrawn, fact, "Ask your administrator: once the mail profile is sent again, the mailbox opens by itself.")
	o.Expected = "not withdrawn"
	return o
}

// since is when this finding first came out this way without a break.
func since(f Finding, previous Verdict, now time.Time) time.Time {
	i := slices.IndexFunc(previous.Findings, func(p Finding) bool { return p.Rule == f.Rule })
	if i < 0 || previous.Findings[i].State != f.State || !previous.Findings[i].Since.Before(now) {
		return now
	}
	return previous.Findings[i].Since
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
