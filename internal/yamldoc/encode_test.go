package yamldoc

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type letter struct {
	To    string   `yaml:"to"`
	Count *int     `yaml:"count"`
	Lines []string `yaml:"lines"`
	Seal  struct {
		Wax bool `yaml:"wax"`
	} `yaml:"seal"`
	Inner string
}

func TestEncode(t *testing.T) {
	zero := 0
	in := letter{To: "16.0", Count: &zero, Lines: []string{"yes", "%upn%", "a: b", ""}}
	source, err := Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	var out letter
	if err := Decode(source, &out, errors.New("x")); err != nil {
		t.Fatalf("%v in\n%s", err, source)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("%s in\n%s", diff, source)
	}
}

func TestSet(t *testing.T) {
	list := []string{"a", "b"}
	tests := []struct{ name, source, want string }{
		{"one line", "to: x # me\nlines: [c] # gone\n# about count\ncount: 3\n", "to: x # me\nlines:\n  - a\n  - b\n# about count\ncount: 3\n"},
		{"several lines", "lines:\n- c\n- d\n\n# about to\nto: x\n", "lines:\n  - a\n  - b\n\n# about to\nto: x\n"},
		{"last", "to: x\nlines:\n  - c\n", "to: x\nlines:\n  - a\n  - b\n"},
		{"new", "to: x", "to: x\nlines:\n  - a\n  - b\n"},
		{"braces", "{to: x, lines: [c]}", "{to: x, lines: [a, b]}\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Set([]byte(test.source), "lines", list)
			if err != nil || string(got) != test.want {
				t.Errorf("got %v\n%s\nwant\n%s", err, got, test.want)
			}
		})
	}
	if _, err := Set([]byte("- a\n"), "lines", list); err == nil {
		t.Error("a list was taken")
	}
}
