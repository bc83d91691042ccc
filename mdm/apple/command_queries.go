package apple

// DeviceInformation asks for device facts by name; see DeviceQueries
// (https://developer.apple.com/documentation/devicemanagement/deviceinformationcommand).
type DeviceInformation struct {
	Queries []string
}

// RequestType implements Command.
func (DeviceInformation) RequestType() string { return "DeviceInformation" }

func (c DeviceInformation) keys() (map[string]any, error) {
	return map[string]any{"Queries": c.Queries}, need("Queries", len(c.Queries) > 0)
}

// SecurityInfo asks for passcode and encryption facts
// (https://developer.apple.com/documentation/devicemanagement/securityinfocommand).
type SecurityInfo struct{}

// RequestType implements Command.
func (SecurityInfo) RequestType() string { return "SecurityInfo" }

func (SecurityInfo) keys() (map[string]any, error) { return bare() }

// CertificateList asks for the installed certificates
// (https://developer.apple.com/documentation/devicemanagement/certificatelistcommand).
type CertificateList struct {
	ManagedOnly bool // iOS 13 or later
}

// RequestType implements Command.
func (CertificateList) RequestType() string { return "CertificateList" }

func (c CertificateList) keys() (map[string]any, error) {
	dict := map[string]any{}
	set(dict, "ManagedOnly", c.ManagedOnly)
	return dict, nil
}

// InstalledApplicationList asks for the installed apps
// (https://developer.apple.com/documentation/devicemanagement/installedapplicationlistcommand).
type InstalledApplicationList struct {
	Identifiers     []string // empty: all
	ManagedAppsOnly bool
	Items           []string // which facts of each app, iOS 14 or later; empty: all
}

// RequestType implements Command.
func (InstalledApplicationList) RequestType() string { return "InstalledApplicationList" }

func (c InstalledApplicationList) keys() (map[string]any, error) {
	dict := map[string]any{}
	list(dict, "Identifiers", c.Identifiers)
	set(dict, "ManagedAppsOnly", c.ManagedAppsOnly)
	list(dict, "Items", c.Items)
	return dict, nil
}

// ManagedApplicationList asks what became of managed apps
// (https://developer.apple.com/documentation/devicemanagement/managedapplicationlistcommand).
type ManagedApplicationList struct {
	Identifiers []string // empty: all
}

// RequestType implements Command.
func (ManagedApplicationList) RequestType() string { return "ManagedApplicationList" }

func (c ManagedApplicationList) keys() (map[string]any, error) {
	dict := map[string]any{}
	list(dict, "Identifiers", c.Identifiers)
	return dict, nil
}

// Restrictions asks for the restrictions in effect
// (https://developer.apple.com/documentation/devicemanagement/restrictionscommand).
type Restrictions struct {
	ProfileRestrictions bool // also which profile restricts what
}

// RequestType implements Command.
func (Restrictions) RequestType() string { return "Restrictions" }

func (c Restrictions) keys() (map[string]any, error) {
	dict := map[string]any{}
	set(dict, "ProfileRestrictions", c.ProfileRestrictions)
	return dict, nil
}
