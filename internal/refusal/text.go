package refusal

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Add appends those of refusals that are not nil.
func (l *List) Add(refusals ...*Error) {
	for _, e := range refusals {
		if e != nil {
			*l = append(*l, e)
		}
	}
}

// Line refuses what no value of one line may hold: more than limit bytes, bytes
// that are not UTF-8, control characters, and what XML cannot carry (a plist
// encoder would replace that in silence). It returns nil for anything else,
// also for markup, template text and writing directions: those are data.
func Line(sentinel error, field, value string, limit int) *Error {
	if len(value) > limit {
		return New(sentinel, field, fmt.Sprintf("is %d bytes long", len(value)), fmt.Sprintf("use at most %d", limit))
	}
	if !utf8.ValidString(value) {
		return New(sentinel, field, "is not UTF-8 text", "save the text as UTF-8")
	}
	for _, r := range value {
		if unicode.IsControl(r) || r == '\uFFFE' || r == '\uFFFF' || r == '\u2028' || r == '\u2029' {
			return New(sentinel, field, fmt.Sprintf("holds the control character %U", r), "remove it; a value is one line of text")
		}
	}
	return nil
}

// Identifier refuses what Line refuses, and what makes two different names look
// the same to a person: spaces, and characters that are invisible or change the
// writing direction. It is for addresses, host and login names.
func Identifier(sentinel error, field, value string, limit int) *Error {
	if e := Line(sentinel, field, value, limit); e != nil {
		return e
	}
	for _, r := range value {
		if unicode.IsSpace(r) {
			return New(sentinel, field, "holds a space", "remove it")
		}
		if unicode.Is(unicode.Cf, r) {
			return New(sentinel, field, fmt.Sprintf("holds the invisible character %U", r), "remove it; type the name anew instead of pasting it")
		}
	}
	return nil
}
