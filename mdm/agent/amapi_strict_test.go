package agent

import (
	"net/http"
	"strings"
	"testing"
)

// TestStrict: what a server has no reason to send is refused in Google's words
// and noted.
func TestStrict(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	e := s.enterprise()
	policy := e + "/policies/p"
	long := strings.Repeat("x", 1025)
	many := func(n int, one string) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }
	tests := []struct {
		name, verb, path, body string
		status                 int
		word                   string // google.rpc.Code
		says                   string
	}{
		{"unknown method", "GET", "enterprises/x/users", "", 404, "NOT_FOUND", ""},
		{"wrong verb", "PUT", policy, "{}", 405, "UNIMPLEMENTED", ""},
		{"unknown query parameter", "GET", e + "?view=FULL", "", 400, invalidArgument, "view"},
		{"query parameter twice", "PATCH", policy + "?updateMask=minimumApiLevel&updateMask=name", "{}", 400, invalidArgument, "twice"},
		{"query parameter of another type", "GET", e + "/devices?pageSize=many", "", 400, invalidArgument, "pageSize"},
		{"a body where there is none", "GET", e, "{}", 400, invalidArgument, "takes no body"},
		{"no JSON", "PATCH", policy, "{", 400, invalidArgument, "not JSON"},
		{"an array", "PATCH", policy, "[]", 400, invalidArgument, "not an object"},
		{"two objects", "PATCH", policy, "{}{}", 400, invalidArgument, "behind"},
		{"key twice", "PATCH", policy, `{"minimumApiLevel":1,"minimumApiLevel":2}`, 400, invalidArgument, "twice"},
		{"not UTF-8", "PATCH", policy, "{\"a\":\"\xff\"}", 400, invalidArgument, "UTF-8"},
		{"too deep", "PATCH", policy, strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), 400, invalidArgument, "levels"},
		{"unknown field", "PATCH", policy, `{"minimumApilevel":31}`, 400, invalidArgument, `Unknown name "minimumApilevel"`},
		{"unknown field below", "PATCH", policy, `{"applications":[{"packageName":"a.b","install":"X"}]}`, 400, invalidArgument, "at 'applications[0]'"},
		{"value not of the enum", "PATCH", policy, `{"encryptionPolicy":"ON"}`, 400, invalidArgument, "encryptionPolicy"},
		{"number as text", "PATCH", policy, `{"minimumApiLevel":"31"}`, 400, invalidArgument, "TYPE_INT32"},
		{"fraction", "PATCH", policy, `{"minimumApiLevel":31.5}`, 400, invalidArgument, "TYPE_INT32"},
		{"int64 as a number", "PATCH", policy, `{"version":3}`, 400, invalidArgument, "string"},
		{"int64 that is none", "PATCH", policy, `{"version":"three"}`, 400, invalidArgument, "INT64"},
		{"bool as text", "PATCH", policy, `{"cameraDisabled":"true"}`, 400, invalidArgument, "TYPE_BOOL"},
		{"null", "PATCH", policy, `{"cameraDisabled":null}`, 400, invalidArgument, "TYPE_BOOL"},
		{"object for an array", "PATCH", policy, `{"applications":{}}`, 400, invalidArgument, "array"},
		{"array for an object", "PATCH", policy, `{"statusReportingSettings":[]}`, 400, invalidArgument, "object"},
		{"duration without s", "PATCH", policy, `{"passwordPolicies":[{"passwordExpirationTimeout":"60"}]}`, 400, invalidArgument, "duration"},
		{"unknown mask", "PATCH", policy + "?updateMask=minimum_api_level", "{}", 400, invalidArgument, "updateMask"},
		{"mask into a list", "PATCH", policy + "?updateMask=applications.packageName", "{}", 400, invalidArgument, "updateMask"},
		{"mask of what is read-only", "PATCH", policy + "?updateMask=version", "{}", 400, invalidArgument, "cannot be modified"},
		{"mask twice", "PATCH", policy + "?updateMask=minimumApiLevel,minimumApiLevel", "{}", 400, invalidArgument, "twice"},
		{"empty path in a mask", "PATCH", policy + "?updateMask=minimumApiLevel,", "{}", 400, invalidArgument, "updateMask"},
		{"name of another policy", "PATCH", policy, `{"name":"` + e + `/policies/q"}`, 400, invalidArgument, "name"},
		{"name that is none", "PATCH", e + "/policies/%20p", `{}`, 400, invalidArgument, "name"},
		{"deprecated", "PATCH", policy, `{"passwordRequirements":{"passwordQuality":"NUMERIC"}}`, 400, invalidArgument, "deprecated"},
		{"package twice", "PATCH", policy, `{"applications":[{"packageName":"a.b"},{"packageName":"a.b"}]}`, 400, invalidArgument, "twice"},
		{"no package", "PATCH", policy, `{"applications":[{"installType":"AVAILABLE"}]}`, 400, invalidArgument, "missing"},
		{"blank Gmail", "PATCH", policy, `{"applications":[{"packageName":"com.google.android.gm","managedConfiguration":{}}]}`, 400, invalidArgument, "blank"},
		{"guessed key", "PATCH", policy, `{"applications":[{"packageName":"com.google.android.gm","managedConfiguration":{"exchange_device_identifier":"x"}}]}`, 400, invalidArgument, "no managed property"},
		{"key of another type", "PATCH", policy, `{"applications":[{"packageName":"com.google.android.gm","managedConfiguration":{"exchange_ssl_required":"true"}}]}`, 400, invalidArgument, "BOOL"},
		{"entry that is none", "PATCH", policy, `{"applications":[{"packageName":"com.google.android.gm","managedConfiguration":{"made_up_authentication_types":["ntlm"]}}]}`, 400, invalidArgument, "MULTISELECT"},
		{"guessed Samsung key", "PATCH", policy, `{"applications":[{"packageName":"com.samsung.android.email.provider","managedConfiguration":{"made_up_exchange_activesync_accounts_list":[{"email":"a"}]}}]}`, 400, invalidArgument, "no managed property"},
		{"a bundle that is no array", "PATCH", policy, `{"applications":[{"packageName":"com.samsung.android.email.provider","managedConfiguration":{"made_up_exchange_activesync_accounts_list":{}}}]}`, 400, invalidArgument, "BUNDLE_ARRAY"},
		{"text too long", "PATCH", policy, `{"applications":[{"packageName":"a.b","managedConfiguration":{"a":["` + strings.Repeat("x", 65536) + `"]}}]}`, 400, invalidArgument, "65535"},
		{"both configurations", "PATCH", policy, `{"applications":[{"packageName":"a.b","managedConfiguration":{},"managedConfigurationTemplate":{"templateId":"1"}}]}`, 400, invalidArgument, "Template"},
		{"21 minimum versions", "PATCH", policy, `{"applications":[` + numbered(21, `{"packageName":"a.b%d","minimumVersionCode":1}`) + `]}`, 400, invalidArgument, "At most 20"},
		{"3001 applications", "PATCH", policy, `{"applications":[` + numbered(3001, `{"packageName":"a.b%d"}`) + `]}`, 400, invalidArgument, "3000"},
		{"enforcement without a wipe", "PATCH", policy, `{"policyEnforcementRules":[{"settingName":"passwordPolicies","blockAction":{"blockAfterDays":1}}]}`, 400, invalidArgument, "both"},
		{"enforcement in the wrong order", "PATCH", policy, `{"policyEnforcementRules":[{"settingName":"passwordPolicies","blockAction":{"blockAfterDays":2},"wipeAction":{"wipeAfterDays":2}}]}`, 400, invalidArgument, "less than"},
		{"enforcement of nothing", "PATCH", policy, `{"policyEnforcementRules":[{"settingName":"colour","blockAction":{},"wipeAction":{"wipeAfterDays":2}}]}`, 400, invalidArgument, "top-level"},
		{"lock settings of the device", "PATCH", policy, `{"passwordPolicies":[{"passwordScope":"SCOPE_DEVICE","unifiedLockSettings":"REQUIRE_SEPARATE_WORK_LOCK"}]}`, 400, invalidArgument, "SCOPE_PROFILE"},
		{"two of one scope", "PATCH", policy, `{"passwordPolicies":[` + many(2, `{"passwordScope":"SCOPE_DEVICE","passwordQuality":"COMPLEXITY_LOW"}`) + `]}`, 400, invalidArgument, "two requirements"},
		{"key rules beside a selector", "PATCH", policy, `{"applications":[{"packageName":"a.b","delegatedScopes":["CERT_SELECTION"]}],"choosePrivateKeyRules":[{"privateKeyAlias":"a"}]}`, 400, invalidArgument, "Must be empty"},
		{"two selectors", "PATCH", policy, `{"applications":[{"packageName":"a.b","delegatedScopes":["CERT_SELECTION"]},{"packageName":"a.c","delegatedScopes":["CERT_SELECTION"]}]}`, 400, invalidArgument, "one app only"},
		{"unknown scope", "PATCH", policy, `{"applications":[{"packageName":"a.b","delegatedScopes":["CERTIFICATES"]}]}`, 400, invalidArgument, "delegatedScopes"},
		{"no scope", "PATCH", policy, `{"applications":[{"packageName":"a.b","delegatedScopes":["DELEGATED_SCOPE_UNSPECIFIED"]}]}`, 400, invalidArgument, "No delegation scope"},
		{"scope twice", "PATCH", policy, `{"applications":[{"packageName":"a.b","delegatedScopes":["CERT_INSTALL","CERT_INSTALL"]}]}`, 400, invalidArgument, "twice"},
		{"two readers of logs", "PATCH", policy, `{"applications":[{"packageName":"a.b","delegatedScopes":["SECURITY_LOGS"]},{"packageName":"a.c","delegatedScopes":["SECURITY_LOGS"]}]}`, 400, invalidArgument, "one app only"},
		{"guessed key of a companion", "PATCH", policy, `{"applications":[{"packageName":"com.example.agent","managedConfiguration":{"enroll_secret":"x"}}]}`, 400, invalidArgument, "no managed property"},
		{"key rule without an alias", "PATCH", policy, `{"choosePrivateKeyRules":[{"packageNames":["a.b"]}]}`, 400, invalidArgument, "alias"},
		{"no change", "POST", e + "/policies/base:modifyPolicyApplications", `{"changes":[]}`, 400, invalidArgument, "at least one"},
		{"the same change twice", "POST", e + "/policies/base:modifyPolicyApplications", `{"changes":[` + many(2, `{"application":{"packageName":"a.b"}}`) + `]}`, 400, invalidArgument, "twice"},
		{"mask of a package's name", "POST", e + "/policies/base:modifyPolicyApplications", `{"changes":[{"application":{"packageName":"a.b"},"updateMask":"packageName"}]}`, 400, invalidArgument, "cannot be modified"},
		{"nothing to remove", "POST", e + "/policies/base:removePolicyApplications", `{}`, 400, invalidArgument, "at least one"},
		{"data too long", "POST", e + "/enrollmentTokens", `{"policyName":"base","additionalData":"` + long + `"}`, 400, invalidArgument, "1024"},
		{"too short a time", "POST", e + "/enrollmentTokens", `{"policyName":"base","duration":"59s"}`, 400, invalidArgument, "1 minute"},
		{"no such policy", "POST", e + "/enrollmentTokens", `{"policyName":"none"}`, 400, invalidArgument, "not there"},
		{"policy of another enterprise", "POST", e + "/enrollmentTokens", `{"policyName":"enterprises/X/policies/base"}`, 400, invalidArgument, "policy name"},
		{"value from the caller", "POST", e + "/enrollmentTokens", `{"policyName":"base","value":"X"}`, 400, invalidArgument, "server alone"},
		{"notifications without a topic", "PATCH", e + "?updateMask=pubsubTopic", `{}`, 400, invalidArgument, "topic is required"},
		{"topic that is none", "PATCH", e + "?updateMask=pubsubTopic", `{"pubsubTopic":"android"}`, 400, invalidArgument, "topic"},
		{"deprecated notification", "PATCH", e + "?updateMask=enabledNotificationTypes", `{"enabledNotificationTypes":["COMPLIANCE_REPORT"]}`, 400, invalidArgument, "deprecated"},
		{"sign-in page twice", "PATCH", e + "?updateMask=signinDetails", `{"signinDetails":[` + many(2, `{"signinUrl":"https://a.example.test/"}`) + `]}`, 400, invalidArgument, "Duplicate"},
		{"two defaults", "PATCH", e + "?updateMask=signinDetails", `{"signinDetails":[{"signinUrl":"https://a.example.test/","defaultStatus":"SIGNIN_DETAIL_IS_DEFAULT"},{"signinUrl":"https://b.example.test/","defaultStatus":"SIGNIN_DETAIL_IS_DEFAULT"}]}`, 400, invalidArgument, "Only one"},
		{"sign-in page without TLS", "PATCH", e + "?updateMask=signinDetails", `{"signinDetails":[{"signinUrl":"http://a.example.test/"}]}`, 400, invalidArgument, "https"},
		{"name too long", "PATCH", e + "?updateMask=enterpriseDisplayName", `{"enterpriseDisplayName":"` + long + `"}`, 400, invalidArgument, "100"},
		{"another's project", "POST", "signupUrls?projectId=somebody-else&callbackUrl=https%3A%2F%2Fa.example.test%2F", "", 403, permissionDenied, "project"},
		{"no project", "POST", "signupUrls?callbackUrl=https%3A%2F%2Fa.example.test%2F", "", 400, invalidArgument, "projectId"},
		{"callback without TLS", "POST", "signupUrls?projectId=sallyport-rehearsal&callbackUrl=http%3A%2F%2Fa.example.test%2F", "", 400, invalidArgument, "https"},
		{"unknown sign-up", "POST", "enterprises?projectId=sallyport-rehearsal&signupUrlName=signupUrls%2FX&enterpriseToken=E", "{}", 400, invalidArgument, "signupUrlName"},
		{"a customer's agreement", "POST", "enterprises?projectId=sallyport-rehearsal&agreementAccepted=true", "{}", 400, invalidArgument, "customer-managed"},
		{"delete an enterprise", "DELETE", e, "", 400, failedPrecondition, "EMM-managed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.Log().Violations)
			status, word, says := s.refused(tt.verb, tt.path, tt.body)
			if status != tt.status || word != tt.word || !strings.Contains(says, tt.says) {
				t.Errorf("got %d %s %q, want %d %s %q", status, word, says, tt.status, tt.word, tt.says)
			}
			if n := len(s.Log().Violations) - before; n != 1 {
				t.Errorf("%d violations noted", n)
			}
		})
	}
}

func numbered(n int, one string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strings.Replace(one, "%d", strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/182), 1))
	}
	return b.String()
}

// TestNotThere: what is gone, or somebody else's, is no violation.
func TestNotThere(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	e := s.enterprise()
	for path, want := range map[string]int{
		e + "/policies/none": 404, e + "/devices/none": 404, e + "/enrollmentTokens/none": 404, e + "/devices/none/operations/1": 404,
		e + "/applications/none.none": 404, "provisioningInfo/none": 404, "enterprises/LCnone": 403, "enterprises/LCnone/devices": 403,
	} {
		if status, _, _ := s.refused("GET", path, ""); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	s.clean()
}

// TestCommandsAreChecked: the parameters of a command belong to its type.
func TestCommandsAreChecked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	path := androidOf(t, p).Device + ":issueCommand"
	for body, says := range map[string]string{
		`{}`:                "missing",
		`{"type":"FORMAT"}`: "enum",
		`{"type":"START_LOST_MODE","startLostModeParams":{}}`:                                               "something to show",
		`{"type":"ADD_ESIM","addEsimParams":{}}`:                                                            "not known to the stand-in",
		`{"type":"LOCK","wipeParams":{}}`:                                                                   "does not belong",
		`{"type":"CLEAR_APP_DATA"}`:                                                                         "needs clearAppsDataParams",
		`{"type":"CLEAR_APP_DATA","clearAppsDataParams":{}}`:                                                "package name",
		`{"type":"REQUEST_DEVICE_INFO","requestDeviceInfoParams":{}}`:                                       "kind of information",
		`{"type":"LOCK","newPassword":"x"}`:                                                                 "RESET_PASSWORD",
		`{"type":"LOCK","errorCode":"UNKNOWN"}`:                                                             "server alone",
		`{"type":"LOCK","duration":"0s"}`:                                                                   "duration",
		`{"type":"WIPE","wipeParams":{"wipeReason":{"defaultMessage":"` + strings.Repeat("x", 201) + `"}}}`: "200",
		`{"type":"RESET_PASSWORD","resetPasswordFlags":["NOW"]}`:                                            "enum",
	} {
		if status, word, text := s.refused("POST", path, body); status != 400 || word != invalidArgument || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s %q, want %q", body, status, word, text, says)
		}
	}
	for path, says := range map[string]string{
		"?updateMask=state":           "ACTIVE and DISABLED",
		"?updateMask=policyName":      "not there",
		"?updateMask=managementMode":  "cannot be modified",
		"?updateMask=policyCompliant": "cannot be modified",
	} {
		if status, _, text := s.refused("PATCH", androidOf(t, p).Device+path, `{"state":"DELETED","policyName":"none"}`); status != 400 || !strings.Contains(text, says) {
			t.Errorf("%s: %d %q, want %q", path, status, text, says)
		}
	}
	if status, word, _ := s.refused("DELETE", s.enterprise+"/policies/base", ""); status != 400 || word != failedPrecondition {
		t.Errorf("delete a policy in use: %d %s", status, word)
	}
}

// TestVersions: a policy's version counts up when something in it changed, and
// only then; a mask touches what it names.
func TestVersions(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	e := s.enterprise()
	policy := e + "/policies/p"
	for i, step := range []struct{ verb, path, body, version string }{
		{"PATCH", policy, `{"minimumApiLevel":31,"cameraDisabled":true}`, "1"},
		{"PATCH", policy, `{"cameraDisabled":true,"minimumApiLevel":31,"screenCaptureDisabled":false}`, "1"},
		{"PATCH", policy + "?updateMask=minimumApiLevel", `{"minimumApiLevel":31}`, "1"},
		{"PATCH", policy + "?updateMask=minimumApiLevel", `{"minimumApiLevel":33,"screenCaptureDisabled":true}`, "2"},
		{"PATCH", policy + "?updateMask=statusReportingSettings.deviceSettingsEnabled", `{"statusReportingSettings":{"deviceSettingsEnabled":true}}`, "3"},
		{"PATCH", policy + "?updateMask=cameraDisabled", `{}`, "4"},
		{"PATCH", policy, `{"minimumApiLevel":33,"statusReportingSettings":{"deviceSettingsEnabled":true}}`, "4"},
		{"PATCH", policy, `{}`, "5"},
	} {
		if got := s.call(step.verb, step.path, step.body); str(got, "version") != step.version || got["screenCaptureDisabled"] != nil {
			t.Errorf("step %d: version %s, want %s: %v", i, str(got, "version"), step.version, got)
		}
	}
	app := func(config string) string {
		return `{"changes":[{"application":{"packageName":"com.google.android.gm","installType":"FORCE_INSTALLED","managedConfiguration":` + config + `}}]}`
	}
	got := inner(s.call("POST", policy+":modifyPolicyApplications", app(`{"email_address":"a"}`)), "policy")
	again := inner(s.call("POST", policy+":modifyPolicyApplications", app(`{"email_address":"a"}`)), "policy")
	masked := inner(s.call("POST", policy+":modifyPolicyApplications", `{"changes":[{"application":{"packageName":"com.google.android.gm","managedConfiguration":{"email_address":"b"}},"updateMask":"managedConfiguration"}]}`), "policy")
	one := list(masked, "applications")[0]
	if str(got, "version") != "6" || str(again, "version") != "6" || str(masked, "version") != "7" || str(one, "installType") != "FORCE_INSTALLED" || str(inner(one, "managedConfiguration"), "email_address") != "b" {
		t.Errorf("%v\n%v\n%v", got, again, masked)
	}
	s.clean()
}

// TestPages: lists come in pages, in a stable order.
func TestPages(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	e := s.enterprise()
	for i := range 24 {
		s.call("PATCH", e+"/policies/p"+string(rune('a'+i)), basePolicy)
	}
	seen, next, pages := map[string]bool{}, "", 0
	for {
		got := s.call("GET", e+"/policies?pageToken="+next, "")
		pages++
		for _, p := range list(got, "policies") {
			seen[str(p, "name")] = true
		}
		if next = str(got, "nextPageToken"); next == "" {
			break
		}
	}
	if len(seen) != 25 || pages != 3 {
		t.Errorf("%d policies on %d pages", len(seen), pages)
	}
	if n := len(list(s.call("GET", e+"/policies?pageSize=1000", ""), "policies")); n != 25 {
		t.Errorf("%d at once", n)
	}
}

// TestForeignDoors: what is not Google's is noted, and a browser gets nothing.
func TestForeignDoors(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	answer, err := http.Get(s.URL() + "/v2/enterprises")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	s.noted("no such path")
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
		func(r *http.Request) { r.Host = "evil.example:80" },
	} {
		r, err := http.NewRequest("GET", s.URL()+"/control/log", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %d", r.Header, answer.StatusCode)
		}
	}
}
