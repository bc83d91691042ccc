package refusal

import (
	"errors"
	"strings"
	"testing"
)

var errTest = errors.New("test")

func TestLineAndIdentifier(t *testing.T) {
	tests := []struct {
		name, value      string
		line, identifier bool // accepted
	}{
		{"plain", "alice", true, true},
		{"empty", "", true, true},
		{"letters of any script", "Ålice例", true, true},
		{"markup is data", "</string><key>x</key>", true, true},
		{"template text is data", "%upn%$(id){{.}}", true, true},
		{"space", "Alice Doe", true, false},
		{"no-break space", "a\u00a0b", true, false},
		{"right-to-left override", "a\u202eb", true, false},
		{"zero width space", "a\u200bb", true, false},
		{"NUL", "a\x00b", false, false},
		{"newline", "a\nb", false, false},
		{"tab", "a\tb", false, false},
		{"C1 control", "a\u0085b", false, false},
		{"line separator", "a\u2028b", false, false},
		{"not a character", "a\uffffb", false, false},
		{"not UTF-8", "a\xffb", false, false},
		{"at the limit", strings.Repeat("a", 64), true, true},
		{"64 KB", strings.Repeat("a", 64<<10), false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if e := Line(errTest, "f", test.value, 64); (e == nil) != test.line {
				t.Errorf("Line: got %v, want accepted %v", e, test.line)
			}
			e := Identifier(errTest, "f", test.value, 64)
			if (e == nil) != test.identifier {
				t.Errorf("Identifier: got %v, want accepted %v", e, test.identifier)
			}
			if e != nil && (!errors.Is(e, errTest) || e.Field != "f" || e.Remedy == "") {
				t.Errorf("got %#v, want sentinel, field and remedy", e)
			}
		})
	}
}

func TestListAdd(t *testing.T) {
	var list List
	list.Add(nil, Line(errTest, "f", "ok", 9))
	if err := list.OrNil(); err != nil {
		t.Errorf("got %v, want nothing refused", err)
	}
	list.Add(New(errTest, "f", "is wrong", ""))
	if err := list.OrNil(); !errors.Is(err, errTest) || len(All(err)) != 1 {
		t.Errorf("got %v, want one refusal", err)
	}
}
