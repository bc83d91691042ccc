package yamldoc_test

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/yamldoc"
)

var errInvalid = errors.New("invalid")

type hours time.Duration

func (h *hours) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New("is not a duration such as 24h")
	}
	*h = hours(d)
	return nil
}

type part struct {
	Name string `yaml:"name"`
	Port int8   `yaml:"port"`
	SSL  *bool  `yaml:"ssl"`
}

type document struct {
	Title   string             `yaml:"title"`
	Version string             `yaml:"version,omitempty"`
	Assign  directory.Audience `yaml:"assign"`
	Wait    hours              `yaml:"wait"`
	Parts   []part             `yaml:"parts"`
	Other   string             `yaml:"-"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var got document
	err := yamldoc.Decode([]byte(`# a comment
title: "yes"
version: 16.10
assign: {groups: [sales, 7]}
wait: 90m
parts:
  - name: true
    port: 12
    ssl: false
  - {}
`), &got, errInvalid)
	if err != nil {
		t.Fatal(err)
	}
	no := false
	want := document{Title: "yes", Version: "16.10", Assign: directory.Audience{Groups: []string{"sales", "7"}}, Wait: hours(90 * time.Minute),
		Parts: []part{{Name: "true", Port: 12, SSL: &no}, {}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	bomb := "title: &a [x,x]\nparts: [*a,*a]\n"
	refuses(t, []refused{
		{"empty", "", "line 1, column 1: the document is empty"},
		{"comment only", "# nothing\n", "line 1, column 1: the document is empty"},
		{"not UTF-8", "title: ä\nwait: ä\xff", "line 2, column 8: the document is not UTF-8"},
		{"NUL", "title: a\nwait: ä\x00", "line 2, column 8: holds the control character U+0000"},
		{"NUL in a later block", "title: a\n" + strings.Repeat("# x\n", 5000) + "\x1b", "line 5002, column 1: holds the control character U+001B"},
		{"syntax", "title: [", "line 1"},
		{"two documents", "title: a\n---\ntitle: b\n", "line 2, column 1: a second document"},
		{"not a mapping", "- a\n", "line 1, column 1: must be a mapping"},
		{"one word", "title\n", "must be a mapping"},
		{"nothing", "~\n", "has no value"},
		{"unknown key", "title: a\ntitel: b\n", "titel: line 2, column 1: unknown key (use title, version, assign, wait, parts)"},
		{"dash", "Other: a\n", "Other: line 1, column 1: unknown key"},
		{"dash by its tag", "\"-\": a\n", "-: line 1, column 1: unknown key"},
		{"unknown inner key", "parts:\n  - nam: a\n", "parts[0].nam: line 2, column 5: unknown key (use name, port, ssl)"},
		{"double key", "title: a\nwait: 1h\ntitle: b\n", "title: line 3, column 1: the key is there twice, first in line 1"},
		{"double key in other spelling", "title: a\n\"title\": b\n", "there twice"},
		{"double inner key", "parts: [{name: a, name: b}]\n", "there twice"},
		{"alias bomb", bomb, "anchors and aliases are not accepted"},
		{"merge key", "<<: {title: a}\n", "unknown key"},
		{"tag", "title: !!binary aGk=\n", "tags are not accepted (remove !!binary)"},
		{"key that is a list", "? [a]\n: b\n", "a key is one word"},
		{"no value", "title:\n", "title: line 1, column 7: has no value"},
		{"too deep", "title: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "nested deeper"},
		{"far too deep", strings.Repeat("[", 200_000), "depth"},
		{"list for text", "title: [a]\n", "title: line 1, column 8: must be one plain value"},
		{"mapping for duration", "wait: {a: b}\n", "wait: line 1, column 7: must be one plain value"},
		{"duration", "wait: soon\n", "wait: line 1, column 7: is not a duration"},
		{"text for list", "parts: a\n", "parts: line 1, column 8: must be a list"},
		{"number", "parts: [{port: 300}]\n", "parts[0].port: line 1, column 16: must be a whole number"},
		{"bool", "parts: [{ssl: maybe}]\n", "parts[0].ssl: line 1, column 15: must be true or false (write true or false, without quotes)"},
		{"bool in quotes", "parts: [{ssl: 'yes'}]\n", "parts[0].ssl: line 1, column 15: must be true or false"},
		{"bool in double quotes", "parts: [{ssl: \"true\"}]\n", "parts[0].ssl: line 1, column 15: must be true or false"},
		{"bool as a block", "parts:\n  - ssl: |-\n      yes\n", "parts[0].ssl: line 2, column 10: must be true or false"},
		{"number in quotes", "parts: [{port: '7'}]\n", "parts[0].port: line 1, column 16: must be a whole number"},
		{"number with a point", "parts: [{port: 7.0}]\n", "parts[0].port: line 1, column 16: must be a whole number within bounds (write its digits alone"},
		{"number with an exponent", "parts: [{port: 1e1}]\n", "parts[0].port: line 1, column 16: must be a whole number"},
		{"own reader", "assign: all\n", "assign: line 1, column 9: assign is the word everyone"},
		{"all at once", "a: 1\nb: 2\nwait: x\n", "wait: line 3"},
		{"too long", strings.Repeat("#", yamldoc.MaxBytes+1), fmt.Sprintf("line 1, column %d: here the document grows longer than", yamldoc.MaxBytes+1)},
		{"too long by lines", strings.Repeat("# ü\n", yamldoc.MaxBytes/5+9), fmt.Sprintf("line %d, column 2: here the document grows longer than", yamldoc.MaxBytes/5+1)},
		{"too long within a character", "# " + strings.Repeat("€", yamldoc.MaxBytes/3), fmt.Sprintf("line 1, column %d: here the document grows longer than", 2+(yamldoc.MaxBytes-2)/3+1)},
	})
}

// refused is a document, and what its refusal says.
type refused struct{ name, source, want string }

func refuses(t *testing.T, tests []refused) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := yamldoc.Decode([]byte(tt.source), &document{}, errInvalid)
			if !errors.Is(err, errInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %.300v, want a refusal with %q", err, tt.want)
			}
		})
	}
}

func TestDecodeStopsCounting(t *testing.T) {
	t.Parallel()
	err := yamldoc.Decode([]byte(strings.Repeat("- {x: 1, x: 2}\n", 10_000)), &document{}, errInvalid)
	if n := len(refusal.All(err)); n != 50 {
		t.Errorf("got %d refusals, want 50", n)
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{"title: a\nparts: [{name: b, port: 1, ssl: true}]\n", "assign: {users: [a@b]}\nwait: 1h", "a: &b [*b]", "title: \"a\nwait: 1h\n", "parts: [a\nwait: 1h", "a: \"\\ud83d\"", "a:\n\t- b", "? {}\n: -", "%YAML 1.1\n---\n", "\ufefftitle: a"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		err := yamldoc.Decode(source, &document{}, errInvalid)
		if err != nil && !errors.Is(err, errInvalid) {
			t.Errorf("an error that refuses nothing: %v", err)
		}
		for _, e := range refusal.All(err) {
			checkPlace(t, source, e.Reason)
		}
	})
}

var place = regexp.MustCompile(`^line ([0-9]+), column ([0-9]+): .`)

// checkPlace wants the reason to name a place that the document has.
func checkPlace(t *testing.T, source []byte, reason string) {
	t.Helper()
	found := place.FindStringSubmatch(reason)
	if found == nil {
		t.Fatalf("no line and column: %s", reason)
	}
	line, _ := strconv.Atoi(found[1])
	column, _ := strconv.Atoi(found[2])
	// YAML counts CR, NEL, LS and PS as ends of lines too.
	if ends := strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(source)), "\n"); line < 1 || line > ends+2 || column < 1 || column > len(source)+1 {
		t.Errorf("the document has no line %d, column %d", line, column)
	}
}
