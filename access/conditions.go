package access

import (
	"slices"

	"sallyport/compliance"
	"sallyport/enroll/directory"
)

// standing is how a requirement, a policy or all of them came out. The larger
// one is the stricter, and of several the strictest counts: a phone reports its
// DeviceId itself, so a second one could otherwise speak for the first.
type standing int

const (
	passed standing = iota
	open            // neither passed nor failed
	failed
)

// tier ranks enrolments of one phone: one that has ended says nothing of the
// phone as long as there is one that lives.
type tier int

const (
	none tier = iota
	ended
	unfinished
	active
)

func (p *Phone) tier() tier {
	switch {
	case !p.Proof.Counts():
		return none
	case p.State.Active():
		return active
	case p.State.Ended():
		return ended
	default:
		return unfinished
	}
}

// judged are the phones by which conditions are judged.
func (w *walk) judged(yield func(*Phone) bool) {
	for i := range w.in.Phones {
		if p := &w.in.Phones[i]; w.tier != none && p.tier() == w.tier && !yield(p) {
			return
		}
	}
}

// conditionsFailed judges every policy once, for conditionsPassed as well.
func (w *walk) conditionsFailed() bool {
	for i := range w.in.Phones {
		w.tier = max(w.tier, w.in.Phones[i].tier())
	}
	if w.tier == active {
		for p := range w.judged {
			w.bound(p.Verdict.ValidUntil)
		}
	}
	w.conditions = open
	enforced := 0
	for i := range w.in.World.Policies {
		p := &w.in.World.Policies[i]
		aim := w.aim(p)
		if w.explain {
			w.explainPolicy(p, aim)
		}
		if aim == notStarted {
			w.bound(p.Spec.StartsAt)
		}
		if aim != enforces {
			continue
		}
		s := w.policy(p)
		if enforced++; enforced > 1 {
			s = max(s, w.conditions)
		}
		w.conditions = s
	}
	if w.conditions != failed {
		w.passes(StepConditionsFailed, w.subject(), "no enforced policy's conditions failed")
		return false
	}
	if w.exempt = w.personal(PersonalExempt); w.exempt != nil {
		w.bound(w.exempt.ExpiresAt)
		w.exempted()
		return false
	}
	w.applies(StepConditionsFailed, w.subject(), "an enforced policy's conditions failed")
	return w.decided(StepConditionsFailed, Block, w.grounds(failed)...)
}

// conditionsPassed takes no exemption for a pass.
func (w *walk) conditionsPassed() bool {
	if w.conditions != passed {
		w.passes(StepConditionsPassed, w.subject(), "no enforced policy applies, or not all of their conditions hold")
		return false
	}
	w.applies(StepConditionsPassed, w.subject(), "all conditions of the enforced policies hold")
	return w.decided(StepConditionsPassed, Allow, w.merits()...)
}

// aim is what a policy has to do with the one who asks.
type aim int

const (
	elsewhere  aim = iota // not assigned to this user
	spared                // assigned, and the user is excepted, or the phone of another platform
	reports               // report-only
	notStarted            // report-only until its start
	enforces
)

func (w *walk) aim(p *Policy) aim {
	s := &p.Spec
	user := directory.User{UPN: w.person().UPN, Groups: w.person().Groups}
	switch {
	case !s.Assign.Includes(user):
		return elsewhere
	case w.breaksGlass(s), s.Except.Includes(user), !w.platform(s):
		return spared
	case s.Mode != Enforce:
		return reports
	case w.in.At.Before(s.StartsAt):
		return notStarted
	default:
		return enforces
	}
}

func (w *walk) breaksGlass(s *Spec) bool {
	return slices.ContainsFunc(s.BreakGlass, func(upn string) bool { return directory.Same(upn, w.person().UPN) })
}

func (w *walk) platform(s *Spec) bool {
	if len(s.Platforms) == 0 {
		return true
	}
	for p := range w.judged {
		if slices.Contains(s.Platforms, p.Platform) {
			return true
		}
	}
	return false
}

func (w *walk) policy(p *Policy) standing {
	worst := passed
	for _, r := range p.Spec.Require {
		worst = max(worst, w.requirement(r))
	}
	return worst
}

func (w *walk) requirement(r Requirement) standing {
	if w.tier == none {
		return open
	}
	worst := passed
	for p := range w.judged {
		worst = max(worst, p.meets(r, w.in.Client.Certificate))
	}
	return worst
}

// meets judges one phone. Of an enrolment that is over, or not finished, no
// verdict counts: it would be about a time when there was one.
func (p *Phone) meets(r Requirement, certificate string) standing {
	if r == RequireCertificate {
		return p.proved(certificate)
	}
	if !p.State.Active() {
		if p.State.Ended() {
			return failed
		}
		return open
	}
	switch r {
	case RequireEnrolled:
		return passed
	case RequireCompliant:
		return complies(p.Verdict.State)
	case RequireMailProfile:
		return p.mailProfile()
	default: // of a later release, which this one cannot judge
		return open
	}
}

func complies(s compliance.State) standing {
	switch s {
	case compliance.Compliant, compliance.InGrace:
		return passed
	case compliance.NotEvaluated, "":
		return open
	case compliance.NotCompliant, compliance.Unknown:
		return failed
	default:
		return failed
	}
}

func (p *Phone) mailProfile() standing {
	f := p.finding(compliance.RuleMailProfile)
	switch {
	case f == nil, f.State == compliance.Unasked:
		return open
	case f.State == compliance.Met, f.State == compliance.Failed && p.Verdict.State == compliance.InGrace:
		return passed
	default:
		return failed
	}
}

func (p *Phone) proved(certificate string) standing {
	switch {
	case certificate == "":
		return open
	case slices.Contains(p.Certificates, certificate):
		return passed
	default:
		return failed
	}
}

func (p *Phone) finding(rule compliance.RuleName) *compliance.Finding {
	for i := range p.Verdict.Findings {
		if p.Verdict.Findings[i].Rule == rule {
			return &p.Verdict.Findings[i]
		}
	}
	return nil
}

// grounds are the reasons for which the enforced policies came out as they did.
func (w *walk) grounds(s standing) []Reason {
	var list []Reason
	for i := range w.in.World.Policies {
		p := &w.in.World.Policies[i]
		if w.aim(p) != enforces {
			continue
		}
		for _, r := range p.Spec.Require {
			for phone := range w.judged {
				if phone.meets(r, w.in.Client.Certificate) == s {
					list = add(list, phone.lacks(r, w.in.Client.Certificate, s)...)
				}
			}
		}
	}
	return list
}

// wanting is what a device lacks that is left to the default.
func (w *walk) wanting() []Reason {
	if w.tier == none {
		if len(w.in.Phones) > 0 {
			return []Reason{reasonUnconfirmed()}
		}
		return []Reason{reasonUnbound()}
	}
	var list []Reason
	if w.tier != active {
		for p := range w.judged {
			list = add(list, reasonJourney(p.State))
		}
		return list
	}
	list = w.grounds(failed) // of an exempted device
	return add(list, w.grounds(open)...)
}

// lacks says why the phone does not meet a requirement.
func (p *Phone) lacks(r Requirement, certificate string, s standing) []Reason {
	v := &p.Verdict
	switch {
	case r == RequireCertificate:
		return []Reason{reasonCertificate(certificate != "")}
	case !p.State.Active():
		return []Reason{reasonJourney(p.State)}
	case r == RequireMailProfile:
		if f := p.finding(compliance.RuleMailProfile); f != nil {
			return []Reason{ofFinding(*f)}
		}
		return []Reason{reasonNoMailProfile(v)}
	case r != RequireCompliant:
		return []Reason{{Rule: RuleConditions, Fact: "this server does not know the condition " + string(r), Fix: fixAsk}}
	}
	var list []Reason
	if s == open {
		list = findings(list, v, compliance.Unasked)
	}
	if list = findings(list, v, compliance.Failed); len(list) == 0 {
		list = append(list, reasonNoVerdict(v))
	}
	return list
}

// merits say why a phone that passed is let in.
func (w *walk) merits() []Reason {
	var list []Reason
	for p := range w.judged {
		if v := &p.Verdict; v.State == compliance.InGrace {
			list = findings(append(list, reasonGrace(v)), v, compliance.Failed)
		}
	}
	if list != nil {
		return list
	}
	for p := range w.judged {
		if p.Verdict.State == compliance.Compliant {
			return []Reason{reasonMeets(&p.Verdict)}
		}
	}
	return []Reason{{Rule: RuleConditions, Fact: "all conditions hold"}}
}

// findings appends the reasons that a verdict's findings of one state are.
func findings(list []Reason, v *compliance.Verdict, state compliance.RuleState) []Reason {
	for _, f := range v.Findings {
		if f.State == state {
			list = append(list, ofFinding(f))
		}
	}
	return list
}

// add appends what is not there yet.
func add(list []Reason, more ...Reason) []Reason {
	for _, r := range more {
		if !slices.ContainsFunc(list, func(have Reason) bool { return have.Rule == r.Rule && have.Fact == r.Fact }) {
			list = append(list, r)
		}
	}
	return list
}

// subject names the enrolment that conditions are judged by.
func (w *walk) subject() string {
	for p := range w.judged {
		return string(p.EnrollmentID)
	}
	return ""
}
