package store

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/mdm"
)

func anyReport(t *rapid.T) mdm.Report {
	word := rapid.OneOf(rapid.SampledFrom([]string{"", "iPhone14,5", `"x"`, `a\b`, "a<b", "ü", `,"certificates":{`}), rapid.String())
	flag := rapid.SampledFrom([]*bool{nil, new(bool), func() *bool { b := true; return &b }()})
	at := func() (r mdm.DeviceFacts) {
		r.At = instant(rapid.Int64Range(0, 4e15).Draw(t, "at"))
		return r
	}
	var r mdm.Report
	some := func(label string) bool { return rapid.Bool().Draw(t, label) }
	if some("device") {
		d := at()
		d.UDID, d.Name, d.Product, d.Model, d.OSVersion, d.EASDeviceID = word.Draw(t, "udid"), word.Draw(t, "name"), word.Draw(t, "product"), word.Draw(t, "model"), word.Draw(t, "os"), word.Draw(t, "eas")
		d.Supervised, d.AwaitingConfiguration = flag.Draw(t, "supervised"), flag.Draw(t, "awaiting")
		r.Device = &d
	}
	if some("security") {
		caps := rapid.IntRange(-2, 12).Draw(t, "caps")
		r.Security = &mdm.SecurityFacts{At: at().At, PasscodePresent: flag.Draw(t, "present"), PasscodeCompliant: flag.Draw(t, "compliant"), PasscodeCompliantWithProfiles: flag.Draw(t, "with")}
		if some("caps told") {
			r.Security.HardwareEncryptionCaps = &caps
		}
	}
	if some("profiles") {
		r.Profiles = &mdm.ProfileFacts{At: at().At, Items: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) mdm.ProfileOnFile {
			return mdm.ProfileOnFile{Identifier: word.Draw(t, "identifier"), UUID: word.Draw(t, "uuid"), DisplayName: word.Draw(t, "display"), Managed: flag.Draw(t, "managed"), Encrypted: rapid.Bool().Draw(t, "encrypted")}
		}), 0, 3).Draw(t, "items")}
	}
	if some("certificates") {
		r.Certificates = &mdm.CertificateFacts{At: at().At, Items: []mdm.CertificateOnFile{{CommonName: word.Draw(t, "cn")}}}
	}
	if some("apps") {
		r.Applications = &mdm.ApplicationFacts{At: at().At, Items: []mdm.ApplicationOnFile{{Identifier: word.Draw(t, "app")}}}
	}
	if some("managed") {
		r.Managed = &mdm.ManagedFacts{At: at().At}
	}
	if some("restrictions") {
		r.Restrictions = &mdm.RestrictionFacts{At: at().At, AccountModification: flag.Draw(t, "modification")}
	}
	if some("asked") {
		r.AskedAt = at().At
	}
	return r
}

// What is read of a report is what encoding/json reads, less the certificates.
func TestJudgedPart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.Marshal(anyReport(t))
		if err != nil {
			t.Fatal(err)
		}
		got, err := judgedPart(string(text))
		if err != nil {
			t.Fatal(err)
		}
		same(t, string(text), got)
	})
	usual := `{"device":{"at":"2026-11-21T09:00:00Z","name":"Zoë’s iPhone","product":"iPhone14,5","supervised":false},"security":{"at":"2026-11-21T09:00:00Z","hardware_encryption_caps":3},"profiles":{"at":"2026-11-21T09:00:00Z","items":[{"identifier":"a","uuid":"B","managed":true}]},"certificates":{"at":"2026-11-21T09:00:00Z","items":[{"common_name":"}\"{"}]},"restrictions":{"at":"2026-11-21T09:00:00Z","account_modification":true}}`
	if _, ok := usualReport(usual); !ok {
		t.Error("a usual report is not read the short way")
	}
}

func same(t interface{ Fatalf(string, ...any) }, text string, got mdm.Report) {
	var want mdm.Report
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatalf("%q was read, but JSON says %v", text, err)
	}
	want.Certificates = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", text, diff)
	}
}

func FuzzUsualReport(f *testing.F) {
	f.Add(`{}`)
	f.Add(`{"device":{"at":"2026-11-21T09:00:00Z","name":"a","supervised":true},"certificates":{"at":"2026-11-21T09:00:00Z","items":[]}}`)
	f.Add(`{"security":{"at":"2026-11-21T09:00:00Z","passcode_present":true},"profiles":{"at":"2026-11-21T09:00:00Z","items":[{"identifier":"a","uuid":"b"}]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if got, ok := usualReport(text); ok && json.Valid([]byte(text)) { // what we stored is valid
			var want mdm.Report
			if json.Unmarshal([]byte(text), &want) == nil {
				same(t, text, got)
			}
		}
	})
}
