package apple

// InstallProfile installs or updates a configuration profile
// (https://developer.apple.com/documentation/devicemanagement/installprofilecommand).
type InstallProfile struct {
	Payload []byte // a signed profile (CMS, DER)
}

// RequestType implements Command.
func (InstallProfile) RequestType() string { return "InstallProfile" }

func (c InstallProfile) keys() (map[string]any, error) {
	return map[string]any{"Payload": c.Payload}, need("Payload", len(c.Payload) > 0)
}

// RemoveProfile removes a configuration profile with everything that it brought
// (https://developer.apple.com/documentation/devicemanagement/removeprofilecommand).
type RemoveProfile struct {
	Identifier string // top-level PayloadIdentifier
}

// RequestType implements Command.
func (RemoveProfile) RequestType() string { return "RemoveProfile" }

func (c RemoveProfile) keys() (map[string]any, error) {
	return map[string]any{"Identifier": c.Identifier}, need("Identifier", c.Identifier != "")
}

// ProfileList asks for the installed profiles
// (https://developer.apple.com/documentation/devicemanagement/profilelistcommand).
type ProfileList struct {
	ManagedOnly bool // false: those of others too; iOS 13 or later
}

// RequestType implements Command.
func (ProfileList) RequestType() string { return "ProfileList" }

func (c ProfileList) keys() (map[string]any, error) {
	dict := map[string]any{}
	set(dict, "ManagedOnly", c.ManagedOnly)
	return dict, nil
}
