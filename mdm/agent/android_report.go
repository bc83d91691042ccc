package agent

import (
	"slices"
	"strings"
)

// deviceReport is Device, as far as the phone writes it: what the applied policy
// asks it to report, and nothing else.
func (p *Phone) deviceReport() object {
	a, f := p.s.Android, p.s.Facts
	m := a.Managed
	policy := m.policy()
	asked := inner(policy, "statusReportingSettings")
	state := stateActive
	switch {
	case m.Disabled:
		state = "DISABLED"
	case a.Lost:
		state = "LOST"
	}
	out := object{
		"appliedState": state, "apiLevel": apiLevel(f.OS),
		"policyCompliant": len(m.Broken) == 0 && len(m.Policy) > 0,
	}
	if name := str(policy, "name"); name != "" {
		out["appliedPolicyName"], out["appliedPolicyVersion"] = name, str(policy, "version")
	}
	if len(m.Broken) > 0 {
		out["nonComplianceDetails"] = m.Broken
	}
	if a.Posture != "" {
		posture := object{"devicePosture": a.Posture}
		var details []any
		for _, risk := range a.Risks {
			details = append(details, object{"securityRisk": risk})
		}
		if len(details) > 0 {
			posture["postureDetails"] = details
		}
		out["securityPosture"] = posture
	}
	if yes(asked, "deviceSettingsEnabled") {
		encryption := "ACTIVE_PER_USER"
		if a.Plain {
			encryption = "INACTIVE"
		}
		out["deviceSettings"] = object{
			"isDeviceSecure": f.Passcode, "isEncrypted": !a.Plain, "encryptionStatus": encryption, "verifyAppsEnabled": true,
		}
	}
	if yes(asked, "softwareInfoEnabled") {
		out["softwareInfo"] = object{
			"androidVersion": f.OS, "androidBuildNumber": androidBuild(f.OS), "securityPatchLevel": "2026-11-01", "primaryLanguageCode": "en-GB",
			"androidDevicePolicyVersionCode": 10_220_000, "androidDevicePolicyVersionName": "102.20.0",
		}
	}
	if yes(asked, "applicationReportsEnabled") {
		out["applicationReports"] = p.applicationReports(policy)
	}
	return out
}

// androidBuild is made up, and the same for the same version.
func androidBuild(os string) string {
	major, _, _ := strings.Cut(os, ".")
	return "SP" + major + "A.261105.002"
}

// applicationReports are the apps in the managed part of the phone.
func (p *Phone) applicationReports(policy object) []any {
	a, apps := p.s.Android, knownApps()
	out := []any{}
	companion, configured, _, _ := companionOf(policy)
	for _, app := range list(policy, "applications") {
		pkg := str(app, "packageName")
		if !slices.Contains(a.Managed.Installed, pkg) {
			continue
		}
		code := version(a.Apps[pkg])
		one := object{
			"packageName": pkg, "displayName": pkg, "state": "INSTALLED", "versionCode": code, "versionName": "1",
			"applicationSource": "INSTALLED_FROM_PLAY_STORE", "installerPackageName": "com.android.vending",
		}
		var states []keyState
		if known := apps[pkg]; known != nil {
			one["displayName"] = known.Title
			if config := inner(app, "managedConfiguration"); config != nil {
				_, _, states = p.s.configured(pkg, known, config)
			}
		}
		if companion.pkg == pkg {
			states = p.s.companionStates(configured)
		}
		if worst := p.worst(states); len(worst) > 0 {
			one["keyedAppStates"] = worst
		}
		out = append(out, one)
	}
	return out
}

// worst are an app's words on its configuration: the worst for each key.
func (p *Phone) worst(states []keyState) []any {
	at := timestamp(p.now())
	var out []any
	for _, s := range states {
		if s.severity == "INFO" && slices.ContainsFunc(states, func(o keyState) bool { return o.key == s.key && o.severity != "INFO" }) {
			continue
		}
		out = append(out, object{"key": s.key, "severity": s.severity, "message": s.message, "createTime": at, "lastUpdateTime": at})
	}
	return out
}
