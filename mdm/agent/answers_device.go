package agent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// query is one name that DeviceInformation can be asked for
// (https://developer.apple.com/documentation/devicemanagement/deviceinformationcommand/command/queries).
type query struct {
	name  string
	right int    // that the name needs by itself; 0: none
	since string // version of iOS that brought it; empty: all that matter
	until string // version of iOS that stopped answering it; empty: none
	value func(*state) any
}

// always is a value that is the same on every phone.
func always(v any) func(*state) any { return func(*state) any { return v } }

// queries are all that this phone knows of itself. What an iPhone does not have
// (a MEID, Shared iPad's users) or a piece of software cannot have (an
// attestation by Apple) is missing, as an iPhone leaves out what it cannot tell.
var queries = slices.Concat(identityQueries, systemQueries, networkQueries)

var identityQueries = []query{
	{name: "UDID", value: func(s *state) any { return s.Facts.UDID }},
	{name: "SerialNumber", right: rightDeviceInfo, value: func(s *state) any { return s.Facts.Serial }},
	{name: "DeviceName", right: rightDeviceInfo, value: func(s *state) any { return s.Facts.Name }},
	{name: "EASDeviceIdentifier", right: rightDeviceInfo, value: func(s *state) any { return s.Facts.EASDeviceID }},
	{name: "IMEI", right: rightDeviceInfo, value: func(s *state) any { return s.Facts.IMEI }},
	{name: "IsSupervised", right: rightDeviceInfo, value: func(s *state) any { return s.Facts.Supervised }},
	{name: "AwaitingConfiguration", value: func(s *state) any { return s.Facts.Awaiting }},
	{name: "PushToken", right: rightDeviceInfo, value: func(s *state) any { return s.Enrolment.PushToken }},
	{name: "iTunesStoreAccountIsActive", right: rightManageApps, value: always(true)},
	{name: "iTunesStoreAccountHash", right: rightManageApps, value: always("2jmj7l5rSw0yVb/vlWAYkK/YBwk=")},
}

var systemQueries = []query{
	{name: "OSVersion", right: rightDeviceInfo, value: func(s *state) any { return s.Facts.OS }},
	{name: "BuildVersion", right: rightDeviceInfo, value: func(s *state) any { return build(s.Facts.OS) }},
	{name: "SupplementalBuildVersion", right: rightDeviceInfo, since: "16.1", value: func(s *state) any { return build(s.Facts.OS) }},
	{name: "ProductName", right: rightDeviceInfo, value: func(s *state) any { return s.Facts.Product }},
	{name: "ModelName", right: rightDeviceInfo, value: always("iPhone")},
	{name: "Model", right: rightDeviceInfo, value: always("MLPK3ZD")},
	{name: "ModelNumber", right: rightDeviceInfo, value: always("MLPK3ZD/A")},
	{name: "DeviceCapacity", right: rightDeviceInfo, value: always(119.2)},
	{name: "AvailableDeviceCapacity", right: rightDeviceInfo, value: always(81.7)},
	{name: "BatteryLevel", right: rightDeviceInfo, value: always(0.83)},
	{name: "CellularTechnology", right: rightDeviceInfo, value: always(1)},
	{name: "ModemFirmwareVersion", right: rightDeviceInfo, value: always("3.60.02")},
	{name: "IsMultiUser", right: rightDeviceInfo, value: always(false)},
	{name: "IsDeviceLocatorServiceEnabled", right: rightDeviceInfo, value: always(true)},
	{name: "IsActivationLockEnabled", right: rightDeviceInfo, value: always(true)},
	{name: "IsMDMLostModeEnabled", right: rightDeviceInfo, value: always(false)},
	{name: "IsDoNotDisturbInEffect", right: rightDeviceInfo, value: always(false)},
	{name: "IsCloudBackupEnabled", right: rightDeviceInfo, value: always(true)},
	{name: "LastCloudBackupDate", value: always(time.Date(2026, 1, 5, 3, 12, 0, 0, time.UTC))},
	{name: "DiagnosticSubmissionEnabled", right: rightDeviceInfo, value: always(false)},
	{name: "AppAnalyticsEnabled", right: rightDeviceInfo, value: always(false)},
	{name: "TimeZone", right: rightDeviceInfo, since: "14.0", value: always("Europe/Berlin")},
	{name: "SoftwareUpdateDeviceID", since: "15.0", value: func(s *state) any { return s.Facts.Product }},
	{name: "AccessibilitySettings", since: "16.0", value: always(map[string]any{
		"BoldTextEnabled": false, "IncreaseContrastEnabled": false, "ReduceMotionEnabled": false, "ReduceTransparencyEnabled": false,
		"TextSize": 4, "TouchAccommodationsEnabled": false, "VoiceOverEnabled": false, "ZoomEnabled": false,
	})},
}

// networkQueries: from iOS 16 on, one SIM's answers moved into ServiceSubscriptions.
var networkQueries = []query{
	{name: "ICCID", right: rightNetwork, until: "16.0", value: always(iccid)},
	{name: "PhoneNumber", right: rightNetwork, until: "16.0", value: always(phoneNumber)},
	{name: "CurrentCarrierNetwork", right: rightNetwork, until: "16.0", value: always(carrier)},
	{name: "CarrierSettingsVersion", right: rightNetwork, until: "16.0", value: always("58.0")},
	{name: "CurrentMCC", right: rightNetwork, until: "16.0", value: always("262")},
	{name: "CurrentMNC", right: rightNetwork, until: "16.0", value: always("01")},
	{name: "SubscriberMCC", right: rightNetwork, value: always("262")},
	{name: "SubscriberMNC", right: rightNetwork, value: always("01")},
	{name: "SubscriberCarrierNetwork", right: rightNetwork, value: always(carrier)},
	{name: "BluetoothMAC", right: rightNetwork, value: always("02:00:00:00:00:01")},
	{name: "WiFiMAC", right: rightNetwork, value: always("02:00:00:00:00:02")},
	{name: "DataRoamingEnabled", right: rightNetwork, value: always(false)},
	{name: "VoiceRoamingEnabled", right: rightNetwork, value: always(true)},
	{name: "PersonalHotspotEnabled", right: rightNetwork, value: always(false)},
	{name: "IsNetworkTethered", right: rightNetwork, value: always(false)},
	{name: "IsRoaming", right: rightNetwork, value: always(false)},
	{name: "ServiceSubscriptions", right: rightNetwork, since: "12.0", value: func(s *state) any {
		return []any{map[string]any{
			"CarrierSettingsVersion": "58.0", "CurrentCarrierNetwork": carrier, "CurrentMCC": "262", "CurrentMNC": "01",
			"ICCID": iccid, "IMEI": s.Facts.IMEI, "IsDataPreferred": true, "IsRoaming": false, "IsVoicePreferred": true,
			"Label": "Primary", "LabelID": "00000000-0000-4000-8000-000000000001", "PhoneNumber": phoneNumber, "Slot": "CTSubscriptionSlotOne",
		}}
	}},
}

// A SIM in the number range that is kept for drama.
const (
	iccid       = "8949 0200 0012 3456 7890"
	phoneNumber = "+493023125000"
	carrier     = "Example Mobile"
)

// deviceInformation answers what was asked, is known and is within the rights,
// nothing else (https://developer.apple.com/documentation/devicemanagement/deviceinformationcommand).
func (p *Phone) deviceInformation(c command, o *outcome) error {
	asked := c.args.texts("Queries")
	if c.args.err != nil {
		return c.args.err
	}
	known := p.properties()
	responses := map[string]any{}
	for _, q := range asked {
		if v, ok := known[q]; ok {
			responses[q] = v
		}
	}
	o.keys = map[string]any{"QueryResponses": responses}
	return nil
}

func (p *Phone) properties() map[string]any {
	all := map[string]any{}
	for _, q := range queries {
		if p.s.Enrolment.Rights&q.right != q.right || !from(p.s.Facts.OS, q.since) || q.until != "" && from(p.s.Facts.OS, q.until) {
			continue
		}
		all[q.name] = q.value(p.s)
	}
	return all
}

// from reports whether version os is version first or newer.
func from(os, first string) bool {
	number := func(version string) (major, minor int) {
		parts := strings.Split(version+".0", ".")
		major, _ = strconv.Atoi(parts[0])
		minor, _ = strconv.Atoi(parts[1])
		return major, minor
	}
	major, minor := number(os)
	wantMajor, wantMinor := number(first)
	return major > wantMajor || major == wantMajor && minor >= wantMinor
}

// build makes up a build number in Apple's pattern: 16.1 is 20B…, 18.6 is 22G…,
// 26.1 is 23B….
func build(os string) string {
	parts := strings.Split(os, ".")
	major, _ := strconv.Atoi(parts[0])
	minor := 0
	if len(parts) > 1 {
		minor, _ = strconv.Atoi(parts[1])
	}
	if major >= 26 { // numbered by year from here on
		major -= 3
	} else {
		major += 4
	}
	return fmt.Sprintf("%d%c%d", major, rune('A'+minor%26), 80+minor)
}
