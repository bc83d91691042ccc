package main

import (
	"sallyport/enroll/directory"
	"sallyport/internal/yamldoc"
	"sallyport/mdm"
	"sallyport/profiles/mobileconfig"
)

// userDocument is a user in a file: the fields of directory.User as in the CSV
// file and the API, and what the phone of that user has told.
type userDocument struct {
	ID            string         `yaml:"id"` // as on the server; without one it is made from the UPN
	UPN           string         `yaml:"upn"`
	Email         string         `yaml:"email"`
	Username      string         `yaml:"username"`
	DomainName    string         `yaml:"domain_name"`
	DisplayName   string         `yaml:"display_name"`
	FirstName     string         `yaml:"first_name"`
	MiddleName    string         `yaml:"middle_name"`
	LastName      string         `yaml:"last_name"`
	Groups        []string       `yaml:"groups"`
	SharedMailbox bool           `yaml:"shared_mailbox"`
	Device        *phoneDocument `yaml:"device"`
}

// phoneDocument stands in for a phone's own report.
type phoneDocument struct {
	UDID      string `yaml:"udid"`
	Serial    string `yaml:"serial"`
	Name      string `yaml:"name"`
	Product   string `yaml:"product"`
	Model     string `yaml:"model"`
	OSVersion string `yaml:"os_version"`
}

// parseUser reads a user; refusals name the field, with line and column.
func parseUser(source []byte) (directory.User, *mdm.DeviceFacts, error) {
	var d userDocument
	if err := yamldoc.Decode(source, &d, directory.ErrInvalid); err != nil {
		return directory.User{}, nil, err
	}
	u := directory.User{
		ID: directory.UserID(d.ID), UPN: d.UPN, Email: d.Email, Username: d.Username, DomainName: d.DomainName, DisplayName: d.DisplayName,
		FirstName: d.FirstName, MiddleName: d.MiddleName, LastName: d.LastName, Groups: d.Groups, SharedMailbox: d.SharedMailbox,
	}.WithDefaults()
	if err := u.Validate(); err != nil {
		return directory.User{}, nil, err
	}
	if u.ID == "" {
		u.ID = directory.UserID(mobileconfig.UUID("offline user", u.UPN))
	}
	if d.Device == nil {
		return u, nil, nil
	}
	return u, &mdm.DeviceFacts{
		UDID: d.Device.UDID, Serial: d.Device.Serial, Name: d.Device.Name,
		Product: d.Device.Product, Model: d.Device.Model, OSVersion: d.Device.OSVersion,
	}, nil
}
