package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/internal/yamldoc"
	"sallyport/templates"
)

type profileLintCmd struct {
	Files  []string `arg:"" name:"file" help:"YAML files, - for standard input."`
	Strict bool     `help:"Warnings fail too."`
	Output
}

// finding is one thing to repair, or to think about, in a file.
type finding struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Level  string `json:"level"` // error or warning
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
	Remedy string `json:"remedy,omitempty"`
}

const (
	levelError   = "error"
	levelWarning = "warning"
)

func (c *profileLintCmd) Run(p *program) error {
	findings := []finding{}
	failed := false
	for _, name := range c.Files {
		found, err := p.lint(name)
		if err != nil {
			return err
		}
		bad := false
		for _, f := range found {
			bad = bad || f.Level == levelError || c.Strict
		}
		failed = failed || bad
		findings = append(findings, found...)
		if c.json() {
			continue
		}
		for _, f := range found {
			fmt.Fprintln(p.stderr, f)
		}
		if !bad {
			fmt.Fprintf(p.stdout, "%s: ok\n", cell(name))
		}
	}
	if c.json() {
		if err := printJSON(p.stdout, findings); err != nil {
			return err
		}
	}
	if failed {
		return errQuiet
	}
	return nil
}

// String is the form that editors and terminals jump to: file:line:column.
func (f finding) String() string {
	text := f.File
	if f.Line > 0 {
		text += ":" + strconv.Itoa(f.Line)
		if f.Column > 0 {
			text += ":" + strconv.Itoa(f.Column)
		}
	}
	if f.Level == levelWarning {
		text += ": warning"
	}
	return cell(text + ": " + refusal.New(nil, f.Field, f.Reason, f.Remedy).Error())
}

// lint reads one document. Its error means that the file could not be read.
func (p *program) lint(name string) ([]finding, error) {
	source, err := p.readDocument(name)
	if err != nil {
		return nil, err
	}
	warnings, err := lintDocument(source)
	refusals := refusal.All(err)
	if err != nil && len(refusals) == 0 {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var found []finding
	for _, r := range refusals {
		found = append(found, place(name, source, levelError, r))
	}
	for _, w := range warnings {
		found = append(found, place(name, source, levelWarning, w))
	}
	return found, nil
}

// lintDocument reads a template, or a security policy: that has settings and no
// accounts.
func lintDocument(source []byte) (warnings []*refusal.Error, err error) {
	if isSecurityPolicy(source) {
		policy, err := templates.ParseSecurity(source)
		if err != nil {
			return nil, err
		}
		return policy.Warnings(), nil
	}
	spec, err := templates.Parse(source)
	if err != nil {
		return nil, err
	}
	return spec.Warnings(), nil
}

func isSecurityPolicy(source []byte) bool {
	return yamldoc.Has(source, "settings") && !yamldoc.Has(source, "accounts")
}

// position is how yamldoc begins a reason.
var position = regexp.MustCompile(`^(?:yaml: )?line ([0-9]+)(?:, column ([0-9]+))?: `)

// place says where in the file a refusal belongs.
func place(name string, source []byte, level string, r *refusal.Error) finding {
	f := finding{File: name, Level: level, Field: r.Field, Reason: r.Reason, Remedy: r.Remedy}
	if m := position.FindStringSubmatch(r.Reason); m != nil {
		f.Line, _ = strconv.Atoi(m[1])
		f.Column, _ = strconv.Atoi(m[2])
		f.Reason = r.Reason[len(m[0]):]
		return f
	}
	if strings.HasPrefix(r.Field, "com.apple.") { // a key of the profile, not of the document
		return f
	}
	if line, column, ok := yamldoc.Locate(source, r.Field); ok {
		f.Line, f.Column = line, column
	}
	return f
}

// faulty shows what a server refuses in a document with its place there. Other
// errors, a conflict say, stay as they are.
func (p *program) faulty(file string, source []byte, err error) error {
	for _, r := range refusal.All(err) {
		if r.Field == "" && !position.MatchString(r.Reason) {
			return err
		}
	}
	if len(refusal.All(err)) == 0 {
		return err
	}
	return p.refuse(file, source, err)
}
