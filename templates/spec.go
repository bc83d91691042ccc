package templates

import (
	"sallyport/enroll/directory"
	"sallyport/profiles"
)

// Spec is a template as an admin writes it in YAML, with defaults filled.
type Spec struct {
	Name        string             `yaml:"name" json:"name"`                 // unique, lower case letters, digits and dashes
	DisplayName string             `yaml:"display_name" json:"display_name"` // shown on the phone as the profile's name; may hold variables; default: Name
	Assign      directory.Audience `yaml:"assign" json:"assign"`
	// Accounts are the mail accounts of one profile. The position of an account
	// is its identity on the phone: one that moves is set up anew there, so new
	// ones go to the end.
	Accounts []profiles.ExchangeAccount `yaml:"accounts" json:"accounts"`
}

// field is a string of a template that may hold variables.
type field struct {
	path  string
	value *string
}

// fields lists every string of an account that may hold variables. Whatever is
// not in it is taken as it is written.
func fields(a *profiles.ExchangeAccount) []field {
	return []field{
		{"name", &a.Name},
		{"host", &a.Host},
		{"user_name", &a.UserName},
		{"domain", &a.Domain},
		{"email", &a.Email},
	}
}
