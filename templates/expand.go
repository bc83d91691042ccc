package templates

import (
	"fmt"
	"strings"

	"sallyport/internal/refusal"
)

// maxExpression bounds one field of a template in bytes.
const maxExpression = 4096

// required, after the bar, refuses an empty value of a variable that may be empty.
const required = "required"

// expression is a field of a template as a syntax tree: literals and variables
// in their order. Expanding walks it once, so a value that looks like a variable
// stays what it is.
type expression []part

// part is a literal, or a variable when its name is set.
type part struct {
	literal  string
	variable variable // as the table has it, under the name that the template uses
	empty    emptiness
	fallback string
}

// emptiness says what a variable without a value comes to.
type emptiness int

const (
	refuseEmpty emptiness = iota
	acceptEmpty
	replaceEmpty // by the part's fallback
)

// parseExpression reads one field: %name% is a variable, %name|required% one
// that must have a value, %name|% one that may be empty, %name|text% one that
// falls back to the text, %% a percent sign. A variable that we do not have is
// refused here, when the template is saved.
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
		inner, after, closed := strings.Cut(rest, "%")
		if !closed {
			return nil, refusal.New(ErrInvalid, path, "holds a percent sign that begins no variable", "write %% for a percent sign")
		}
		text = after
		if inner == "" {
			parsed = append(parsed, part{literal: "%"})
			continue
		}
		p, refused := parseVariable(path, inner)
		if refused != nil {
			return nil, refused
		}
		if next, ok := variableAt(after); ok && strings.HasSuffix(inner, "|") {
			return nil, refusal.New(ErrInvalid, path, fmt.Sprintf("gives %%%s|…%% the default %%%.64s%%, and a default holds no variable and no percent sign", p.variable.Name, next),
				"give a plain text as the default, or use one of the two variables")
		}
		parsed = append(parsed, p)
	}
	return parsed, nil
}

// variableAt reports whether text goes on as if a variable had begun just before.
// After the bar of another one that is a default gone wrong: %firstname|%upn%%.
func variableAt(text string) (inner string, ok bool) {
	inner, _, closed := strings.Cut(text, "%")
	name, _, _ := strings.Cut(inner, "|")
	_, known := lookup(name)
	return inner, closed && known
}

// parseVariable reads what stands between two percent signs.
func parseVariable(path, inner string) (part, *refusal.Error) {
	name, option, hasOption := strings.Cut(inner, "|")
	v, known := lookup(name)
	if !known {
		return part{}, refusal.New(ErrInvalid, path, fmt.Sprintf("unknown variable %%%.64s%%", name),
			"the variables are "+knownVariables()+"; write %% for a percent sign")
	}
	v.Name = name // refusals use the template's own spelling
	p := part{variable: v}
	switch {
	case hasOption && option == required:
		p.empty = refuseEmpty
	case hasOption && option != "":
		p.empty, p.fallback = replaceEmpty, option
	case hasOption || v.MayBeEmpty:
		p.empty = acceptEmpty
	}
	return p, nil
}

// expand puts the values, escaped where the field asks for it, in the variables'
// places, from left to right.
func (e expression) expand(path string, v values, escape func(string) string) (string, *refusal.Error) {
	var b strings.Builder
	for _, p := range e {
		if p.variable.Name == "" {
			b.WriteString(p.literal)
			continue
		}
		value := p.variable.value(v)
		if value == "" {
			if p.empty == refuseEmpty {
				return "", missing(path, p.variable, v)
			}
			b.WriteString(p.fallback)
			continue
		}
		if refused := refusal.Line(ErrRender, path, value, maxExpression); refused != nil {
			return "", unfit(refused, p.variable, v)
		}
		if escape != nil {
			value = escape(value)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// missing names variable, field, user, where the value should come from, and
// what to do.
func missing(path string, name variable, v values) *refusal.Error {
	const leave = "write %%%s|%% where it may be empty, %%%s|text%% for a default, or take it out of the template"
	otherwise := fmt.Sprintf(leave, name.Name, name.Name)
	switch {
	case name.Device && v.device == nil:
		return refusal.New(ErrRender, path,
			fmt.Sprintf("%%%s%% has no value for user %s: the phone has not reported its %s yet", name.Name, v.user.UPN, name.Source),
			"wait until the phone has called (sallyport device list), or "+otherwise)
	case name.Device:
		return refusal.New(ErrRender, path,
			fmt.Sprintf("%%%s%% has no value for user %s: the phone does not tell its %s%s", name.Name, v.user.UPN, name.Source, lackingHint(name)),
			otherwise)
	}
	return refusal.New(ErrRender, path,
		fmt.Sprintf("%%%s%% has no value for user %s: %s is empty in the directory", name.Name, v.user.UPN, name.Source),
		fmt.Sprintf("set %s of this user (sallyport user add, or the column %s of user import), or %s", name.Source, name.Source, otherwise))
}

func lackingHint(v variable) string {
	if len(v.Lacking) == 0 {
		return ""
	}
	return " (never does by " + strings.Join(v.Lacking, ", ") + ")"
}

// unfit says whose value cannot be used, and who can repair it.
func unfit(refused *refusal.Error, name variable, v values) *refusal.Error {
	refused.Reason = fmt.Sprintf("%%%s%% of user %s %s", name.Name, v.user.UPN, refused.Reason)
	refused.Remedy = fmt.Sprintf("correct %s of this user in the directory", name.Source)
	if name.Device {
		refused.Remedy = fmt.Sprintf("correct the %s on the phone", name.Source)
	}
	return refused
}

// usesDevice reports whether the field names a fact of the phone.
func (e expression) usesDevice() bool {
	for _, p := range e {
		if p.variable.Device {
			return true
		}
	}
	return false
}

// expandText parses and expands at once.
func expandText(path, text string, v values) (string, *refusal.Error) {
	parsed, refused := parseExpression(path, text)
	if refused != nil {
		return "", refused
	}
	return parsed.expand(path, v, nil)
}
