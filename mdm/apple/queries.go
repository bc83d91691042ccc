package apple

import "sallyport/mdm"

// DeviceQuery is one name that DeviceInformation can ask an iPhone for
// (https://developer.apple.com/documentation/devicemanagement/deviceinformationcommand/command/queries).
type DeviceQuery struct {
	Name    string
	Right   int    // needed in the enrolment's AccessRights; 0 for none
	LeftOut string // why nobody asks it by the way; empty for an ordinary question
}

// DeviceQueries are the names that we ask by ourselves. Each of them needs the
// right to device information at most.
func DeviceQueries() []string {
	return []string{
		"UDID", "DeviceName", "OSVersion", "BuildVersion", "ModelName", "Model",
		"ProductName", "SerialNumber", "IsSupervised", "EASDeviceIdentifier",
		"AwaitingConfiguration",
	}
}

// DeviceQueriesFor are the names that an admin's query asks of an enrolment with
// these rights: everything that is worth asking.
func DeviceQueriesFor(rights int) []string {
	var names []string
	for _, q := range AllDeviceQueries() {
		if q.LeftOut == "" && q.Right&rights == q.Right {
			names = append(names, q.Name)
		}
	}
	return names
}

// AllDeviceQueries are all names that Apple's schema has for iOS.
func AllDeviceQueries() []DeviceQuery {
	var all []DeviceQuery
	add := func(right int, leftOut string, names ...string) {
		for _, name := range names {
			all = append(all, DeviceQuery{Name: name, Right: right, LeftOut: leftOut})
		}
	}
	add(0, "", "UDID", "OrganizationInfo", "MDMOptions", "LastCloudBackupDate", "AwaitingConfiguration",
		"SoftwareUpdateDeviceID", "SoftwareUpdateSettings", "AccessibilitySettings")
	add(0, "costs Apple's servers: a phone makes a new one every seven days at most", "DevicePropertiesAttestation")
	add(mdm.RightManageApps, "", "iTunesStoreAccountIsActive", "iTunesStoreAccountHash")
	add(mdm.RightDeviceInformation, "", "DeviceName", "OSVersion", "SupplementalOSVersionExtra", "BuildVersion",
		"SupplementalBuildVersion", "ModelName", "Model", "ModelNumber", "ProductName", "SerialNumber",
		"DeviceCapacity", "AvailableDeviceCapacity", "IMEI", "MEID", "ModemFirmwareVersion", "CellularTechnology",
		"BatteryLevel", "IsSupervised", "IsMultiUser", "IsDeviceLocatorServiceEnabled", "IsActivationLockEnabled",
		"IsDoNotDisturbInEffect", "EASDeviceIdentifier", "IsCloudBackupEnabled", "IsMDMLostModeEnabled",
		"DiagnosticSubmissionEnabled", "AppAnalyticsEnabled", "TimeZone")
	add(mdm.RightDeviceInformation, "a secret that TokenUpdate brings", "PushToken")
	add(mdm.RightDeviceInformation, "Shared iPad only", "MaximumResidentUsers", "EstimatedResidentUsers", "QuotaSize",
		"ResidentUsers", "UserSessionTimeout", "TemporarySessionTimeout", "TemporarySessionOnly",
		"ManagedAppleIDDefaultDomains", "OnlineAuthenticationGracePeriod", "SkipLanguageAndLocaleSetupForNewUsers")
	add(mdm.RightNetwork, "", "ICCID", "BluetoothMAC", "WiFiMAC", "CurrentCarrierNetwork", "SubscriberCarrierNetwork",
		"CarrierSettingsVersion", "PhoneNumber", "DataRoamingEnabled", "VoiceRoamingEnabled", "PersonalHotspotEnabled",
		"IsNetworkTethered", "IsRoaming", "SubscriberMCC", "SubscriberMNC", "CurrentMCC", "CurrentMNC", "ServiceSubscriptions")
	add(mdm.RightNetwork, "removed with iOS 5", "SIMCarrierNetwork")
	return all
}
