package templates

import (
	"slices"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// VariableInfo describes one name that a template may use between percent signs.
type VariableInfo struct {
	Name    string   `json:"name"` // exactly so spelled
	Aliases []string `json:"aliases,omitempty"`
	// Source is the field of the user, as in the CSV file and the API, or the
	// fact of the phone, as in its device record.
	Source      string `json:"source"`
	Description string `json:"description"`
	MayBeEmpty  bool   `json:"may_be_empty"` // without |required; the others are refused when empty, without a |default
	Device      bool   `json:"device"`       // known once the phone has reported it
	// Lacking names the ways of enrolment by which a phone never tells it.
	Lacking []string `json:"lacking,omitempty"`
}

// AccountDriven is the way of enrolment that hides what identifies the phone
// itself (https://support.apple.com/guide/deployment/dep23db2037d/web).
const AccountDriven = "account-driven user enrolment"

// Variables is the table of what a template may name.
func Variables() []VariableInfo {
	infos := make([]VariableInfo, 0, len(variables))
	for _, v := range variables {
		info := v.VariableInfo
		info.Aliases, info.Lacking = slices.Clone(info.Aliases), slices.Clone(info.Lacking)
		infos = append(infos, info)
	}
	return infos
}

// values are what variables stand for in one rendering.
type values struct {
	user   directory.User
	device *mdm.DeviceFacts // nil while the phone has not reported them
}

type variable struct {
	VariableInfo
	value func(values) string
}

// userVariable and deviceVariable keep the table one line a variable.
func userVariable(name, source, description string, mayBeEmpty bool, value func(directory.User) string, aliases ...string) variable {
	return variable{
		VariableInfo{Name: name, Aliases: aliases, Source: source, Description: description, MayBeEmpty: mayBeEmpty},
		func(v values) string { return value(v.user) },
	}
}

func deviceVariable(name, source, description string, value func(mdm.DeviceFacts) string, lacking ...string) variable {
	return variable{
		VariableInfo{Name: name, Source: source, Description: description, Device: true, Lacking: lacking},
		func(v values) string {
			if v.device == nil {
				return ""
			}
			return value(*v.device)
		},
	}
}

// variables is the one table; it is never written to.
var variables = [...]variable{
	userVariable("email", "email", "mail address of the mailbox", false, func(u directory.User) string { return u.Email }),
	userVariable("username", "username", "login name without domain", false, func(u directory.User) string { return u.Username }),
	userVariable("domainname", "domain_name", "Windows domain, for Exchange on premises", true, func(u directory.User) string { return u.DomainName }),
	userVariable("upn", "upn", "user principal name, as the user signs in", false, func(u directory.User) string { return u.UPN }),
	userVariable("displayname", "display_name", "full name", false, func(u directory.User) string { return u.DisplayName }),
	userVariable("firstname", "first_name", "first name", false, func(u directory.User) string { return u.FirstName }),
	userVariable("last_name", "last_name", "last name", false, func(u directory.User) string { return u.LastName }, "lastname"),
	userVariable("middle_name", "middle_name", "middle name or initial", true, func(u directory.User) string { return u.MiddleName }, "middlename"),
	deviceVariable("serialnumber", "serial number", "the phone's serial number", func(d mdm.DeviceFacts) string { return d.Serial }, AccountDriven),
	deviceVariable("devicename", "device name", "what its owner calls the phone; a new name sends the profile anew", func(d mdm.DeviceFacts) string { return d.Name }),
	deviceVariable("model", "model", "the phone's model number", func(d mdm.DeviceFacts) string { return d.Model }),
	deviceVariable("osversion", "OS version", "version of the system; an update sends the profile anew", func(d mdm.DeviceFacts) string { return d.OSVersion }),
	deviceVariable("udid", "UDID", "the phone's unique identifier", func(d mdm.DeviceFacts) string { return d.UDID }, AccountDriven),
	deviceVariable("productname", "product name", "the product, for example iPhone15,4", func(d mdm.DeviceFacts) string { return d.Product }),
}

// lookup finds a variable by name or alias.
func lookup(name string) (variable, bool) {
	for _, v := range variables {
		if v.Name == name || slices.Contains(v.Aliases, name) {
			return v, true
		}
	}
	return variable{}, false
}

// knownVariables is the list for a remedy.
func knownVariables() string {
	names := make([]string, 0, len(variables))
	for _, v := range variables {
		names = append(names, "%"+v.Name+"%")
	}
	return strings.Join(names, ", ")
}
