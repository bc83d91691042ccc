package access

import (
	"slices"
	"strings"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// reference is the order once more, said as shortly as possible and in another
// way: everything is judged, and a list of what holds is read from its top.
func reference(in *Inputs) (Step, Effect) {
	if len(in.People) != 1 {
		return StepUser, Block
	}
	rank := map[mdm.EnrollmentState]int{mdm.Configured: 3, mdm.Enrolled: 3, mdm.Authenticated: 2, mdm.CheckedOut: 1, mdm.Replaced: 1, mdm.Retired: 1}
	var judges []Phone
	for r := 3; r > 0 && judges == nil; r-- {
		judges = filter(in.Phones, func(p Phone) bool { return rank[p.State] == r && p.Proof != ProofNone && p.Proof != ProofProbable })
	}
	live := filter(judges, func(p Phone) bool { return rank[p.State] == 3 })
	user, results := directory.User{UPN: in.People[0].UPN, Groups: in.People[0].Groups}, map[string]int{}
	for _, p := range filter(in.World.Policies, func(p Policy) bool {
		s := p.Spec
		platform := s.Platforms == nil || filter(judges, func(j Phone) bool { return slices.Contains(s.Platforms, j.Platform) }) != nil
		return s.Assign.Includes(user) && !s.Except.Includes(user) && !slices.Contains(s.BreakGlass, user.UPN) && platform && s.Mode == Enforce && !s.StartsAt.After(in.At)
	}) {
		results[""] += max(0, 1-len(judges))
		for _, j := range judges {
			for _, r := range p.Spec.Require {
				results[referenceJudge(j, rank[j.State], r, in.Client.Certificate)]++
			}
		}
	}
	said := func(k PersonalKind) bool {
		return filter(in.Personal, func(p Personal) bool {
			return p.Kind == k && (p.ExpiresAt.After(in.At) || p.ExpiresAt.IsZero() && k != PersonalExempt) && (p.Key == "" || p.Key == Canonical(in.Client.DeviceID))
		}) != nil
	}
	ruled := func(e Effect) bool {
		return filter(in.World.Rules, func(r Rule) bool { return r.Effect == e && referenceRule(r, in, live) }) != nil
	}
	withdrawn := filter(live, func(p Phone) bool { return p.Withheld == mdm.WithholdEverything }) != nil
	holds := []bool{false, in.People[0].MailOff != nil, said(PersonalBlock) || withdrawn, results["failed"] > 0 && !said(PersonalExempt), said(PersonalAllow),
		ruled(Block), ruled(Quarantine), results["passed"] > 0 && results["failed"]+results[""] == 0, ruled(Allow), true}
	effects := []Effect{Block, Block, Block, Block, Allow, Block, Quarantine, Allow, Allow, in.World.Default}
	first := slices.Index(holds, true)
	return order[first], effects[first]
}

// referenceJudge says passed, failed, or nothing.
func referenceJudge(p Phone, rank int, r Requirement, shown string) string {
	mail := append(filter(p.Verdict.Findings, func(f compliance.Finding) bool { return f.Rule == compliance.RuleMailProfile }), compliance.Finding{})[0].State
	word := map[Requirement]string{RequireEnrolled: "active", RequireCompliant: string(p.Verdict.State), RequireMailProfile: "mail " + string(mail)}[r]
	switch {
	case r == RequireCertificate:
		word = "shown " + strings.Repeat(shown, min(1, len(filter(p.Certificates, func(c string) bool { return c == shown }))))
		word = map[bool]string{true: word, false: ""}[shown != ""]
	case rank < 3:
		word = map[int]string{1: "over"}[rank]
	case word == "mail failed" && p.Verdict.State == compliance.InGrace:
		word = "mail met"
	}
	return map[string]string{"active": "passed", "compliant": "passed", "in_grace": "passed", "mail met": "passed", "shown c1": "passed",
		"over": "failed", "not_compliant": "failed", "unknown": "failed", "mail failed": "failed", "shown ": "failed"}[word]
}
