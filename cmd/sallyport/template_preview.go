package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/server/adminapi"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

type templatePreviewCmd struct {
	Name     string `arg:"" optional:"" help:"Name of an applied template."`
	File     string `short:"f" help:"YAML of a template that is not applied yet, - for standard input." placeholder:"FILE"`
	User     string `required:"" help:"UPN of the user." placeholder:"UPN"`
	Platform string `help:"apple, gmail, outlook, samsung or nine (on Android), or outlook-ios." enum:"apple,gmail,outlook,outlook-ios,samsung,nine" default:"apple"`
	OS       string `name:"os" help:"Version of the phone's system; that of the user's phones when left away." placeholder:"VERSION"`
	Out      string `short:"O" help:"Also write what would be sent, byte for byte but for challenge and signature." placeholder:"FILE"`
	Output
}

func (c *templatePreviewCmd) Run(p *program) error {
	if (c.Name == "") == (c.File == "") {
		return usageError{"name a template, or give the YAML of one with --file FILE"}
	}
	if err := checkOS(c.OS); err != nil {
		return err
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	in := adminapi.PreviewRequest{Name: c.Name, User: c.User, Platform: c.Platform, OS: c.OS}
	if in.Source, err = p.source(c.File); err != nil {
		return err
	}
	var preview templates.Preview
	if err := api.post(p.ctx, "/api/v1/templates/preview", in, &preview); err != nil {
		return err
	}
	if c.Out != "" {
		if err := p.writeFile(c.Out, preview.Body); err != nil {
			return err
		}
	}
	if c.json() {
		return printJSON(p.stdout, preview)
	}
	if c.Out == "-" {
		return nil
	}
	p.preview(preview)
	return nil
}

// source reads the YAML of a template; nothing where no file is given.
func (p *program) source(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := p.readInput(file)
	return string(text), err
}

func (p *program) preview(v templates.Preview) {
	what := fmt.Sprintf("revision %d", v.Revision)
	if v.Revision == 0 {
		what = "not applied"
	}
	fmt.Fprintf(p.stdout, "# template %s (%s) for %s on %s\n", cell(v.Template), what, cell(v.User), v.Platform)
	if v.Schema != "" {
		fmt.Fprintf(p.stdout, "# %s\n", schemaWord(v.Schema))
	}
	if v.Redacted {
		fmt.Fprintln(p.stdout, "# [redacted] stands for what is secret")
	}
	for line := range strings.Lines(v.Tree) {
		fmt.Fprintln(p.stdout, cell(strings.TrimSuffix(line, "\n")))
	}
	for _, account := range v.Fidelity {
		name := cell(account.Account)
		if account.OSVersion != "" {
			name += " on " + cell(account.OSVersion)
		}
		for _, f := range account.Report {
			if f.Status == profiles.Applied {
				continue
			}
			text := fmt.Sprintf("%s: %s: %s: %s", f.Status, name, f.Field, f.Why)
			if f.Substitute != "" {
				text += " (nearest: " + f.Substitute + ")"
			}
			fmt.Fprintln(p.stdout, cell(text))
		}
	}
	for _, w := range v.Warnings {
		fmt.Fprintln(p.stdout, cell("warning: "+w.Error()))
	}
}

type templateImportCmd struct {
	File string `arg:"" help:"The .mobileconfig, signed or not, - for standard input."`
	User string `help:"UPN of the user that it was made for: their values become variables." placeholder:"UPN"`
	Out  string `short:"O" help:"File for the template; standard output when left away." placeholder:"FILE"`
	Output
}

func (c *templateImportCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	data, err := p.readFile(c.File, mobileconfig.MaxProfile)
	if err != nil {
		return err
	}
	path := "/api/v1/templates/import"
	if c.User != "" {
		path += "?" + url.Values{"user": {c.User}}.Encode()
	}
	var imported templates.Imported
	if err := api.call(p.ctx, http.MethodPost, path, "application/octet-stream", bytes.NewReader(data), &imported); err != nil {
		return err
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
	if c.Out != "" {
		return p.writeFile(c.Out, []byte(imported.Source))
	}
	_, err = io.WriteString(p.stdout, imported.Source)
	return err
}

// schemaWord says by whose word an app's configuration is written.
func schemaWord(source templates.SchemaSource) string {
	if source == templates.SchemaApp {
		return "written as the app itself says that it reads it"
	}
	return "written by a built-in table: the app's own word, which the server has from Google, was not used"
}
