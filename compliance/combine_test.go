package compliance

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll/directory"
)

func TestStrictest(t *testing.T) {
	t.Parallel()
	const h = Duration(time.Hour)
	a := Policy{Name: "a", Number: 1, Spec: Spec{Grace: 24 * h, Rules: Rules{Passcode: true, MinimumOS: AtLeast("9.3"), ReportedWithin: 48 * h}}}
	b := Policy{Name: "b", Number: 7, Spec: Spec{Grace: 2 * h, Rules: Rules{MailProfile: true, MinimumOS: AtLeast("16.0")}}}
	c := Policy{Name: "c", Number: 2, Spec: Spec{Grace: 4 * h, Rules: Rules{IdentityCertificate: true, MinimumOS: AtLeast("15"), ReportedWithin: 12 * h}}}

	if got := Strictest(nil); got != nil {
		t.Errorf("none: got %+v", got)
	}
	if got := Strictest([]Policy{b}); got.Label() != "b@7" || !cmp.Equal(got.Spec.Rules, b.Spec.Rules) {
		t.Errorf("one: got %+v", got)
	}
	want := Spec{Grace: 2 * h, Rules: Rules{MailProfile: true, Passcode: true, MinimumOS: AtLeast("16.0"), IdentityCertificate: true, ReportedWithin: 12 * h}}
	for _, order := range [][]Policy{{a, b, c}, {c, b, a}, {b, c, a}} {
		got := Strictest(order)
		if diff := cmp.Diff(want, got.Spec); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if got := Strictest([]Policy{a, b}).Label(); got != "a@1, b@7" {
		t.Errorf("got label %q", got)
	}
	if a.Spec.Rules.MailProfile {
		t.Error("a policy that was combined changed")
	}
}

func TestMatching(t *testing.T) {
	t.Parallel()
	policies := []Policy{
		{Name: "everyone", Spec: Spec{Assign: directory.Audience{Everyone: true}}},
		{Name: "sales", Spec: Spec{Assign: directory.Audience{Groups: []string{"Sales"}}}},
		{Name: "alice", Spec: Spec{Assign: directory.Audience{Users: []string{"ALICE@example.test"}}}},
		{Name: "nobody"},
	}
	tests := []struct {
		name string
		e    Expected
		want []string
	}{
		{"bob", Expected{UPN: "bob@example.test"}, []string{"everyone"}},
		{"alice", Expected{UPN: "alice@example.test"}, []string{"everyone", "alice"}},
		{"a seller", Expected{UPN: "bob@example.test", Groups: []string{"sales"}}, []string{"everyone", "sales"}},
		{"no name", Expected{}, []string{"everyone"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range Matching(policies, tt.e) {
				got = append(got, p.Name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		have, want string
		ok         bool
	}{
		{"17", "17.0.0", true}, {"17.0", "17", true}, {"16.1.2", "16.1", true}, {"16.1", "16.1.2", false}, {"9.10", "9.9", true},
		{"10", "9.9.9", true}, {" 16.4.1 (a) ", "16.4.1", true}, {"16.4", "16.4.1", false},
	} {
		have, ok := parseVersion(tt.have)
		want, ok2 := parseVersion(tt.want)
		if !ok || !ok2 || have.atLeast(want) != tt.ok {
			t.Errorf("%s at least %s: got %t, want %t", tt.have, tt.want, !tt.ok, tt.ok)
		}
	}
	for _, garbage := range []string{"", " ", ".", "16.", ".1", "16..1", "v16", "16.1b2", "-1", "+16", "1.2.3.4", "99999", "16.1 beta", "16 1", "١٦", "16,1"} {
		if v, ok := parseVersion(garbage); ok {
			t.Errorf("%q was read as %s", garbage, v)
		}
	}
}
