package compliance_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/compliance"
	"sallyport/enroll/directory"
)

const standard = `# what every phone must meet
name: standard
assign: everyone
grace: 24h
rules:
  mail_profile: true
  passcode: true
  minimum_os: 16.0
  identity_certificate: true
  reported_within: 48h
`

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	got, err := compliance.ParsePolicy([]byte(standard))
	if err != nil {
		t.Fatal(err)
	}
	want := compliance.Spec{Name: "standard", Assign: directory.Audience{Everyone: true}, Grace: compliance.Duration(24 * time.Hour),
		Rules: compliance.Rules{MailProfile: true, Passcode: true, MinimumOS: compliance.AtLeast("16.0"), IdentityCertificate: true, ReportedWithin: compliance.Duration(48 * time.Hour)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	withdrawn, err := compliance.ParsePolicy([]byte("name: a\nassign: {}\nrules: {passcode: true}\n"))
	if err != nil || !withdrawn.Assign.Nobody() {
		t.Errorf("withdrawn policy: got %+v, %v", withdrawn, err)
	}
}

const whole = `name: whole
assign: everyone
rules:
  encryption: true
  supervised: true
  not_jailbroken: true
  reported_within: 24h
  minimum_os:
    - {version: 17.10}
    - {platform: apple, model: "iPhone1*", version: "16.0", from: 2027-01-01}
  forbidden_apps: [com.example.bad]
  required_apps: [com.example.good]
  custom:
    - name: asset-tag
      expression: device.name.startsWith("ACME-")
      fact: the phone's name does not begin with ACME-
      fix: "Rename the phone: Settings > General > About."
actions: {notify_user: 0s, notify_admins: 24h, block: 72h, retire: 720h}
`

func TestParseWholePolicy(t *testing.T) {
	t.Parallel()
	got, err := compliance.ParsePolicy([]byte(whole))
	if err != nil {
		t.Fatal(err)
	}
	hours := func(n int) *compliance.Duration { return ptr(compliance.Duration(time.Duration(n) * time.Hour)) }
	want := compliance.Spec{Name: "whole", Assign: directory.Audience{Everyone: true},
		Rules: compliance.Rules{Encryption: true, Supervised: true, NotJailbroken: true, ReportedWithin: *hours(24),
			MinimumOS:     compliance.MinimumOS{{Version: "17.10"}, {Platform: "apple", Model: "iPhone1*", Version: "16.0", From: "2027-01-01"}},
			ForbiddenApps: []string{"com.example.bad"}, RequiredApps: []string{"com.example.good"},
			Custom: []compliance.Custom{{Name: "asset-tag", Expression: `device.name.startsWith("ACME-")`, Fact: "the phone's name does not begin with ACME-", Fix: "Rename the phone: Settings > General > About."}}},
		Actions: compliance.Actions{NotifyUser: hours(0), NotifyAdmins: hours(24), Block: hours(72), Retire: hours(720)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// It is stored as JSON, and comes back as it was. The plain form stays plain.
	for _, s := range []compliance.Spec{got, {Name: "old", Rules: compliance.Rules{MinimumOS: compliance.AtLeast("16.0")}}} {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back compliance.Spec
		if err := json.Unmarshal(text, &back); err != nil || !cmp.Equal(s, back) {
			t.Errorf("%s came back as %+v, %v", text, back, err)
		}
		if s.Name == "old" && !strings.Contains(string(text), `"minimum_os":"16.0"`) {
			t.Errorf("got %s", text)
		}
	}
}

func TestParseWholePolicyRefuses(t *testing.T) {
	t.Parallel()
	with := func(old, replacement string) string { return strings.Replace(whole, old, replacement, 1) }
	deep := strings.Repeat("(", 300) + "true" + strings.Repeat(")", 300)
	for _, tt := range []struct{ name, source, want string }{
		{"only what cannot be told", "name: a\nassign: everyone\nrules: {not_jailbroken: true}\n", "rules: ask for nothing"},
		{"demand of one word", with("{version: 17.10}", "17"), "rules.minimum_os: line 9, column 5: line 9, column 7: must be a mapping"},
		{"demand with an unknown key", with("{version: 17.10}", "{versoin: 1}"), `unknown key "versoin"`},
		{"demand of a list", with("{version: 17.10}", "{version: [1]}"), "version must be one plain value"},
		{"demand without a version", with("{version: 17.10}", "{platform: apple}"), "rules.minimum_os[0].version: is not a version"},
		{"platform", with("platform: apple", "platform: ios"), "rules.minimum_os[1].platform: is no platform"},
		{"model", with("iPhone1*", "iPhone[1"), "rules.minimum_os[1].model: is not a name"},
		{"date", with("2027-01-01", "1.1.2027"), "rules.minimum_os[1].from: is not a date"},
		{"minimum_os of another kind", with("minimum_os:\n    - {version: 17.10}\n    - {platform: apple, model: \"iPhone1*\", version: \"16.0\", from: 2027-01-01}", "minimum_os: {a: b}"), "or a list with platform"},
		{"many demands", "name: a\nassign: everyone\nrules:\n  minimum_os:\n" + strings.Repeat("    - {version: \"1\"}\n", 201), "has 201 entries"},
		{"app", with("com.example.bad", `"com example"`), "rules.forbidden_apps[0]: is not a bundle identifier"},
		{"many apps", with("[com.example.bad]", "["+strings.Repeat("a,", 201)+"]"), "names 201 apps"},
		{"forbidden and required", with("com.example.good", "com.Example.bad"), "is forbidden as well"},
		{"custom: no name", with("name: asset-tag", "name: Asset Tag"), "rules.custom[0].name: must be"},
		{"custom: no fact", with("fact: the phone's name does not begin with ACME-", `fact: " "`), "rules.custom[0].fact: is missing"},
		{"custom: syntax", with(`device.name.startsWith("ACME-")`, `device.name.startsWith(`), "rules.custom[0].expression: ERROR"},
		{"custom: not true or false", with(`device.name.startsWith("ACME-")`, `device.name`), "rules.custom[0].expression: says string, not true or false"},
		{"custom: another variable", with(`device.name.startsWith("ACME-")`, `device.nam == "x"`), "undeclared reference"},
		{"custom: another type", with(`device.name.startsWith("ACME-")`, `device.supervised == "x"`), "no matching overload"},
		{"custom: long", with(`device.name.startsWith("ACME-")`, `device.name == "`+strings.Repeat("x", 2048)+`"`), "longer than 2048"},
		{"custom: deep", with(`device.name.startsWith("ACME-")`, deep), "rules.custom[0].expression: "},
		{"custom: many", "name: a\nassign: everyone\nrules:\n  custom:\n" + strings.Repeat("    - {name: a, expression: 'true', fact: a, fix: b}\n", 21), "has 21 rules"},
		{"custom: one name twice", "name: a\nassign: everyone\nrules:\n  custom:\n" + strings.Repeat("    - {name: a, expression: 'true', fact: a, fix: b}\n", 2), "rules.custom[1].name: must be"},
		{"grace and block", whole + "grace: 1h\n", "grace: is said twice"},
		{"no grace and block", whole + "grace: 0s\n", "grace: is said twice"},
		{"long action", with("notify_admins: 24h", "notify_admins: 8761h"), "actions.notify_admins: must be between"},
		{"retire at once", with("retire: 720h", "retire: 1h"), "actions.retire: must be at least 24h"},
		{"retire who is silent", with("  reported_within: 24h\n", ""), "actions.retire: needs rules.reported_within"},
		{"wipe", with("retire:", "wipe:"), "unknown key (use notify_user, notify_admins, block, retire)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := compliance.ParsePolicy([]byte(tt.source))
			if !errors.Is(err, compliance.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a refusal with %q", err, tt.want)
			}
		})
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	t.Parallel()
	with := func(old, replacement string) string { return strings.Replace(standard, old, replacement, 1) }
	tests := []struct{ name, source, want string }{
		{"empty", "", "empty"},
		{"unknown key", with("passcode:", "pascode:"), "rules.pascode: line 7, column 3: unknown key (use mail_profile, passcode"},
		{"double key", standard + "grace: 1h\n", "grace: line 11, column 1: the key is there twice"},
		{"alias bomb", "name: &a x\nassign: {groups: [*a]}\n", "aliases"},
		{"no name", with("name: standard\n", ""), "name: must be"},
		{"name", with("standard\nassign", "Standard Policy\nassign"), "name: must be"},
		{"no audience", with("assign: everyone\n", ""), "assign: is missing"},
		{"audience", with("everyone", "all"), "assign is the word everyone"},
		{"empty group", with("everyone", `{groups: [""]}`), "assign.groups[0]: is empty"},
		{"control character", with("everyone", `{users: ["a\u0007"]}`), "assign.users[0]: holds the control character"},
		{"many groups", with("everyone", "{groups: ["+strings.Repeat("a,", 1001)+"]}"), "names 1001"},
		{"no rules", "name: a\nassign: everyone\n", "rules: ask for nothing"},
		{"rules say no", "name: a\nassign: everyone\nrules: {passcode: false}\n", "rules: ask for nothing"},
		{"version", with("16.0", "16.x"), "rules.minimum_os: is not a version"},
		{"four numbers", with("16.0", "16.0.0.1"), "rules.minimum_os: is not a version"},
		{"version with space", with("16.0", `" 16"`), "rules.minimum_os: is not a version"},
		{"too short", with("48h", "59m"), "rules.reported_within: must be between 1h and 8760h"},
		{"too long", with("48h", "8761h"), "rules.reported_within: must be between"},
		{"negative grace", with("24h", "-1s"), "grace: must be between"},
		{"long grace", with("24h", "8761h"), "grace: must be between"},
		{"no duration", with("24h", "one day"), "grace: line 4, column 8:"},
		{"no unit", with("24h", "24"), "grace: line 4, column 8:"},
		{"all at once", "name: A\nassign: everyone\nrules: {minimum_os: x}\ngrace: -1h\n", "grace: must be"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := compliance.ParsePolicy([]byte(tt.source))
			if !errors.Is(err, compliance.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a refusal with %q", err, tt.want)
			}
		})
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(standard))
	f.Add([]byte("name: a\nassign: {groups: [b], users: [c@d]}\nrules: {minimum_os: \"17.0.1\"}\n"))
	f.Add([]byte(whole))
	f.Add([]byte("name: a\nassign: everyone\nrules: {custom: [{name: a, expression: 'apps.all(a, apps.exists(b, a != b)) && at_least(device.os_version, \"1\")', fact: a, fix: b}]}\n"))
	f.Fuzz(func(t *testing.T, source []byte) {
		spec, err := compliance.ParsePolicy(source)
		if err != nil {
			if !errors.Is(err, compliance.ErrInvalid) {
				t.Errorf("an error that refuses nothing: %v", err)
			}
			return
		}
		if err := spec.Validate(); err != nil {
			t.Errorf("an accepted policy is not valid: %v", err)
		}
		// Whatever was accepted can be computed, and comes out well only where all
		// that it names was reported.
		s := good()
		s.policy.Spec = spec
		for _, f := range s.evaluate().Findings {
			if f.Fact == "" {
				t.Errorf("finding without a fact: %+v", f)
			}
		}
	})
}

func TestDurationInWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour: "24h", 90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 30 * time.Second: "30s",
		time.Hour + 10*time.Second: "1h0m10s", 0: "0s", 100 * time.Hour: "100h",
	} {
		text := compliance.Duration(d).String()
		var back compliance.Duration
		if err := back.UnmarshalText([]byte(text)); text != want || err != nil || time.Duration(back) != d {
			t.Errorf("%d is %q and reads back as %v, %v; want %q", d, text, time.Duration(back), err, want)
		}
	}
}
