package android

import (
	"google.golang.org/api/androidmanagement/v1"

	"sallyport/mdm"
)

// nonconformityOf puts into plain words why a device does not keep a setting: the
// most specific reason that Google gives.
func nonconformityOf(n *androidmanagement.NonComplianceDetail) mdm.Nonconformity {
	x := mdm.Nonconformity{
		Setting: clean(n.SettingName, maxWord), Field: clean(n.FieldPath, maxWord), Package: clean(n.PackageName, maxWord),
		Reason: clean(n.NonComplianceReason, maxWord),
	}
	x.Plain = specificReasons[n.SpecificNonComplianceReason]
	if x.Plain == "" {
		x.Plain = installationReasons[n.InstallationFailureReason]
	}
	if x.Plain == "" {
		x.Plain = reasons[n.NonComplianceReason]
	}
	if x.Plain == "" {
		x.Plain = "the phone does not keep it, for a reason that is not known here"
	}
	return x
}

// reasons are Google's nonComplianceReason values
// (https://developers.google.com/android/management/reference/rest/v1/NonComplianceReason).
var reasons = map[string]string{
	"NON_COMPLIANCE_REASON_UNSPECIFIED": "the phone does not keep it and gives no reason",
	"API_LEVEL":                         "this version of Android does not know the setting",
	"MANAGEMENT_MODE":                   "the setting does not apply to this kind of management: work profile or fully managed",
	"USER_ACTION":                       "the user has not yet done what the phone asks for",
	"INVALID_VALUE":                     "the phone refuses the value of the setting",
	"APP_NOT_INSTALLED":                 "the app is not installed",
	"UNSUPPORTED":                       "the phone's Android Device Policy app is too old for the setting",
	"APP_INSTALLED":                     "an app that is not allowed is installed",
	"PENDING":                           "the phone has not applied it yet and will do so shortly",
	"APP_INCOMPATIBLE":                  "the app does not support the setting",
	"APP_NOT_UPDATED":                   "the app is older than the policy asks for",
	"OS_NOT_PERMITTED":                  "this version of Android is older than the policy allows",
	"DEVICE_INCOMPATIBLE":               "this model cannot keep the policy",
	"APP_SIGNING_CERT_MISMATCH":         "the app on the phone is signed by somebody else than expected",
	"PROJECT_NOT_PERMITTED":             "Google does not let this Google Cloud project use the setting",
}

// specificReasons are Google's specificNonComplianceReason values.
var specificReasons = map[string]string{
	"PASSWORD_POLICIES_USER_CREDENTIALS_CONFIRMATION_REQUIRED":  "the user has to enter the screen lock once",
	"PASSWORD_POLICIES_PASSWORD_EXPIRED":                        "the screen lock has expired: the user has to set a new one",
	"PASSWORD_POLICIES_PASSWORD_NOT_SUFFICIENT":                 "the screen lock is missing or weaker than the policy asks for",
	"ONC_WIFI_INVALID_VALUE":                                    "the phone refuses a value of a Wi-Fi network",
	"ONC_WIFI_API_LEVEL":                                        "this version of Android does not know a setting of a Wi-Fi network",
	"ONC_WIFI_INVALID_ENTERPRISE_CONFIG":                        "a Wi-Fi network names no root certificate or no domain",
	"ONC_WIFI_USER_SHOULD_REMOVE_NETWORK":                       "the user has to remove a Wi-Fi network by hand",
	"ONC_WIFI_KEY_PAIR_ALIAS_NOT_CORRESPONDING_TO_EXISTING_KEY": "a Wi-Fi network names a key that the phone does not have",
	"PERMISSIBLE_USAGE_RESTRICTION":                             "Google restricts the setting, and this Google Cloud project is not cleared for it",
	"REQUIRED_ACCOUNT_NOT_IN_ENTERPRISE":                        "the work account that the phone needs is no longer part of the enterprise",
	"NEW_ACCOUNT_NOT_IN_ENTERPRISE":                             "the user added a work account that is not part of the enterprise",
	"DEFAULT_APPLICATION_SETTING_UNSUPPORTED_SCOPES":            "a default app cannot be set in this kind of management",
	"DEFAULT_APPLICATION_SETTING_FAILED_FOR_SCOPE":              "a default app could not be set",
	"PRIVATE_DNS_HOST_NOT_SERVING":                              "the server for private DNS does not answer as one",
	"USER_NOT_UNLOCKED":                                         "the phone was not unlocked since it started: it applies the policy then",
}

// installationReasons are Google's installationFailureReason values.
var installationReasons = map[string]string{
	"INSTALLATION_FAILURE_REASON_UNKNOWN": "the app could not be installed yet: the phone tries again by itself",
	"IN_PROGRESS":                         "the app is being installed",
	"NOT_FOUND":                           "the app is not in Google Play",
	"NOT_COMPATIBLE_WITH_DEVICE":          "the app does not run on this model",
	"NOT_APPROVED":                        "the app is not approved in managed Google Play",
	"PERMISSIONS_NOT_ACCEPTED":            "the app asks for new permissions that nobody has accepted in managed Google Play",
	"NOT_AVAILABLE_IN_COUNTRY":            "the app is not available in the user's country",
	"NO_LICENSES_REMAINING":               "no licence of the app is left",
	"NOT_ENROLLED":                        "the enterprise is no longer enrolled with managed Google Play, or its newest terms are not accepted",
	"USER_INVALID":                        "Google no longer knows the phone's user",
	"NETWORK_ERROR_UNRELIABLE_CONNECTION": "the phone's network is too poor to download the app: it goes on by itself",
	"INSUFFICIENT_STORAGE":                "the phone has not enough free storage for the app",
}
