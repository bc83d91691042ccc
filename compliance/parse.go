package compliance

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/yamldoc"
)

const (
	minReportedWithin = Duration(time.Hour)
	maxDuration       = Duration(365 * 24 * time.Hour)
	maxApps           = 200 // apps that one list names
)

// appPattern is what Apple allows in a CFBundleIdentifier, and Android in the name
// of a package.
var appPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,155}$`)

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// form is Spec with the difference between "assign: {}", which withdraws a
// policy from everybody, and no word about it, which is an oversight.
type form struct {
	Name   string              `yaml:"name"`
	Assign *directory.Audience `yaml:"assign"`
	Rules  Rules               `yaml:"rules"`
	Grace  *Duration           `yaml:"grace"`
	// Actions may name block instead of grace.
	Actions Actions `yaml:"actions"`
}

// ParsePolicy reads a policy as an admin writes it. The error is a refusal.List
// on behalf of ErrInvalid, with line and column where the form is wrong.
func ParsePolicy(source []byte) (Spec, error) {
	var f form
	if err := yamldoc.Decode(source, &f, ErrInvalid); err != nil {
		return Spec{}, err
	}
	var faults refusal.List
	spec := Spec{Name: f.Name, Rules: f.Rules, Actions: f.Actions}
	if f.Grace != nil {
		spec.Grace = *f.Grace
		if *f.Grace == 0 && f.Actions.Block != nil { // Validate cannot tell it from no grace at all
			faults.Add(twoGraces())
		}
	}
	assign, missing := f.Assign.Told(ErrInvalid)
	spec.Assign = assign
	faults.Add(missing)
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
	if s.Rules.askNothing() {
		faults.Add(refusal.New(ErrInvalid, "rules", "ask for nothing", "every phone would pass: ask for at least one of mail_profile, passcode, encryption, minimum_os, supervised, forbidden_apps, required_apps, custom, identity_certificate, reported_within"))
	}
	faults.Add(s.Rules.MinimumOS.check()...)
	faults.Add(checkApps("rules.forbidden_apps", s.Rules.ForbiddenApps)...)
	faults.Add(checkApps("rules.required_apps", s.Rules.RequiredApps)...)
	for _, id := range s.Rules.RequiredApps {
		if slices.ContainsFunc(s.Rules.ForbiddenApps, func(other string) bool { return strings.EqualFold(id, other) }) {
			faults.Add(refusal.New(ErrInvalid, "rules.required_apps", fmt.Sprintf("%q is forbidden as well", id), "no phone could ever comply: remove it from one of the lists"))
		}
	}
	faults.Add(checkCustom(s.Rules.Custom)...)
	if w := s.Rules.ReportedWithin; w != 0 && (w < minReportedWithin || w > maxDuration) {
		faults.Add(refusal.New(ErrInvalid, "rules.reported_within", "must be between 1h and 8760h", "for example 48h"))
	}
	if s.Grace < 0 || s.Grace > maxDuration {
		faults.Add(refusal.New(ErrInvalid, "grace", "must be between 0s and 8760h", "for example 24h"))
	}
	faults.Add(s.checkActions()...)
	return faults.OrNil()
}

func checkApps(field string, ids []string) refusal.List {
	var faults refusal.List
	if len(ids) > maxApps {
		faults.Add(refusal.New(ErrInvalid, field, fmt.Sprintf("names %d apps", len(ids)), fmt.Sprintf("use at most %d", maxApps)))
		return faults
	}
	for i, id := range ids {
		if !appPattern.MatchString(id) {
			faults.Add(refusal.New(ErrInvalid, fmt.Sprintf("%s[%d]", field, i), "is not a bundle identifier", "for example com.example.app"))
		}
	}
	return faults
}
