package builtin

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Starter is a template to begin with.
type Starter struct {
	Name    string `json:"name"`    // as in the file: office365-oauth
	Summary string `json:"summary"` // its first comment line
	Source  string `json:"source"`  // YAML
}

// Starters returns all of them by name.
func Starters() ([]Starter, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, fmt.Errorf("list starters: %w", err)
	}
	starters := make([]Starter, 0, len(entries))
	for _, entry := range entries {
		source, err := files.ReadFile(entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read starter %s: %w", entry.Name(), err)
		}
		starters = append(starters, Starter{
			Name:    strings.TrimSuffix(entry.Name(), ".yaml"),
			Summary: summary(string(source)),
			Source:  string(source),
		})
	}
	slices.SortFunc(starters, func(a, b Starter) int { return strings.Compare(a.Name, b.Name) })
	return starters, nil
}

// summary is the first comment line.
func summary(source string) string {
	for line := range strings.Lines(source) {
		if text, ok := strings.CutPrefix(line, "# "); ok && !strings.HasPrefix(text, "yaml-language-server:") {
			return strings.TrimSpace(text)
		}
	}
	return ""
}
