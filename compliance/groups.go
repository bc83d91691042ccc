package compliance

import (
	"slices"
	"strings"
	"time"

	"sallyport/mdm"
)

// group is a part of mdm.Report, of which each comes by a command of its own. It
// is named as the expressions of custom rules name it.
type group string

const (
	groupDevice       group = "device"
	groupSecurity     group = "security"
	groupProfiles     group = "profiles"
	groupApps         group = apps
	groupRestrictions group = "restrictions"
)

// groups are the parts of the report that the rules rest on.
func (r Rules) groups() []group {
	list := make([]group, 0, 4)
	add := func(asked bool, g group) {
		if asked && !slices.Contains(list, g) {
			list = append(list, g)
		}
	}
	add(r.MailProfile, groupProfiles)
	add(r.Passcode || r.Encryption, groupSecurity)
	add(len(r.MinimumOS) > 0 || r.Supervised, groupDevice)
	add(len(r.ForbiddenApps)+len(r.RequiredApps) > 0, groupApps)
	for _, c := range r.Custom {
		if c.program == nil {
			continue
		}
		for _, name := range c.program.names {
			part, _, _ := strings.Cut(name, ".")
			add(slices.Contains([]group{groupDevice, groupSecurity, groupProfiles, groupApps, groupRestrictions}, group(part)), group(part))
		}
	}
	return list
}

// reportedAt is when a part came last; zero when never.
func reportedAt(r mdm.Report, g group) time.Time {
	switch {
	case g == groupDevice && r.Device != nil:
		return r.Device.At
	case g == groupSecurity && r.Security != nil:
		return r.Security.At
	case g == groupProfiles && r.Profiles != nil:
		return r.Profiles.At
	case g == groupApps && r.Applications != nil:
		return r.Applications.At
	case g == groupRestrictions && r.Restrictions != nil:
		return r.Restrictions.At
	}
	return time.Time{}
}
