package access

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

var (
	alice = directory.User{ID: "u1", UPN: "alice@example.test"}
	other = directory.User{ID: "u2", UPN: "alice@example.org"}
)

func binding(id mdm.EnrollmentID, state mdm.EnrollmentState) Binding {
	return Binding{EnrollmentID: id, UserID: alice.ID, EASDeviceID: "dev1", State: state}
}

func verdict(state compliance.State, findings ...compliance.Finding) compliance.Verdict {
	return compliance.Verdict{EnrollmentID: "e1", State: state, Since: now.Add(-time.Hour), At: now, ValidUntil: now.Add(time.Hour), Policy: "standard@3",
		GraceUntil: now.Add(2 * time.Hour), Findings: append([]compliance.Finding{{Rule: compliance.RuleEnrolled, State: compliance.Met, Fact: "managed", Since: now}}, findings...)}
}

func finding(rule compliance.RuleName, state compliance.RuleState) compliance.Finding {
	return compliance.Finding{Rule: rule, State: state, Fact: "fact of " + string(rule), Fix: "fix of " + string(rule), Since: now.Add(-time.Minute)}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	passcodeOff := finding(compliance.RulePasscode, compliance.Failed)
	untold := finding(compliance.RuleMinimumOS, compliance.Unasked)
	one := func(b ...Binding) facts { return facts{users: []directory.User{alice}, bindings: b} }
	with := func(v ...compliance.Verdict) facts {
		f := one(binding("e1", mdm.Configured))
		f.verdicts = v
		return f
	}
	brief := verdict(compliance.Compliant)
	brief.ValidUntil = now.Add(10 * time.Second)
	noPolicy := verdict(compliance.NotEvaluated)
	noPolicy.Policy = ""
	withheld := func(w mdm.Withholding, v ...compliance.Verdict) facts {
		f := with(v...)
		f.bindings[0].Withheld = w
		return f
	}
	told := verdict(compliance.NotCompliant, finding(compliance.RuleWithdrawn, compliance.Failed))
	tests := []struct {
		name  string
		f     facts
		want  Effect
		rules string
		fact  string // part of the first reason
		fix   string // part of the first reason
		until time.Duration
	}{
		{"withdrawn, and the verdict is older", withheld(mdm.WithholdEverything, verdict(compliance.Compliant)), Block, "mail_withdrawn", "withdrew the mail", "profile is sent again", 300 * time.Second},
		{"withdrawn, and no policy", withheld(mdm.WithholdEverything, noPolicy), Block, "mail_withdrawn", "withdrew the mail", "profile is sent again", 300 * time.Second},
		{"withdrawn, and the verdict says so", withheld(mdm.WithholdEverything, told), Block, "mail_withdrawn", "fact of mail_withdrawn", "fix of mail_withdrawn", 300 * time.Second},
		{"policies withheld", withheld(mdm.WithholdPolicies, verdict(compliance.Compliant)), Allow, "verdict", "meets policy", "", 300 * time.Second},
		{"unknown user", facts{}, Block, "user", "nobody here", "Check the user name", 300 * time.Second},
		{"ambiguous login", facts{users: []directory.User{alice, other}}, Block, "user", "more than one person", "full e-mail address", 300 * time.Second},
		{"unknown device", one(), Quarantine, "device", "not enrolled for this mailbox", "Enrol the phone", 300 * time.Second},
		{"checked out", one(binding("e1", mdm.CheckedOut)), Block, "device", "management was removed", "new invitation", 300 * time.Second},
		{"replaced", one(binding("e1", mdm.Replaced), binding("e0", mdm.CheckedOut)), Block, "device", "enrolled anew", "new invitation", 300 * time.Second},
		{"not finished", one(binding("e1", mdm.Authenticated)), Quarantine, "device", "not finished", "install the downloaded profile", 300 * time.Second},
		{"not finished, after an ended one", one(binding("e0", mdm.Replaced), binding("e1", mdm.Authenticated)), Quarantine, "device", "not finished", "", 300 * time.Second},
		{"compliant", with(verdict(compliance.Compliant)), Allow, "verdict", "meets policy standard@3", "", 300 * time.Second},
		{"compliant for a moment", with(brief), Allow, "verdict", "meets policy", "", 10 * time.Second},
		{"in grace", with(verdict(compliance.InGrace, passcodeOff)), Allow, "verdict, passcode", "in grace until 2026-11-21 11:00 UTC", "before the grace ends", 300 * time.Second},
		{"not evaluated", with(verdict(compliance.NotEvaluated, passcodeOff, untold)), Quarantine, "minimum_os, passcode", "fact of minimum_os", "fix of minimum_os", 300 * time.Second},
		{"no policy", with(noPolicy), Quarantine, "policy", "no compliance policy applies", "assign a compliance policy", 300 * time.Second},
		{"not evaluated for no reason", with(verdict(compliance.NotEvaluated)), Quarantine, "verdict", `"not_evaluated"`, "ask your administrator", 300 * time.Second},
		{"not compliant", with(verdict(compliance.NotCompliant, untold, passcodeOff)), Block, "passcode", "fact of passcode", "fix of passcode", 300 * time.Second},
		{"not compliant for no reason", with(verdict(compliance.NotCompliant)), Block, "verdict", `"not_compliant"`, "ask your administrator", 300 * time.Second},
		{"silent", with(verdict(compliance.Unknown, passcodeOff, finding(compliance.RuleReported, compliance.Failed))), Block, "passcode, reported_within", "fact of passcode", "fix", 300 * time.Second},
		{"a state that nobody knows", with(verdict("blessed")), Block, "verdict", `"blessed"`, "ask", 300 * time.Second},
		{"no state", with(compliance.Verdict{ValidUntil: now.Add(time.Hour)}), Block, "verdict", `""`, "ask", 300 * time.Second},
		{"two phones of one name, one compliant", with(verdict(compliance.Compliant), verdict(compliance.NotCompliant, passcodeOff)), Block, "passcode", "fact of passcode", "fix", 300 * time.Second},
		{"the same the other way round", with(verdict(compliance.NotCompliant, passcodeOff), brief), Block, "passcode", "fact of passcode", "fix", 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := decide(tt.f, now)
			if d.Effect != tt.want || rules(d.Reasons) != tt.rules || !d.ValidUntil.Equal(now.Add(tt.until)) {
				t.Errorf("got %s for %s until %s, want %s for %s until %s", d.Effect, rules(d.Reasons), d.ValidUntil.Sub(now), tt.want, tt.rules, tt.until)
			}
			if len(d.Reasons) == 0 || !strings.Contains(d.Reasons[0].Fact, tt.fact) || !strings.Contains(d.Reasons[0].Fix, tt.fix) {
				t.Errorf("got reasons %+v, want %q and %q", d.Reasons, tt.fact, tt.fix)
			}
		})
	}
}

func TestReasonsComeFromTheVerdict(t *testing.T) {
	t.Parallel()
	f := finding(compliance.RulePasscode, compliance.Failed)
	d := decide(facts{users: []directory.User{alice}, bindings: []Binding{binding("e1", mdm.Enrolled)}, verdicts: []compliance.Verdict{verdict(compliance.NotCompliant, f)}}, now)
	want := []Reason{{Rule: "passcode", Fact: f.Fact, Since: f.Since, Fix: f.Fix}}
	if diff := cmp.Diff(want, d.Reasons); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// referenceBindings is the order of decide once more, said as shortly as possible.
func referenceBindings(f facts) Effect {
	worst := map[Effect]bool{}
	for _, v := range f.verdicts {
		worst[map[compliance.State]Effect{compliance.Compliant: Allow, compliance.InGrace: Allow, compliance.NotEvaluated: Quarantine}[v.State]] = true
	}
	ended := len(f.bindings) > 0
	for _, b := range f.bindings {
		ended = ended && (b.State == mdm.CheckedOut || b.State == mdm.Replaced)
	}
	if len(f.users) != 1 || ended || worst[""] {
		return Block
	}
	if len(f.verdicts) == 0 || worst[Quarantine] {
		return Quarantine
	}
	return Allow
}

func TestDecideBindingsAgainstReference(t *testing.T) {
	t.Parallel()
	states := []compliance.State{compliance.Compliant, compliance.InGrace, compliance.NotCompliant, compliance.NotEvaluated, compliance.Unknown, ""}
	journey := []mdm.EnrollmentState{mdm.Authenticated, mdm.Enrolled, mdm.Configured, mdm.CheckedOut, mdm.Replaced}
	rapid.Check(t, func(t *rapid.T) {
		f := facts{users: make([]directory.User, rapid.IntRange(0, 2).Draw(t, "users"))}
		if len(f.users) == 1 {
			for _, state := range rapid.SliceOfN(rapid.SampledFrom(journey), 0, 3).Draw(t, "bindings") {
				f.bindings = append(f.bindings, binding("e1", state))
				if state.Active() {
					v := verdict(rapid.SampledFrom(states).Draw(t, "verdict"))
					for _, s := range rapid.SliceOfN(rapid.SampledFrom([]compliance.RuleState{compliance.Met, compliance.Failed, compliance.Unasked}), 0, 3).Draw(t, "findings") {
						v.Findings = append(v.Findings, finding(compliance.RulePasscode, s))
					}
					v.ValidUntil = now.Add(time.Duration(rapid.IntRange(1, 600).Draw(t, "seconds")) * time.Second)
					f.verdicts = append(f.verdicts, v)
				}
			}
		}
		d := decide(f, now)
		if want := referenceBindings(f); d.Effect != want {
			t.Fatalf("got %s, want %s for %+v", d.Effect, want, f)
		}
		if d.ValidUntil.After(now.Add(300*time.Second)) || !d.ValidUntil.After(now) {
			t.Fatalf("valid until %s", d.ValidUntil.Sub(now))
		}
		for _, v := range f.verdicts {
			if d.ValidUntil.After(v.ValidUntil) {
				t.Fatalf("outlives its verdict by %s", d.ValidUntil.Sub(v.ValidUntil))
			}
		}
		if len(d.Reasons) == 0 {
			t.Fatal("no reason")
		}
		for _, r := range d.Reasons {
			if r.Rule == "" || r.Fact == "" || r.Since.IsZero() || d.Effect != Allow && r.Fix == "" {
				t.Fatalf("incomplete reason %+v for %s", r, d.Effect)
			}
		}
	})
}
