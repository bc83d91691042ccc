package apple

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"howett.net/plist"

	"sallyport/internal/secret"
	"sallyport/mdm"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const udid = "00008110-000A1B2C3D4E801E"

// encode writes a message as a phone would.
func encode(t testing.TB, dict map[string]any) []byte {
	t.Helper()
	body, err := plist.Marshal(dict, plist.XMLFormat)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	base := func(change map[string]any) []byte {
		dict := map[string]any{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C1"}
		for key, value := range change {
			if value == nil {
				delete(dict, key)
				continue
			}
			dict[key] = value
		}
		return encode(t, dict)
	}
	many := make([]any, maxItems+1)
	for i := range many {
		many[i] = map[string]any{"PayloadIdentifier": "a", "PayloadUUID": "B"}
	}
	long := strings.Repeat("x", maxIdentifier+1)
	tests := []struct {
		name string
		body []byte
	}{
		{"empty", nil},
		{"no property list", []byte("hello")},
		{"JSON", []byte(`{"Status":"Idle"}`)},
		{"OpenStep text", []byte(`{ Status = Idle; }`)},
		{"binary", []byte("bplist00\xd1\x01\x02")},
		{"an array", []byte(`<plist version="1.0"><array/></plist>`)},
		{"a string", []byte(`<plist version="1.0"><string>Idle</string></plist>`)},
		{"entity", []byte(`<!DOCTYPE plist [<!ENTITY a "b">]><plist version="1.0"><dict/></plist>`)},
		{"deep", []byte(`<plist version="1.0">` + strings.Repeat("<array>", 40) + strings.Repeat("</array>", 40) + `</plist>`)},
		{"neither kind", base(map[string]any{"Status": nil})},
		{"both kinds", base(map[string]any{"MessageType": "TokenUpdate"})},
		{"too many apps", base(map[string]any{"InstalledApplicationList": many})},
		{"long app identifier", base(map[string]any{"InstalledApplicationList": []any{map[string]any{"Identifier": long}}})},
		{"long managed identifier", base(map[string]any{"ManagedApplicationList": map[string]any{long: map[string]any{"Status": "Managed"}}})},
		{"restriction of the wrong type", base(map[string]any{"GlobalRestrictions": map[string]any{"restrictedBool": map[string]any{"allowAccountModification": map[string]any{"value": "no"}}}})},
		{"settings of the wrong type", base(map[string]any{"Settings": "done"})},
		{"no UDID", base(map[string]any{"UDID": nil})},
		{"UDID that is none", base(map[string]any{"UDID": "../../etc/passwd"})},
		{"account-driven", base(map[string]any{"UDID": nil, "EnrollmentID": "E1"})},
		{"user channel", base(map[string]any{"UserID": "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"})},
		{"unknown status", base(map[string]any{"Status": "Fine"})},
		{"no CommandUUID", base(map[string]any{"CommandUUID": nil})},
		{"long CommandUUID", base(map[string]any{"CommandUUID": long})},
		{"status of the wrong type", base(map[string]any{"Status": 1})},
		{"passcode of the wrong type", base(map[string]any{"SecurityInfo": map[string]any{"PasscodePresent": "yes"}})},
		{"number out of range", base(map[string]any{"SecurityInfo": map[string]any{"HardwareEncryptionCaps": 1 << 20}})},
		{"negative number", base(map[string]any{"SecurityInfo": map[string]any{"HardwareEncryptionCaps": -1}})},
		{"number beyond 64 bits", []byte(strings.Replace(string(base(map[string]any{"SecurityInfo": map[string]any{"HardwareEncryptionCaps": 3}})),
			"<integer>3<", "<integer>99999999999999999999<", 1))},
		{"facts of another phone", base(map[string]any{"QueryResponses": map[string]any{"UDID": "FFFFFFFF"}})},
		{"long EAS identifier", base(map[string]any{"QueryResponses": map[string]any{"EASDeviceIdentifier": strings.Repeat("a", 129)}})},
		{"too many profiles", base(map[string]any{"ProfileList": many})},
		{"too many certificates", base(map[string]any{"CertificateList": many})},
		{"too many errors", base(map[string]any{"Status": "Error", "ErrorChain": many})},
		{"long profile identifier", base(map[string]any{"ProfileList": []any{map[string]any{"PayloadIdentifier": long, "PayloadUUID": "B"}}})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m, k, err := decode(test.body)
			if err == nil && k == kindResult {
				_, err = m.contact(noon)
			}
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
		})
	}
}

func TestContact(t *testing.T) {
	t.Parallel()
	yes, no, caps := true, false, 3
	tests := []struct {
		name string
		dict map[string]any
		want mdm.Contact
	}{
		{"idle ignores everything else", map[string]any{"Status": "Idle", "CommandUUID": "C9", "SecurityInfo": map[string]any{"PasscodePresent": true}},
			mdm.Contact{At: noon, Status: mdm.StatusIdle}},
		{"bare acknowledgement", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1"},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1"}},
		{"not now carries no facts", map[string]any{"Status": "NotNow", "CommandUUID": "C1", "ProfileList": []any{}},
			mdm.Contact{At: noon, Status: mdm.StatusNotNow, CommandID: "C1"}},
		{"error", map[string]any{"Status": "Error", "CommandUUID": "C1", "ErrorChain": []any{
			map[string]any{"ErrorCode": 4001, "ErrorDomain": "MCInstallationErrorDomain", "LocalizedDescription": "Profil", "USEnglishDescription": "Profile"},
			map[string]any{"ErrorCode": 21005, "ErrorDomain": "MCEASErrorDomain", "LocalizedDescription": "Nicht eindeutig"}}},
			mdm.Contact{At: noon, Status: mdm.StatusError, CommandID: "C1", Errors: []mdm.ErrorItem{
				{Code: 4001, Domain: "MCInstallationErrorDomain", Description: "Profile"},
				{Code: 21005, Domain: "MCEASErrorDomain", Description: "Nicht eindeutig"}}}},
		{"device", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "QueryResponses": map[string]any{
			"UDID": strings.ToLower(udid), "OSVersion": "18.1", "ModelName": "iPhone", "Model": "MTUW3", "IsSupervised": false,
			"EASDeviceIdentifier": "Q1W2", "DeviceName": strings.Repeat("é", 200)}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1", Report: mdm.Report{Device: &mdm.DeviceFacts{
				At: noon, UDID: udid, OSVersion: "18.1", Model: "iPhone", Supervised: &no, EASDeviceID: "Q1W2", Name: strings.Repeat("é", 128)}}}},
		{"security", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "SecurityInfo": map[string]any{
			"HardwareEncryptionCaps": 3, "PasscodePresent": true, "PasscodeCompliant": false}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1", Report: mdm.Report{Security: &mdm.SecurityFacts{
				At: noon, HardwareEncryptionCaps: &caps, PasscodePresent: &yes, PasscodeCompliant: &no}}}},
		{"no profiles at all is a fact", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "ProfileList": []any{}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1",
				Report: mdm.Report{Profiles: &mdm.ProfileFacts{At: noon, Items: []mdm.ProfileOnFile{}}}}},
		{"profiles", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "ProfileList": []any{
			map[string]any{"PayloadIdentifier": "a.b", "PayloadUUID": "abc", "IsManaged": true, "IsEncrypted": true}}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1", Report: mdm.Report{Profiles: &mdm.ProfileFacts{At: noon,
				Items: []mdm.ProfileOnFile{{Identifier: "a.b", UUID: "ABC", Managed: &yes, Encrypted: true}}}}}},
		{"a certificate that we cannot read", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "CertificateList": []any{
			map[string]any{"CommonName": "odd", "IsIdentity": true, "Data": []byte{1, 2, 3}}}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1", Report: mdm.Report{Certificates: &mdm.CertificateFacts{At: noon,
				Items: []mdm.CertificateOnFile{{CommonName: "odd", Identity: true,
					SHA256: "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81"}}}}}},
		{"apps", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "InstalledApplicationList": []any{
			map[string]any{"Identifier": "com.example.a", "Name": "A", "Version": "7", "ShortVersion": "1.7", "BundleSize": 9}, map[string]any{"Name": "clip"}}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1", Report: mdm.Report{Applications: &mdm.ApplicationFacts{At: noon,
				Items: []mdm.ApplicationOnFile{{Identifier: "com.example.a", Name: "A", Version: "7"}, {Name: "clip"}}}}}},
		{"managed apps, in order", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "ManagedApplicationList": map[string]any{
			"b": map[string]any{"Status": "Managed", "ManagementFlags": 1}, "a": map[string]any{"Status": "Installing"}}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1", Report: mdm.Report{Managed: &mdm.ManagedFacts{At: noon,
				Items: []mdm.ManagedApplication{{Identifier: "a", Status: "Installing"}, {Identifier: "b", Status: "Managed"}}}}}},
		{"no managed app at all is a fact", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "ManagedApplicationList": map[string]any{}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1", Report: mdm.Report{Managed: &mdm.ManagedFacts{At: noon, Items: []mdm.ManagedApplication{}}}}},
		{"restrictions", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "ProfileRestrictions": map[string]any{},
			"GlobalRestrictions": map[string]any{"restrictedBool": map[string]any{"allowAccountModification": map[string]any{"value": false}, "allowCamera": map[string]any{"value": true}}}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1", Report: mdm.Report{Restrictions: &mdm.RestrictionFacts{At: noon, AccountModification: &no}}}},
		{"a restriction that is not listed is unknown", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "GlobalRestrictions": map[string]any{}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1", Report: mdm.Report{Restrictions: &mdm.RestrictionFacts{At: noon}}}},
		{"settings done", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "Settings": []any{map[string]any{"Item": "DeviceName", "Status": "Acknowledged"}}},
			mdm.Contact{At: noon, Status: mdm.StatusAcknowledged, CommandID: "C1"}},
		{"an acknowledged setting that failed", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "Settings": []any{
			map[string]any{"Status": "Error", "ErrorChain": []any{map[string]any{"ErrorCode": 12021, "ErrorDomain": "MCMDMErrorDomain", "USEnglishDescription": "Not supervised"}}}}},
			mdm.Contact{At: noon, Status: mdm.StatusError, CommandID: "C1", Errors: []mdm.ErrorItem{{Code: 12021, Domain: "MCMDMErrorDomain", Description: "Not supervised"}}}},
		{"the same as Apple's schema writes it", map[string]any{"Status": "Acknowledged", "CommandUUID": "C1", "Settings": map[string]any{"Status": "Error"}},
			mdm.Contact{At: noon, Status: mdm.StatusError, CommandID: "C1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.dict["UDID"] = strings.ToLower(udid)
			m, k, err := decode(encode(t, test.dict))
			if err != nil || k != kindResult {
				t.Fatalf("decode: kind %d, %v", k, err)
			}
			got, err := m.contact(noon)
			if err != nil {
				t.Fatal(err)
			}
			if kept := got.Status == mdm.StatusAcknowledged; got.Result.IsZero() == kept || kept && got.Result.Reveal() != string(m.body) {
				t.Errorf("the whole result: got %d bytes", len(got.Result.Reveal()))
			}
			got.Result = secret.Value{}
			if diff := cmp.Diff(got, test.want, cmp.Comparer(func(a, b secret.Value) bool { return a == b })); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
			if m.UDID != udid {
				t.Errorf("got UDID %s, want it in upper case", m.UDID)
			}
		})
	}
}

func TestCheckinMessages(t *testing.T) {
	t.Parallel()
	m, k, err := decode(encode(t, map[string]any{"MessageType": "Authenticate", "Topic": "t", "UDID": udid, "SerialNumber": "S", "ProductName": "iPhone15,4"}))
	if err != nil || k != kindCheckin {
		t.Fatal(k, err)
	}
	got, err := m.authenticate()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, Authenticate{Topic: "t", UDID: udid, SerialNumber: "S", ProductName: "iPhone15,4"}); diff != "" {
		t.Error(diff)
	}
	tests := []struct {
		name string
		dict map[string]any
	}{
		{"no token", map[string]any{"PushMagic": "m"}},
		{"empty token", map[string]any{"Token": []byte{}, "PushMagic": "m"}},
		{"long token", map[string]any{"Token": make([]byte, maxToken+1), "PushMagic": "m"}},
		{"no magic", map[string]any{"Token": []byte{1}}},
		{"long unlock token", map[string]any{"Token": []byte{1}, "PushMagic": "m", "UnlockToken": make([]byte, maxUnlock+1)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.dict["MessageType"], test.dict["UDID"], test.dict["Topic"] = "TokenUpdate", udid, "t"
			m, _, err := decode(encode(t, test.dict))
			if err == nil {
				_, err = m.tokenUpdate()
			}
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
		})
	}
}

// seeds for both fuzz targets: one message of every kind.
func seeds(f *testing.F) {
	for _, dict := range []map[string]any{
		{"MessageType": "Authenticate", "Topic": "t", "UDID": udid},
		{"MessageType": "TokenUpdate", "Topic": "t", "UDID": udid, "Token": []byte{1}, "PushMagic": "m", "UnlockToken": []byte{2}},
		{"MessageType": "CheckOut", "Topic": "t", "UDID": udid},
		{"Status": "Idle", "UDID": udid},
		{"Status": "Error", "UDID": udid, "CommandUUID": "C", "ErrorChain": []any{map[string]any{"ErrorCode": 1, "ErrorDomain": "d"}}},
		{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C", "QueryResponses": map[string]any{"IsSupervised": true, "OSVersion": "18.1"}},
		{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C", "SecurityInfo": map[string]any{"HardwareEncryptionCaps": 3}},
		{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C", "ProfileList": []any{map[string]any{"PayloadIdentifier": "a", "PayloadUUID": "B"}}},
		{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C", "CertificateList": []any{map[string]any{"CommonName": "a", "Data": []byte{0x30, 0x80}}}},
		{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C", "InstalledApplicationList": []any{map[string]any{"Identifier": "a", "Version": "1"}}},
		{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C", "ManagedApplicationList": map[string]any{"a": map[string]any{"Status": "Managed"}}},
		{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C", "GlobalRestrictions": map[string]any{"restrictedBool": map[string]any{"allowAccountModification": map[string]any{"value": false}}}},
		{"Status": "Acknowledged", "UDID": udid, "CommandUUID": "C", "Settings": []any{map[string]any{"Status": "Error", "ErrorChain": []any{map[string]any{"ErrorCode": 1}}}}},
	} {
		f.Add(encode(f, dict))
	}
}

func FuzzCheckin(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		m, k, err := decode(body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if k != kindCheckin {
			return
		}
		if a, err := m.authenticate(); err == nil && (a.Topic == "" || a.UDID != strings.ToUpper(a.UDID)) {
			t.Fatalf("accepted %+v", a)
		}
		if !udids.MatchString(m.UDID) {
			t.Fatalf("accepted %q for a UDID", m.UDID)
		}
		if u, err := m.tokenUpdate(); err == nil && (len(u.Token) == 0 || len(u.Token) > maxToken) {
			t.Fatalf("accepted a token of %d bytes", len(u.Token))
		}
	})
}

func FuzzResult(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		m, k, err := decode(body)
		if err != nil || k != kindResult {
			return
		}
		c, err := m.contact(noon)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if (c.Status == mdm.StatusIdle) != (c.CommandID == "") {
			t.Fatalf("accepted %s with command %q", c.Status, c.CommandID)
		}
		if p := c.Report.Profiles; p != nil && len(p.Items) > maxItems {
			t.Fatalf("accepted %d profiles", len(p.Items))
		}
		if a := c.Report.Applications; a != nil && len(a.Items) > maxItems {
			t.Fatalf("accepted %d apps", len(a.Items))
		}
		if a := c.Report.Managed; a != nil && len(a.Items) > maxItems {
			t.Fatalf("accepted %d managed apps", len(a.Items))
		}
		if n := len(c.Result.Reveal()); n > MaxRaw || n > 0 && c.Status != mdm.StatusAcknowledged {
			t.Fatalf("kept %d bytes of a result with status %s", n, c.Status)
		}
	})
}
