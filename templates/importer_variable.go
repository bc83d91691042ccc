package templates

import (
	"strings"

	"sallyport/enroll/directory"
)

// literal writes text that is no expression so that it stays what it is.
func literal(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// person turns a login name or an address into the variable that it is a value
// of: owner's, or by its form. What belongs to somebody else stays, and is named.
func (im *importer) person(field, value string) string {
	if value == "" {
		return ""
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
	return literal(value)
}

// text is a name that people read: owner's values in it become variables, the
// longest first, so that an address is not taken for a name and a rest.
func (im *importer) text(field, value string) string {
	if im.owner == nil {
		return literal(value)
	}
	parts := []string{}
	for _, v := range ownTexts(*im.owner) {
		parts = append(parts, v[1], v[0])
	}
	// NewReplacer tries the pairs in their order at each position.
	replaced := strings.NewReplacer(append(parts, "%", "%%")...).Replace(value)
	if replaced != literal(value) {
		im.suggest(Suggestion{Field: field, Text: "what belongs to " + im.owner.UPN + " becomes a variable", Was: value, Now: replaced})
	}
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
