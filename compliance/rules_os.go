package compliance

import (
	"fmt"
	"strings"
	"time"

	"sallyport/mdm"
)

// ruleOS compares versions as numbers.
func ruleOS(e Expected, r mdm.Report, minimum MinimumOS, now time.Time) outcome {
	system := systemOf(e.Platform, r.Device)
	force, next, known := minimum.required(e.Platform, r.Device, now)
	var have version
	told := false
	if r.Device != nil {
		have, told = parseVersion(r.Device.OSVersion)
	}
	var o outcome
	switch {
	case !known:
		o = unasked(RuleMinimumOS, "the phone has not told its model yet")
	case force == nil && next == nil:
		o = met(RuleMinimumOS, "no version is asked of this model", time.Time{})
	case !told:
		o = unasked(RuleMinimumOS, "the phone has not told its version yet")
	case force != nil && higher(*force, Demand{Version: have.String()}):
		o = reported(RuleMinimumOS, system+" "+have.String(), fixUpdate(e.Platform, system+" "+force.Version))
	default:
		o = met(RuleMinimumOS, system+" "+have.String(), time.Time{})
	}
	o.Expected = expectedOS(system, force, next)
	if !known {
		o.Expected = "new enough for its model"
	}
	if next != nil {
		o.until = next.From.begins()
	}
	return o
}

func systemOf(p mdm.Platform, device *mdm.DeviceFacts) string {
	switch {
	case p == mdm.Android:
		return "Android"
	case device != nil && strings.HasPrefix(device.Product, "iPad"):
		return "iPadOS"
	}
	return "iOS"
}

func expectedOS(system string, force, next *Demand) string {
	var parts []string
	if force != nil {
		parts = append(parts, "at least "+system+" "+force.Version)
	}
	if next != nil {
		parts = append(parts, fmt.Sprintf("from %s at least %s %s", next.From, system, next.Version))
	}
	return strings.Join(parts, "; ")
}

func fixUpdate(p mdm.Platform, to string) string {
	if p == mdm.Android {
		return fmt.Sprintf("Update the phone to %s or later: Settings > System > Software update.", to)
	}
	return fmt.Sprintf("Update the phone to %s or later: Settings > General > Software Update.", to)
}
