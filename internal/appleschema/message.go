package appleschema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// CheckProfile compares a decoded configuration profile with the schema: its
// top level, each payload by its PayloadType, and what only holds for the
// whole (unique identifiers, references by UUID).
func (s *Schema) CheckProfile(t testing.TB, profile map[string]any) {
	t.Helper()
	report(t, s.ProfileFaults(profile))
}

// CheckCommand compares a Command dictionary (the value of the key Command,
// with its RequestType) with the schema.
func (s *Schema) CheckCommand(t testing.TB, command map[string]any) {
	t.Helper()
	report(t, s.CommandFaults(command))
}

// CheckCheckin compares a check-in message with the schema, by its MessageType.
func (s *Schema) CheckCheckin(t testing.TB, message map[string]any) {
	t.Helper()
	report(t, s.CheckinFaults(message))
}

// CheckResult compares a device's answer to a command of requestType with the
// schema's response keys. An answer that is not Acknowledged carries none.
func (s *Schema) CheckResult(t testing.TB, requestType string, result map[string]any) {
	t.Helper()
	report(t, s.ResultFaults(requestType, result))
}

func report(t testing.TB, faults []string) {
	t.Helper()
	for _, fault := range faults {
		t.Error("Apple's schema: " + fault)
	}
}

// ProfileFaults is CheckProfile without a test: one line per fault.
func (s *Schema) ProfileFaults(profile map[string]any) []string {
	keys := s.topLevel.PayloadKeys
	if profile["IsEncrypted"] == true {
		keys = slices.Clone(keys)
		for i := range keys {
			switch keys[i].Key {
			case "PayloadContent": // "If 'IsEncrypted' is 'true', this array isn't needed."
				keys[i].Presence = "optional"
			case "EncryptedPayloadContent":
				keys[i].Presence = "required"
			}
		}
	}
	faults := dictionary("profile", profile, keys)
	if profile["PayloadContent"] == nil {
		return faults
	}
	if got, _ := kind(profile["PayloadContent"]); got != "<array>" {
		return faults // said above
	}
	return append(faults, s.PayloadFaults(asArray(profile["PayloadContent"]))...)
}

// PayloadFaults checks the payloads of one profile (also those that were
// decrypted from an EncryptedPayloadContent).
func (s *Schema) PayloadFaults(payloads []any) []string {
	var faults []string
	identifiers, uuids := map[any]bool{}, map[any]bool{}
	for i, item := range payloads {
		payload, ok := item.(map[string]any)
		if !ok {
			continue // the top level says that it must be a dictionary
		}
		path := fmt.Sprintf("profile.PayloadContent[%d]", i)
		faults = append(faults, s.payload(path, payload)...)
		if identifiers[payload["PayloadIdentifier"]] || uuids[payload["PayloadUUID"]] {
			faults = append(faults, path+": identifier or UUID is that of another payload") // MCProfile 1007, 1008
		}
		identifiers[payload["PayloadIdentifier"]], uuids[payload["PayloadUUID"]] = true, true
	}
	for i, item := range payloads {
		payload, _ := item.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(payload)) {
			if strings.HasSuffix(name, "CertificateUUID") && !uuids[payload[name]] {
				faults = append(faults, fmt.Sprintf("profile.PayloadContent[%d].%s: no payload of this profile has that UUID", i, name))
			}
		}
	}
	return faults
}

func (s *Schema) payload(path string, payload map[string]any) []string {
	name, _ := payload["PayloadType"].(string)
	return closest(s.payloads[name], func(f file) []string {
		if !f.Payload.SupportedOS.onIOS() {
			return []string{fmt.Sprintf("%s: iOS has no payload %s", path, name)}
		}
		return dictionary(path, payload, merge(s.common.PayloadKeys, f.PayloadKeys))
	}, fmt.Sprintf("%s: the schema has no payload type %q", path, name))
}

// CommandFaults is CheckCommand without a test.
func (s *Schema) CommandFaults(command map[string]any) []string {
	name, _ := command["RequestType"].(string)
	envelope := []key{{Key: "RequestType", Type: "<string>", Presence: "required"}, {Key: "RequestRequiresNetworkTether", Type: "<boolean>"}}
	return closest(s.commands[name], func(f file) []string {
		return dictionary(name, command, merge(envelope, f.PayloadKeys))
	}, fmt.Sprintf("the schema has no command %q", name))
}

// CheckinFaults is CheckCheckin without a test.
func (s *Schema) CheckinFaults(message map[string]any) []string {
	name, _ := message["MessageType"].(string)
	return closest(s.checkins[name], func(f file) []string {
		return dictionary(name, message, f.PayloadKeys)
	}, fmt.Sprintf("the schema has no check-in message %q", name))
}

// ResultFaults is CheckResult without a test.
func (s *Schema) ResultFaults(requestType string, result map[string]any) []string {
	envelope := []key{
		{Key: "CommandUUID", Type: "<string>", Presence: "required"},
		{Key: "Status", Type: "<string>", Presence: "required", RangeList: []any{"Acknowledged", "Error", "CommandFormatError", "NotNow"}},
		{Key: "UDID", Type: "<string>"},
		{Key: "EnrollmentID", Type: "<string>"},
		{Key: "ErrorChain", Type: "<array>"},
		{Key: "RequestType", Type: "<string>"}, // some releases echo it
	}
	return closest(s.commands[requestType], func(f file) []string {
		keys := envelope
		if result["Status"] == "Acknowledged" {
			keys = merge(envelope, f.ResponseKeys)
		}
		return dictionary(requestType, result, keys)
	}, fmt.Sprintf("the schema has no command %q", requestType))
}

// closest returns the faults against the file that fits best; unknown when there is none.
func closest(files []file, check func(file) []string, unknown string) []string {
	if len(files) == 0 {
		return []string{unknown}
	}
	best := check(files[0])
	for _, f := range files[1:] {
		if faults := check(f); len(faults) < len(best) {
			best = faults
		}
	}
	return best
}

// merge puts own over common: a payload may redefine a common key.
func merge(common, own []key) []key {
	merged := slices.Clone(own)
	for _, k := range common {
		if !slices.ContainsFunc(own, func(o key) bool { return o.Key == k.Key }) {
			merged = append(merged, k)
		}
	}
	return merged
}
