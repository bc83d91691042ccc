package android

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/api/androidmanagement/v1"

	"sallyport/mdm"
)

const personalPhone = `{
 "name": "enterprises/E/devices/D1", "managementMode": "PROFILE_OWNER", "ownership": "PERSONALLY_OWNED",
 "state": "ACTIVE", "appliedState": "ACTIVE", "policyName": "enterprises/E/policies/d-1", "appliedPolicyName": "enterprises/E/policies/d-1",
 "appliedPolicyVersion": "3", "policyCompliant": true, "enrollmentTokenData": "TICKET", "enrollmentTime": "2026-11-22T08:00:00Z",
 "lastStatusReportTime": "2026-11-22T09:00:00.123456789Z", "previousDeviceNames": ["enterprises/E/devices/D0", "bad name"],
 "hardwareInfo": {"brand": "google", "model": "Pixel 8", "serialNumber": "ABCDesid", "enterpriseSpecificId": "ABCDesid"},
 "softwareInfo": {"androidVersion": "14", "androidBuildNumber": "UQ1A"},
 "deviceSettings": {"isDeviceSecure": true, "encryptionStatus": "ACTIVE_PER_USER"},
 "securityPosture": {"devicePosture": "AT_RISK", "postureDetails": [{"securityRisk": "UNKNOWN_OS"}]},
 "applicationReports": [
  {"packageName": "com.google.android.gm", "displayName": "Gmail", "versionName": "2026.1", "state": "INSTALLED",
   "keyedAppStates": [{"key": "exchange_host", "severity": "ERROR", "message": "no such host", "lastUpdateTime": "2026-11-22T08:59:00Z"}]},
  {"packageName": "gone.app", "state": "REMOVED"}]
}`

func decodePhone(t *testing.T, text string) Phone {
	t.Helper()
	var d androidmanagement.Device
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return phoneOf(&d)
}

func TestPhoneOfAPersonalDevice(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	at := time.Date(2026, 11, 22, 9, 0, 0, 123456000, time.UTC)
	device := mdm.Device{Platform: mdm.Android, UDID: "ABCDESID", Product: "Pixel 8", Model: "Google Pixel 8"}
	want := Phone{
		Name: "enterprises/E/devices/D1", Previous: []string{"enterprises/E/devices/D0"}, Ticket: "TICKET", Device: device,
		Ownership: mdm.Personal, Mode: WorkProfile, Policy: "d-1",
		Report: mdm.Report{
			Device:   &mdm.DeviceFacts{At: at, UDID: "ABCDESID", Product: "Pixel 8", Model: "Google Pixel 8", OSVersion: "14", Build: "UQ1A", Supervised: &no},
			Security: &mdm.SecurityFacts{At: at, PasscodePresent: &yes, PasscodeCompliant: &yes, Encrypted: &yes, Posture: mdm.PostureAtRisk, Risks: []string{"UNKNOWN_OS"}},
			Policy: &mdm.PolicyFacts{At: at, Name: "d-1", Applied: "d-1", Version: 3, Compliant: &yes, Ownership: mdm.Personal, AppStates: []mdm.AppState{
				{Package: "com.google.android.gm", Key: "exchange_host", Error: true, Message: "no such host", At: time.Date(2026, 11, 22, 8, 59, 0, 0, time.UTC)}}},
			Applications: &mdm.ApplicationFacts{At: at, Items: []mdm.ApplicationOnFile{{Identifier: "com.google.android.gm", Name: "Gmail", Version: "2026.1"}}},
		},
	}
	if diff := cmp.Diff(want, decodePhone(t, personalPhone)); diff != "" {
		t.Error(diff)
	}
}

// TestWhatIsNotToldIsUnknown: silence is never "fine".
func TestWhatIsNotToldIsUnknown(t *testing.T) {
	t.Parallel()
	p := decodePhone(t, `{"name": "enterprises/E/devices/d9", "enrollmentTime": "2026-11-22T08:00:00Z"}`)
	r := p.Report
	if p.Ownership != mdm.Personal || p.Mode != "" || p.Device.UDID != "D9" || p.Deleted || p.Disabled {
		t.Errorf("got %+v", p)
	}
	if r.Device.Supervised != nil || r.Security.PasscodePresent != nil || r.Security.PasscodeCompliant != nil || r.Security.Encrypted != nil ||
		r.Security.Posture != "" || r.Applications != nil || r.Policy.Applied != "" || r.Policy.Ownership != "" {
		t.Errorf("got %+v %+v %+v", r.Device, r.Security, r.Policy)
	}
	if r.Policy.Compliant == nil || *r.Policy.Compliant {
		t.Error("an absent policyCompliant is not false")
	}
	if !r.Device.At.Equal(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)) {
		t.Errorf("got %s, want the time of the enrolment", r.Device.At)
	}
}

func TestPhoneStates(t *testing.T) {
	t.Parallel()
	tests := map[string]func(Phone) bool{
		`{"name":"n","state":"DELETED"}`:                         func(p Phone) bool { return p.Deleted },
		`{"name":"n","appliedState":"DELETED","state":"ACTIVE"}`: func(p Phone) bool { return p.Deleted },
		`{"name":"n","state":"DISABLED"}`:                        func(p Phone) bool { return p.Disabled && !p.Deleted },
		`{"name":"n","managementMode":"DEVICE_OWNER","ownership":"COMPANY_OWNED"}`: func(p Phone) bool {
			return p.Mode == FullyManaged && p.Ownership == mdm.Corporate && p.Report.Policy.Ownership == mdm.Corporate && *p.Report.Device.Supervised
		},
		`{"name":"n","managementMode":"PROFILE_OWNER","ownership":"COMPANY_OWNED"}`:                         func(p Phone) bool { return p.Mode == WorkProfile && p.Ownership == mdm.Corporate },
		`{"name":"n","hardwareInfo":{"serialNumber":"r58abc"}}`:                                             func(p Phone) bool { return p.Device.UDID == "R58ABC" && p.Device.Serial == "r58abc" },
		`{"name":"n","deviceSettings":{"encryptionStatus":"INACTIVE"}}`:                                     func(p Phone) bool { return !*p.Report.Security.Encrypted && !*p.Report.Security.PasscodePresent },
		`{"name":"n","deviceSettings":{"encryptionStatus":"ACTIVE_DEFAULT_KEY"}}`:                           func(p Phone) bool { return *p.Report.Security.Encrypted },
		`{"name":"n","deviceSettings":{"encryptionStatus":"SOMETHING_NEW"}}`:                                func(p Phone) bool { return p.Report.Security.Encrypted == nil },
		`{"name":"n","securityPosture":{"devicePosture":"POTENTIALLY_COMPROMISED"}}`:                        func(p Phone) bool { return p.Report.Security.Posture == mdm.PostureCompromised },
		`{"name":"n","securityPosture":{"devicePosture":"SECURE"}}`:                                         func(p Phone) bool { return p.Report.Security.Posture == mdm.PostureSecure },
		`{"name":"n","securityPosture":{"devicePosture":"POSTURE_UNSPECIFIED"}}`:                            func(p Phone) bool { return p.Report.Security.Posture == "" },
		`{"name":"n","nonComplianceDetails":[{"settingName":"passwordPolicies"}]}`:                          func(p Phone) bool { return p.Report.Security.PasscodeCompliant == nil },
		`{"name":"n","appliedPolicyName":"p","nonComplianceDetails":[{"settingName":"passwordPolicies"}]}`:  func(p Phone) bool { return !*p.Report.Security.PasscodeCompliant },
		`{"name":"n","appliedPolicyName":"p","nonComplianceDetails":[null,{"settingName":"applications"}]}`: func(p Phone) bool { return *p.Report.Security.PasscodeCompliant },
		`{"name":"n","applicationReports":[]}`:                                                              func(p Phone) bool { return p.Report.Applications != nil && len(p.Report.Applications.Items) == 0 },
		`{"name":"n","hardwareInfo":{"brand":"a\u0000b\n","model":"\ud800x"}}`:                              func(p Phone) bool { return p.Device.Model == "A b \ufffdx" },
	}
	for text, holds := range tests {
		if p := decodePhone(t, text); !holds(p) {
			t.Errorf("%s: got %+v %+v %+v", text, p, p.Report.Security, p.Report.Policy)
		}
	}
}

type amapiFacts struct {
	NonComplianceReason         []string `json:"nonComplianceReason"`
	SpecificNonComplianceReason []string `json:"specificNonComplianceReason"`
	InstallationFailureReason   []string `json:"installationFailureReason"`
	CommandErrorCode            []string `json:"command.errorCode"`
}

// TestEveryReasonInPlainWords: Google's own lists, from the project's compilation
// of facts.
func TestEveryReasonInPlainWords(t *testing.T) {
	t.Parallel()
	var facts amapiFacts
	if err := json.Unmarshal(shared(t, "android/amapi-facts.json"), &facts); err != nil {
		t.Fatal(err)
	}
	if len(facts.NonComplianceReason) < 14 || len(facts.SpecificNonComplianceReason) < 15 {
		t.Fatalf("got %+v", facts)
	}
	none := nonconformityOf(&androidmanagement.NonComplianceDetail{NonComplianceReason: "SOMETHING_NEW"}).Plain
	for _, reason := range append(facts.NonComplianceReason, "NON_COMPLIANCE_REASON_UNSPECIFIED") {
		n := nonconformityOf(&androidmanagement.NonComplianceDetail{SettingName: "s", NonComplianceReason: reason})
		if n.Plain == none || n.Plain == "" || n.Reason != reason {
			t.Errorf("%s: got %+v", reason, n)
		}
	}
	for _, reason := range facts.SpecificNonComplianceReason {
		if n := nonconformityOf(&androidmanagement.NonComplianceDetail{NonComplianceReason: "USER_ACTION", SpecificNonComplianceReason: reason}); n.Plain == reasons["USER_ACTION"] {
			t.Errorf("%s has no words of its own", reason)
		}
	}
	for _, reason := range facts.InstallationFailureReason {
		if n := nonconformityOf(&androidmanagement.NonComplianceDetail{NonComplianceReason: "APP_NOT_INSTALLED", InstallationFailureReason: reason}); n.Plain == reasons["APP_NOT_INSTALLED"] {
			t.Errorf("%s has no words of its own", reason)
		}
	}
	for _, code := range facts.CommandErrorCode {
		if commandErrors[code] == "" {
			t.Errorf("command error %s has no words", code)
		}
	}
	for _, table := range []map[string]string{reasons, specificReasons, installationReasons, commandErrors} {
		for reason, words := range table {
			if strings.Contains(words, "; ") || words == "" {
				t.Errorf("%s: %q cannot be put together with others", reason, words)
			}
		}
	}
}

// shared reads a file of the project's facts, and skips, loudly, without them.
func shared(t *testing.T, path string) []byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "shared", filepath.FromSlash(path)))
		if err == nil {
			return text
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Skipf("SKIPPED, NOT TESTED: no shared/%s in any directory above", path)
		}
		dir = parent
	}
}

func TestDevicesAreListedByPages(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	g.answers("GET /v1/enterprises/E/devices", `{"devices":[`+personalPhone+`,null,{"name":""}],"nextPageToken":"p2"}`)
	phones, next, err := g.client().Devices(t.Context(), "enterprises/E", "")
	if err != nil || next != "p2" || len(phones) != 1 || phones[0].Ticket != "TICKET" {
		t.Errorf("got %d phones, %q, %v", len(phones), next, err)
	}
	g.answers("GET /v1/enterprises/E/devices/D1", personalPhone)
	p, err := g.client().Device(t.Context(), "enterprises/E/devices/D1")
	if err != nil || p.Name != "enterprises/E/devices/D1" {
		t.Errorf("got %+v, %v", p, err)
	}
	g.answers("PATCH /v1/enterprises/E/devices/D1", personalPhone)
	if err := g.client().SetPolicy(t.Context(), "enterprises/E/devices/D1", "d-2"); err != nil {
		t.Error(err)
	}
	if got := g.lastBody(); len(got) != 1 || got["policyName"] != "enterprises/E/policies/d-2" {
		t.Errorf("got %v", got)
	}
	if !slices.Contains(g.requests(), "PATCH /v1/enterprises/E/devices/D1") {
		t.Errorf("got %v", g.requests())
	}
}
