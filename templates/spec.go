package templates

import (
	"sallyport/enroll/directory"
	"sallyport/profiles"
)

// Spec is a template as an admin writes it in YAML.
type Spec struct {
	Name        string                     `yaml:"name" json:"name"`                 // unique, lower case letters, digits and dashes
	DisplayName string                     `yaml:"display_name" json:"display_name"` // shown on the phone as the profile's name
	Assign      directory.Audience         `yaml:"assign" json:"assign"`
	Accounts    []profiles.ExchangeAccount `yaml:"accounts" json:"accounts"`
}
