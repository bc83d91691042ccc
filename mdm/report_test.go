package mdm_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/mdm"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	early, late := time.Unix(1, 0), time.Unix(2, 0)
	whole := mdm.Report{
		Device:       &mdm.DeviceFacts{At: early, OSVersion: "18.0", EASDeviceID: "A"},
		Security:     &mdm.SecurityFacts{At: early},
		Profiles:     &mdm.ProfileFacts{At: early, Items: []mdm.ProfileOnFile{{Identifier: "a"}}},
		Certificates: &mdm.CertificateFacts{At: early},
	}
	tests := []struct {
		name  string
		delta mdm.Report
		want  func(*mdm.Report)
	}{
		{"nothing", mdm.Report{}, func(*mdm.Report) {}},
		{"a group is replaced as a whole", mdm.Report{Device: &mdm.DeviceFacts{At: late, OSVersion: "18.1"}},
			func(r *mdm.Report) { r.Device = &mdm.DeviceFacts{At: late, OSVersion: "18.1"} }},
		{"an empty list is a fact", mdm.Report{Profiles: &mdm.ProfileFacts{At: late}},
			func(r *mdm.Report) { r.Profiles = &mdm.ProfileFacts{At: late} }},
		{"all the rest", mdm.Report{Security: &mdm.SecurityFacts{At: late}, Certificates: &mdm.CertificateFacts{At: late}},
			func(r *mdm.Report) {
				r.Security, r.Certificates = &mdm.SecurityFacts{At: late}, &mdm.CertificateFacts{At: late}
			}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := whole
			test.want(&want)
			if diff := cmp.Diff(whole.Merge(test.delta), want); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
			if diff := cmp.Diff(mdm.Report{}.Merge(test.delta), test.delta); diff != "" {
				t.Errorf("onto nothing: got -, want +:\n%s", diff)
			}
		})
	}
	if !(mdm.Report{}).Empty() || whole.Empty() || (mdm.Report{Profiles: &mdm.ProfileFacts{}}).Empty() {
		t.Error("Empty tells a report from none wrongly")
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		state         mdm.EnrollmentState
		active, ended bool
	}{
		{mdm.Authenticated, false, false}, {mdm.Enrolled, true, false}, {mdm.Configured, true, false},
		{mdm.CheckedOut, false, true}, {mdm.Replaced, false, true}, {"", false, false},
		{mdm.Held, false, false}, {mdm.Refused, false, true}, {mdm.Retired, false, true},
	}
	for _, test := range tests {
		if test.state.Active() != test.active || test.state.Ended() != test.ended {
			t.Errorf("%q: active %v, ended %v", test.state, test.state.Active(), test.state.Ended())
		}
	}
	if !mdm.Corporate.Valid() || !mdm.Personal.Valid() || mdm.Ownership("").Valid() || mdm.Ownership("byod").Valid() {
		t.Error("Valid tells an ownership from none wrongly")
	}
}

func ExampleReport_Merge() {
	known := mdm.Report{Device: &mdm.DeviceFacts{OSVersion: "18.0"}, Profiles: &mdm.ProfileFacts{}}
	answer := mdm.Report{Device: &mdm.DeviceFacts{OSVersion: "18.1"}}
	now := known.Merge(answer)
	fmt.Println(now.Device.OSVersion, now.Profiles != nil, now.Security != nil)
	// Output: 18.1 true false
}
