package templates

import (
	"strings"

	"sallyport/enroll/directory"
)

// variable is a name that stands for a value of the user.
type variable struct {
	name       string // between percent signs, exactly so spelled
	source     string // field of the user, as in the CSV file and the API
	mayBeEmpty bool
	value      func(directory.User) string
}

// variables is the one table of what a template may name.
func variables() []variable {
	return []variable{
		{"email", "email", false, func(u directory.User) string { return u.Email }},
		{"username", "username", false, func(u directory.User) string { return u.Username }},
		{"domainname", "domain_name", true, func(u directory.User) string { return u.DomainName }},
		{"upn", "upn", false, func(u directory.User) string { return u.UPN }},
		{"displayname", "display_name", false, func(u directory.User) string { return u.DisplayName }},
		{"firstname", "first_name", false, func(u directory.User) string { return u.FirstName }},
		{"last_name", "last_name", false, func(u directory.User) string { return u.LastName }},
		{"middle_name", "middle_name", true, func(u directory.User) string { return u.MiddleName }},
	}
}

func lookup(name string) (variable, bool) {
	for _, v := range variables() {
		if v.name == name {
			return v, true
		}
	}
	return variable{}, false
}

// knownVariables is the list for a remedy.
func knownVariables() string {
	names := make([]string, 0, len(variables()))
	for _, v := range variables() {
		names = append(names, "%"+v.name+"%")
	}
	return strings.Join(names, ", ")
}
