package apple

// Command is one MDM command's payload: the Command dictionary without its
// CommandUUID (https://developer.apple.com/documentation/devicemanagement/commands-and-queries).
type Command interface {
	// RequestType is the value of that key on the wire.
	RequestType() string
}

// InstallProfile installs or updates a configuration profile.
type InstallProfile struct {
	Payload []byte `plist:"Payload"` // a signed profile (CMS, DER)
}

func (InstallProfile) RequestType() string { return "InstallProfile" }

// RemoveProfile removes a configuration profile with everything that it brought.
type RemoveProfile struct {
	Identifier string `plist:"Identifier"` // top-level PayloadIdentifier
}

func (RemoveProfile) RequestType() string { return "RemoveProfile" }

// DeviceInformation asks for device facts by name.
type DeviceInformation struct {
	Queries []string `plist:"Queries"`
}

func (DeviceInformation) RequestType() string { return "DeviceInformation" }

// SecurityInfo asks for passcode and encryption facts.
type SecurityInfo struct{}

func (SecurityInfo) RequestType() string { return "SecurityInfo" }

// ProfileList asks for the installed profiles, ours and others.
type ProfileList struct{}

func (ProfileList) RequestType() string { return "ProfileList" }

// CertificateList asks for the installed certificates.
type CertificateList struct{}

func (CertificateList) RequestType() string { return "CertificateList" }
