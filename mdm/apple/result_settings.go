package apple

import (
	"time"

	"sallyport/mdm"
)

// globalRestrictions are the restrictions in effect, whoever made them
// (https://developer.apple.com/documentation/devicemanagement/restrictionsresponse).
type globalRestrictions struct {
	RestrictedBool map[string]restrictedBool `plist:"restrictedBool"`
}

type restrictedBool struct {
	Value *bool `plist:"value"`
}

// facts keep what concerns mail. A restriction that the phone does not list is
// unknown, not absent.
func (g *globalRestrictions) facts(now time.Time) (*mdm.RestrictionFacts, error) {
	if err := count("GlobalRestrictions.restrictedBool", len(g.RestrictedBool)); err != nil {
		return nil, err
	}
	return &mdm.RestrictionFacts{At: now, AccountModification: g.RestrictedBool["allowAccountModification"].Value}, nil
}

// settingsResult is what became of the items of a Settings command
// (https://developer.apple.com/documentation/devicemanagement/settingsresponse).
type settingsResult []settingsItem

type settingsItem struct {
	Status     string      `plist:"Status"`
	ErrorChain []errorItem `plist:"ErrorChain"`
}

// UnmarshalPlist takes an array of items, which is what phones send, and the
// single dictionary of Apple's schema.
func (r *settingsResult) UnmarshalPlist(unmarshal func(any) error) error {
	var items []settingsItem
	if err := unmarshal(&items); err == nil {
		*r = items
		return nil
	}
	var one settingsItem
	if err := unmarshal(&one); err != nil {
		return err
	}
	*r = settingsResult{one}
	return nil
}

// failed returns the chain of the first item that the phone did not carry out,
// and whether there is one: the phone acknowledges the command all the same.
func (r settingsResult) failed() ([]errorItem, bool) {
	for _, item := range r {
		if item.Status == string(mdm.StatusError) {
			return item.ErrorChain, true
		}
	}
	return nil, false
}
