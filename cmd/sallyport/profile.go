package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"sallyport/internal/bounded"
	"sallyport/internal/yamldoc"
	"sallyport/templates"
	"sallyport/templates/builtin"
)

// profileCmd works on files alone: it needs no server, no data directory and no
// network.
type profileCmd struct {
	Lint     profileLintCmd     `cmd:"" help:"Check templates and security policies; each fault with its line and column."`
	Build    profileBuildCmd    `cmd:"" help:"Make the profile of one user from a template."`
	Show     profileShowCmd     `cmd:"" help:"Show a .mobileconfig, signed or encrypted, as a tree."`
	Verify   profileVerifyCmd   `cmd:"" help:"Verify a signed .mobileconfig, and say what the phone will show."`
	Diff     profileDiffCmd     `cmd:"" help:"Compare two templates or two .mobileconfig files by their meaning."`
	Import   profileImportCmd   `cmd:"" help:"Turn a .mobileconfig into a template."`
	Vars     profileVarsCmd     `cmd:"" help:"The variables that a template may name."`
	Schema   profileSchemaCmd   `cmd:"" help:"JSON Schema of a template or a security policy, for editors."`
	Starters profileStartersCmd `cmd:"" help:"Templates to begin with."`
}

// readFile reads a file, or standard input for "-", of at most limit bytes.
func (p *program) readFile(name string, limit int) ([]byte, error) {
	source, err := p.open(name)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	data, err := bounded.Read(source, limit)
	if errors.Is(err, bounded.ErrTooLarge) {
		return nil, fmt.Errorf("%s is too long: more than %d bytes", name, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

// readDocument reads YAML, and one byte more than it may have: the reader of the
// document says in which line that is.
func (p *program) readDocument(name string) ([]byte, error) {
	source, err := p.open(name)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	data, err := io.ReadAll(io.LimitReader(source, yamldoc.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return data, nil
}

func (p *program) open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(p.stdin), nil
	}
	return os.Open(name)
}

type profileSchemaCmd struct {
	Of string `arg:"" optional:"" help:"template (default) or security-policy." enum:"template,security-policy" default:"template"`
}

func (c *profileSchemaCmd) Run(p *program) error {
	schema := templates.JSONSchema
	if c.Of == "security-policy" {
		schema = templates.SecurityJSONSchema
	}
	made, err := schema()
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(made)
	return err
}

type profileStartersCmd struct {
	Name string `arg:"" optional:"" help:"Starter to print; without one, all are listed."`
	Output
}

func (c *profileStartersCmd) Run(p *program) error {
	starters, err := builtin.Starters()
	if err != nil {
		return err
	}
	if c.Name == "" {
		return list(p, c.Output, starters, "NAME FOR", func(s builtin.Starter) []string { return []string{s.Name, s.Summary} })
	}
	names := make([]string, 0, len(starters))
	for _, s := range starters {
		if s.Name != c.Name {
			names = append(names, s.Name)
			continue
		}
		if c.json() {
			return printJSON(p.stdout, s)
		}
		_, err := io.WriteString(p.stdout, s.Source)
		return err
	}
	return usageError{fmt.Sprintf("there is no starter %.64q; there are %s", c.Name, strings.Join(names, ", "))}
}
