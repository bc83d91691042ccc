package compliance

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/enroll/directory"
)

// Label names a policy in verdicts: "standard@3".
func (p Policy) Label() string {
	if p.Number == 0 { // made by Strictest
		return p.Name
	}
	return p.Name + "@" + strconv.Itoa(p.Number)
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
		all.Spec.Actions, all.Spec.Grace = strictestActions(all.Spec, p.Spec)
		all.Spec.Rules = strictestRules(all.Spec.Rules, p.Spec.Rules)
	}
	all.Spec.Rules.Custom = allCustom(policies)
	return &Policy{Name: strings.Join(labels, ", "), Spec: Spec{Rules: all.Spec.Rules, Grace: all.Spec.Grace, Actions: all.Spec.Actions}}
}

// allCustom are the rules of all policies. Two that differ and have one name are
// told apart by the policy's.
func allCustom(policies []Policy) []Custom {
	var all []Custom
	for _, p := range policies {
		for _, c := range p.Spec.Rules.Custom {
			c.owner = p.Name
			if !slices.ContainsFunc(all, c.Equal) {
				all = append(all, c)
			}
		}
	}
	slices.SortFunc(all, func(a, b Custom) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.owner, b.owner)) })
	counts := map[string]int{}
	for _, c := range all {
		counts[c.Name]++
	}
	for i, c := range all {
		if counts[c.Name] > 1 {
			all[i].Name = c.owner + "." + c.Name
		}
	}
	return all
}

// Equal reports whether both rules say the same.
func (c Custom) Equal(other Custom) bool {
	return c.Name == other.Name && c.Expression == other.Expression && c.Fact == other.Fact && c.Fix == other.Fix
}

func strictestRules(a, b Rules) Rules {
	a.MailProfile = a.MailProfile || b.MailProfile
	a.Passcode = a.Passcode || b.Passcode
	a.IdentityCertificate = a.IdentityCertificate || b.IdentityCertificate
	if a.ReportedWithin == 0 || b.ReportedWithin != 0 && b.ReportedWithin < a.ReportedWithin {
		a.ReportedWithin = b.ReportedWithin
	}
	a.Encryption = a.Encryption || b.Encryption
	a.Supervised = a.Supervised || b.Supervised
	a.NotJailbroken = a.NotJailbroken || b.NotJailbroken
	a.ForbiddenApps = union(a.ForbiddenApps, b.ForbiddenApps)
	a.RequiredApps = union(a.RequiredApps, b.RequiredApps)
	a.MinimumOS = a.MinimumOS.both(b.MinimumOS)
	return a
}

// union names each app once, in the order of the alphabet.
func union(a, b []string) []string {
	if len(b) == 0 {
		return a
	}
	all := append(slices.Clone(a), b...)
	slices.SortFunc(all, func(x, y string) int {
		return cmp.Or(cmp.Compare(strings.ToLower(x), strings.ToLower(y)), cmp.Compare(x, y))
	})
	return slices.CompactFunc(all, strings.EqualFold)
}

func (d Duration) std() time.Duration { return time.Duration(d) }
