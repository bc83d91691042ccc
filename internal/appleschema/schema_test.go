package appleschema

import (
	"slices"
	"strings"
	"testing"
)

const someUUID = "0A4C1A4A-7D0B-5F0F-8E57-6A4D3A2B1C0D"

func profile(payloads ...any) map[string]any {
	return map[string]any{
		"PayloadIdentifier": "test.profile", "PayloadUUID": "P", "PayloadType": "Configuration", "PayloadVersion": uint64(1),
		"PayloadContent": payloads,
	}
}

func account(change func(map[string]any)) map[string]any {
	p := map[string]any{
		"PayloadIdentifier": "test.profile.eas", "PayloadUUID": someUUID, "PayloadType": "com.apple.eas.account",
		"PayloadVersion": uint64(1), "Host": "mail.example.test", "SSL": true, "MailNumberOfPastDaysToSync": 7,
	}
	if change != nil {
		change(p)
	}
	return p
}

func TestProfileFaults(t *testing.T) {
	s := Open(t)
	tests := []struct {
		name   string
		change func(map[string]any)
		want   string // part of the one fault; empty for none
	}{
		{"fits", nil, ""},
		{"unknown key", func(p map[string]any) { p["DisableMailRecentsSyncing"] = true }, "no such key"},
		{"wrong type", func(p map[string]any) { p["SSL"] = "true" }, "the schema says <boolean>"},
		{"not in the list", func(p map[string]any) { p["MailNumberOfPastDaysToSync"] = 2 }, "is none of"},
		{"missing", func(p map[string]any) { delete(p, "PayloadIdentifier") }, "required, missing"},
		{"empty", func(p map[string]any) { p["PayloadIdentifier"] = "" }, "required, empty"},
		{"format and reference", func(p map[string]any) { p["PayloadCertificateUUID"] = "x" }, "does not match"},
		{"reference", func(p map[string]any) { p["PayloadCertificateUUID"] = strings.ToLower(someUUID) }, "no payload of this profile"},
		{"own UUID will do", func(p map[string]any) { p["PayloadCertificateUUID"] = someUUID }, ""},
		{"nested key", func(p map[string]any) { p["CommunicationServiceRules"] = map[string]any{"X": 1} }, "CommunicationServiceRules.X"},
		{"unknown payload", func(p map[string]any) { p["PayloadType"] = "com.example" }, "no payload type"},
		{"macOS only", func(p map[string]any) { p["PayloadType"] = "com.apple.ews.account" }, "iOS has no payload"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, s.ProfileFaults(profile(account(test.change))), test.want)
		})
	}
}

func TestTopLevelFaults(t *testing.T) {
	s := Open(t)
	expect(t, s.ProfileFaults(map[string]any{}), "PayloadContent: required, missing")
	expect(t, s.ProfileFaults(profile(account(nil), account(nil))), "that of another payload")
	encrypted := profile()
	delete(encrypted, "PayloadContent")
	encrypted["IsEncrypted"] = true
	expect(t, s.ProfileFaults(encrypted), "EncryptedPayloadContent: required")
	encrypted["EncryptedPayloadContent"] = []byte{1}
	expect(t, s.ProfileFaults(encrypted), "")
	consent := profile()
	consent["ConsentText"] = map[string]string{"default": "yes"}
	expect(t, s.ProfileFaults(consent), "")
}

func TestCommandAndCheckinFaults(t *testing.T) {
	s := Open(t)
	expect(t, s.CommandFaults(map[string]any{"RequestType": "DeviceInformation", "Queries": []string{"OSVersion", "EASDeviceIdentifier"}}), "")
	expect(t, s.CommandFaults(map[string]any{"RequestType": "DeviceInformation", "Queries": []string{"EASDeviceID"}}), "not a value that iOS knows")
	expect(t, s.CommandFaults(map[string]any{"RequestType": "DeviceInformation"}), "Queries: required")
	expect(t, s.CommandFaults(map[string]any{"RequestType": "InstallProfile", "Payload": "text"}), "the schema says <data>")
	expect(t, s.CommandFaults(map[string]any{"RequestType": "Dance"}), "no command")
	setting := func(item map[string]any) map[string]any {
		return map[string]any{"RequestType": "Settings", "Settings": []any{item}}
	}
	expect(t, s.CommandFaults(setting(map[string]any{"Item": "DeviceName", "DeviceName": "Alice's phone"})), "")
	expect(t, s.CommandFaults(setting(map[string]any{"Item": "DeviceName", "DeviceName": 1})), "the schema says <string>")
	checkin := map[string]any{"MessageType": "TokenUpdate", "Topic": "t", "UDID": "u", "Token": []byte{1}, "PushMagic": "m"}
	expect(t, s.CheckinFaults(checkin), "")
	checkin["UserLongName"] = "Alice"
	expect(t, s.CheckinFaults(checkin), "not a key of iOS")
	expect(t, s.CheckinFaults(map[string]any{"MessageType": "CheckOut", "Topic": "t"}), "UDID: required")
	expect(t, s.ResultFaults("SecurityInfo", map[string]any{"CommandUUID": "c", "Status": "NotNow", "UDID": "u"}), "")
	expect(t, s.ResultFaults("SecurityInfo", map[string]any{"CommandUUID": "c", "Status": "Acknowledged", "UDID": "u"}), "SecurityInfo: required")
	restrictions := func(value any) map[string]any {
		return map[string]any{"CommandUUID": "c", "Status": "Acknowledged", "UDID": "u", "ProfileRestrictions": map[string]any{},
			"GlobalRestrictions": map[string]any{"restrictedBool": map[string]any{"allowCamera": map[string]any{"value": value}}}}
	}
	expect(t, s.ResultFaults("Restrictions", restrictions(true)), "")
	expect(t, s.ResultFaults("Restrictions", restrictions("no")), "allowCamera.value")
}

func expect(t *testing.T, faults []string, want string) {
	t.Helper()
	if want == "" && len(faults) > 0 {
		t.Errorf("got faults %q, want none", faults)
	}
	if want != "" && !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, want) }) {
		t.Errorf("got faults %q, want one about %q", faults, want)
	}
}

func TestNames(t *testing.T) {
	s := Open(t)
	if keys, ok := s.CommandKeys("DeviceLock"); !ok || !slices.Equal(keys, []string{"Message", "PhoneNumber"}) {
		t.Errorf("got %v, %v: PIN is a key of macOS only", keys, ok)
	}
	if _, ok := s.CommandKeys("Dance"); ok {
		t.Error("got keys of a command that there is not")
	}
	queries := s.DeviceQueries()
	if _, ok := queries["HostName"]; ok || queries["EASDeviceIdentifier"] != "AllowQueryDeviceInformation" {
		t.Errorf("got %v", queries)
	}
}
