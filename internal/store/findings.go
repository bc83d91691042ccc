package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"sallyport/compliance"
)

// Findings are stored as the JSON that encoding/json makes of them. When all
// phones are judged at once, that package takes a third of the time: what it
// writes and reads in the usual case is written and read here, byte for byte the
// same, and everything else is left to it.

// findingsText is the stored form, in which equal findings have equal text.
func findingsText(findings []compliance.Finding) (string, error) {
	var room [2048]byte // most need no more
	text := append(room[:0], '[')
	for i, f := range findings {
		if !plainText(f.Fact) || !plainText(f.Expected) || !plainText(f.Fix) || !plainText(string(f.Rule)) || !plainText(string(f.State)) {
			return wholeText(findings)
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = quoted(append(text, `{"rule":"`...), f.Rule)
		text = quoted(append(text, `","state":"`...), f.State)
		text = quoted(append(text, `","fact":"`...), f.Fact)
		if f.Expected != "" {
			text = quoted(append(text, `","expected":"`...), f.Expected)
		}
		text = append(text, `","since":"`...)
		text = whole(f.Since).AppendFormat(text, time.RFC3339Nano)
		if f.Fix != "" {
			text = quoted(append(text, `","fix":"`...), f.Fix)
		}
		text = append(text, `"}`...)
	}
	return string(append(text, ']')), nil
}

func wholeText(findings []compliance.Finding) (string, error) {
	stored := make([]compliance.Finding, len(findings))
	for i, f := range findings {
		f.Since = whole(f.Since)
		stored[i] = f
	}
	text, err := json.Marshal(stored)
	return string(text), err
}

// plainText reports whether JSON holds a text as it is, but for backslashes before
// quotes and backslashes.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// quoted appends a text with those backslashes.
func quoted[T ~string](text []byte, s T) []byte {
	if !strings.ContainsAny(string(s), `"\\`) {
		return append(text, s...)
	}
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			text = append(text, '\\')
		}
		text = append(text, s[i])
	}
	return text
}

// parseFindings reads the stored form.
func parseFindings(text string) ([]compliance.Finding, error) {
	if list, ok := usualFindings(text); ok {
		return list, nil
	}
	var list []compliance.Finding
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("findings: %w", err)
	}
	return list, nil
}

// usualFindings reads what findingsText writes without escapes; false for all else.
func usualFindings(text string) ([]compliance.Finding, bool) {
	rest, ok := strings.CutPrefix(text, "[{")
	if !ok {
		return nil, false
	}
	list := make([]compliance.Finding, 0, 8)
	for {
		var f compliance.Finding
		var rule, state, since string
		if rest, ok = member(rest, `"rule":"`, &rule); !ok {
			return nil, false
		}
		if rest, ok = member(rest, `,"state":"`, &state); !ok {
			return nil, false
		}
		if rest, ok = member(rest, `,"fact":"`, &f.Fact); !ok {
			return nil, false
		}
		rest, _ = member(rest, `,"expected":"`, &f.Expected)
		if rest, ok = member(rest, `,"since":"`, &since); !ok {
			return nil, false
		}
		rest, _ = member(rest, `,"fix":"`, &f.Fix)
		at, err := time.Parse(time.RFC3339Nano, since)
		if err != nil {
			return nil, false
		}
		f.Rule, f.State, f.Since = compliance.RuleName(rule), compliance.RuleState(state), at.UTC()
		list = append(list, f)
		switch {
		case rest == "}]":
			return list, true
		case strings.HasPrefix(rest, "},{"):
			rest = rest[len("},{"):]
		default:
			return nil, false
		}
	}
}

// member reads one text, which is a part of what is read where it has no escapes;
// rest is text where there is none, or one with escapes that quoted does not make.
func member(text, key string, to *string) (rest string, ok bool) {
	value, ok := strings.CutPrefix(text, key)
	if !ok {
		return text, false
	}
	var unquoted []byte
	begin, ascii := 0, true // after the last escape
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"':
			*to = value[begin:i]
			if begin > 0 {
				*to = string(append(unquoted, value[begin:i]...))
			}
			if !ascii && !utf8.ValidString(*to) {
				return text, false
			}
			return value[i+1:], true
		case c == '\\':
			if i+1 == len(value) || value[i+1] != '"' && value[i+1] != '\\' {
				return text, false
			}
			unquoted = append(unquoted, value[begin:i]...)
			begin, i = i+1, i+1
		case c < ' ':
			return text, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return text, false
}
