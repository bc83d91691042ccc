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
	Applications *ApplicationFacts `json:"applications,omitempty"`
	Managed      *ManagedFacts     `json:"managed_applications,omitempty"`
	Restrictions *RestrictionFacts `json:"restrictions,omitempty"`
	Policy       *PolicyFacts      `json:"policy,omitempty"`
	Keys         *KeyFacts         `json:"keys,omitempty"`
	// AskedAt is when an admin asked for all of it anew: what is older is stale.
	// No phone reports it.
	AskedAt time.Time `json:"asked_at,omitzero"`
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
	// AwaitingConfiguration is true while the set-up assistant waits for DeviceConfigured.
	AwaitingConfiguration *bool `json:"awaiting_configuration,omitempty"`
}

// SecurityFacts answer SecurityInfo.
type SecurityFacts struct {
	At                            time.Time `json:"at"`
	PasscodePresent               *bool     `json:"passcode_present,omitempty"`
	PasscodeCompliant             *bool     `json:"passcode_compliant,omitempty"`
	PasscodeCompliantWithProfiles *bool     `json:"passcode_compliant_with_profiles,omitempty"`
	HardwareEncryptionCaps        *int      `json:"hardware_encryption_caps,omitempty"`
	Encrypted                     *bool     `json:"encrypted,omitempty"` // Android: storage is encrypted
	Posture                       Posture   `json:"posture,omitempty"`   // Android: whether it was broken into; empty where nobody can tell
	Risks                         []string  `json:"risks,omitempty"`     // Android: why the posture is not secure, as Google names it
}

// Posture is what Google makes of an Android device's integrity
// (https://developers.google.com/android/management/reference/rest/v1/enterprises.devices#DevicePosture).
type Posture string

const (
	PostureSecure      Posture = "secure"
	PostureAtRisk      Posture = "at_risk"                 // may be vulnerable to malicious actors
	PostureCompromised Posture = "potentially_compromised" // may be broken into; its data may be read by others
)

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

// ApplicationFacts answer InstalledApplicationList: all of it, every time.
type ApplicationFacts struct {
	At    time.Time           `json:"at"`
	Items []ApplicationOnFile `json:"items"`
}

// ApplicationOnFile is one installed app.
type ApplicationOnFile struct {
	Identifier string `json:"identifier"` // bundle identifier
	Name       string `json:"name,omitempty"`
	Version    string `json:"version,omitempty"` // CFBundleVersion
}

// ManagedFacts answer ManagedApplicationList: all of it, every time.
type ManagedFacts struct {
	At    time.Time            `json:"at"`
	Items []ManagedApplication `json:"items"`
}

// ManagedApplication is one app that management installed or was asked to.
type ManagedApplication struct {
	Identifier string `json:"identifier"`
	Status     string `json:"status"` // as Apple names it: "Managed", "Installing", ...
}

// RestrictionFacts answer Restrictions with what concerns mail.
type RestrictionFacts struct {
	At time.Time `json:"at"`
	// AccountModification is false where a restriction forbids to change
	// accounts: Mail then asks for a password once and never again. Nil is unknown.
	AccountModification *bool `json:"account_modification,omitempty"`
}

// PolicyFacts are what an Android device has made of the policy that Google
// holds for it: all of it, every time.
type PolicyFacts struct {
	At        time.Time       `json:"at"`
	Name      string          `json:"name,omitempty"`    // last part of the policy's name that the device should have
	Applied   string          `json:"applied,omitempty"` // last part of the name of the policy that it has
	Version   int64           `json:"version,omitempty"` // of the applied policy
	Compliant *bool           `json:"compliant,omitempty"`
	Broken    []Nonconformity `json:"broken,omitempty"`
	AppStates []AppState      `json:"app_states,omitempty"`
	Ownership Ownership       `json:"ownership,omitempty"` // whose the device is, as who manages it sees that; empty: it does not say
}

// Nonconformity is one setting of the policy that the device does not keep.
type Nonconformity struct {
	Setting string `json:"setting"`           // top-level field of the policy
	Field   string `json:"field,omitempty"`   // path inside it
	Package string `json:"package,omitempty"` // the app concerned
	Reason  string `json:"reason"`            // as Google names it: "USER_ACTION"
	Plain   string `json:"plain"`             // the same for people
}

// AppState is what an app says of one key of its managed configuration.
type AppState struct {
	Package string    `json:"package"`
	Key     string    `json:"key"`
	Error   bool      `json:"error,omitempty"` // false: information
	Message string    `json:"message,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// KeyFacts are what the companion app on an Android phone has told of the keys
// that it was to bring: all of it, every time.
type KeyFacts struct {
	At    time.Time   `json:"at"`
	Items []KeyOnFile `json:"items"`
}

// KeyOnFile is one alias of a phone's key store.
type KeyOnFile struct {
	Alias    string    `json:"alias"`
	Profile  string    `json:"profile"`            // identifier of the mail account that signs in with it
	SHA256   string    `json:"sha256,omitempty"`   // lower-case hex of its certificate's DER; empty: it has none
	NotAfter time.Time `json:"not_after,omitzero"` // of that certificate
	At       time.Time `json:"at,omitzero"`        // when SHA256 came or went
	Failure  string    `json:"failure,omitempty"`  // why the app could not bring one since, in its own words
	FailedAt time.Time `json:"failed_at,omitzero"`
}

// Key is what is known of an alias; zero when nothing is.
func (r Report) Key(alias string) KeyOnFile {
	if r.Keys == nil {
		return KeyOnFile{}
	}
	for _, k := range r.Keys.Items {
		if k.Alias == alias {
			return k
		}
	}
	return KeyOnFile{}
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
	if delta.Applications != nil {
		r.Applications = delta.Applications
	}
	if delta.Managed != nil {
		r.Managed = delta.Managed
	}
	if delta.Restrictions != nil {
		r.Restrictions = delta.Restrictions
	}
	if delta.Policy != nil {
		r.Policy = delta.Policy
	}
	if delta.Keys != nil {
		r.Keys = delta.Keys
	}
	return r
}

// Empty reports whether no group is present.
func (r Report) Empty() bool {
	return r == Report{}
}
