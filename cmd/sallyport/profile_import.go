package main

import (
	"fmt"
	"io"

	"sallyport/enroll/directory"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

type profileImportCmd struct {
	File string `arg:"" help:"The .mobileconfig, signed or not, - for standard input."`
	User string `help:"The user that the profile was made for, YAML: their values become variables." placeholder:"FILE"`
	keyFiles
	Output
}

func (c *profileImportCmd) Run(p *program) error {
	data, err := p.readFile(c.File, mobileconfig.MaxProfile)
	if err != nil {
		return err
	}
	owner, err := c.owner(p)
	if err != nil {
		return err
	}
	device, err := c.device()
	if err != nil {
		return err
	}
	if device != nil {
		i, err := inspected(c.File, data, device)
		if err != nil {
			return err
		}
		if data, err = mobileconfig.EncodeTree(i.Dict); err != nil {
			return err
		}
	}
	imported, err := templates.Import(data, owner)
	if err != nil {
		return p.refuse(c.File, nil, err)
	}
	if c.json() {
		return printJSON(p.stdout, imported)
	}
	if imported.Signer != "" {
		fmt.Fprintf(p.stderr, "signed by %s, which was not verified\n", cell(imported.Signer))
	}
	for _, s := range imported.Suggestions {
		printSuggestion(p.stderr, s)
	}
	_, err = io.WriteString(p.stdout, imported.Source)
	return err
}

func (c *profileImportCmd) owner(p *program) (*directory.User, error) {
	if c.User == "" {
		return nil, nil
	}
	source, err := p.readDocument(c.User)
	if err != nil {
		return nil, err
	}
	u, _, err := parseUser(source)
	if err != nil {
		return nil, p.refuse(c.User, source, err)
	}
	return &u, nil
}

func printSuggestion(w io.Writer, s templates.Suggestion) {
	text := s.Text
	if s.Field != "" {
		text = s.Field + ": " + text
	}
	switch {
	case s.Was != "" && s.Now != "":
		text += fmt.Sprintf(" (%s becomes %s)", s.Was, s.Now)
	case s.Was != "":
		text += fmt.Sprintf(" (it is %s)", s.Was)
	case s.Now != "":
		text += fmt.Sprintf(" (it becomes %s)", s.Now)
	}
	if s.Needed {
		text = "needed: " + text
	}
	fmt.Fprintln(w, cell(text))
	if s.Command != "" {
		fmt.Fprintln(w, "  "+cell(s.Command))
	}
}
