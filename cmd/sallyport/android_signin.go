package main

import (
	"fmt"

	"sallyport/internal/server/adminapi"
)

type androidSigninCmd struct {
	QR bool `name:"qr" help:"Draw the codes for phones' cameras."`
	Output
}

// Help is the detail under the usage line.
func (*androidSigninCmd) Help() string {
	return `One link and one code serve everybody, and are no secret: the page asks for the code of an invitation. A phone of the organisation reads the code on its first screen after a factory reset (tap it six times); a personal phone opens the link.`
}

func (c *androidSigninCmd) Run(p *program) error {
	if c.QR && c.json() {
		return usageError{"--qr draws codes: it does not go with -o json"}
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	var found adminapi.AndroidWays
	if err := api.get(p.ctx, "/api/v1/android/signin", nil, &found); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, found)
	}
	if len(found.Ways) == 0 {
		fmt.Fprintln(p.stderr, "Google has made none yet; see: sallyport android doctor")
	}
	for _, way := range found.Ways {
		if err := facts(p.stdout, fact{"phones", string(way.Ownership)}, fact{"link", way.Link}, fact{"token", way.Token}); err != nil {
			return err
		}
		if !c.QR {
			continue
		}
		if err := drawQR(p.stdout, way.QR); err != nil {
			return err
		}
	}
	return nil
}
