package profiles

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/refusal"
)

// ErrInvalidAndroid says that no Android phone could be held to these settings;
// the refusals name the fields.
var ErrInvalidAndroid = errors.New("invalid Android settings")

// AndroidPolicy is what a security policy asks of Android phones alone.
type AndroidPolicy struct {
	MinimumOS   string              `yaml:"minimum_os" json:"minimum_os,omitempty"`   // oldest Android that will do, for example "13"; a phone with an older one is not compliant
	Enforcement *AndroidEnforcement `yaml:"enforcement" json:"enforcement,omitempty"` // what the phone does by itself to one that stays out of line; none where it is left out
}

// AndroidEnforcement is carried out by the phone, without asking the server. A
// phone that does not keep the policy is blocked, and later loses its work
// profile; one that the company owns is reset as a whole.
type AndroidEnforcement struct {
	BlockAfterDays *int `yaml:"block_after_days" json:"block_after_days"` // work apps are blocked after so many days out of line; 0: at once
	WipeAfterDays  *int `yaml:"wipe_after_days" json:"wipe_after_days"`   // the work profile is removed, or a company's phone erased, after so many
}

// MaxEnforcementDays bounds both days.
const MaxEnforcementDays = 365

// apiLevels is the API level of each version of Android
// (https://developer.android.com/tools/releases/platforms).
var apiLevels = map[string]int{
	"8": 26, "8.1": 27, "9": 28, "10": 29, "11": 30, "12": 31, "12.1": 32, "13": 33, "14": 34, "15": 35, "16": 36,
}

// APILevel is the API level of MinimumOS; 0 where none is asked for.
func (p AndroidPolicy) APILevel() int { return apiLevels[p.MinimumOS] }

// Validate refuses, by field, what no phone could be held to.
func (p AndroidPolicy) Validate() error {
	var list refusal.List
	if p.MinimumOS != "" && p.APILevel() == 0 {
		list.Add(refusal.New(ErrInvalidAndroid, "minimum_os", "is no version of Android that is known", "use one of "+strings.Join(AndroidVersions(), ", ")))
	}
	list.Add(p.Enforcement.validate()...)
	return list.OrNil()
}

// AndroidVersions are those that MinimumOS may name, the oldest first.
func AndroidVersions() []string {
	return slices.SortedFunc(maps.Keys(apiLevels), func(a, b string) int { return apiLevels[a] - apiLevels[b] })
}

func (e *AndroidEnforcement) validate() refusal.List {
	var list refusal.List
	if e == nil {
		return nil
	}
	const both = "set block_after_days and wipe_after_days, or leave enforcement out"
	switch {
	case e.BlockAfterDays == nil:
		list.Add(refusal.New(ErrInvalidAndroid, "enforcement.block_after_days", "is missing: Android takes both days or none", both))
	case e.WipeAfterDays == nil:
		list.Add(refusal.New(ErrInvalidAndroid, "enforcement.wipe_after_days", "is missing: Android takes both days or none", both))
	case *e.BlockAfterDays < 0 || *e.BlockAfterDays > MaxEnforcementDays:
		list.Add(refusal.New(ErrInvalidAndroid, "enforcement.block_after_days", "is "+strconv.Itoa(*e.BlockAfterDays), fmt.Sprintf("use 0 to %d days", MaxEnforcementDays)))
	case *e.WipeAfterDays <= *e.BlockAfterDays || *e.WipeAfterDays > MaxEnforcementDays:
		list.Add(refusal.New(ErrInvalidAndroid, "enforcement.wipe_after_days", fmt.Sprintf("is %d", *e.WipeAfterDays),
			fmt.Sprintf("use more days than block_after_days, and at most %d", MaxEnforcementDays)))
	}
	return list
}

// Warnings names, by field, what is allowed and does damage.
func (p AndroidPolicy) Warnings() []*refusal.Error {
	if p.Enforcement == nil || p.Enforcement.WipeAfterDays == nil {
		return nil
	}
	return []*refusal.Error{refusal.New(ErrInvalidAndroid, "enforcement.wipe_after_days",
		fmt.Sprintf("makes Android itself erase a phone that stays out of line for %d days, without asking anybody: a personal phone loses its work profile with all that is in it, a phone of the company's is reset as a whole", *p.Enforcement.WipeAfterDays),
		"leave enforcement out: the mailbox is shut to such a phone anyway")}
}
