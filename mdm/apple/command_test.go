package apple

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"howett.net/plist"

	"sallyport/internal/appleschema"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

// whole is one command of every kind with every key that we write.
func whole() []Command {
	return []Command{
		InstallProfile{Payload: []byte{1, 2}},
		RemoveProfile{Identifier: "a.b"},
		ProfileList{ManagedOnly: true},
		DeviceInformation{Queries: DeviceQueries()},
		SecurityInfo{},
		CertificateList{ManagedOnly: true},
		InstalledApplicationList{Identifiers: []string{"a"}, ManagedAppsOnly: true, Items: []string{"Identifier", "Name", "Version"}},
		ManagedApplicationList{Identifiers: []string{"a"}},
		Restrictions{ProfileRestrictions: true},
		DeviceLock{Message: "Found? Please call", PhoneNumber: "+49 30 1"},
		ClearPasscode{UnlockToken: secret.New("\x00\xff token")},
		EraseDevice{PreserveDataPlan: true, DisallowProximitySetup: true},
		Settings{DeviceName: "Alice's phone"},
		DeviceConfigured{},
	}
}

// left are keys of iOS that our builders do not write, and why. Raw can.
func left() map[string]string {
	return map[string]string{
		"DeviceInformation.DeviceAttestationNonce": "no attestation is asked for",
		"EraseDevice.ReturnToService":              "an erased phone comes back by a new invitation",
	}
}

// empty is one command of every kind with nothing that may be left out.
func empty() []Command {
	return []Command{
		InstallProfile{Payload: []byte{1}}, RemoveProfile{Identifier: "a"}, ProfileList{}, DeviceInformation{Queries: []string{"UDID"}},
		SecurityInfo{}, CertificateList{}, InstalledApplicationList{}, ManagedApplicationList{}, Restrictions{}, DeviceLock{},
		ClearPasscode{UnlockToken: secret.New("t")}, EraseDevice{}, Settings{DeviceName: "a"}, DeviceConfigured{},
	}
}

// encoded is a command as a corporate phone is sent it.
func encoded(id mdm.CommandID, c Command) ([]byte, error) {
	e := mdm.Enrollment{Ownership: mdm.Corporate, AccessRights: mdm.RightErase}
	return (&Service{}).send(context.Background(), e, Order{ID: id, Command: c})
}

// onTheWire encodes a command and reads it back as a phone would.
func onTheWire(t testing.TB, c Command) map[string]any {
	t.Helper()
	body, err := encoded("C1", c)
	if err != nil {
		t.Fatal(err)
	}
	again, err := encoded("C1", c)
	if err != nil || string(again) != string(body) {
		t.Errorf("the same order gave other bytes: %v", err)
	}
	var got struct {
		CommandUUID string
		Command     map[string]any
	}
	if _, err := plist.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if got.CommandUUID != "C1" || got.Command["RequestType"] != c.RequestType() {
		t.Errorf("got %+v", got)
	}
	return got.Command
}

// TestCommandsAgainstSchema: keys, types and required keys of every builder are
// Apple's, with everything set and with as little as possible; and each key that
// Apple has is written by a builder, or left out knowingly.
func TestCommandsAgainstSchema(t *testing.T) {
	t.Parallel()
	schema := appleschema.Open(t)
	for i, c := range whole() {
		dict := onTheWire(t, c)
		schema.CheckCommand(t, dict)
		schema.CheckCommand(t, onTheWire(t, empty()[i]))
		names, ok := schema.CommandKeys(c.RequestType())
		if !ok {
			t.Errorf("iOS has no command %s", c.RequestType())
		}
		for _, name := range names {
			_, written := dict[name]
			_, skipped := left()[c.RequestType()+"."+name]
			if written == skipped {
				t.Errorf("%s.%s: written %v, left out %v", c.RequestType(), name, written, skipped)
			}
		}
	}
}

func TestQueriesAgainstSchema(t *testing.T) {
	t.Parallel()
	rights := map[string]int{"": 0, "n/a": 0, "AllowQueryDeviceInformation": 16, "AllowQueryNetworkInformation": 32, "AllowAppInstallation": 4096}
	want, got := map[string]int{}, map[string]int{}
	for name, right := range appleschema.Open(t).DeviceQueries() {
		value, ok := rights[right]
		if !ok {
			t.Errorf("%s: needs a right that we do not know: %s", name, right)
		}
		want[name] = value
	}
	for _, q := range AllDeviceQueries() {
		got[q.Name] = q.Right
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got -, want +:\n%s", diff)
	}
	if len(got) != len(AllDeviceQueries()) {
		t.Error("a name stands in the table twice")
	}
}

func TestDeviceQueriesFor(t *testing.T) {
	t.Parallel()
	all := DeviceQueriesFor(8191)
	for _, name := range DeviceQueries() {
		if !slices.Contains(all, name) {
			t.Errorf("%s is asked by itself, but not for an admin", name)
		}
	}
	for _, name := range []string{"DevicePropertiesAttestation", "PushToken", "QuotaSize", "SIMCarrierNetwork"} {
		if slices.Contains(all, name) {
			t.Errorf("%s is asked", name)
		}
	}
	if few := DeviceQueriesFor(16); slices.Contains(few, "IMEI") != true || slices.Contains(few, "ICCID") || !slices.Contains(few, "UDID") {
		t.Errorf("got %v", few)
	}
}

// An optional key that is not asked for does not stand on the wire at all.
func TestOptionalKeysAreAbsent(t *testing.T) {
	t.Parallel()
	for _, c := range []Command{
		ProfileList{}, CertificateList{}, InstalledApplicationList{}, ManagedApplicationList{}, Restrictions{}, DeviceLock{}, EraseDevice{},
		SecurityInfo{}, DeviceConfigured{},
	} {
		if keys := slices.Collect(maps.Keys(onTheWire(t, c))); len(keys) != 1 {
			t.Errorf("%s: got keys %v", c.RequestType(), keys)
		}
	}
}

func TestCommandsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	for _, c := range []Command{InstallProfile{}, RemoveProfile{}, DeviceInformation{}, ClearPasscode{}, Settings{}, Raw{}, nil} {
		if _, err := encoded("C1", c); !errors.Is(err, ErrCommand) {
			t.Errorf("%T: got %v, want ErrCommand", c, err)
		}
	}
	if _, err := encoded("", SecurityInfo{}); err == nil {
		t.Error("a command without CommandUUID was encoded")
	}
}

func TestSecretsOfCommandsDoNotPrint(t *testing.T) {
	t.Parallel()
	raw, err := ParseRaw(encode(t, map[string]any{"RequestType": "ClearPasscode", "UnlockToken": []byte("sesame")}))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Command{ClearPasscode{UnlockToken: secret.New("sesame")}, raw} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(format, c); strings.Contains(text, "sesame") || strings.Contains(text, "c2VzYW1l") {
				t.Errorf("%s of %T: %s", format, c, text)
			}
		}
	}
}

func TestParseRaw(t *testing.T) {
	t.Parallel()
	dict := func(change map[string]any) []byte {
		d := map[string]any{"RequestType": "RestartDevice", "NotifyUser": true}
		maps.Copy(d, change)
		return encode(t, d)
	}
	tests := []struct {
		name  string
		body  []byte
		field string // of the refusal; "ok" for none
	}{
		{"fits", dict(nil), "ok"},
		{"of macOS", dict(map[string]any{"RequestType": "LOMDeviceRequest"}), "ok"},
		{"no property list", []byte("RestartDevice"), ""},
		{"empty", nil, ""},
		{"an array", []byte(`<plist version="1.0"><array/></plist>`), ""},
		{"a string", []byte(`<plist version="1.0"><string>RestartDevice</string></plist>`), ""},
		{"OpenStep text", []byte(`{ RequestType = RestartDevice; }`), ""},
		{"binary", []byte("bplist00\xd1\x01\x02"), ""},
		{"an entity", []byte(`<!DOCTYPE plist [<!ENTITY a "b">]><plist version="1.0"><dict/></plist>`), ""},
		{"too large", dict(map[string]any{"Payload": make([]byte, MaxRaw)}), ""},
		{"a key twice", []byte(`<plist version="1.0"><dict><key>RequestType</key><string>A</string><key>RequestType</key><string>EraseDevice</string></dict></plist>`), ""},
		{"with its envelope", encode(t, map[string]any{"CommandUUID": "C", "Command": map[string]any{"RequestType": "RestartDevice"}}), "Command"},
		{"with a CommandUUID", dict(map[string]any{"CommandUUID": "C"}), "CommandUUID"},
		{"no RequestType", encode(t, map[string]any{"NotifyUser": true}), "RequestType"},
		{"RequestType of the wrong type", dict(map[string]any{"RequestType": 1}), "RequestType"},
		{"empty RequestType", dict(map[string]any{"RequestType": ""}), "RequestType"},
		{"space around it", dict(map[string]any{"RequestType": " EraseDevice"}), "RequestType"},
		{"new line after it", dict(map[string]any{"RequestType": "EraseDevice\n"}), "RequestType"},
		{"something that does not show", dict(map[string]any{"RequestType": "Erase\u200bDevice"}), "RequestType"},
		{"a look-alike", dict(map[string]any{"RequestType": "\u0415raseDevice"}), "RequestType"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			raw, err := ParseRaw(test.body)
			if test.field == "ok" {
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]any{}
				if _, err := plist.Unmarshal(test.body, &want); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(onTheWire(t, raw), want); diff != "" {
					t.Errorf("got -, want +:\n%s", diff)
				}
				return
			}
			all := refusal.All(err)
			if !errors.Is(err, ErrCommand) || len(all) != 1 || all[0].Field != test.field || all[0].Remedy == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestRawValues(t *testing.T) {
	t.Parallel()
	raw, err := ParseRaw(encode(t, map[string]any{"RequestType": "RemoveProfile", "Identifier": "a.b", "Payload": []byte{7}, "Count": 3}))
	if err != nil {
		t.Fatal(err)
	}
	if raw.RequestType() != "RemoveProfile" || raw.Text("Identifier") != "a.b" || raw.Text("Payload") != "" || raw.Text("X") != "" ||
		len(raw.Data("Payload")) != 1 || raw.Data("Identifier") != nil || (Raw{}).Text("Identifier") != "" {
		t.Errorf("got %q, %q, %v", raw.RequestType(), raw.Text("Identifier"), raw.Data("Payload"))
	}
}

// FuzzRaw: what is understood of an admin's words is what is sent.
func FuzzRaw(f *testing.F) {
	for _, c := range whole() {
		dict, err := dictionary(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(encode(f, dict))
	}
	f.Add([]byte(`<plist version="1.0"><dict><key>RequestType</key><string>A</string><key>At</key><date>2026-01-01T00:00:00Z</date><key>N</key><real>1.5</real></dict></plist>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		raw, err := ParseRaw(body)
		if err != nil {
			if !errors.Is(err, ErrCommand) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		sent, err := encoded("C1", raw)
		if err != nil {
			t.Fatalf("accepted, but not sent: %v", err)
		}
		var got struct{ Command map[string]any }
		if _, err := plist.Unmarshal(sent, &got); err != nil || got.Command["RequestType"] != raw.RequestType() {
			t.Fatalf("got %v, %v", got.Command["RequestType"], err)
		}
		if strings.EqualFold(raw.RequestType(), "EraseDevice") && !Erases(raw) {
			t.Fatal("a command that erases was not seen")
		}
	})
}
