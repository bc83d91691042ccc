package access

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

var asked = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// order is the order of the steps as issue and docs tell it.
var order = []Step{StepUser, StepMailOff, StepPersonalBlock, StepConditionsFailed, StepPersonalAllow,
	StepRuleBlock, StepRuleQuarantine, StepConditionsPassed, StepRuleAllow, StepDefault}

// question is one of alice's phone, of which nothing is said yet but that a
// policy asks for its compliance.
func question() *Inputs {
	return &Inputs{
		At:     asked,
		Client: Client{User: "alice@example.test", DeviceID: "DEV1", DeviceType: "iPhone", UserAgent: "Apple-iPhone15C4/2301.355", Protocol: "16.1", Address: "192.0.2.7"},
		People: []Person{{ID: "u1", UPN: "alice@example.test", Groups: []string{"staff"}}},
		Device: Device{ID: "d1", UserID: "u1", Key: "dev1", Type: "iPhone", Model: "iPhone15C4"},
		World: World{Default: Quarantine, Policies: []Policy{{Name: "standard", Number: 1, CreatedAt: asked.Add(-time.Hour),
			Spec: Spec{Name: "standard", Assign: directory.Audience{Everyone: true}, Mode: Enforce, Require: []Requirement{RequireEnrolled, RequireCompliant}}}}},
	}
}

func enrolled(id mdm.EnrollmentID, state compliance.State, findings ...compliance.Finding) Phone {
	return Phone{EnrollmentID: id, State: mdm.Configured, Platform: mdm.Apple, Ownership: mdm.Corporate, Product: "iPhone15,4", OSVersion: "26.1", Proof: ProofReported,
		Certificates: []string{"c1"},
		Verdict: compliance.Verdict{EnrollmentID: id, State: state, Since: asked.Add(-time.Hour), At: asked, ValidUntil: asked.Add(time.Hour), Policy: "standard@3",
			GraceUntil: asked.Add(2 * time.Hour), Findings: findings}}
}

func found(rule compliance.RuleName, state compliance.RuleState) compliance.Finding {
	return compliance.Finding{Rule: rule, State: state, Fact: "fact of " + string(rule), Fix: "fix of " + string(rule), Since: asked.Add(-time.Minute)}
}

func word(kind PersonalKind, key DeviceKey, lasts time.Duration) Personal {
	p := Personal{UserID: "u1", Key: key, Kind: kind, Note: Note{By: "admin", At: asked.Add(-time.Hour), Reason: "because"}}
	if lasts != 0 {
		p.ExpiresAt = asked.Add(lasts)
	}
	return p
}

// arm makes a step apply, if no earlier one does.
func arm(in *Inputs, s Step) {
	rule := func(e Effect) {
		in.World.Rules = append(in.World.Rules, Rule{ID: RuleID("r-" + e), Effect: e, Family: "iphone", Note: Note{By: "admin", At: asked.Add(-time.Hour)}})
	}
	switch s {
	case StepUser:
		in.People = nil
	case StepMailOff:
		for i := range in.People {
			in.People[i].MailOff = &Note{By: "admin", At: asked.Add(-time.Hour), Reason: "leave"}
		}
	case StepPersonalBlock:
		in.Personal = append(in.Personal, word(PersonalBlock, "dev1", 0))
	case StepConditionsFailed:
		in.Phones = append(in.Phones, enrolled("e1", compliance.NotCompliant, found(compliance.RulePasscode, compliance.Failed)))
	case StepPersonalAllow:
		in.Personal = append(in.Personal, word(PersonalAllow, "dev1", 0))
	case StepRuleBlock:
		rule(Block)
	case StepRuleQuarantine:
		rule(Quarantine)
	case StepConditionsPassed:
		in.Phones = append(in.Phones, enrolled("e2", compliance.Compliant))
	case StepRuleAllow:
		rule(Allow)
	}
}

// Whatever set of steps applies, the first of them decides.
func TestFirstStepDecides(t *testing.T) {
	t.Parallel()
	effects := map[Step]Effect{StepPersonalAllow: Allow, StepRuleQuarantine: Quarantine, StepConditionsPassed: Allow, StepRuleAllow: Allow, StepDefault: Quarantine}
	armable := len(order) - 1 // the default always applies
	for set := range 1 << armable {
		in, first := question(), armable
		for i := armable - 1; i >= 0; i-- { // later ones first: what is removed stays removed
			if set&(1<<i) != 0 {
				arm(in, order[i])
				first = i
			}
		}
		d, trace := in.Explain()
		want, ok := effects[order[first]]
		if !ok {
			want = Block
		}
		if d.Step != order[first] || d.Effect != want {
			t.Fatalf("set %b: %s decided %s, want %s to decide %s", set, d.Step, d.Effect, order[first], want)
		}
		var steps []Step
		for _, line := range trace {
			if line.Outcome == OutcomeApplies || line.Outcome == OutcomePasses {
				steps = append(steps, line.Step)
			}
		}
		if !slices.Equal(steps, order[:first+1]) {
			t.Fatalf("set %b: trace of %v, want %v", set, steps, order[:first+1])
		}
		if last := trace[len(trace)-1]; last.Outcome != OutcomeApplies {
			t.Fatalf("set %b: the trace ends in %+v", set, last)
		}
	}
}

// scene changes the question and says which answer it wants.
type scene struct {
	name  string
	set   func(*Inputs)
	want  Effect
	step  Step
	rules string        // of all reasons
	fact  string        // part of the first reason's
	fix   string        // likewise
	until time.Duration // 0: 300 s
}

func phones(list ...Phone) func(*Inputs) { return func(in *Inputs) { in.Phones = list } }

func (p Phone) with(set func(*Phone)) Phone { set(&p); return p }

func of(state mdm.EnrollmentState) Phone {
	return enrolled("e1", compliance.Compliant).with(func(p *Phone) { p.State = state })
}

func proved(by Proof) Phone {
	return enrolled("e1", compliance.Compliant).with(func(p *Phone) { p.Proof = by })
}

func require(list ...Requirement) func(*Inputs) {
	return func(in *Inputs) { in.World.Policies[0].Spec.Require = list }
}

func all(sets ...func(*Inputs)) func(*Inputs) {
	return func(in *Inputs) {
		for _, set := range sets {
			set(in)
		}
	}
}

func (s scene) check(t *testing.T) {
	t.Helper()
	in := question()
	s.set(in)
	d := in.Decide()
	var rules []string
	for _, r := range d.Reasons {
		rules = append(rules, r.Rule)
	}
	if s.until == 0 {
		s.until = maxValid
	}
	if d.Effect != s.want || d.Step != s.step || strings.Join(rules, ", ") != s.rules || !d.ValidUntil.Equal(asked.Add(s.until)) {
		t.Errorf("got %s at %s for %s until %s, want %s at %s for %s until %s", d.Effect, d.Step, strings.Join(rules, ", "), d.ValidUntil.Sub(asked), s.want, s.step, s.rules, s.until)
	}
	if len(d.Reasons) == 0 || !strings.Contains(d.Reasons[0].Fact, s.fact) || !strings.Contains(d.Reasons[0].Fix, s.fix) {
		t.Errorf("got reasons %+v, want %q and %q", d.Reasons, s.fact, s.fix)
	}
}

// What a verdict means for a phone that a policy asks to be enrolled and compliant.
func TestDecideByVerdict(t *testing.T) {
	t.Parallel()
	off := found(compliance.RulePasscode, compliance.Failed)
	untold := found(compliance.RuleMinimumOS, compliance.Unasked)
	noPolicy := enrolled("e1", compliance.NotEvaluated).with(func(p *Phone) { p.Verdict.Policy = "" })
	withheld := func(w mdm.Withholding, p Phone) func(*Inputs) { p.Withheld = w; return phones(p) }
	lasts := func(d time.Duration) Phone {
		return enrolled("e1", compliance.Compliant).with(func(p *Phone) { p.Verdict.ValidUntil = asked.Add(d) })
	}
	failed, passed, fallback := StepConditionsFailed, StepConditionsPassed, StepDefault
	tests := []scene{
		{"nobody", func(in *Inputs) { in.People = nil }, Block, StepUser, "user", "nobody here", "Check the user name", 0},
		{"two people", func(in *Inputs) { in.People = append(in.People, Person{}) }, Block, StepUser, "user", "more than one person", "full e-mail address", 0},
		{"withdrawn, and the verdict is older", withheld(mdm.WithholdEverything, enrolled("e1", compliance.Compliant)), Block, StepPersonalBlock, "mail_withdrawn", "withdrew the mail", "profile is sent again", 0},
		{"withdrawn, and no policy", withheld(mdm.WithholdEverything, noPolicy), Block, StepPersonalBlock, "mail_withdrawn", "withdrew the mail", "profile is sent again", 0},
		{"withdrawn, and the verdict says so", withheld(mdm.WithholdEverything, enrolled("e1", compliance.NotCompliant, off, found(compliance.RuleWithdrawn, compliance.Failed))),
			Block, StepPersonalBlock, "mail_withdrawn", "fact of mail_withdrawn", "fix of mail_withdrawn", 0},
		{"policies withheld", withheld(mdm.WithholdPolicies, enrolled("e1", compliance.Compliant)), Allow, passed, "verdict", "meets policy", "", 0},
		{"no phone", phones(), Quarantine, fallback, "device", "not enrolled for this mailbox", "Enrol the phone", 0},
		{"checked out", phones(of(mdm.CheckedOut)), Block, failed, "device", "management was removed", "new invitation", 0},
		{"retired", phones(of(mdm.Retired)), Block, failed, "device", "management was removed", "new invitation", 0},
		{"replaced", phones(of(mdm.Replaced)), Block, failed, "device", "enrolled anew", "new invitation", 0},
		{"not finished", phones(of(mdm.Authenticated)), Quarantine, fallback, "device", "not finished", "install the downloaded profile", 0},
		{"not finished, after an ended one", phones(of(mdm.Authenticated), of(mdm.Replaced)), Quarantine, fallback, "device", "not finished", "", 0},
		{"active, after an ended one", phones(of(mdm.Enrolled), of(mdm.Replaced)), Allow, passed, "verdict", "meets policy", "", 0},
		{"compliant", phones(enrolled("e1", compliance.Compliant)), Allow, passed, "verdict", "meets policy standard@3", "", 0},
		{"compliant for a moment", phones(lasts(10 * time.Second)), Allow, passed, "verdict", "meets policy", "", 10 * time.Second},
		{"compliant a moment ago", phones(lasts(-time.Second)), Allow, passed, "verdict", "meets policy", "", -1},
		{"in grace", phones(enrolled("e1", compliance.InGrace, off)), Allow, passed, "verdict, passcode", "in grace until 2026-11-21 11:00 UTC", "before the grace ends", 0},
		{"not evaluated", phones(enrolled("e1", compliance.NotEvaluated, off, untold)), Quarantine, fallback, "minimum_os, passcode", "fact of minimum_os", "fix of minimum_os", 0},
		{"no compliance policy", phones(noPolicy), Quarantine, fallback, "policy", "no compliance policy applies", "assign a compliance policy", 0},
		{"no verdict yet", phones(enrolled("e1", "").with(func(p *Phone) { p.Verdict = compliance.Verdict{} })), Quarantine, fallback, "policy", "no compliance policy applies", "", 0},
		{"not evaluated for no reason", phones(enrolled("e1", compliance.NotEvaluated)), Quarantine, fallback, "verdict", `"not_evaluated"`, "ask your administrator", 0},
		{"not compliant", phones(enrolled("e1", compliance.NotCompliant, untold, off)), Block, failed, "passcode", "fact of passcode", "fix of passcode", 0},
		{"not compliant for no reason", phones(enrolled("e1", compliance.NotCompliant)), Block, failed, "verdict", `"not_compliant"`, "ask your administrator", 0},
		{"silent", phones(enrolled("e1", compliance.Unknown, off, found(compliance.RuleReported, compliance.Failed))), Block, failed, "passcode, reported_within", "fact of passcode", "fix", 0},
		{"a state that nobody knows", phones(enrolled("e1", "blessed")), Block, failed, "verdict", `"blessed"`, "ask", 0},
		{"two phones of one name, one compliant", phones(enrolled("e1", compliance.Compliant), enrolled("e2", compliance.NotCompliant, off)), Block, failed, "passcode", "fact of passcode", "fix", 0},
		{"the same, and the compliant one for a moment", phones(enrolled("e1", compliance.NotCompliant, off), lasts(9*time.Second)), Block, failed, "passcode", "fact of passcode", "fix", 9 * time.Second},
		{"by its certificate", phones(proved(ProofCertificate)), Allow, passed, "verdict", "meets policy", "", 0},
		{"confirmed", phones(proved(ProofConfirmed)), Allow, passed, "verdict", "meets policy", "", 0},
		{"only probable", phones(proved(ProofProbable)), Quarantine, fallback, "device", "nobody has confirmed", "confirm this device", 0},
		{"bound by nothing", phones(proved(ProofNone)), Quarantine, fallback, "device", "nobody has confirmed", "confirm this device", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.until < 0 { // over already: it holds for this request alone
				in := question()
				tt.set(in)
				if d := in.Decide(); !d.ValidUntil.Equal(asked) || d.Effect != tt.want {
					t.Errorf("got %s until %s", d.Effect, d.ValidUntil.Sub(asked))
				}
				return
			}
			tt.check(t)
		})
	}
}

func TestDecideByRequirement(t *testing.T) {
	t.Parallel()
	mail := func(state compliance.State, list ...compliance.Finding) func(*Inputs) {
		return all(require(RequireMailProfile), phones(enrolled("e1", state, list...)))
	}
	certificate := func(shown string) func(*Inputs) {
		return all(require(RequireCertificate), phones(enrolled("e1", compliance.NotCompliant)), func(in *Inputs) { in.Client.Certificate = shown })
	}
	failed, passed, fallback := StepConditionsFailed, StepConditionsPassed, StepDefault
	is := func(s compliance.RuleState) compliance.Finding { return found(compliance.RuleMailProfile, s) }
	for _, tt := range []scene{
		{"enrolled", all(require(RequireEnrolled), phones(enrolled("e1", compliance.NotCompliant))), Allow, passed, "conditions", "all conditions hold", "", 0},
		{"mail profile", mail(compliance.NotCompliant, is(compliance.Met)), Allow, passed, "conditions", "", "", 0},
		{"mail profile failed", mail(compliance.NotCompliant, is(compliance.Failed)), Block, failed, "mail_profile", "fact of mail_profile", "fix of", 0},
		{"mail profile failed in grace", mail(compliance.InGrace, is(compliance.Failed)), Allow, passed, "verdict, mail_profile", "in grace", "", 0},
		{"mail profile not told", mail(compliance.NotEvaluated, is(compliance.Unasked)), Quarantine, fallback, "mail_profile", "fact of mail_profile", "fix of", 0},
		{"mail profile not asked for", mail(compliance.Compliant), Quarantine, fallback, "mail_profile", "nothing is known", "asks for the mail profile", 0},
		{"mail profile of an ended enrolment", all(require(RequireMailProfile), phones(of(mdm.CheckedOut).with(func(p *Phone) { p.Verdict.Findings = []compliance.Finding{is(compliance.Met)} }))),
			Block, failed, "device", "management was removed", "", 0},
		{"certificate", certificate("c1"), Allow, passed, "conditions", "", "", 0},
		{"no certificate", certificate(""), Quarantine, fallback, "client_certificate", "showed no certificate", "management set up", 0},
		{"another certificate", certificate("c2"), Block, failed, "client_certificate", "is not, or no longer", "management set up", 0},
		{"one of a later release", all(require("blessed"), phones(enrolled("e1", compliance.Compliant))), Quarantine, fallback, "conditions", "blessed", "Ask", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.check(t)
		})
	}
}

// Whom a policy is about, and when.
func TestDecideByPolicy(t *testing.T) {
	t.Parallel()
	bad := phones(enrolled("e1", compliance.NotCompliant, found(compliance.RulePasscode, compliance.Failed)))
	spec := func(set func(*Spec)) func(*Inputs) {
		return all(bad, func(in *Inputs) { set(&in.World.Policies[0].Spec) })
	}
	another := func(set func(*Spec)) func(*Inputs) {
		return func(in *Inputs) {
			p := in.World.Policies[0]
			p.Name = "another"
			set(&p.Spec)
			in.World.Policies = append(in.World.Policies, p)
		}
	}
	words := func(list ...Personal) func(*Inputs) { return func(in *Inputs) { in.Personal = list } }
	group := func(names ...string) directory.Audience { return directory.Audience{Groups: names} }
	shown := func(in *Inputs) { in.Client.Certificate = "c2" }
	failed, passed, fallback := StepConditionsFailed, StepConditionsPassed, StepDefault
	const none = "no conditional-access policy applies"
	for _, tt := range []scene{
		{"everyone", spec(func(*Spec) {}), Block, failed, "passcode", "", "", 0},
		{"a group of the user", spec(func(s *Spec) { s.Assign = group("STAFF") }), Block, failed, "passcode", "", "", 0},
		{"another group", spec(func(s *Spec) { s.Assign = group("sales") }), Quarantine, fallback, "default", none, "allow this device", 0},
		{"withdrawn", spec(func(s *Spec) { s.Assign = directory.Audience{} }), Quarantine, fallback, "default", none, "", 0},
		{"excepted", spec(func(s *Spec) { s.Except = group("staff") }), Quarantine, fallback, "default", none, "", 0},
		{"break-glass", spec(func(s *Spec) { s.BreakGlass = []string{"ALICE@example.test"} }), Quarantine, fallback, "default", none, "", 0},
		{"break-glass of one whose name looks so", spec(func(s *Spec) { s.BreakGlass = []string{"alice@example.te\u017ft"} }), Block, failed, "passcode", "", "", 0},
		{"another's break-glass", spec(func(s *Spec) { s.BreakGlass = []string{"staff"} }), Block, failed, "passcode", "", "", 0},
		{"platform", spec(func(s *Spec) { s.Platforms = []mdm.Platform{mdm.Android, mdm.Apple} }), Block, failed, "passcode", "", "", 0},
		{"another platform", spec(func(s *Spec) { s.Platforms = []mdm.Platform{mdm.Android} }), Quarantine, fallback, "default", none, "", 0},
		{"report-only", spec(func(s *Spec) { s.Mode = ReportOnly }), Quarantine, fallback, "default", none, "", 0},
		{"starts now", spec(func(s *Spec) { s.StartsAt = asked }), Block, failed, "passcode", "", "", 0},
		{"starts soon", spec(func(s *Spec) { s.StartsAt = asked.Add(time.Minute) }), Quarantine, fallback, "default", none, "", time.Minute},
		{"reports only, whenever it starts", spec(func(s *Spec) { s.StartsAt, s.Mode = asked.Add(time.Minute), ReportOnly }), Quarantine, fallback, "default", none, "", 0},
		{"one fails, one passes", all(another(func(s *Spec) { s.Require = []Requirement{RequireEnrolled} }), bad), Block, failed, "passcode", "", "", 0},
		{"one passes, one only reports", all(require(RequireEnrolled), another(func(s *Spec) { s.Require, s.Mode = []Requirement{RequireCompliant}, ReportOnly }), bad), Allow, passed, "conditions", "", "", 0},
		{"one passes, one is open", all(another(func(s *Spec) { s.Require = []Requirement{RequireCertificate} }), phones(enrolled("e1", compliance.Compliant))), Quarantine, fallback, "client_certificate", "", "", 0},
		{"two fail", all(another(func(s *Spec) { s.Require = []Requirement{RequireCertificate, RequireCompliant} }), bad, shown), Block, failed, "passcode, client_certificate", "", "", 0},
		{"exempt", all(bad, words(word(PersonalExempt, "dev1", time.Minute))), Quarantine, fallback, "passcode", "fact of passcode", "fix of", time.Minute},
		{"exempt in all devices", all(bad, words(word(PersonalExempt, "", time.Hour))), Quarantine, fallback, "passcode", "", "", 0},
		{"exempt in another device", all(bad, words(word(PersonalExempt, "dev2", time.Hour))), Block, failed, "passcode", "", "", 0},
		{"exempt until now", all(bad, words(word(PersonalExempt, "dev1", -1))), Block, failed, "passcode", "", "", 0},
		{"exempt for ever", all(bad, words(word(PersonalExempt, "dev1", 0))), Block, failed, "passcode", "", "", 0},
		{"exempt and allowed", all(bad, words(word(PersonalExempt, "dev1", time.Hour), word(PersonalAllow, "dev1", 0))), Allow, StepPersonalAllow, "personal_allow", "an administrator allowed", "", 0},
		{"exempt and passing", all(phones(enrolled("e1", compliance.Compliant)), words(word(PersonalExempt, "dev1", time.Second))), Allow, passed, "verdict", "", "", 0},
		{"blocked in all devices", words(word(PersonalBlock, "", 0), word(PersonalAllow, "dev1", 0)), Block, StepPersonalBlock, "personal_block", "every device of this user", "taken back", 0},
		{"blocked for a minute", words(word(PersonalBlock, "dev1", time.Minute)), Block, StepPersonalBlock, "personal_block", "blocked this device", "", time.Minute},
		{"blocked until now", words(word(PersonalBlock, "dev1", -1)), Quarantine, fallback, "device", "", "", 0},
		{"another device blocked", words(word(PersonalBlock, "dev2", 0)), Quarantine, fallback, "device", "", "", 0},
		{"allowed before it was seen", all(words(word(PersonalAllow, "dev1", time.Minute)), func(in *Inputs) { in.Device = Device{} }), Allow, StepPersonalAllow, "personal_allow", "", "", time.Minute},
		{"default allows", func(in *Inputs) { in.World.Default = Allow }, Allow, fallback, "default", "nothing else is said", "", 0},
		{"default blocks", func(in *Inputs) { in.World.Default = Block }, Block, fallback, "device", "not enrolled", "Enrol", 0},
		{"no default", func(in *Inputs) { in.World.Default = "" }, Quarantine, fallback, "device", "not enrolled", "Enrol", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.check(t)
		})
	}
}

// What a policy that only reports would do is in the trace, and nowhere else.
func TestTraceOfPolicies(t *testing.T) {
	t.Parallel()
	in := question()
	in.Phones = []Phone{enrolled("e1", compliance.NotCompliant)}
	with := func(name string, set func(*Spec)) Policy {
		p := in.World.Policies[0]
		p.Name = name
		set(&p.Spec)
		return p
	}
	in.World.Policies = []Policy{
		with("reports", func(s *Spec) { s.Mode = ReportOnly }),
		with("later", func(s *Spec) { s.StartsAt = asked.Add(time.Hour) }),
		with("fulfilled", func(s *Spec) { s.Mode, s.Require = ReportOnly, []Requirement{RequireEnrolled} }),
		with("elsewhere", func(s *Spec) { s.Assign = directory.Audience{Groups: []string{"sales"}} }),
		with("spared", func(s *Spec) { s.BreakGlass = []string{"alice@example.test"} }),
		with("enforced", func(s *Spec) { s.Require = []Requirement{RequireCertificate, RequireEnrolled} }),
	}
	_, trace := in.Explain()
	var got []string
	for _, line := range trace {
		if strings.Contains(line.Subject, "@") {
			got = append(got, line.Subject+" "+line.Outcome+": "+line.Fact)
		}
	}
	want := []string{
		"reports@1 would block: enrolled passed, compliant failed; it only reports",
		"later@1 would block: enrolled passed, compliant failed; it only reports until 2026-11-21 10:00 UTC",
		"fulfilled@1 passed: enrolled passed; it only reports",
		"spared@1 does not apply: the user is a break-glass user",
		"enforced@1 open: client_certificate open, enrolled passed",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
