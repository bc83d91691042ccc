package access_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

const mailPolicy = `# who may read mail on a phone
name: mail
assign: {groups: [staff]}
except: {users: [boss@example.test]}
break_glass: [admin@example.test]
platforms: [apple]
starts_at: 2027-01-31T09:00:00+01:00
mode: enforce
require: [enrolled, compliant]
block_text: |
  Your phone may not read mail now.
  Call 117.
quarantine_text: Your phone waits.
`

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	got, err := access.ParsePolicy([]byte(mailPolicy))
	if err != nil {
		t.Fatal(err)
	}
	want := access.Spec{Name: "mail", Assign: directory.Audience{Groups: []string{"staff"}}, Except: directory.Audience{Users: []string{"boss@example.test"}},
		BreakGlass: []string{"admin@example.test"}, Platforms: []mdm.Platform{mdm.Apple}, StartsAt: time.Date(2027, 1, 31, 8, 0, 0, 0, time.UTC),
		Mode: access.Enforce, Require: []access.Requirement{access.RequireEnrolled, access.RequireCompliant},
		BlockText: "Your phone may not read mail now.\nCall 117.\n", QuarantineText: "Your phone waits."}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	withdrawn, err := access.ParsePolicy([]byte("name: a\nassign: {}\nmode: report-only\nrequire: [enrolled]\n"))
	if err != nil || !withdrawn.Assign.Nobody() || !withdrawn.StartsAt.IsZero() {
		t.Errorf("withdrawn policy: got %+v, %v", withdrawn, err)
	}
	if label := (&access.Policy{Name: "mail", Number: 12}).Label(); label != "mail@12" {
		t.Errorf("label %q", label)
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	t.Parallel()
	with := func(old, replacement string) string { return strings.Replace(mailPolicy, old, replacement, 1) }
	without := func(key string) string {
		var kept []string
		for line := range strings.Lines(mailPolicy) {
			if !strings.HasPrefix(line, key+":") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
	tests := []struct{ name, source, want string }{
		{"empty", "", "empty"},
		{"unknown key", with("mode:", "modus:"), "modus: line 8, column 1: unknown key (use name, assign"},
		{"no name", without("name"), "name: must be"},
		{"name", with("name: mail", "name: My Mail"), "name: must be"},
		{"no audience", without("assign"), "assign: is missing"},
		{"audience", with("{groups: [staff]}", "all"), "assign: line 3"},
		{"empty group", with("[staff]", `[""]`), "assign.groups[0]: is empty"},
		{"empty exception", with("[boss@example.test]", `[""]`), "except.users[0]: is empty"},
		{"everyone excepted", with("{users: [boss@example.test]}", "everyone"), "except: excepts everyone"},
		{"empty break-glass", with("[admin@example.test]", `[a, ""]`), "break_glass[1]: is empty"},
		{"many break-glass users", with("[admin@example.test]", "["+strings.Repeat("a,", 21)+"]"), "break_glass: names 21 users"},
		{"platform", with("[apple]", "[apple, windows]"), "platforms[1]: is unknown (use apple, android)"},
		{"platform twice", with("[apple]", "[apple, apple]"), "platforms[1]: is there twice"},
		{"start", with("2027-01-31T09:00:00+01:00", "tomorrow"), "starts_at: line 7, column 12: must be a date, a time and an offset"},
		{"start without offset", with("2027-01-31T09:00:00+01:00", "2027-01-31 09:00"), "starts_at: line 7"},
		{"no mode", without("mode"), "mode: is missing (begin with report-only"},
		{"mode", with("mode: enforce", "mode: on"), "mode: is neither"},
		{"nothing required", without("require"), "require: asks for nothing"},
		{"empty list", with("[enrolled, compliant]", "[]"), "require: asks for nothing"},
		{"requirement", with("[enrolled, compliant]", "[enroled]"), "require[0]: is unknown (use enrolled, compliant, mail_profile, client_certificate)"},
		{"requirement twice", with("[enrolled, compliant]", "[enrolled, enrolled]"), "require[1]: is there twice"},
		{"long text", with("Your phone waits.", strings.Repeat("a", 2001)), "quarantine_text: is 2001 bytes long"},
		{"control character", with("Your phone waits.", `"a\u0007"`), "quarantine_text: holds the control character"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := access.ParsePolicy([]byte(tt.source))
			if !errors.Is(err, access.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a refusal with %q", err, tt.want)
			}
		})
	}
	_, err := access.ParsePolicy([]byte("name: A\nexcept: everyone\nplatforms: [x]\nmode: maybe\nrequire: [y]\nblock_text: \"\\u0001\"\n"))
	if all := refusal.All(err); len(all) != 7 {
		t.Errorf("got %d refusals, want all 7 at once: %v", len(all), err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(mailPolicy))
	f.Add([]byte("name: a\nassign: everyone\nmode: report-only\nrequire: [client_certificate]\nstarts_at: 0000-01-01T00:00:00Z\n"))
	f.Add([]byte("{name: &a b, assign: *a}"))
	f.Fuzz(func(t *testing.T, source []byte) {
		spec, err := access.ParsePolicy(source)
		if err != nil {
			if !errors.Is(err, access.ErrInvalid) || len(refusal.All(err)) == 0 {
				t.Errorf("no refusal: %v", err)
			}
			return
		}
		if err := spec.Validate(); err != nil {
			t.Errorf("took %+v, which is invalid: %v", spec, err)
		}
	})
}
