package main

import (
	"fmt"

	"sallyport/compliance"
	"sallyport/internal/server/adminapi"
)

// plan says whom the policy would shut out.
func (c *complianceApplyCmd) plan(p *program) error {
	var plan adminapi.PolicyPlan
	if err := p.apply(c.query("/api/v1/compliance/policies"), c.File, &plan); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, plan)
	}
	i := plan.Impact
	fmt.Fprintf(p.stdout, "of %d phones %d would not comply any more, %d only until their grace is over, and %d would comply that do not now\n", i.Phones, i.ShutOut, i.InGrace, i.LetIn)
	if len(i.Sample) > 0 {
		const header = "ENROLMENT USER BEFORE AFTER GRACE-UNTIL OPEN"
		row := fitted(header, i.Sample, func(x compliance.Shift) []string {
			return []string{string(x.EnrollmentID), x.User, string(x.Before), string(x.After), stamp(x.GraceUntil), x.Open}
		}, terminalWidth(p.stdout), 5)
		if err := list(p, c.Output, i.Sample, header, row); err != nil {
			return err
		}
	}
	p.warn(plan.Warnings)
	p.nothingDone()
	return nil
}
