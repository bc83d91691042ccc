package refusal

import (
	"errors"
	"strings"
)

// Error refuses one input. Reason and Remedy are shown to the person who sent
// the input: they must never hold a secret, nor the offending value where that
// value could be one.
type Error struct {
	Field  string `json:"field,omitempty"` // path of the field, for example "accounts[0].host"; empty when the whole input is meant
	Reason string `json:"reason"`          // why, in words of the person who can repair it
	Remedy string `json:"remedy,omitempty"`
	Err    error  `json:"-"` // the room's sentinel; decides the HTTP status
}

// New refuses field with reason and remedy on behalf of sentinel.
func New(sentinel error, field, reason, remedy string) *Error {
	return &Error{Field: field, Reason: reason, Remedy: remedy, Err: sentinel}
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Field != "" {
		b.WriteString(e.Field)
		b.WriteString(": ")
	}
	b.WriteString(e.Reason)
	if e.Remedy != "" {
		b.WriteString(" (")
		b.WriteString(e.Remedy)
		b.WriteString(")")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// List refuses several fields of one input at once, so that a person repairs
// them in one go.
type List []*Error

func (l List) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.Is find the sentinel of every entry.
func (l List) Unwrap() []error {
	errs := make([]error, len(l))
	for i, e := range l {
		errs[i] = e
	}
	return errs
}

// OrNil returns the list as an error, or nil when nothing was refused.
func (l List) OrNil() error {
	if len(l) == 0 {
		return nil
	}
	return l
}

// All collects the refusals that err carries, in order; none for nil or for an
// error that refuses nothing.
func All(err error) []*Error {
	var list List
	if errors.As(err, &list) {
		return list
	}
	var one *Error
	if errors.As(err, &one) {
		return []*Error{one}
	}
	return nil
}
