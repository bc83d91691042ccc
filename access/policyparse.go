package access

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/yamldoc"
	"sallyport/mdm"
)

const (
	maxBreakGlass = 20   // more than that is no emergency exit but a second door
	maxWords      = 2000 // bytes of a policy's own text in a mail
)

var policyName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// form is Spec with the difference between "assign: {}", which withdraws a
// policy from everybody, and no word about it, which is an oversight.
type form struct {
	Name           string              `yaml:"name"`
	Assign         *directory.Audience `yaml:"assign"`
	Except         directory.Audience  `yaml:"except"`
	BreakGlass     []string            `yaml:"break_glass"`
	Platforms      []mdm.Platform      `yaml:"platforms"`
	StartsAt       moment              `yaml:"starts_at"`
	Mode           Mode                `yaml:"mode"`
	Require        []Requirement       `yaml:"require"`
	BlockText      string              `yaml:"block_text"`
	QuarantineText string              `yaml:"quarantine_text"`
}

// moment is a time as RFC 3339 writes it.
type moment time.Time

// UnmarshalText says what is wanted: package time tells its own layout instead.
func (m *moment) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return errors.New("must be a date, a time and an offset, for example 2027-01-31T08:00:00Z")
	}
	*m = moment(t.UTC().Truncate(time.Microsecond))
	return nil
}

// ParsePolicy reads a policy as an admin writes it. The error is a refusal.List
// on behalf of ErrInvalid, with line and column where the form is wrong.
func ParsePolicy(source []byte) (Spec, error) {
	var f form
	if err := yamldoc.Decode(source, &f, ErrInvalid); err != nil {
		return Spec{}, err
	}
	var faults refusal.List
	spec := Spec{Name: f.Name, Except: f.Except, BreakGlass: f.BreakGlass, Platforms: f.Platforms, StartsAt: time.Time(f.StartsAt),
		Mode: f.Mode, Require: f.Require, BlockText: f.BlockText, QuarantineText: f.QuarantineText}
	assign, missing := f.Assign.Told(ErrInvalid)
	spec.Assign = assign
	faults.Add(missing)
	faults.Add(refusal.All(spec.Validate())...)
	return spec, faults.OrNil()
}

// Validate reports all faults at once.
func (s Spec) Validate() error {
	var faults refusal.List
	if !policyName.MatchString(s.Name) {
		faults.Add(refusal.New(ErrInvalid, "name", "must be 1 to 63 lower case letters, digits and dashes", "for example standard"))
	}
	faults.Add(s.Assign.Faults(ErrInvalid, "assign")...)
	faults.Add(s.Except.Faults(ErrInvalid, "except")...)
	if s.Except.Everyone {
		faults.Add(refusal.New(ErrInvalid, "except", "excepts everyone", "name groups and users; assign: {} withdraws the policy"))
	}
	if n := len(s.BreakGlass); n > maxBreakGlass {
		faults.Add(refusal.New(ErrInvalid, "break_glass", fmt.Sprintf("names %d users", n), fmt.Sprintf("name at most %d; others belong under except", maxBreakGlass)))
	} else {
		faults.Add(directory.MemberFaults(ErrInvalid, "break_glass", s.BreakGlass)...)
	}
	faults.Add(oneOf("platforms", s.Platforms, mdm.Apple, mdm.Android)...)
	switch s.Mode {
	case Enforce, ReportOnly:
	case "":
		faults.Add(refusal.New(ErrInvalid, "mode", "is missing", "begin with report-only, which shuts nobody out; enforce blocks"))
	default:
		faults.Add(refusal.New(ErrInvalid, "mode", "is neither report-only nor enforce", "choose one of them"))
	}
	if len(s.Require) == 0 {
		faults.Add(refusal.New(ErrInvalid, "require", "asks for nothing", "every phone would pass: name at least one of "+names(requirements())))
	}
	faults.Add(oneOf("require", s.Require, requirements()...)...)
	faults.Add(checkWords("block_text", s.BlockText), checkWords("quarantine_text", s.QuarantineText))
	return faults.OrNil()
}

func requirements() []Requirement {
	return []Requirement{RequireEnrolled, RequireCompliant, RequireMailProfile, RequireCertificate}
}

// oneOf refuses words of a list that are unknown, or there twice.
func oneOf[T ~string](field string, list []T, known ...T) refusal.List {
	var faults refusal.List
	for i, word := range list {
		place := fmt.Sprintf("%s[%d]", field, i)
		if !slices.Contains(known, word) {
			faults.Add(refusal.New(ErrInvalid, place, "is unknown", "use "+names(known)))
		} else if slices.Contains(list[:i], word) {
			faults.Add(refusal.New(ErrInvalid, place, "is there twice", "remove one of the two"))
		}
	}
	return faults
}

func names[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, word := range list {
		words[i] = string(word)
	}
	return strings.Join(words, ", ")
}

// checkWords refuses what a plain mail cannot carry; lines and tabs it can.
func checkWords(field, text string) *refusal.Error {
	if len(text) > maxWords {
		return refusal.New(ErrInvalid, field, fmt.Sprintf("is %d bytes long", len(text)), fmt.Sprintf("use at most %d", maxWords))
	}
	if !utf8.ValidString(text) {
		return refusal.New(ErrInvalid, field, "is not UTF-8 text", "save the text as UTF-8")
	}
	for _, r := range text {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return refusal.New(ErrInvalid, field, fmt.Sprintf("holds the control character %U", r), "remove it")
		}
	}
	return nil
}
