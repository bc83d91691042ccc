package yamldoc_test

import (
	"strings"
	"testing"

	"sallyport/internal/yamldoc"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	source := "# a comment\ntitle: a\nparts:\n  - name: b\n    port: 1\n  - {name: c}\n"
	tests := []struct {
		field        string
		line, column int
	}{
		{"title", 2, 8},
		{"parts[0].port", 5, 11},
		{"parts[1].name", 6, 12},
		{"parts[1].port", 6, 5}, // not written: the item that should have it
		{"parts[7].port", 4, 3}, // the list
		{"parts[x]", 4, 3},
		{"title.inner", 2, 8},
		{"version", 2, 1},
		{"", 2, 1},
		{"..[[", 2, 1},
	}
	for _, tt := range tests {
		line, column, ok := yamldoc.Locate([]byte(source), tt.field)
		if !ok || line != tt.line || column != tt.column {
			t.Errorf("%q: got %d, %d, %v; want %d, %d", tt.field, line, column, ok, tt.line, tt.column)
		}
	}
	for _, bad := range []string{"", "a: [", strings.Repeat("#", yamldoc.MaxBytes+1)} {
		if _, _, ok := yamldoc.Locate([]byte(bad), "a"); ok {
			t.Errorf("%.10q: want no place in what is no YAML", bad)
		}
	}
}

func FuzzLocate(f *testing.F) {
	f.Add([]byte("parts:\n  - name: b\n"), "parts[0].name")
	f.Add([]byte("[[1]]"), "[0][0]")
	f.Add([]byte("? {}\n: -"), "a[-1]")
	f.Fuzz(func(t *testing.T, source []byte, field string) {
		if line, column, ok := yamldoc.Locate(source, field); ok && (line < 1 || column < 1) {
			t.Errorf("got line %d, column %d", line, column)
		}
	})
}
