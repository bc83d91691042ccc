package templates

import (
	"regexp"
	"slices"
	"strings"

	"sallyport/enroll/directory"
)

// inUse finds what may be a variable of ours in a profile: products that export
// one before anybody's values are in it spell theirs the same way.
var inUse = regexp.MustCompile(`%[a-z_]+%`)

// withVariables writes text as an expression: variables of ours stay what they
// are, every other percent sign is one.
func withVariables(text string) (expression string, found bool) {
	var b strings.Builder
	end := 0
	for _, at := range inUse.FindAllStringIndex(text, -1) {
		if _, known := lookup(strings.Trim(text[at[0]:at[1]], "%")); known {
			b.WriteString(literal(text[end:at[0]]) + text[at[0]:at[1]])
			end, found = at[1], true
		}
	}
	return b.String() + literal(text[end:]), found
}

// plain writes a value that belongs to nobody.
func (im *importer) plain(field, value string) string {
	expression, found := withVariables(value)
	if found {
		im.suggest(Suggestion{Field: field, Text: "what looks like a variable is a variable here, too, and stays one", Was: value})
	}
	return expression
}

// sentAsTheyStand names the variables in what is kept, where none is expanded.
func (im *importer) sentAsTheyStand(kept string) {
	found := inUse.FindAllString(kept, -1)
	slices.Sort(found)
	for _, token := range slices.Compact(found) {
		if _, known := lookup(strings.Trim(token, "%")); known {
			im.suggest(Suggestion{Field: "kept", Text: token + " in what is kept is sent as it stands: no variable is expanded there"})
		}
	}
}

// literal writes text that is no expression so that it stays what it is.
func literal(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// person turns a login name or an address into the variable that it is a value
// of: owner's, or by its form. What belongs to somebody else stays, and is named.
func (im *importer) person(field, value string) string {
	if value == "" {
		return ""
	}
	if _, found := withVariables(value); found {
		return im.plain(field, value)
	}
	name, why := "", ""
	switch {
	case im.owner != nil:
		name = im.ownVariable(field, value)
		why = "the value of " + im.owner.UPN + " becomes a variable"
	case strings.Contains(value, "@") && strings.HasSuffix(field, "email"):
		name, why = "%email%", "a mail address becomes a variable"
	case strings.Contains(value, "@"):
		name, why = "%upn%", "a login name that looks like a UPN becomes a variable"
	default:
		name, why = "%username%", "a login name becomes a variable"
	}
	if name == "" {
		im.suggest(Suggestion{Field: field, Text: "this is not a value of " + im.owner.UPN + ": as it stands, every user would get it", Was: value})
		return literal(value)
	}
	im.suggest(Suggestion{Field: field, Text: why, Was: value, Now: name})
	return name
}

// ownVariable finds the variable of owner's whose value this is. Where several
// fit, the field decides: a login name is rather a UPN than an address.
func (im *importer) ownVariable(field, value string) string {
	u := im.owner
	candidates := []struct{ name, value string }{
		{"%upn%", u.UPN}, {"%email%", u.Email}, {"%username%", u.Username},
	}
	if strings.HasSuffix(field, "email") {
		candidates[0], candidates[1] = candidates[1], candidates[0]
	}
	for _, c := range candidates {
		if c.value != "" && strings.EqualFold(c.value, value) {
			return c.name
		}
	}
	return ""
}

// domain is rather the organisation's than the user's: only owner's becomes a variable.
func (im *importer) domain(field, value string) string {
	if im.owner != nil && im.owner.DomainName != "" && strings.EqualFold(im.owner.DomainName, value) {
		im.suggest(Suggestion{Field: field, Text: "the value of " + im.owner.UPN + " becomes a variable", Was: value, Now: "%domainname%"})
		return "%domainname%"
	}
	return im.plain(field, value)
}

// text is a name that people read: owner's values in it become variables, the
// longest first, so that an address is not taken for a name and a rest.
func (im *importer) text(field, value string) string {
	if im.owner == nil {
		return im.plain(field, value)
	}
	parts := []string{}
	for _, v := range ownTexts(*im.owner) {
		parts = append(parts, v[1], v[0])
	}
	for _, v := range variables {
		for _, name := range append([]string{v.Name}, v.Aliases...) {
			parts = append(parts, "%"+name+"%", "%"+name+"%")
		}
	}
	// NewReplacer tries the pairs in their order at each position.
	replaced := strings.NewReplacer(append(parts, "%", "%%")...).Replace(value)
	if unowned, _ := withVariables(value); replaced == unowned {
		return im.plain(field, value)
	}
	im.suggest(Suggestion{Field: field, Text: "what belongs to " + im.owner.UPN + " becomes a variable", Was: value, Now: replaced})
	return replaced
}

// ownTexts are variables and their values in a name. A user name of a few
// letters could be part of any word, so it is not among them.
func ownTexts(u directory.User) [][2]string {
	var list [][2]string
	for _, v := range [][2]string{{"%email%", u.Email}, {"%upn%", u.UPN}, {"%displayname%", u.DisplayName}} {
		if len(v[1]) > 3 {
			list = append(list, v)
		}
	}
	return list
}
