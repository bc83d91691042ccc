package config

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Setting is one line of `config show`.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"` // "[redacted]" for a secret
	Origin Origin `json:"origin"`
	Help   string `json:"help"`
}

// Redacted returns every setting with its value and origin, and no secret: what
// may be shown, logged and put in a support bundle.
func (c Config) Redacted() []Setting {
	var all []Setting
	for _, s := range settings() {
		origin := c.origin[s.key]
		if origin == "" {
			origin = FromDefault
		}
		value := render(s.at(&c))
		if s.key == kekFile && !c.KEK.IsZero() {
			value, origin = "("+VariableKEK+")", FromEnvironment
		}
		all = append(all, Setting{Key: s.key, Value: value, Origin: origin, Help: s.help})
	}
	return all
}

// Given reports whether somebody chose the value of a setting: who gives it the
// default's value has chosen too.
func (c Config) Given(key string) bool {
	if origin := c.origin[key]; origin != "" && origin != FromDefault {
		return true
	}
	d := Default()
	for _, s := range settings() {
		if s.key == key {
			return render(s.at(&c)) != render(s.at(&d))
		}
	}
	return false
}

// Show writes what Redacted returns as a table for people.
func (c Config) Show(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "SETTING\tVALUE\tFROM") // tabwriter reports trouble at Flush
	for _, s := range c.Redacted() {
		value := s.Value
		if value == "" {
			value = "-"
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", s.Key, value, s.Origin)
	}
	return table.Flush()
}
