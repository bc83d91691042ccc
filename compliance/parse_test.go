package compliance_test

import (
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
		Rules: compliance.Rules{MailProfile: true, Passcode: true, MinimumOS: "16.0", IdentityCertificate: true, ReportedWithin: compliance.Duration(48 * time.Hour)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	withdrawn, err := compliance.ParsePolicy([]byte("name: a\nassign: {}\nrules: {passcode: true}\n"))
	if err != nil || !withdrawn.Assign.Nobody() {
		t.Errorf("withdrawn policy: got %+v, %v", withdrawn, err)
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
	})
}
