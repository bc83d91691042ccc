package main

import (
	"fmt"

	"sallyport/internal/server/adminapi"
)

type complianceProgressCmd struct{ Output }

func (c *complianceProgressCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var at adminapi.ComplianceProgress
	if err := api.get(p.ctx, "/api/v1/compliance/progress", nil, &at); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, at)
	}
	switch {
	case at.StartedAt.IsZero():
		_, err = fmt.Fprintln(p.stdout, "no policy or template was changed yet")
	case at.Running:
		_, err = fmt.Fprintf(p.stdout, "%d of %d phones evaluated since %s\n", at.Done, at.Total, stamp(at.StartedAt))
	default:
		_, err = fmt.Fprintf(p.stdout, "all %d phones evaluated from %s to %s\n", at.Done, stamp(at.StartedAt), stamp(at.FinishedAt))
	}
	return err
}
