package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// Output is the -o flag of every command whose answer is no file.
type Output struct {
	Output string `short:"o" help:"Form of the answer: table or json." enum:"table,json" default:"table"`
}

func (o Output) json() bool { return o.Output == "json" }

// printJSON writes v as a person reads it.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// done is an act of which the API shows nothing: what the audit trail calls it, and
// whom or what it was done to, as that was named on the command line.
type done struct {
	Action string `json:"action"`
	Target string `json:"target,omitempty"` // none where there is only one
}

// print answers with the act as JSON, or with a sentence about it.
func (d done) print(p *program, o Output, format string, args ...any) error {
	if o.json() {
		return printJSON(p.stdout, d)
	}
	_, err := fmt.Fprintf(p.stdout, format, args...)
	return err
}

// list prints items as JSON (an empty list is [], not null) or as a table.
func list[T any](p *program, o Output, items []T, header string, row func(T) []string) error {
	if o.json() {
		if items == nil {
			items = []T{}
		}
		return printJSON(p.stdout, items)
	}
	if len(items) == 0 {
		fmt.Fprintln(p.stderr, "none")
		return nil
	}
	t := tabwriter.NewWriter(p.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(header, " ", "\t"))
	for _, item := range items {
		cells := row(item)
		for i := range cells {
			cells[i] = cell(cells[i])
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// fact is one line of a show.
type fact struct{ name, value string }

// facts prints the lines that have a value.
func facts(w io.Writer, lines ...fact) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, l := range lines {
		if l.value != "" {
			fmt.Fprintf(t, "%s\t%s\n", l.name, cell(l.value))
		}
	}
	return t.Flush()
}

// cell keeps what came from outside from drawing on the terminal: a phone's
// name may hold escape sequences.
func cell(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// readInput reads a file, or standard input for "-".
func (p *program) readInput(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(p.stdin)
	}
	return os.ReadFile(name)
}

// printable is cell for a text of several lines.
func printable(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = cell(strings.ReplaceAll(line, "\t", "  "))
		}
	}
	return strings.Join(lines, "\n")
}
