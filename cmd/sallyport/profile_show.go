package main

import (
	"fmt"
	"io"

	"sallyport/profiles/mobileconfig"
)

type profileShowCmd struct {
	File string `arg:"" help:"The .mobileconfig, - for standard input."`
	keyFiles
	Output
}

// shownProfile is the JSON form.
type shownProfile struct {
	SignedBy  string         `json:"signed_by,omitempty"` // nobody has checked whose signature it is
	Encrypted bool           `json:"encrypted"`
	Profile   map[string]any `json:"profile"` // secrets redacted
}

func (c *profileShowCmd) Run(p *program) error {
	i, err := p.inspect(c.File, c.keyFiles)
	if err != nil {
		return err
	}
	shown := shownProfile{Encrypted: i.Encrypted}
	if i.Signed {
		shown.SignedBy = i.Signer.Subject.String()
	}
	if c.json() {
		shown.Profile = mobileconfig.Redact(i.Dict)
		return printJSON(p.stdout, shown)
	}
	if i.Signed {
		fmt.Fprintf(p.stdout, "# signed by %s (not verified here: sallyport profile verify)\n", cell(shown.SignedBy))
	} else {
		fmt.Fprintln(p.stdout, "# not signed")
	}
	switch {
	case i.Opened:
		fmt.Fprintln(p.stdout, "# the payloads were encrypted to this key")
	case i.Encrypted:
		fmt.Fprintln(p.stdout, "# the payloads are encrypted to one device: give its --key and --cert to see them")
	}
	_, err = io.WriteString(p.stdout, mobileconfig.Outline(i.Dict))
	return err
}
