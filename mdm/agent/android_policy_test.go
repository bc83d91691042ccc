package agent

import (
	"context"
	"slices"
	"strings"
	"testing"
)

const reporting = `"statusReportingSettings":{"applicationReportsEnabled":true,"deviceSettingsEnabled":true,"softwareInfoEnabled":true}`

// gmailPolicy configures Gmail with one more key.
func gmailPolicy(more string) string {
	return `{` + reporting + `,"applications":[{"packageName":"com.google.android.gm","installType":"FORCE_INSTALLED","managedConfiguration":{
	"email_address":"alice@example.test","exchange_host":"mail.example.test:443","exchange_username":"EXAMPLE\\alice","exchange_device_id":"sply0123456789abcdef0123456789ab"` + more + `}}]}`
}

// give makes a policy for one phone and assigns it, as a server does.
func (s *scene) give(p *Phone, policy string) {
	s.t.Helper()
	name := s.enterprise + "/policies/d-1"
	s.call("PATCH", name, policy)
	s.call("PATCH", androidOf(s.t, p).Device+"?updateMask=policyName", `{"policyName":"`+name+`"}`)
	reconnect(s.t, p)
}

// TestGmail: the mail account that a managed configuration makes, and what each
// change of it costs.
func TestGmail(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	own := show(t, p).EASDeviceID
	s.give(p, gmailPolicy(``))
	shot := show(t, p)
	if len(shot.Accounts) != 1 || shot.EASDeviceID != "sply0123456789abcdef0123456789ab" || !strings.HasPrefix(own, "androidc") {
		t.Fatalf("%+v, first %s", shot, own)
	}
	a := shot.Accounts[0]
	if a.Email != "alice@example.test" || a.Host != "mail.example.test:443" || a.User != `EXAMPLE\alice` || !a.SSL || a.App != "Gmail" || a.DeviceID != shot.EASDeviceID || a.Settings["exchange_username"] != `EXAMPLE\alice` {
		t.Errorf("%+v", a)
	}
	counts := func() [3]int {
		shot := show(t, p)
		return [3]int{shot.AccountsMade, shot.Recreated, shot.Accounts[0].Updates}
	}
	for _, step := range []struct {
		name   string
		change func()
		want   [3]int
	}{
		{"nothing new", func() { reconnect(t, p) }, [3]int{1, 0, 0}},
		{"another signature", func() { s.give(p, gmailPolicy(`,"default_signature":"A","default_exchange_sync_window":3`)) }, [3]int{1, 0, 1}},
		{"an alias", func() { s.give(p, gmailPolicy(`,"exchange_login_certificate_alias":"sallyport"`)) }, [3]int{2, 1, 0}},
		{"app data cleared", func() {
			s.call("POST", androidOf(t, p).Device+":issueCommand", `{"type":"CLEAR_APP_DATA","clearAppsDataParams":{"packageNames":["com.google.android.gm"]}}`)
			reconnect(t, p)
		}, [3]int{3, 2, 0}},
	} {
		if step.change(); counts() != step.want {
			t.Errorf("%s: made, recreated, updated %v, want %v", step.name, counts(), step.want)
		}
	}
	s.call("POST", s.enterprise+"/policies/d-1:removePolicyApplications", `{"packageNames":["com.google.android.gm"]}`)
	reconnect(t, p)
	if shot := show(t, p); len(shot.Accounts) != 0 || shot.EASDeviceID != own {
		t.Errorf("without Gmail: %+v", shot)
	}
	s.clean()
}

// TestKeyedStates: what an app says of its configuration.
func TestKeyedStates(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	states := func() map[string]string {
		out := map[string]string{}
		for _, app := range list(s.device(p), "applicationReports") {
			for _, st := range list(app, "keyedAppStates") {
				out[str(st, "key")] = str(st, "severity")
			}
		}
		return out
	}
	s.give(p, gmailPolicy(`,"exchange_login_certificate_alias":"sallyport"`))
	if got := states(); got["email_address"] != "INFO" || got["exchange_login_certificate_alias"] != "ERROR" {
		t.Errorf("no key pair: %v", got)
	}
	setAll(t, p, "key=sallyport")
	reconnect(t, p)
	if got := states(); got["exchange_login_certificate_alias"] != "ERROR" {
		t.Errorf("with a key pair that the app is not given: %v", got)
	}
	s.give(p, strings.TrimSuffix(gmailPolicy(`,"exchange_login_certificate_alias":"sallyport"`), "}")+`,"choosePrivateKeyRules":[{"packageNames":["com.google.android.gm"],"privateKeyAlias":"sallyport"}]}`)
	if got := states(); got["exchange_login_certificate_alias"] != "INFO" {
		t.Errorf("with a key pair: %v", got)
	}
	setAll(t, p, "app=gmail:error")
	reconnect(t, p)
	if got := states(); got["email_address"] != "ERROR" {
		t.Errorf("app in trouble: %v", got)
	}
	setAll(t, p, "app=gmail:fine")
	s.give(p, `{`+reporting+`,"applications":[{"packageName":"com.google.android.gm","installType":"FORCE_INSTALLED","managedConfiguration":{"email_address":"alice@example.test","exchange_host":"https://x"}}]}`)
	if got := states(); got["exchange_username"] != "ERROR" || got["exchange_host"] != "ERROR" || len(show(t, p).Accounts) != 0 {
		t.Errorf("incomplete: %v", got)
	}
	s.give(p, gmailPolicy(``)[:len(gmailPolicy(``))-1]+`,"minimumApiLevel":30}`)
	if got := states(); got["exchange_host"] != "INFO" {
		t.Errorf("repaired: %v", got)
	}
	s.clean()
}

// TestOtherMailApps: each makes its account of the keys in the catalogue.
func TestOtherMailApps(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	for pkg, config := range map[string]string{
		outlookPackage: `{"com.microsoft.outlook.EmailProfile.EmailAddress":"a@example.test","com.microsoft.outlook.EmailProfile.EmailUPN":"a","com.microsoft.outlook.EmailProfile.ServerHostName":"mail.example.test","com.microsoft.outlook.EmailProfile.AccountType":"BasicAuth"}`,
		samsungPackage: `{"made_up_exchange_activesync_accounts_list":[{"made_up_email_address":"a@example.test","made_up_user_name":"a","made_up_exchange_server_name":"mail.example.test","made_up_use_ssl":true}]}`,
		ninePackage:    `{"AppServicePublisher":"Sallyport","AppServiceHost":"mail.example.test","made_up_email":"a@example.test","made_up_username":"a"}`,
	} {
		s.give(p, `{`+reporting+`,"applications":[{"packageName":"`+pkg+`","installType":"FORCE_INSTALLED","managedConfiguration":`+config+`}]}`)
		shot := show(t, p)
		if len(shot.Accounts) != 1 || shot.Accounts[0].Email != "a@example.test" || shot.Accounts[0].Host != "mail.example.test" || shot.Accounts[0].User != "a" || shot.Accounts[0].Profile != pkg {
			t.Errorf("%s: %+v", pkg, shot.Accounts)
		}
	}
	s.clean()
}

// TestHonestCompliance: what the phone is decides what it reports, and a repaired
// phone says so at once.
func TestHonestCompliance(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	s.give(p, `{`+reporting+`,"minimumApiLevel":33,"encryptionPolicy":"ENABLED_WITHOUT_PASSWORD",
	"passwordPolicies":[{"passwordScope":"SCOPE_DEVICE","passwordQuality":"COMPLEXITY_MEDIUM"},{"passwordScope":"SCOPE_PROFILE","passwordQuality":"NUMERIC","passwordMinimumLength":6}],
	"applications":[{"packageName":"com.google.android.gm","installType":"FORCE_INSTALLED","minimumVersionCode":64000000},{"packageName":"com.android.chrome","installType":"AVAILABLE"}]}`)
	if a := androidOf(t, p); len(a.Broken) != 0 {
		t.Fatalf("%+v", a)
	}
	for _, tt := range []struct {
		set, undo string
		want      []string
	}{
		{"passcode=off", "passcode=on", []string{"passwordPolicies USER_ACTION", "passwordPolicies USER_ACTION"}},
		{"passcode=weak", "passcode=on", []string{"passwordPolicies USER_ACTION", "passwordPolicies USER_ACTION"}},
		{"encryption=off", "encryption=on", []string{"encryptionPolicy USER_ACTION"}},
		{"os=12", "os=16", []string{"minimumApiLevel API_LEVEL"}},
		{"app=gmail:missing", "app=gmail:fine", []string{"applications APP_NOT_INSTALLED com.google.android.gm"}},
		{"app=gmail:old", "app=gmail:fine", []string{"applications APP_NOT_UPDATED com.google.android.gm"}},
		{"app=chrome:missing", "app=chrome:fine", nil},
		{"noncompliant=keyguardDisabledFeatures:MANAGEMENT_MODE", "noncompliant=off", []string{"keyguardDisabledFeatures MANAGEMENT_MODE"}},
		{"noncompliant=applications:PROJECT_NOT_PERMITTED:gmail", "noncompliant=off", []string{"applications PROJECT_NOT_PERMITTED com.google.android.gm"}},
	} {
		setAll(t, p, tt.set)
		reconnect(t, p)
		d := s.device(p)
		if got := androidOf(t, p).Broken; !slices.Equal(got, append([]string{}, tt.want...)) || yes(d, "policyCompliant") != (len(tt.want) == 0) || len(list(d, "nonComplianceDetails")) != len(tt.want) {
			t.Errorf("%s: %v, device %v", tt.set, got, d["nonComplianceDetails"])
		}
		setAll(t, p, tt.undo)
		reconnect(t, p)
		if d := s.device(p); !yes(d, "policyCompliant") || d["nonComplianceDetails"] != nil {
			t.Errorf("%s, then %s: %v", tt.set, tt.undo, d["nonComplianceDetails"])
		}
	}
	s.clean()
}

// TestOldQualities: in a work profile on a personal phone only complexity reaches
// the phone's lock.
func TestOldQualities(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	policy := `{` + reporting + `,"passwordPolicies":[{"passwordScope":"SCOPE_DEVICE","passwordQuality":"NUMERIC","passwordMinimumLength":6}]}`
	for os, want := range map[string][]string{"16": {"passwordPolicies MANAGEMENT_MODE"}, "11": {}} {
		p := s.worker("os=" + os)
		s.give(p, policy)
		if got := androidOf(t, p).Broken; !slices.Equal(got, want) {
			t.Errorf("Android %s: %v, want %v", os, got, want)
		}
		if id := androidOf(t, p).SpecificID; (id == "") != (os == "11") {
			t.Errorf("Android %s: enterpriseSpecificId %q", os, id)
		}
	}
}

// TestStalePolicy: a phone that is stuck reports the old version, and goes on
// reporting.
func TestStalePolicy(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	s.give(p, gmailPolicy(``))
	setAll(t, p, "policy=stale")
	s.give(p, gmailPolicy(`,"default_signature":"new"`))
	if d := s.device(p); str(d, "appliedPolicyVersion") != "1" || str(s.call("GET", s.enterprise+"/policies/d-1", ""), "version") != "2" {
		t.Errorf("%v", d)
	}
	setAll(t, p, "policy=fresh", "posture=COMPROMISED_OS")
	reconnect(t, p)
	d := s.device(p)
	posture := inner(d, "securityPosture")
	if str(d, "appliedPolicyVersion") != "2" || str(posture, "devicePosture") != "POTENTIALLY_COMPROMISED" || str(list(posture, "postureDetails")[0], "securityRisk") != "COMPROMISED_OS" {
		t.Errorf("%v", d)
	}
	setAll(t, p, "posture=unknown")
	reconnect(t, p)
	if d := s.device(p); d["securityPosture"] != nil {
		t.Errorf("unknown posture: %v", d["securityPosture"])
	}
	s.clean()
}

// TestReportsOnlyWhatIsAsked: without statusReportingSettings there is nothing to
// decide by.
func TestReportsOnlyWhatIsAsked(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	s.give(p, `{"minimumApiLevel":30}`)
	d := s.device(p)
	for _, field := range []string{"deviceSettings", "softwareInfo", "applicationReports"} {
		if d[field] != nil {
			t.Errorf("%s: %v", field, d[field])
		}
	}
	if !yes(d, "policyCompliant") || d["hardwareInfo"] == nil {
		t.Errorf("%v", d)
	}
}

// TestAwaitPolicy: a phone hears that there is something for it.
func TestAwaitPolicy(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	came := make(chan error, 1)
	go func() { came <- p.AwaitPolicy(context.Background()) }()
	s.call("PATCH", s.enterprise+"/policies/base", gmailPolicy(``))
	if err := <-came; err != nil {
		t.Fatal(err)
	}
	reconnect(t, p)
	if androidOf(t, p).Version != 2 {
		t.Errorf("%+v", androidOf(t, p))
	}
}
