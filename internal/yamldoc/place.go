package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// searchBytes bounds what finding the place of a fault may parse again. A template
// of some pages takes a small part of it; in the largest documents the place may
// come out later than need be.
const searchBytes = MaxBytes

// syntaxError is a fault that the parser reported, with its place.
type syntaxError struct {
	line, column int
	text         string
	late         bool // the search ended early: what is wrong may begin before
}

func (e *syntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.line, e.column, e.text)
}

// remedy knows what templates get wrong most, and else where the form is told.
func remedy(err error) string {
	var e *syntaxError
	if !errors.As(err, &e) {
		return ""
	}
	if e.late {
		return "look at what comes before too: the document is too large to say exactly where the fault begins"
	}
	switch e.text {
	case "found character that cannot start any token":
		return "put a value that begins with %, @ or a backtick in quotes, and indent with spaces, never with tabs"
	case "found a tab character that violates indentation":
		return "indent with spaces"
	case "found invalid Unicode character escape code":
		return `write the character itself, or \U and the eight digits of its code point; surrogates are for JSON`
	case "mapping values are not allowed in this context":
		return "put a value that holds a colon in quotes, and indent keys that belong together alike"
	case errEmpty.text:
		return "begin with its name; sallyport profile starters has templates to copy"
	case errSecond:
		return "give each document a file of its own"
	case "found unexpected end of stream":
		return "close the quote that is opened here"
	}
	return "see https://yaml.org/spec/1.2.2/ for the form"
}

// located gives a fault of the parser its place. The parser says no column, often
// no line, and at times the line before, so the place is found by parsing again:
// it is where the shortest beginning of the document ends that has the same fault
// and, cut one character earlier, has it no more. For a quote that is never
// closed that is the quote itself.
func located(source []byte, err error) *syntaxError {
	line, text := told(err)
	s := search{source: source, fault: text, bytes: searchBytes}
	s.end = s.consumed()
	for _, begun := range []int{1, line, line + 1} {
		if to := lineEnd(source, begun); to < s.end && s.same(to) {
			s.end = to
			break
		}
	}
	s.backByLine()
	s.backByCharacter()
	e := &syntaxError{text: text, late: s.bytes == 0}
	e.line, e.column = position(source, s.end)
	return e
}

// told takes the parser's error apart. Without a line it means the first.
func told(err error) (line int, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, after, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				return line, after
			}
		}
	}
	return 1, text
}

// search moves end back as long as the document up to there has the same fault.
type search struct {
	source []byte
	fault  string
	end    int
	bytes  int // that may still be parsed; 0: given up
}

// consumed is how much of the document the parser took before it gave up.
func (s *search) consumed() int {
	r := &slowReader{rest: s.source}
	_, _ = parseFrom(r)
	return len(s.source) - len(r.rest)
}

func (s *search) same(end int) bool {
	if end <= 0 {
		return false
	}
	if s.bytes < end {
		s.bytes = 0
		return false
	}
	s.bytes -= end
	_, err := parseFrom(bytes.NewReader(s.source[:end]))
	if err == nil {
		return false
	}
	_, text := told(err)
	return text == s.fault
}

func (s *search) backByLine() {
	for s.end > 0 {
		to := bytes.LastIndexByte(s.source[:s.end-1], '\n') + 1
		if !s.same(to) {
			return
		}
		s.end = to
	}
}

func (s *search) backByCharacter() {
	for s.end > 0 {
		_, size := utf8.DecodeLastRune(s.source[:s.end])
		if !s.same(s.end - size) {
			return
		}
		s.end -= size
	}
}

// slowReader hands out one byte at a time, so that the parser takes no more than
// it needs.
type slowReader struct{ rest []byte }

func (r *slowReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest[:1])
	r.rest = r.rest[n:]
	return n, nil
}

// lineEnd is the offset behind a line, counted from 1.
func lineEnd(source []byte, line int) int {
	end := 0
	for range line {
		next := bytes.IndexByte(source[end:], '\n')
		if next < 0 {
			return len(source)
		}
		end += next + 1
	}
	return end
}

// position is the line and column, in characters, of the last character of
// source[:end], whole or not; of an empty document, its beginning.
func position(source []byte, end int) (line, column int) {
	if end <= 0 {
		return 1, 1
	}
	for first := end - utf8.UTFMax; end > max(first, 1) && !utf8.RuneStart(source[end-1]); {
		end--
	}
	_, size := utf8.DecodeLastRune(source[:end])
	before := source[:end-size]
	start := bytes.LastIndexByte(before, '\n') + 1
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[start:])
}
