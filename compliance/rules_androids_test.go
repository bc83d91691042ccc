package compliance_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/mdm"
)

// droid is an Android phone that meets every rule.
func droid() scene {
	s := good()
	s.policy.Spec = compliance.Spec{Name: "standard", Rules: compliance.Rules{
		MailProfile: true, Passcode: true, Encryption: true, NotJailbroken: true, MinimumOS: compliance.AtLeast("13"), IdentityCertificate: true,
		ReportedWithin: compliance.Duration(12 * time.Hour),
	}}
	s.expected.Platform = mdm.Android
	s.expected.Policy = compliance.ExpectedPolicy{Name: "d-1", Version: 7}
	s.expected.Mail[0].Package, s.expected.Mail[0].AcknowledgedAt = "com.google.android.gm", time.Time{}
	at := ago(time.Minute)
	s.report.Device = &mdm.DeviceFacts{At: at, OSVersion: "14", Product: "Pixel 8", Supervised: ptr(false)}
	s.report.Security = &mdm.SecurityFacts{At: at, PasscodePresent: ptr(true), PasscodeCompliant: ptr(true), Encrypted: ptr(true), Posture: mdm.PostureSecure}
	s.report.Policy = &mdm.PolicyFacts{At: at, Name: "d-1", Applied: "d-1", Version: 7, Compliant: ptr(true)}
	return s
}

func finding(v compliance.Verdict, rule compliance.RuleName) compliance.Finding {
	for _, f := range v.Findings {
		if f.Rule == rule {
			return f
		}
	}
	return compliance.Finding{}
}

func TestAndroidRules(t *testing.T) {
	t.Parallel()
	broken := func(list ...mdm.Nonconformity) func(*scene) {
		return func(s *scene) {
			p := *s.report.Policy
			p.Compliant, p.Broken = ptr(false), list
			s.report.Policy = &p
		}
	}
	tests := []struct {
		name  string
		set   func(*scene)
		state compliance.State
		rule  compliance.RuleName
		find  compliance.RuleState
		fact  string
		fix   string
	}{
		{"as it should be", func(*scene) {}, compliance.Compliant, compliance.RuleManaged, compliance.Met, "keeps its policy", ""},
		{"a later version than asked", func(s *scene) { s.report.Policy.Version = 9 }, compliance.Compliant, compliance.RuleManaged, compliance.Met, "", ""},
		{"an older version", func(s *scene) { s.report.Policy.Version = 6 }, compliance.NotCompliant, compliance.RuleManaged, compliance.Failed, "not applied its newest", "connected"},
		{"another policy", func(s *scene) { s.report.Policy.Applied = "sallyport-base-v1" }, compliance.NotCompliant, compliance.RuleManaged, compliance.Failed, "not applied", "connected"},
		{"no policy applied yet", func(s *scene) { s.report.Policy.Applied = "" }, compliance.NotEvaluated, compliance.RuleManaged, compliance.Unasked, "not told yet", ""},
		{"nothing reported of a policy", func(s *scene) { s.report.Policy = nil }, compliance.NotEvaluated, compliance.RuleManaged, compliance.Unasked, "not told yet", ""},
		{"its own policy is not made yet", func(s *scene) { s.expected.Policy = compliance.ExpectedPolicy{} }, compliance.NotEvaluated, compliance.RuleManaged, compliance.Unasked, "not made yet", ""},
		{"whether it complies is not told", func(s *scene) { s.report.Policy.Compliant = nil }, compliance.NotCompliant, compliance.RuleManaged, compliance.Failed, "does not keep", ""},
		{"not kept, the user has to act", broken(mdm.Nonconformity{Setting: "passwordPolicies", Reason: "USER_ACTION", Plain: "the lock is too weak"}),
			compliance.NotCompliant, compliance.RuleManaged, compliance.Failed, "does not keep its policy; the lock is too weak", "Android Device Policy"},
		{"not kept, by itself soon", broken(mdm.Nonconformity{Setting: "applications", Package: "com.android.chrome", Reason: "PENDING", Plain: "it comes"}),
			compliance.NotCompliant, compliance.RuleManaged, compliance.Failed, "the app com.android.chrome is not as it should be; it comes", "by itself"},

		{"secure", func(*scene) {}, compliance.Compliant, compliance.RuleNotJailbroken, compliance.Met, "vouches", ""},
		{"at risk", func(s *scene) {
			s.report.Security.Posture, s.report.Security.Risks = mdm.PostureAtRisk, []string{"UNKNOWN_OS", "NEW_RISK"}
		}, compliance.NotCompliant, compliance.RuleNotJailbroken, compliance.Failed, "does not vouch for the phone's system; it runs a system that Google does not know", "administrator"},
		{"compromised", func(s *scene) {
			s.report.Security.Posture, s.report.Security.Risks = mdm.PostureCompromised, []string{"COMPROMISED_OS", "HARDWARE_BACKED_EVALUATION_FAILED"}
		}, compliance.NotCompliant, compliance.RuleNotJailbroken, compliance.Failed, "tampered with; its hardware does not vouch", "administrator"},
		{"posture not told", func(s *scene) { s.report.Security.Posture = "" }, compliance.NotEvaluated, compliance.RuleNotJailbroken, compliance.Unasked, "not told", ""},

		{"not encrypted", func(s *scene) { s.report.Security.Encrypted = ptr(false) }, compliance.NotCompliant, compliance.RuleEncryption, compliance.Failed, "not encrypted", "Settings > Security"},
		{"encryption not told", func(s *scene) { s.report.Security.Encrypted = nil }, compliance.NotEvaluated, compliance.RuleEncryption, compliance.Unasked, "not told", ""},
		{"no screen lock", func(s *scene) { s.report.Security.PasscodePresent = ptr(false) }, compliance.NotCompliant, compliance.RulePasscode, compliance.Failed, "no passcode", "Screen lock"},
		{"a weak screen lock", func(s *scene) { s.report.Security.PasscodeCompliant = ptr(false) }, compliance.NotCompliant, compliance.RulePasscode, compliance.Failed, "does not meet", "Screen lock"},
		{"an old Android", func(s *scene) { s.report.Device.OSVersion = "12" }, compliance.NotCompliant, compliance.RuleMinimumOS, compliance.Failed, "Android 12", "Android 13"},
		{"no certificate came by the companion app", func(s *scene) { s.expected.Identity = compliance.ExpectedIdentity{} }, compliance.NotCompliant, compliance.RuleIdentity, compliance.Failed, "no certificate", "app that fetches"},
		{"the companion app failed", func(s *scene) {
			s.expected.Identity = compliance.ExpectedIdentity{Failure: "no key store"}
		}, compliance.NotCompliant, compliance.RuleIdentity, compliance.Failed, "could not do so: no key store", "Show this to your administrator"},
		{"the companion app failed to renew what is good yet", func(s *scene) { s.expected.Identity.Failure = "no network" },
			compliance.Compliant, compliance.RuleIdentity, compliance.Met, "valid until", ""},
		{"the companion app alone is not there", func(s *scene) {
			s.expected.Policy.Companion = "com.example.agent"
			broken(mdm.Nonconformity{Setting: "applications", Package: "com.example.agent", Reason: "APP_NOT_INSTALLED", Plain: "no storage"})(s)
		}, compliance.Compliant, compliance.RuleManaged, compliance.Met, "all but the app", ""},
		{"the companion app is not all that is wrong", func(s *scene) {
			s.expected.Policy.Companion = "com.example.agent"
			broken(mdm.Nonconformity{Setting: "applications", Package: "com.example.agent"}, mdm.Nonconformity{Setting: "passwordPolicies", Reason: "USER_ACTION", Plain: "the lock is too weak"})(s)
		}, compliance.NotCompliant, compliance.RuleManaged, compliance.Failed, "the lock is too weak", "Android Device Policy"},
		{"nothing is said to be wrong, and it does not comply", func(s *scene) {
			s.expected.Policy.Companion = "com.example.agent"
			broken()(s)
		}, compliance.NotCompliant, compliance.RuleManaged, compliance.Failed, "does not keep", ""},
		{"a work profile where the whole phone is asked for", func(s *scene) { s.policy.Spec.Rules.Supervised = true }, compliance.NotCompliant, compliance.RuleSupervised, compliance.Failed, "work profile", "first screen"},
		{"managed as a whole", func(s *scene) { s.policy.Spec.Rules.Supervised, s.report.Device.Supervised = true, ptr(true) }, compliance.Compliant, compliance.RuleSupervised, compliance.Met, "as a whole", ""},

		{"the mail app is not there", func(s *scene) {
			s.report.Profiles.Items = nil
			broken(mdm.Nonconformity{Setting: "applications", Package: "com.google.android.gm", Reason: "APP_NOT_INSTALLED", Plain: "no storage"})(s)
		}, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, `mail profile "mail" is not on the phone; no storage`, "free storage"},
		{"the mail app refuses a setting", func(s *scene) {
			s.report.Profiles.Items = nil
			s.report.Policy.AppStates = []mdm.AppState{{Package: "com.google.android.gm", Key: "exchange_host", Error: true, Message: "no such host"}}
		}, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "setting exchange_host: no such host", "Android Device Policy"},
		{"another app's trouble is not the mail's", func(s *scene) {
			s.report.Policy.AppStates = []mdm.AppState{{Package: "com.example", Key: "k", Error: true}}
		}, compliance.Compliant, compliance.RuleMailProfile, compliance.Met, "installed", ""},
		{"silent", func(s *scene) { s.report.Policy.At = ago(13 * time.Hour) }, compliance.Unknown, compliance.RuleReported, compliance.Failed, "last complete report", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := droid()
			tt.set(&s)
			v := s.evaluate()
			f := finding(v, tt.rule)
			if v.State != tt.state || f.State != tt.find || !strings.Contains(f.Fact, tt.fact) || !strings.Contains(f.Fix, tt.fix) {
				t.Errorf("%s, want %s; finding %+v, want %s %q %q", v.State, tt.state, f, tt.find, tt.fact, tt.fix)
			}
			if f.Expected == "" || (f.Fix == "") != (f.State == compliance.Met) {
				t.Errorf("finding %+v", f)
			}
		})
	}
}

// A repaired phone is fine with its next report, whatever it said before.
func TestAndroidRecomputesFromTheNewestReport(t *testing.T) {
	t.Parallel()
	s := droid()
	s.report.Policy.Compliant, s.report.Security.Posture = ptr(false), mdm.PostureCompromised
	s.previous = s.evaluate()
	if s.previous.State != compliance.NotCompliant {
		t.Fatalf("got %s", s.previous.State)
	}
	s.report = droid().report
	s.now = now.Add(time.Minute)
	if v := s.evaluate(); v.State != compliance.Compliant {
		t.Errorf("got %s %+v", v.State, v.Findings)
	}
}

func TestAndroidVariables(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]compliance.State{
		`security.posture == "secure" && security.encrypted && policy.compliant`: compliance.Compliant,
		`security.posture == "at_risk"`:                                          compliance.NotCompliant,
		`!("UNKNOWN_OS" in security.risks)`:                                      compliance.Compliant,
	} {
		s := droid()
		s.policy.Spec = compliance.Spec{Name: "standard", Rules: custom(expression)}
		if v := s.evaluate(); v.State != want {
			t.Errorf("%s: got %s %+v, want %s", expression, v.State, v.Findings, want)
		}
		s.report.Security.Posture, s.report.Policy = "", nil
		if v := s.evaluate(); v.State != compliance.NotEvaluated {
			t.Errorf("%s, not told: got %s", expression, v.State)
		}
	}
}
