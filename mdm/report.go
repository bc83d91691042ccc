package mdm

import "time"

// Report is what a device has told about itself, in groups that arrive by
// separate commands. A nil group was never reported (or, in a delta, did not
// come with this result). An attribute that is nil or empty is unknown: never
// "fine".
type Report struct {
	Device       *DeviceFacts      `json:"device,omitempty"`
	Security     *SecurityFacts    `json:"security,omitempty"`
	Profiles     *ProfileFacts     `json:"profiles,omitempty"`
	Certificates *CertificateFacts `json:"certificates,omitempty"`
}

// DeviceFacts answer DeviceInformation. At is when our server received them.
type DeviceFacts struct {
	At          time.Time `json:"at"`
	UDID        string    `json:"udid,omitempty"`
	Serial      string    `json:"serial,omitempty"`
	Name        string    `json:"name,omitempty"`
	Product     string    `json:"product,omitempty"`
	Model       string    `json:"model,omitempty"`
	OSVersion   string    `json:"os_version,omitempty"`
	Build       string    `json:"build,omitempty"`
	EASDeviceID string    `json:"eas_device_id,omitempty"` // as reported; compared without regard to case
	Supervised  *bool     `json:"supervised,omitempty"`
}

// SecurityFacts answer SecurityInfo.
type SecurityFacts struct {
	At                            time.Time `json:"at"`
	PasscodePresent               *bool     `json:"passcode_present,omitempty"`
	PasscodeCompliant             *bool     `json:"passcode_compliant,omitempty"`
	PasscodeCompliantWithProfiles *bool     `json:"passcode_compliant_with_profiles,omitempty"`
	HardwareEncryptionCaps        *int      `json:"hardware_encryption_caps,omitempty"`
}

// ProfileFacts answer ProfileList: all of it, every time.
type ProfileFacts struct {
	At    time.Time       `json:"at"`
	Items []ProfileOnFile `json:"items"`
}

// ProfileOnFile is one configuration profile that a phone holds.
type ProfileOnFile struct {
	Identifier  string `json:"identifier"`
	UUID        string `json:"uuid"` // top-level PayloadUUID, upper case
	DisplayName string `json:"display_name,omitempty"`
	Managed     *bool  `json:"managed,omitempty"`
	Encrypted   bool   `json:"encrypted,omitempty"`
}

// CertificateFacts answer CertificateList: all of it, every time.
type CertificateFacts struct {
	At    time.Time           `json:"at"`
	Items []CertificateOnFile `json:"items"`
}

// CertificateOnFile is one certificate that a phone holds.
type CertificateOnFile struct {
	CommonName string    `json:"common_name,omitempty"`
	Identity   bool      `json:"identity"`
	SHA256     string    `json:"sha256"` // lower-case hex of the DER
	NotAfter   time.Time `json:"not_after"`
}

// Merge returns r with every group of delta that is present replaced.
func (r Report) Merge(delta Report) Report {
	if delta.Device != nil {
		r.Device = delta.Device
	}
	if delta.Security != nil {
		r.Security = delta.Security
	}
	if delta.Profiles != nil {
		r.Profiles = delta.Profiles
	}
	if delta.Certificates != nil {
		r.Certificates = delta.Certificates
	}
	return r
}

// Empty reports whether no group is present.
func (r Report) Empty() bool {
	return r.Device == nil && r.Security == nil && r.Profiles == nil && r.Certificates == nil
}
