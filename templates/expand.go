package templates

import (
	"fmt"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
)

// maxExpression bounds one field of a template in bytes.
const maxExpression = 4096

// expression is a field of a template as a syntax tree: literals and variables
// in their order. Expanding walks it once, so a value that looks like a variable
// stays what it is.
type expression []part

// part is a literal, or a variable when its name is set.
type part struct {
	literal  string
	variable variable
}

// parseExpression reads one field: %name% is a variable, %% a percent sign. A
// variable that we do not have is refused here, when the template is saved.
func parseExpression(path, text string) (expression, *refusal.Error) {
	if e := refusal.Line(ErrInvalid, path, text, maxExpression); e != nil {
		return nil, e
	}
	var parsed expression
	for text != "" {
		literal, rest, found := strings.Cut(text, "%")
		if literal != "" {
			parsed = append(parsed, part{literal: literal})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "%")
		if !closed {
			return nil, refusal.New(ErrInvalid, path, "holds a percent sign that begins no variable", "write %% for a percent sign")
		}
		text = after
		if name == "" {
			parsed = append(parsed, part{literal: "%"})
			continue
		}
		v, known := lookup(name)
		if !known {
			return nil, refusal.New(ErrInvalid, path, fmt.Sprintf("unknown variable %%%.64s%%", name),
				"the variables are "+knownVariables()+"; write %% for a percent sign")
		}
		parsed = append(parsed, part{variable: v})
	}
	return parsed, nil
}

// expand puts the user's values in the variables' places, from left to right.
func (e expression) expand(path string, u directory.User) (string, *refusal.Error) {
	var b strings.Builder
	for _, p := range e {
		if p.variable.name == "" {
			b.WriteString(p.literal)
			continue
		}
		value := p.variable.value(u)
		if value == "" && !p.variable.mayBeEmpty {
			return "", missing(path, p.variable, u)
		}
		if refused := refusal.Line(ErrRender, path, value, maxExpression); refused != nil {
			refused.Reason = fmt.Sprintf("%%%s%% of user %s %s", p.variable.name, u.UPN, refused.Reason)
			refused.Remedy = fmt.Sprintf("correct %s of this user in the directory", p.variable.source)
			return "", refused
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// missing names variable, field, user, where the value should come from, and
// what to do.
func missing(path string, v variable, u directory.User) *refusal.Error {
	return refusal.New(ErrRender, path,
		fmt.Sprintf("%%%s%% has no value for user %s: %s is empty in the directory", v.name, u.UPN, v.source),
		fmt.Sprintf("set %s of this user (sallyport user add, or the column %s of user import), or take %%%s%% out of the template", v.source, v.source, v.name))
}

// expandText parses and expands at once.
func expandText(path, text string, u directory.User) (string, *refusal.Error) {
	parsed, refused := parseExpression(path, text)
	if refused != nil {
		return "", refused
	}
	return parsed.expand(path, u)
}
