package agent

import (
	"fmt"
	"slices"
	"strings"
)

// Limits that the discovery document names.
const (
	maxApplications     = 3000
	maxMinimumVersions  = 20
	maxManagedText      = 65535
	gmailPackage        = "com.google.android.gm"
	outlookPackage      = "com.microsoft.office.outlook"
	samsungPackage      = "com.samsung.android.email.provider"
	ninePackage         = "com.ninefolders.hd3.work"
	chromePackage       = "com.android.chrome"
	knoxPackage         = "com.samsung.android.knox.kpu"
	deprecatedInPolicy  = "passwordRequirements complianceRules"
	complexityOfQuality = "COMPLEXITY_"
)

// checkPolicy knows what the types cannot say: what the descriptions of the
// fields ask for.
func (a *AMAPI) checkPolicy(p object) *apiError {
	for _, name := range strings.Fields(deprecatedInPolicy) {
		if p[name] != nil {
			return broken("policy."+name, "%s is deprecated.", name)
		}
	}
	for _, check := range []func(object) *apiError{a.checkApplications, a.checkEnforcement, checkPasswords, checkScopes, checkKeyRules} {
		if no := check(p); no != nil {
			return no
		}
	}
	return nil
}

func (a *AMAPI) checkApplications(p object) *apiError {
	apps := list(p, "applications")
	if len(apps) > maxApplications {
		return broken("policy.applications", "More than %d elements.", maxApplications)
	}
	seen, minimums := map[string]bool{}, 0
	for i, app := range apps {
		at, pkg := fmt.Sprintf("policy.applications[%d]", i), str(app, "packageName")
		switch {
		case pkg == "":
			return broken(at+".package_name", "The package name is missing.")
		case seen[pkg]:
			return broken(at+".package_name", "Package %s stands there twice.", pkg)
		case app["managedConfiguration"] != nil && app["managedConfigurationTemplate"] != nil:
			return broken(at, "managedConfigurationTemplate is ignored if managedConfiguration is set.")
		}
		seen[pkg] = true
		if number(app, "minimumVersionCode") > 0 {
			minimums++
		}
		config, has := app["managedConfiguration"].(object)
		if !has {
			continue
		}
		if len(config) == 0 && pkg == gmailPackage {
			return broken(at+".managed_configuration", "A blank configuration of Gmail overrides every other one: leave it away.")
		}
		if no := a.checkManaged(pkg, config, at+".managed_configuration"); no != nil {
			return no
		}
	}
	if minimums > maxMinimumVersions {
		return broken("policy.applications", "At most %d apps can have minimumVersionCode.", maxMinimumVersions)
	}
	return nil
}

// checkEnforcement: both actions, and the block comes first.
func (a *AMAPI) checkEnforcement(p object) *apiError {
	for i, rule := range list(p, "policyEnforcementRules") {
		at := fmt.Sprintf("policy.policy_enforcement_rules[%d]", i)
		block, wipe := inner(rule, "blockAction"), inner(rule, "wipeAction")
		_, known := a.schema.shapes["Policy"][str(rule, "settingName")]
		switch {
		case !known:
			return broken(at+".setting_name", "%q is no top-level field of a policy.", str(rule, "settingName"))
		case block == nil || wipe == nil:
			return broken(at, "blockAction and wipeAction must both be specified.")
		case number(block, "blockAfterDays") >= number(wipe, "wipeAfterDays"):
			return broken(at, "blockAfterDays must be less than wipeAfterDays.")
		}
	}
	return nil
}

// checkPasswords: one requirement a scope beside the complexity, and a separate
// lock for the profile's scope alone (PasswordRequirements).
func checkPasswords(p object) *apiError {
	seen := map[string]bool{}
	for i, r := range list(p, "passwordPolicies") {
		at := fmt.Sprintf("policy.password_policies[%d]", i)
		scope := str(r, "passwordScope")
		complexity := strings.HasPrefix(str(r, "passwordQuality"), complexityOfQuality)
		key := fmt.Sprint(scope, complexity)
		switch {
		case seen[key]:
			return broken(at+".password_scope", "There are two requirements of one kind for %s.", scope)
		case str(r, "unifiedLockSettings") != "" && scope != "SCOPE_PROFILE":
			return broken(at+".unified_lock_settings", "Only with SCOPE_PROFILE.")
		}
		seen[key] = true
	}
	return nil
}

// scopesOfOne are those that go to one app at most; all others may go to several.
var scopesOfOne = []string{scopeSelection, "NETWORK_ACTIVITY_LOGS", "SECURITY_LOGS"}

const scopeSelection = "CERT_SELECTION"

// checkScopes: each scope once for an app, and some for one app alone
// (ApplicationPolicy.delegatedScopes).
func checkScopes(p object) *apiError {
	holders := map[string]int{}
	for i, app := range list(p, "applications") {
		at := fmt.Sprintf("policy.applications[%d].delegated_scopes", i)
		scopes := texts(app, "delegatedScopes")
		for j, scope := range scopes {
			holders[scope]++
			switch {
			case slices.Contains(scopes[:j], scope):
				return broken(at, "%s stands there twice.", scope)
			case scope == "DELEGATED_SCOPE_UNSPECIFIED":
				return broken(at, "No delegation scope specified.")
			case holders[scope] > 1 && slices.Contains(scopesOfOne, scope):
				return broken(at, "%s can be given to one app only.", scope)
			}
		}
	}
	return nil
}

// checkKeyRules: no rules beside an app that holds CERT_SELECTION.
func checkKeyRules(p object) *apiError {
	selects := slices.ContainsFunc(list(p, "applications"), func(app object) bool {
		return slices.Contains(texts(app, "delegatedScopes"), scopeSelection)
	})
	rules := list(p, "choosePrivateKeyRules")
	if selects && len(rules) > 0 {
		return broken("policy.choose_private_key_rules", "Must be empty if an app holds CERT_SELECTION.")
	}
	for i, rule := range rules {
		if str(rule, "privateKeyAlias") == "" {
			return broken(fmt.Sprintf("policy.choose_private_key_rules[%d]", i), "The alias is missing.")
		}
	}
	return nil
}
