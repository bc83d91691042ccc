package agent

import (
	"slices"
	"strings"
)

// apps are what every phone here has from the App Store. None is managed: this
// phone takes no apps from a server.
var apps = []map[string]any{
	appItem("com.example.notes", "Notebook", "4.2.1", "40201"),
	appItem("com.example.transit", "Transit", "11.0", "1100"),
}

func appItem(id, name, short, version string) map[string]any {
	return map[string]any{
		"Identifier": id, "Name": name, "ShortVersion": short, "Version": version, "BundleSize": 48_300_000, "DynamicSize": 1_200_000,
		"IsValidated": true, "Installing": false, "AppStoreVendable": true, "DeviceBasedVPP": false, "BetaApp": false,
		"AdHocCodeSigned": false, "HasUpdateAvailable": false, "IsAppClip": false, "ExternalVersionIdentifier": 860000001,
	}
}

// installedApplications lists third-party apps, those that were asked for, with
// the keys that were asked for; Identifier is always there
// (https://developer.apple.com/documentation/devicemanagement/installedapplicationlistcommand).
func (p *Phone) installedApplications(c command, o *outcome) error {
	identifiers, items := c.args.texts("Identifiers"), c.args.texts("Items")
	managedOnly := c.args.boolean("ManagedAppsOnly", false)
	if c.args.err != nil {
		return c.args.err
	}
	list := []any{}
	for _, app := range apps {
		id, _ := app["Identifier"].(string)
		if managedOnly || len(identifiers) > 0 && !slices.Contains(identifiers, id) {
			continue
		}
		item := map[string]any{}
		for key, value := range app {
			if key == "Identifier" || len(items) == 0 || slices.Contains(items, key) {
				item[key] = value
			}
		}
		list = append(list, item)
	}
	o.keys = map[string]any{"InstalledApplicationList": list}
	return nil
}

// managedApplications has nothing to tell
// (https://developer.apple.com/documentation/devicemanagement/managedapplicationlistcommand).
func (p *Phone) managedApplications(c command, o *outcome) error {
	_ = c.args.texts("Identifiers")
	if c.args.err != nil {
		return c.args.err
	}
	o.keys = map[string]any{"ManagedApplicationList": map[string]any{}}
	return nil
}

// accountRestriction forbids to add, change and remove accounts.
const accountRestriction = "allowAccountModification"

// restrictions answers with what is in force, and on request with what each
// profile asks for
// (https://developer.apple.com/documentation/devicemanagement/restrictionscommand).
func (p *Phone) restrictions(c command, o *outcome) error {
	byProfile := c.args.boolean("ProfileRestrictions", false)
	if c.args.err != nil {
		return c.args.err
	}
	global := map[string]bool{accountRestriction: !p.s.Facts.AccountsFixed}
	each := map[string]any{}
	for _, prof := range p.s.Profiles {
		if len(prof.Restrictions) > 0 {
			each[prof.Identifier] = restrictionsOf(prof.Restrictions)
		}
		for name, value := range prof.Restrictions {
			have, ok := global[name]
			switch { // the strictest wins
			case !ok:
				global[name] = value
			case strings.HasPrefix(name, "force"):
				global[name] = have || value
			default:
				global[name] = have && value
			}
		}
	}
	o.keys = map[string]any{"GlobalRestrictions": restrictionsOf(global)}
	if byProfile {
		o.keys["ProfileRestrictions"] = each
	}
	return nil
}

func restrictionsOf(flags map[string]bool) map[string]any {
	bools := map[string]any{}
	for name, value := range flags {
		bools[name] = map[string]any{"value": value}
	}
	return map[string]any{"restrictedBool": bools, "restrictedValue": map[string]any{}, "intersection": map[string]any{}, "union": map[string]any{}}
}

// parseRestrictions keeps the switches of a com.apple.applicationaccess payload
// (https://developer.apple.com/documentation/devicemanagement/restrictions).
// Those that need supervision do nothing without it; this phone keeps of them
// the one that concerns accounts.
func parseRestrictions(one payload, supervised bool) map[string]bool {
	flags := map[string]bool{}
	for key, value := range one.keys {
		flag, ok := value.(bool)
		if !ok || strings.HasPrefix(key, "Payload") || key == accountRestriction && !supervised {
			continue
		}
		flags[key] = flag
	}
	return flags
}
