package compliance

import (
	"regexp"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/yamldoc"
)

const (
	minReportedWithin = Duration(time.Hour)
	maxDuration       = Duration(365 * 24 * time.Hour)
)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// form is Spec with the difference between "assign: {}", which withdraws a
// policy from everybody, and no word about it, which is an oversight.
type form struct {
	Name   string              `yaml:"name"`
	Assign *directory.Audience `yaml:"assign"`
	Rules  Rules               `yaml:"rules"`
	Grace  Duration            `yaml:"grace"`
}

// ParsePolicy reads a policy as an admin writes it. The error is a refusal.List
// on behalf of ErrInvalid, with line and column where the form is wrong.
func ParsePolicy(source []byte) (Spec, error) {
	var f form
	if err := yamldoc.Decode(source, &f, ErrInvalid); err != nil {
		return Spec{}, err
	}
	var faults refusal.List
	spec := Spec{Name: f.Name, Rules: f.Rules, Grace: f.Grace}
	if f.Assign == nil {
		faults.Add(refusal.New(ErrInvalid, "assign", "is missing", "write assign: everyone, or name groups and users; assign: {} withdraws the policy"))
	} else {
		spec.Assign = *f.Assign
	}
	faults.Add(refusal.All(spec.Validate())...)
	return spec, faults.OrNil()
}

// Validate reports all faults at once.
func (s Spec) Validate() error {
	var faults refusal.List
	if !namePattern.MatchString(s.Name) {
		faults.Add(refusal.New(ErrInvalid, "name", "must be 1 to 63 lower case letters, digits and dashes", "for example standard"))
	}
	faults.Add(s.Assign.Faults(ErrInvalid, "assign")...)
	if s.Rules == (Rules{}) {
		faults.Add(refusal.New(ErrInvalid, "rules", "ask for nothing", "every phone would pass: ask for at least one of mail_profile, passcode, minimum_os, identity_certificate, reported_within"))
	}
	if s.Rules.MinimumOS != "" {
		if v, ok := parseVersion(s.Rules.MinimumOS); !ok || v.String() != s.Rules.MinimumOS {
			faults.Add(refusal.New(ErrInvalid, "rules.minimum_os", "is not a version of 1 to 3 numbers", `for example "17.0"`))
		}
	}
	if w := s.Rules.ReportedWithin; w != 0 && (w < minReportedWithin || w > maxDuration) {
		faults.Add(refusal.New(ErrInvalid, "rules.reported_within", "must be between 1h and 8760h", "for example 48h"))
	}
	if s.Grace < 0 || s.Grace > maxDuration {
		faults.Add(refusal.New(ErrInvalid, "grace", "must be between 0s and 8760h", "for example 24h"))
	}
	return faults.OrNil()
}
