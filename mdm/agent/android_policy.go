package agent

import (
	"fmt"
	"slices"
	"strings"
)

// evaluate puts the applied policy into practice and finds, from what the phone
// is, the settings that it does not keep. Nothing of an earlier finding stays.
func (p *Phone) evaluate() {
	a := p.s.Android
	m := a.Managed
	if m == nil {
		return
	}
	policy := m.policy()
	m.Broken = nil
	broke := func(d detail) { m.Broken = append(m.Broken, d) }
	level := apiLevel(p.s.Facts.OS)
	if want := number(policy, "minimumApiLevel"); want > level {
		broke(detail{Setting: "minimumApiLevel", Reason: "API_LEVEL"})
	}
	for i, r := range list(policy, "passwordPolicies") {
		p.checkPassword(i, r, broke)
	}
	if strings.HasPrefix(str(policy, "encryptionPolicy"), "ENABLED") && a.Plain {
		broke(detail{Setting: "encryptionPolicy", Reason: "USER_ACTION"})
	}
	m.Installed = p.install(policy, broke)
	p.s.placeMail(policy, m.Installed)
	for _, d := range a.Scripted {
		broke(d)
	}
}

// strength of the passcode: 0 none, 1 low complexity, 2 enough for everything.
func (p *Phone) strength() int {
	switch {
	case !p.s.Facts.Passcode:
		return 0
	case p.s.Android.Weak:
		return 1
	}
	return 2
}

// wanted is the strength that a password quality asks for.
func wanted(quality string) int {
	switch quality {
	case "", "PASSWORD_QUALITY_UNSPECIFIED":
		return 0
	case "BIOMETRIC_WEAK", "SOMETHING", "COMPLEXITY_LOW":
		return 1
	}
	return 2
}

// checkPassword compares the passcode to one requirement. In a work profile on a
// personal phone nothing but complexity reaches the phone's own lock from
// Android 12 on (PasswordRequirements in the discovery document).
func (p *Phone) checkPassword(i int, r object, broke func(detail)) {
	quality := str(r, "passwordQuality")
	at := detail{Setting: "passwordPolicies", Path: fmt.Sprintf("passwordPolicies[%d]", i)}
	old := !strings.HasPrefix(quality, complexityOfQuality) && wanted(quality) > 0
	if old && str(r, "passwordScope") != "SCOPE_PROFILE" && p.s.Android.Managed.Mode == profileOwner && apiLevel(p.s.Facts.OS) >= 31 {
		at.Reason, at.Path = "MANAGEMENT_MODE", at.Path+".passwordQuality"
		broke(at)
		return
	}
	if p.strength() < max(wanted(quality), min(number(r, "passwordMinimumLength"), 1)) {
		at.Reason, at.Specific = "USER_ACTION", "PASSWORD_POLICIES_PASSWORD_NOT_SUFFICIENT"
		broke(at)
	}
}

// What is wrong with an app.
const (
	appMissing = "missing" // cannot be installed
	appBroken  = "error"   // installed, and reports that it cannot use its configuration
	appOld     = "old"     // installed in a version that never updates
)

// Versions of the made-up apps.
const (
	appVersion = 65_000_000
	oldVersion = 1
)

// install brings the apps of the policy and removes those that it blocks.
func (p *Phone) install(policy object, broke func(detail)) []string {
	var installed []string
	for i, app := range list(policy, "applications") {
		pkg, path := str(app, "packageName"), fmt.Sprintf("applications[%d]", i)
		wrong := p.s.Android.Apps[pkg]
		switch kind := str(app, "installType"); {
		case kind == "BLOCKED":
		case wrong == appMissing && (kind == "FORCE_INSTALLED" || kind == "REQUIRED_FOR_SETUP" || kind == "KIOSK"):
			broke(detail{Setting: "applications", Reason: "APP_NOT_INSTALLED", Package: pkg, Path: path, Failure: "NOT_FOUND"})
		case wrong == appMissing:
		case kind == "FORCE_INSTALLED", kind == "REQUIRED_FOR_SETUP", kind == "KIOSK", kind == "PREINSTALLED":
			installed = append(installed, pkg)
			if version(wrong) < number(app, "minimumVersionCode") {
				broke(detail{Setting: "applications", Reason: "APP_NOT_UPDATED", Package: pkg, Path: path + ".minimumVersionCode", Failure: "IN_PROGRESS"})
			}
		}
	}
	slices.Sort(installed)
	return installed
}

func version(wrong string) int {
	if wrong == appOld {
		return oldVersion
	}
	return appVersion
}
