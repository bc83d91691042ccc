package compliance

import (
	"slices"
	"strings"
	"time"

	"sallyport/mdm"
)

const (
	fixAppsRight = "Ask your administrator for a new invitation: when this phone was set up, it did not grant the right to tell which apps it has."
	// shownApps is how many apps one finding names.
	shownApps = 5
)

// ruleForbiddenApps and ruleRequiredApps compare bundle identifiers with the whole
// InstalledApplicationList, as it came last. Apple compares them without regard to case.
func ruleForbiddenApps(e Expected, r mdm.Report, forbidden []string) outcome {
	o, told := appsTold(RuleForbiddenApps, e, r)
	if told {
		var found []string
		for _, app := range r.Applications.Items {
			if slices.ContainsFunc(forbidden, func(id string) bool { return strings.EqualFold(id, app.Identifier) }) {
				found = append(found, titled(app))
			}
		}
		o = met(RuleForbiddenApps, "no forbidden app is installed", time.Time{})
		if len(found) > 0 {
			o = reported(RuleForbiddenApps, "installed, though forbidden: "+some(found), "Remove from the phone: "+some(found)+".")
		}
	}
	o.Expected = "not installed: " + some(forbidden)
	return o
}

func ruleRequiredApps(e Expected, r mdm.Report, required []string) outcome {
	o, told := appsTold(RuleRequiredApps, e, r)
	if told {
		missing := slices.DeleteFunc(slices.Clone(required), func(id string) bool {
			return slices.ContainsFunc(r.Applications.Items, func(app mdm.ApplicationOnFile) bool { return strings.EqualFold(id, app.Identifier) })
		})
		o = met(RuleRequiredApps, "every required app is installed", time.Time{})
		if len(missing) > 0 {
			o = reported(RuleRequiredApps, "not installed: "+some(missing), "Install on the phone: "+some(missing)+". Ask your administrator where to find it.")
		}
	}
	o.Expected = "installed: " + some(required)
	return o
}

// appsTold is the outcome where the phone has not told which apps it has.
func appsTold(rule RuleName, e Expected, r mdm.Report) (outcome, bool) {
	if r.Applications != nil {
		return outcome{}, true
	}
	o := unasked(rule, "the phone has not told which apps it has")
	if e.AccessRights != 0 && e.AccessRights&mdm.RightInspectApps == 0 {
		o.Fix = fixAppsRight
	}
	return o, false
}

func titled(app mdm.ApplicationOnFile) string {
	if app.Name == "" {
		return app.Identifier
	}
	return app.Name + " (" + app.Identifier + ")"
}

// some names the first few of a list.
func some(names []string) string {
	if len(names) <= shownApps {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:shownApps], ", ") + " and more"
}
