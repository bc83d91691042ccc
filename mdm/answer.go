package mdm

import (
	"fmt"
	"slices"
	"strings"
)

// Answer is what a result makes of its command.
type Answer struct {
	State CommandState
	Error string      // last item of the ErrorChain in plain words; empty unless failed
	Chain []ErrorItem // the end of the ErrorChain; nil unless failed
}

const (
	maxErrorText  = 1000
	maxErrorItems = 32
)

// Answer says what a contact makes of the command that it names; an error where
// it is no result.
func (c Contact) Answer() (Answer, error) {
	switch c.Status {
	case StatusAcknowledged:
		return Answer{State: Acknowledged}, nil
	case StatusNotNow:
		return Answer{State: NotNow}, nil
	case StatusError, StatusFormatError:
		return Answer{State: Failed, Error: c.plainError(), Chain: c.chain()}, nil
	case StatusIdle:
	}
	return Answer{}, fmt.Errorf("status %q is no result", c.Status)
}

// Takes reports whether a command is open for an answer that makes it to: one
// that arrives twice changes nothing.
func (c Command) Takes(to CommandState) bool {
	switch c.State {
	case Sent, NotNow, Superseded:
		return c.State != to
	case Acknowledged, Failed:
	}
	return false
}

// plainError is the root cause, which is the last link of the chain.
func (c Contact) plainError() string {
	if len(c.Errors) == 0 {
		return string(c.Status)
	}
	last := c.Errors[len(c.Errors)-1]
	return PhoneText(fmt.Sprintf("%s (%s %d)", last.Description, last.Domain, last.Code))
}

// chain is what is kept of an ErrorChain: the end of it where it is too long.
func (c Contact) chain() []ErrorItem {
	if len(c.Errors) == 0 {
		return nil
	}
	kept := slices.Clone(c.Errors[max(0, len(c.Errors)-maxErrorItems):])
	for i, item := range kept {
		kept[i].Domain, kept[i].Description = PhoneText(item.Domain), PhoneText(item.Description)
	}
	return kept
}

// PhoneText is somebody else's words as we keep them: short, and free of what
// PostgreSQL's TEXT refuses.
func PhoneText(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "�"), "\x00", "�")
	if runes := []rune(text); len(runes) > maxErrorText {
		text = string(runes[:maxErrorText]) + "…"
	}
	return text
}
