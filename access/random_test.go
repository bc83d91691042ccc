package access

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"reflect"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// dice draws inputs from words so few that they meet each other often.
type dice struct{ *rand.Rand }

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

// maybe draws one of list, and mostly nothing.
func maybe[T any](d dice, list ...T) (v T) {
	if d.IntN(3) == 0 {
		v = pick(d, list...)
	}
	return v
}

func some[T any](d dice, most int, draw func() T) []T {
	var list []T
	for range d.IntN(most + 1) {
		list = append(list, draw())
	}
	return list
}

// moment is around now, at times exactly, and often never.
func (d dice) moment() time.Time {
	if d.IntN(3) == 0 {
		return time.Time{}
	}
	return asked.Add(time.Duration(d.IntN(9)-4) * 100 * time.Second)
}

func (d dice) note() Note { return Note{By: "admin", At: d.moment(), Reason: "because"} }

func (d dice) audience() directory.Audience {
	return pick(d, directory.Audience{Everyone: true}, directory.Audience{Everyone: true}, directory.Audience{Groups: []string{"Staff"}},
		directory.Audience{Groups: []string{"sales"}}, directory.Audience{Users: []string{"alice@example.test"}}, directory.Audience{})
}

func (d dice) phone() Phone {
	p := Phone{
		EnrollmentID: pick[mdm.EnrollmentID](d, "e1", "e2"),
		State:        pick(d, mdm.Configured, mdm.Configured, mdm.Configured, mdm.Enrolled, mdm.Authenticated, mdm.CheckedOut, mdm.Replaced, mdm.Retired),
		Withheld:     pick(d, "", "", "", "", mdm.WithholdPolicies, mdm.WithholdEverything),
		Platform:     pick(d, mdm.Apple, mdm.Apple, mdm.Android),
		Ownership:    pick(d, mdm.Corporate, mdm.Personal),
		Product:      pick(d, "", "iPhone15,4"),
		OSVersion:    pick(d, "", "16.1", "26.1"),
		Certificates: some(d, 2, func() string { return pick(d, "c1", "c2") }),
		Proof:        pick(d, ProofReported, ProofReported, ProofCertificate, ProofConfirmed, ProofProbable, ProofNone),
	}
	if d.IntN(9) == 0 {
		return p // no verdict yet
	}
	p.Verdict = compliance.Verdict{EnrollmentID: p.EnrollmentID, State: pick(d, compliance.Compliant, compliance.Compliant, compliance.InGrace, compliance.NotCompliant, compliance.NotEvaluated, compliance.Unknown),
		Since: d.moment(), At: asked, ValidUntil: d.moment(), Policy: pick(d, "", "standard@3"), GraceUntil: asked.Add(time.Hour)}
	p.Verdict.Findings = some(d, 3, func() compliance.Finding {
		f := found(pick(d, compliance.RulePasscode, compliance.RuleMailProfile, compliance.RuleMinimumOS), pick(d, compliance.Met, compliance.Failed, compliance.Unasked))
		f.Fix, f.Since = pick(d, "", f.Fix), d.moment()
		return f
	})
	return p
}

func (d dice) rule() Rule {
	return Rule{ID: pick[RuleID](d, "r1", "r2"), Effect: pick(d, Allow, Quarantine, Block),
		Family: maybe(d, "IPHONE", "iPad", "iP*"), Model: maybe(d, "iphone15*", "iPhone15C4", "iPad*"), OS: maybe(d, "iOS 16*", "ios 26.1", "Android*", "i*"),
		UserAgent: maybe(d, "Apple-*", "Outlook*"), Protocol: maybe(d, "14.1", "<16.1", "<14.1"), Group: maybe(d, "staff", "s*", "sales"),
		Ownership: maybe(d, "corporate", "personal"), Network: maybe(d, "192.0.2.0/24", "2001:db8::/32"), Note: d.note(), CreatedAt: asked.Add(-time.Hour)}
}

func (d dice) policy() Policy {
	return Policy{Name: pick(d, "standard", "other"), Number: d.IntN(3), Source: "name: standard", Spec: Spec{
		Assign: d.audience(), Except: maybe(d, directory.Audience{Groups: []string{"sales"}}, directory.Audience{Users: []string{"alice@example.test"}}),
		BreakGlass: maybe(d, nil, []string{"alice@example.test"}), Platforms: maybe(d, []mdm.Platform{mdm.Apple}, []mdm.Platform{mdm.Android}),
		StartsAt: d.moment(), Mode: pick(d, Enforce, Enforce, Enforce, ReportOnly),
		Require: append(some(d, 1, func() Requirement { return pick(d, requirements()...) }), pick(d, requirements()...)),
	}}
}

func (d dice) inputs() *Inputs {
	in := &Inputs{At: asked, World: World{Default: pick(d, Allow, Quarantine, Block)}}
	in.Client = Client{User: "alice", DeviceID: pick(d, "DEV1", "dev2"), DeviceType: pick(d, "", "iPhone", "iPad"), UserAgent: pick(d, "", "Apple-iPhone15C4/2301.355"),
		Protocol: pick(d, "", "12.1", "14.1", "16.1"), Model: pick(d, "", "iPhone15C4"), OS: pick(d, "", "iOS 16.1 20B82"), Address: pick(d, "", "192.0.2.7", "2001:db8::1"), Certificate: pick(d, "", "c1")}
	in.People = some(d, 1, func() Person {
		p := Person{ID: "u1", UPN: "alice@example.test", Groups: some(d, 2, func() string { return pick(d, "staff", "sales") })}
		if d.IntN(12) == 0 {
			n := d.note()
			p.MailOff = &n
		}
		return p
	})
	if in.People == nil && d.IntN(9) > 0 {
		in.People = []Person{{ID: "u1", UPN: "alice@example.test"}}
	} else if d.IntN(30) == 0 {
		in.People = append(in.People, Person{ID: "u2"})
	}
	if d.IntN(3) > 0 {
		in.Device = Device{ID: "d1", UserID: "u1", Key: Canonical(in.Client.DeviceID), Type: pick(d, "", "iPhone"), Model: pick(d, "", "iPhone14C2"), OS: pick(d, "", "iOS 26.1"), UserAgent: pick(d, "", "Outlook-iOS"), Protocol: pick(d, "", "14.1")}
	}
	in.Phones = some(d, 3, d.phone)
	in.Personal = some(d, 2, func() Personal {
		return Personal{UserID: "u1", Key: pick[DeviceKey](d, "", "dev1", "dev2"), Kind: pick(d, PersonalAllow, PersonalBlock, PersonalExempt, PersonalExempt), Note: d.note(), ExpiresAt: d.moment()}
	})
	in.World.Rules = some(d, 3, d.rule)
	in.World.Policies = some(d, 3, d.policy)
	return in
}

func filter[T any](list []T, keep func(T) bool) (kept []T) {
	for _, item := range list {
		if keep(item) {
			kept = append(kept, item)
		}
	}
	return kept
}

func either(a, b string) string {
	return append(filter([]string{a, b}, func(s string) bool { return s != "" }), "")[0]
}

// Random questions, the same ones in each run: SALLYPORT_SOAK=1 asks a million.
func TestDecideAgainstReference(t *testing.T) {
	t.Parallel()
	cases := 100_000
	if os.Getenv("SALLYPORT_SOAK") != "" {
		cases = 1_000_000
	}
	d := dice{rand.New(rand.NewPCG(6, 1))}
	steps := map[Step]int{}
	for i := range cases {
		in := d.inputs()
		got, trace := in.Explain()
		steps[got.Step]++
		fail := func(format string, args ...any) {
			t.Helper()
			whole, _ := json.MarshalIndent(in, "", " ")
			t.Logf("case %d: %s", i, whole)
			t.Fatalf(format, args...)
		}
		if step, effect := reference(in); got.Step != step || got.Effect != effect {
			fail("got %s at %s, want %s at %s", got.Effect, got.Step, effect, step)
		}
		if plain := in.Decide(); !reflect.DeepEqual(plain, got) {
			fail("Decide says %+v, Explain %+v", plain, got)
		}
		if fault := wrong(in, got); fault != "" {
			fail("%s: %+v", fault, got)
		}
		less := in.Relevant()
		if again, lines := less.Explain(); !reflect.DeepEqual(again, got) || !reflect.DeepEqual(lines, trace) {
			fail("of %+v what is relevant says\n%+v %+v, want\n%+v %+v", less, again, lines, got, trace)
		}
	}
	for _, s := range order {
		if steps[s] < cases/200 {
			t.Errorf("step %s decided %d of %d cases only", s, steps[s], cases)
		}
	}
}

// wrong says which promise a decision breaks.
func wrong(in *Inputs, d Decision) string {
	if d.ValidUntil.Before(in.At) || d.ValidUntil.After(in.At.Add(maxValid)) {
		return "valid for too long or too short"
	}
	judged := !map[Step]bool{StepUser: true, StepMailOff: true, StepPersonalBlock: true}[d.Step]
	for _, p := range in.Phones {
		if v := p.Verdict.ValidUntil; judged && p.State.Active() && p.Proof.Counts() && v.After(in.At) && d.ValidUntil.After(v) {
			return "outlives a verdict"
		}
	}
	if len(d.Reasons) == 0 {
		return "no reason"
	}
	for _, r := range d.Reasons {
		if r.Rule == "" || r.Fact == "" || r.Since.IsZero() || d.Effect != Allow && r.Fix == "" {
			return "a reason is incomplete"
		}
	}
	return ""
}

// What is on record of a denial comes back from JSON, and answers the same.
func TestReplayFromJSON(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(6, 2))}
	for range 5_000 {
		in := d.inputs()
		less := in.Relevant()
		stored, err := json.Marshal(less)
		if err != nil {
			t.Fatal(err)
		}
		var back Inputs
		if err := json.Unmarshal(stored, &back); err != nil {
			t.Fatal(err)
		}
		want, lines := in.Explain()
		if got, again := back.Explain(); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(again, lines) {
			t.Fatalf("%s\ngot  %+v %+v\nwant %+v %+v", stored, got, again, want, lines)
		}
	}
}

// BenchmarkDecide is the case of every day: an enrolled phone that is let in,
// beside a handful of rules.
func BenchmarkDecide(b *testing.B) {
	in := question()
	in.Phones = []Phone{enrolled("e1", compliance.Compliant, found(compliance.RuleMailProfile, compliance.Met))}
	for _, family := range []string{"WindowsMail", "SAMSUNG*", "BlackBerry", "Outlook", "TestActiveSyncConnectivity"} {
		in.World.Rules = append(in.World.Rules, Rule{ID: "r", Effect: Block, Family: family}, Rule{ID: "q", Effect: Quarantine, OS: "iOS 1*", Protocol: "<14.1"})
	}
	b.ReportAllocs()
	for b.Loop() {
		if d := in.Decide(); d.Effect != Allow {
			b.Fatal(d)
		}
	}
}
