package compliance

import (
	"fmt"
	"strings"
	"time"

	"sallyport/enroll/directory"
)

// Label names a policy in verdicts: "standard@3".
func (p Policy) Label() string {
	if p.Number == 0 { // made by Strictest
		return p.Name
	}
	return fmt.Sprintf("%s@%d", p.Name, p.Number)
}

// Matching returns those of policies that are assigned to the user of e.
func Matching(policies []Policy, e Expected) []Policy {
	user := directory.User{ID: e.UserID, UPN: e.UPN, Groups: e.Groups}
	var matching []Policy
	for _, p := range policies {
		if p.Spec.Assign.Includes(user) {
			matching = append(matching, p)
		}
	}
	return matching
}

// Strictest makes one policy of all that apply to a phone: whatever one of them
// asks is asked, the highest minimum and the shortest time count, and so does
// the shortest grace. No policy can so soften another one, and the order in
// which they are listed does not matter. It returns nil when none applies.
func Strictest(policies []Policy) *Policy {
	if len(policies) == 0 {
		return nil
	}
	all := policies[0]
	if len(policies) == 1 {
		return &all
	}
	labels := []string{all.Label()}
	for _, p := range policies[1:] {
		labels = append(labels, p.Label())
		all.Spec.Rules = strictestRules(all.Spec.Rules, p.Spec.Rules)
		all.Spec.Grace = min(all.Spec.Grace, p.Spec.Grace)
	}
	return &Policy{Name: strings.Join(labels, ", "), Spec: Spec{Rules: all.Spec.Rules, Grace: all.Spec.Grace}}
}

func strictestRules(a, b Rules) Rules {
	a.MailProfile = a.MailProfile || b.MailProfile
	a.Passcode = a.Passcode || b.Passcode
	a.IdentityCertificate = a.IdentityCertificate || b.IdentityCertificate
	if a.ReportedWithin == 0 || b.ReportedWithin != 0 && b.ReportedWithin < a.ReportedWithin {
		a.ReportedWithin = b.ReportedWithin
	}
	// Validate has seen to it that both are versions; an empty one is 0.
	have, _ := parseVersion(a.MinimumOS)
	other, _ := parseVersion(b.MinimumOS)
	if !have.atLeast(other) {
		a.MinimumOS = b.MinimumOS
	}
	return a
}

func (d Duration) std() time.Duration { return time.Duration(d) }
