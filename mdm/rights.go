package mdm

// Rights of an enrolment (Enrollment.AccessRights) that a command needs. The
// phone refuses a command whose right its enrolment profile did not ask for, and
// Apple lets no later profile add one
// (https://developer.apple.com/documentation/devicemanagement/mdm).
const (
	RightInspectProfiles   = 1
	RightInstallProfiles   = 2
	RightLock              = 4 // lock, and clear the passcode
	RightErase             = 8
	RightDeviceInformation = 16
	RightNetwork           = 32
	RightInspectApps       = 256
	RightRestrictions      = 512
	RightSecurity          = 1024
	RightSettings          = 2048
	RightManageApps        = 4096
)

// MayErase reports whether EraseDevice may ever reach this enrolment: a
// corporate device whose enrolment profile granted the right. Every lock on
// EraseDevice asks this.
func (e Enrollment) MayErase() bool {
	return e.Ownership == Corporate && e.AccessRights&RightErase != 0
}
