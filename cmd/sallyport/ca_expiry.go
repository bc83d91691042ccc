package main

import (
	"fmt"
	"strings"

	"sallyport/enroll"
	"sallyport/internal/lapse"
)

// endingChecks are the doctor's words on what ends, for who may ask.
func endingChecks(p *program, api *client) []check {
	var e enroll.Endings
	if err := api.get(p.ctx, "/api/v1/ca/expiry", nil, &e); err != nil {
		return nil // the token's line has said why
	}
	return append(ownChecks(e.Own), phoneCheck(e.Identities), handCheck(e.Identities), listCheck(p, e.Lists))
}

// ownChecks have a line for each certificate that needs somebody, and one for the
// rest. The server's has a line of its own in any case.
func ownChecks(own []enroll.Ending) []check {
	const name = "authority"
	var checks []check
	var fine []string
	for _, o := range own {
		fact := fmt.Sprintf("%s, %s, until %s (%d days)", o.Role, o.Subject, stamp(o.NotAfter), o.DaysLeft)
		if o.DaysLeft == 0 && o.Stage != lapse.Expired {
			fact = fmt.Sprintf("%s, %s, until %s (less than a day)", o.Role, o.Subject, stamp(o.NotAfter))
		}
		switch {
		case o.Role == "server":
		case o.Stage == lapse.Expired && o.State != "old":
			checks = append(checks, check{name, broken, fact, o.Next})
		case o.Next != "":
			checks = append(checks, check{name, warn, fact, o.Next})
		case o.State == "" || o.State == "active":
			fine = append(fine, fmt.Sprintf("%s until %s", o.Role, o.NotAfter.UTC().Format("2006-01-02")))
		}
	}
	if len(fine) > 0 {
		checks = append(checks, check{name, good, strings.Join(fine, ", "), ""})
	}
	return checks
}

func phoneCheck(e enroll.IdentityEndings) check {
	c := check{"identities of phones", good, fmt.Sprintf("%d end within 30 days, %d of them within 7; waiting to renew one: %d", e.Within30, e.Within7, e.Waiting), ""}
	if e.Within7 > 0 {
		c.Grade, c.Next = warn, "see them with sallyport ca list --within 7d: their phones have to come to be renewed, or enrol again"
	}
	return c
}

// handCheck counts what was enrolled by hand: nothing of ours renews it.
func handCheck(e enroll.IdentityEndings) check {
	c := check{"certificates by hand", good, fmt.Sprintf("%d end within 30 days, %d of them within 7", e.ByHand30, e.ByHand7), ""}
	if e.ByHand30 > 0 {
		c.Grade, c.Next = warn, "see them with sallyport ca list --within 30d (those without an enrolment): have their devices renew them, or enrol them again; docs/scep.md"
	}
	return c
}

// listCheck looks at the age of the revocation lists. They are made when asked
// for, so that one which is late tells of a clock or a database that is wrong.
func listCheck(p *program, lists []enroll.ListState) check {
	c := check{"revocation lists", good, "none", ""}
	var facts []string
	for _, l := range lists {
		facts = append(facts, fmt.Sprintf("%s: %d revoked, good until %s", l.Issuer, l.Revoked, stamp(l.NextUpdate)))
		if !p.now().Before(l.NextUpdate) {
			c.Grade, c.Next = broken, "compare the clocks of this machine and of the server"
		}
	}
	if len(facts) > 0 {
		c.Fact = strings.Join(facts, "; ")
	}
	return c
}
