package enroll

import (
	"context"
	"errors"
	"slices"
	"testing"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// asking is a policy that asks which apps a phone has, or trouble.
type asking struct {
	asks    bool
	trouble error
}

func (a asking) AsksApps(context.Context, int, directory.User) (bool, error) {
	return a.asks, a.trouble
}

// A phone is asked which apps it has only where a policy needs it.
func TestAsksApps(t *testing.T) {
	t.Parallel()
	have := Have{Enrollment: mdm.Enrollment{AccessRights: mdm.RightInspectApps}, User: directory.User{ID: "u"}, Demands: 1}
	without, removed, none := have, have, have
	without.Enrollment.AccessRights, removed.User.ID, none.Demands = mdm.RightSecurity, "", 0
	for name, tt := range map[string]struct {
		demands Demands
		have    Have
		want    bool
	}{
		"asked": {asking{asks: true}, have, true}, "not asked": {asking{}, have, false}, "nobody to ask": {nil, have, false},
		"no right": {asking{asks: true}, without, false}, "no user": {asking{asks: true}, removed, false}, "no policy": {asking{asks: true}, none, false},
	} {
		s := &Service{Demands: tt.demands}
		if got, err := s.asksApps(t.Context(), tt.have); err != nil || got != tt.want {
			t.Errorf("%s: got %t, %v", name, got, err)
		}
	}
	trouble := errors.New("disk full")
	if _, err := (&Service{Demands: asking{trouble: trouble}}).asksApps(t.Context(), have); !errors.Is(err, trouble) {
		t.Errorf("got %v", err)
	}
	have.Enrollment.State = mdm.Enrolled
	asks := func(apps bool) bool {
		return slices.ContainsFunc(Plan(Want{Apps: apps}, have, noon), func(a Action) bool { return a.Type == askApplications })
	}
	have.Report = mdm.Report{Device: &mdm.DeviceFacts{At: noon}, Security: &mdm.SecurityFacts{At: noon}, Profiles: &mdm.ProfileFacts{At: noon}, Certificates: &mdm.CertificateFacts{At: noon}}
	if !asks(true) || asks(false) {
		t.Errorf("asked %t where it is wanted, %t where not", asks(true), asks(false))
	}
	have.Report.Applications = &mdm.ApplicationFacts{At: noon}
	if asks(true) {
		t.Error("asked again though it is fresh")
	}
}
