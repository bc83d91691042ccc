package compliance_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/mdm"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

func ptr[T any](v T) *T { return &v }

// scene is everything that Evaluate looks at.
type scene struct {
	policy   *compliance.Policy
	expected compliance.Expected
	report   mdm.Report
	previous compliance.Verdict
	now      time.Time
}

func (s scene) evaluate() compliance.Verdict {
	return compliance.Evaluate(s.policy, s.expected, s.report, s.previous, s.now)
}

// good is a phone that meets every rule; each test breaks something of it.
func good() scene {
	return scene{
		policy: &compliance.Policy{Name: "standard", Number: 3, Spec: compliance.Spec{Name: "standard",
			Rules: compliance.Rules{MailProfile: true, Passcode: true, MinimumOS: compliance.AtLeast("16.0"), IdentityCertificate: true, ReportedWithin: compliance.Duration(12 * time.Hour)},
			Grace: compliance.Duration(2 * time.Hour)}},
		expected: compliance.Expected{EnrollmentID: "e1", UserID: "u1", UPN: "alice@example.test", Platform: mdm.Apple, State: mdm.Configured, LastSeenAt: ago(time.Minute),
			Mail:     []compliance.ExpectedProfile{{Name: "mail", Identifier: "test.mail", UUID: "AAAA", AcknowledgedAt: ago(time.Hour)}},
			Identity: compliance.ExpectedIdentity{SHA256: "ab", NotAfter: now.Add(90 * 24 * time.Hour)}},
		report: mdm.Report{
			Device:   &mdm.DeviceFacts{At: ago(time.Minute), OSVersion: "16.1", Product: "iPhone15,4"},
			Security: &mdm.SecurityFacts{At: ago(time.Minute), PasscodePresent: ptr(true), PasscodeCompliant: ptr(true), PasscodeCompliantWithProfiles: ptr(true)},
			Profiles: &mdm.ProfileFacts{At: ago(time.Minute), Items: []mdm.ProfileOnFile{{Identifier: "other", UUID: "AAAA", Managed: ptr(true)}, {Identifier: "test.mail", UUID: "AAAA", Managed: ptr(true)}}},
		},
		now: now,
	}
}

// noGrace makes a failure block at once.
func noGrace(s *scene) { s.policy.Spec.Grace = 0 }

// renewed makes the revision that the phone has the previous one.
func renewed(s *scene, until time.Time) {
	s.expected.Mail[0].UUID, s.expected.Mail[0].AcknowledgedAt = "BBBB", time.Time{}
	s.expected.Mail[0].Previous = []compliance.PreviousRevision{{UUID: "0000", Until: until}, {UUID: "aaaa", Until: until}}
}

func TestEvaluateRules(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	tests := []struct {
		name  string
		set   func(*scene)
		state compliance.State
		rule  compliance.RuleName // the finding that must be there; empty = all are met
		find  compliance.RuleState
		fact  string // part of it
		fix   string // part of it
		until time.Time
	}{
		{"all met", func(*scene) {}, compliance.Compliant, "", "", "", "", now.Add(12*h - time.Minute)},

		{"checked out", func(s *scene) { s.expected.State = mdm.CheckedOut }, compliance.NotCompliant, compliance.RuleEnrolled, compliance.Failed, "removed from the phone", "new invitation", now.Add(3650 * 24 * h)},
		{"replaced", func(s *scene) { s.expected.State = mdm.Replaced }, compliance.NotCompliant, compliance.RuleEnrolled, compliance.Failed, "enrolled anew", "new invitation", now.Add(3650 * 24 * h)},
		{"user removed", func(s *scene) { s.expected.UserRemoved = true }, compliance.NotCompliant, compliance.RuleEnrolled, compliance.Failed, "user was removed", "administrator", now.Add(3650 * 24 * h)},
		{"ended without a policy", func(s *scene) { s.expected.State, s.policy = mdm.CheckedOut, nil }, compliance.NotCompliant, compliance.RuleEnrolled, compliance.Failed, "removed", "new invitation", now.Add(3650 * 24 * h)},
		{"retired", func(s *scene) { s.expected.State = mdm.Retired }, compliance.NotCompliant, compliance.RuleEnrolled, compliance.Failed, "administrator ended", "new invitation", now.Add(3650 * 24 * h)},
		{"refused", func(s *scene) { s.expected.State = mdm.Refused }, compliance.NotCompliant, compliance.RuleEnrolled, compliance.Failed, "refused this enrolment", "new invitation", now.Add(3650 * 24 * h)},
		{"held", func(s *scene) { s.expected.State = mdm.Held }, compliance.NotEvaluated, compliance.RuleEnrolled, compliance.Unasked, "another user", "admit this phone", now.Add(24 * h)},
		{"mail withdrawn", func(s *scene) {
			s.expected.Withheld = mdm.WithholdEverything
			s.expected.Withdrawal = compliance.Withdrawal{Act: "a selective wipe", By: "carol", At: ago(h)}
		}, compliance.NotCompliant, compliance.RuleWithdrawn, compliance.Failed, "withdrew the mail from this phone: a selective wipe, ordered by carol at 2026-11-21 08:00 UTC", "opens by itself", now.Add(24 * h)},
		{"mail withdrawn, nobody knows by whom", func(s *scene) { s.expected.Withheld = mdm.WithholdEverything }, compliance.NotCompliant, compliance.RuleWithdrawn, compliance.Failed, "withdrew the mail", "administrator", now.Add(24 * h)},
		{"mail withdrawn without a policy", func(s *scene) { s.expected.Withheld, s.policy = mdm.WithholdEverything, nil }, compliance.NotCompliant, compliance.RuleWithdrawn, compliance.Failed, "withdrew", "administrator", now.Add(24 * h)},
		{"mail withdrawn outweighs silence", func(s *scene) {
			s.expected.Withheld, s.expected.LastSeenAt = mdm.WithholdEverything, ago(1000*h)
		}, compliance.NotCompliant, compliance.RuleWithdrawn, compliance.Failed, "withdrew", "administrator", now.Add(24 * h)},
		{"policies withheld say nothing of mail", func(s *scene) { s.expected.Withheld = mdm.WithholdPolicies }, compliance.Compliant, "", "", "", "", now.Add(12*h - time.Minute)},
		{"not finished", func(s *scene) { s.expected.State = mdm.Authenticated }, compliance.NotEvaluated, compliance.RuleEnrolled, compliance.Unasked, "not finished", "install the downloaded profile", now.Add(24 * h)},
		{"no policy", func(s *scene) { s.policy = nil }, compliance.NotEvaluated, "", "", "", "", now.Add(24 * h)},

		{"no template assigned", func(s *scene) { noGrace(s); s.expected.Mail = nil }, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "no mail template is assigned", "Ask your administrator to assign", now.Add(12*h - time.Minute)},
		{"template cannot be rendered", func(s *scene) { noGrace(s); s.expected.Mail[0].UUID = "" }, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "cannot be made", "directory", now.Add(12*h - time.Minute)},
		{"profiles never listed, never installed", func(s *scene) { s.report.Profiles, s.expected.Mail[0].AcknowledgedAt = nil, time.Time{} }, compliance.NotEvaluated, compliance.RuleMailProfile, compliance.Unasked, "not confirmed", "being asked", now.Add(12*h - time.Minute)},
		{"listed before we ever installed", func(s *scene) {
			noGrace(s)
			s.expected.Mail[0].AcknowledgedAt, s.report.Profiles.Items = time.Time{}, nil
		}, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "not installed", "installed by itself", now.Add(12*h - time.Minute)},
		{"removed since", func(s *scene) { noGrace(s); s.report.Profiles.Items = s.report.Profiles.Items[:1] }, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, `"mail" is not installed`, "installed by itself", now.Add(12*h - time.Minute)},
		{"removed within the credit", func(s *scene) {
			noGrace(s)
			s.expected.Mail[0].AcknowledgedAt, s.report.Profiles.Items = ago(2*time.Minute), nil
		}, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "not installed", "by itself", now.Add(12*h - time.Minute)},
		{"credit over an old list", func(s *scene) {
			s.expected.Mail[0].AcknowledgedAt, s.report.Profiles.Items = ago(30*time.Second), nil
		}, compliance.Compliant, "", "", "", "", now.Add(10*time.Minute - 30*time.Second)},
		{"credit without a list", func(s *scene) { s.expected.Mail[0].AcknowledgedAt, s.report.Profiles = ago(9*time.Minute), nil }, compliance.Compliant, "", "", "", "", now.Add(time.Minute)},
		{"credit used up", func(s *scene) {
			s.expected.Mail[0].AcknowledgedAt, s.report.Profiles = ago(10*time.Minute), nil
		}, compliance.NotEvaluated, compliance.RuleMailProfile, compliance.Unasked, "not confirmed", "being asked", now.Add(12*h - time.Minute)},
		{"old list, credit used up", func(s *scene) {
			s.expected.Mail[0].AcknowledgedAt, s.report.Profiles.At, s.report.Profiles.Items = ago(11*time.Minute), ago(h), nil
		}, compliance.NotEvaluated, compliance.RuleMailProfile, compliance.Unasked, "not confirmed", "", now.Add(11 * h)},
		{"old list shows it already", func(s *scene) {
			s.expected.Mail[0].AcknowledgedAt, s.report.Profiles.At = ago(11*time.Minute), ago(h)
		}, compliance.Compliant, "", "", "", "", now.Add(11 * h)},
		{"acknowledged far in the future", func(s *scene) { s.expected.Mail[0].AcknowledgedAt, s.report.Profiles = now.Add(h), nil }, compliance.NotEvaluated, compliance.RuleMailProfile, compliance.Unasked, "not confirmed", "", now.Add(12*h - time.Minute)},
		{"old revision", func(s *scene) { noGrace(s); s.expected.Mail[0].UUID = "BBBB" }, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "out of date", "installed by itself", now.Add(12*h - time.Minute)},
		{"S/MIME key renewed", func(s *scene) { noGrace(s); renewed(s, now.Add(2*h)) }, compliance.Compliant, "", "", "", "", now.Add(2 * h)},
		{"S/MIME key renewed, refused at the first attempt", func(s *scene) {
			noGrace(s)
			renewed(s, now.Add(2*h))
			s.expected.Mail[0].Refused = "no"
		}, compliance.Compliant, "", "", "", "", now.Add(2 * h)},
		{"S/MIME key renewed a day ago", func(s *scene) { noGrace(s); renewed(s, now) }, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "out of date", "installed by itself", now.Add(12*h - time.Minute)},
		{"S/MIME key renewed, and something else changed", func(s *scene) {
			noGrace(s)
			renewed(s, now.Add(2*h))
			s.report.Profiles.Items[1].UUID = "9999"
		}, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "out of date", "installed by itself", now.Add(12*h - time.Minute)},
		{"S/MIME key renewed, profile made by hand", func(s *scene) {
			noGrace(s)
			renewed(s, now.Add(2*h))
			s.report.Profiles.Items[1].Managed = ptr(false)
		}, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "by hand", "", now.Add(12*h - time.Minute)},
		{"UUID in lower case", func(s *scene) { s.report.Profiles.Items[1].UUID = "aaaa" }, compliance.Compliant, "", "", "", "", now.Add(12*h - time.Minute)},
		{"made by hand", func(s *scene) { noGrace(s); s.report.Profiles.Items[1].Managed = ptr(false) }, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "by hand", "VPN & Device Management", now.Add(12*h - time.Minute)},
		{"refused by the phone", func(s *scene) {
			noGrace(s)
			s.report.Profiles.Items = s.report.Profiles.Items[:1]
			s.expected.Mail[0].AcknowledgedAt, s.expected.Mail[0].Refused = time.Time{}, "The account is there already (MCEASErrorDomain 21005)"
		}, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, "21005", "remove that account", now.Add(12*h - time.Minute)},
		{"refused once and there all the same", func(s *scene) { s.expected.Mail[0].Refused = "no" }, compliance.Compliant, "", "", "", "", now.Add(12*h - time.Minute)},
		{"not told who manages it", func(s *scene) { s.report.Profiles.Items[1].Managed = nil }, compliance.NotEvaluated, compliance.RuleMailProfile, compliance.Unasked, "not told who", "", now.Add(12*h - time.Minute)},
		{"supervised phones do not tell who manages it", func(s *scene) { s.report.Profiles.Items[1].Managed = nil; s.report.Device.Supervised = ptr(true) }, compliance.Compliant, "", "", "", "", now.Add(12*h - time.Minute)},
		{"one of two profiles missing", func(s *scene) {
			noGrace(s)
			s.expected.Mail = append(s.expected.Mail, compliance.ExpectedProfile{Name: "second", Identifier: "test.second", UUID: "CCCC"})
		}, compliance.NotCompliant, compliance.RuleMailProfile, compliance.Failed, `"mail" is installed; mail profile "second" is not`, "by itself", now.Add(12*h - time.Minute)},

		{"security never reported", func(s *scene) { s.report.Security = nil }, compliance.NotEvaluated, compliance.RulePasscode, compliance.Unasked, "not told", "Unlock", now.Add(12*h - time.Minute)},
		{"presence not told", func(s *scene) { s.report.Security.PasscodePresent = nil }, compliance.NotEvaluated, compliance.RulePasscode, compliance.Unasked, "not told", "", now.Add(12*h - time.Minute)},
		{"compliance not told", func(s *scene) { s.report.Security.PasscodeCompliant = nil }, compliance.NotEvaluated, compliance.RulePasscode, compliance.Unasked, "not told", "", now.Add(12*h - time.Minute)},
		{"with profiles not told", func(s *scene) { s.report.Security.PasscodeCompliantWithProfiles = nil }, compliance.Compliant, "", "", "", "", now.Add(12*h - time.Minute)},
		{"no passcode", func(s *scene) { noGrace(s); s.report.Security.PasscodePresent = ptr(false) }, compliance.NotCompliant, compliance.RulePasscode, compliance.Failed, "no passcode is set", "Set a passcode: Settings > Face ID", now.Add(12*h - time.Minute)},
		{"no passcode on Android", func(s *scene) {
			noGrace(s)
			s.expected.Platform = mdm.Android
			s.report.Security.PasscodePresent = ptr(false)
		}, compliance.NotCompliant, compliance.RulePasscode, compliance.Failed, "no passcode is set", "Screen lock", now.Add(12*h - time.Minute)},
		{"weak passcode", func(s *scene) { noGrace(s); s.report.Security.PasscodeCompliant = ptr(false) }, compliance.NotCompliant, compliance.RulePasscode, compliance.Failed, "does not meet", "stronger", now.Add(12*h - time.Minute)},
		{"weak for profiles", func(s *scene) { noGrace(s); s.report.Security.PasscodeCompliantWithProfiles = ptr(false) }, compliance.NotCompliant, compliance.RulePasscode, compliance.Failed, "does not meet", "stronger", now.Add(12*h - time.Minute)},

		{"version never reported", func(s *scene) { s.report.Device = nil }, compliance.NotEvaluated, compliance.RuleMinimumOS, compliance.Unasked, "not told its version", "", now.Add(12*h - time.Minute)},
		{"version empty", func(s *scene) { s.report.Device.OSVersion = "" }, compliance.NotEvaluated, compliance.RuleMinimumOS, compliance.Unasked, "not told its version", "", now.Add(12*h - time.Minute)},
		{"version garbage", func(s *scene) { s.report.Device.OSVersion = "99.x" }, compliance.NotEvaluated, compliance.RuleMinimumOS, compliance.Unasked, "not told its version", "", now.Add(12*h - time.Minute)},
		{"version too old", func(s *scene) { noGrace(s); s.report.Device.OSVersion = "15.8.3" }, compliance.NotCompliant, compliance.RuleMinimumOS, compliance.Failed, "iOS 15.8.3", "Update the phone to iOS 16.0", now.Add(12*h - time.Minute)},
		{"version too old for text order", func(s *scene) { noGrace(s); s.report.Device.OSVersion = "9.3" }, compliance.NotCompliant, compliance.RuleMinimumOS, compliance.Failed, "iOS 9.3", "", now.Add(12*h - time.Minute)},
		{"iPad", func(s *scene) {
			noGrace(s)
			s.report.Device.Product, s.report.Device.OSVersion = "iPad13,1", "15"
		}, compliance.NotCompliant, compliance.RuleMinimumOS, compliance.Failed, "iPadOS 15", "iPadOS 16.0", now.Add(12*h - time.Minute)},
		{"Android", func(s *scene) { noGrace(s); s.expected.Platform = mdm.Android; s.report.Device.OSVersion = "13" }, compliance.NotCompliant, compliance.RuleMinimumOS, compliance.Failed, "Android 13", "System > Software update", now.Add(12*h - time.Minute)},

		{"identity expired", func(s *scene) { noGrace(s); s.expected.Identity.NotAfter = now }, compliance.NotCompliant, compliance.RuleIdentity, compliance.Failed, "expired on 2026-11-21", "new invitation", now.Add(12*h - time.Minute)},
		{"identity expires soon", func(s *scene) { s.expected.Identity.NotAfter = now.Add(time.Second) }, compliance.Compliant, "", "", "", "", now.Add(time.Second)},
		{"identity revoked", func(s *scene) { noGrace(s); s.expected.Identity.Revoked = true }, compliance.NotCompliant, compliance.RuleIdentity, compliance.Failed, "revoked", "new invitation", now.Add(12*h - time.Minute)},
		{"identity of a retired CA", func(s *scene) {
			noGrace(s)
			s.expected.Identity.Revoked, s.expected.Identity.Distrusted = true, true
		}, compliance.NotCompliant, compliance.RuleIdentity, compliance.Failed, "the CA that issued this phone's identity is trusted no more", "new invitation", now.Add(12*h - time.Minute)},
		{"identity not on record", func(s *scene) { noGrace(s); s.expected.Identity = compliance.ExpectedIdentity{} }, compliance.NotCompliant, compliance.RuleIdentity, compliance.Failed, "no certificate of ours", "", now.Add(12*h - time.Minute)},

		{"silent", func(s *scene) { s.expected.LastSeenAt = ago(12 * h) }, compliance.Unknown, compliance.RuleReported, compliance.Failed, "last complete report 2026-11-20 21:00 UTC", "connect it to the internet", now.Add(24 * h)},
		{"just not silent", func(s *scene) { s.expected.LastSeenAt = ago(12*h - time.Microsecond) }, compliance.Compliant, "", "", "", "", now.Add(time.Microsecond)},
		{"never seen", func(s *scene) { s.expected.LastSeenAt = time.Time{} }, compliance.NotEvaluated, compliance.RuleReported, compliance.Unasked, "never reported", "", now.Add(24 * h)},
		{"calls, but leaves SecurityInfo open", func(s *scene) { s.report.Security.At = ago(13 * h) }, compliance.Unknown, compliance.RuleReported, compliance.Failed, "last complete report", "Unlock", now.Add(24 * h)},
		{"calls, but leaves ProfileList open", func(s *scene) {
			s.report.Profiles.At, s.expected.Mail[0].AcknowledgedAt = ago(12*h), ago(13*h)
		}, compliance.Unknown, compliance.RuleReported, compliance.Failed, "last complete report", "Unlock", now.Add(24 * h)},
		{"calls, but leaves DeviceInformation open", func(s *scene) { s.report.Device.At = ago(12 * h) }, compliance.Unknown, compliance.RuleReported, compliance.Failed, "last complete report", "Unlock", now.Add(24 * h)},
		{"old facts that nobody asks for", func(s *scene) { s.policy.Spec.Rules.Passcode, s.report.Security.At = false, ago(1000*h) }, compliance.Compliant, "", "", "", "", now.Add(12*h - time.Minute)},
		{"silence outweighs failure", func(s *scene) {
			noGrace(s)
			s.report.Security.PasscodePresent, s.expected.LastSeenAt = ptr(false), ago(13*h)
		}, compliance.Unknown, compliance.RulePasscode, compliance.Failed, "no passcode", "", now.Add(24 * h)},
		{"failure outweighs what is not told", func(s *scene) {
			noGrace(s)
			s.report.Security.PasscodePresent, s.report.Device = ptr(false), nil
		}, compliance.NotCompliant, compliance.RuleMinimumOS, compliance.Unasked, "", "", now.Add(12*h - time.Minute)},
		{"what is not told outweighs grace", func(s *scene) { s.report.Security.PasscodePresent, s.report.Device = ptr(false), nil }, compliance.NotEvaluated, compliance.RulePasscode, compliance.Failed, "", "", now.Add(2 * h)},
		{"in grace", func(s *scene) { s.report.Security.PasscodePresent = ptr(false) }, compliance.InGrace, compliance.RulePasscode, compliance.Failed, "no passcode", "Set", now.Add(2 * h)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := good()
			tt.set(&s)
			v := s.evaluate()
			if v.State != tt.state {
				t.Errorf("state: got %s, want %s; findings %+v", v.State, tt.state, v.Findings)
			}
			if !v.ValidUntil.Equal(tt.until) {
				t.Errorf("valid until: got %s, want %s", v.ValidUntil, tt.until)
			}
			if !v.At.Equal(now) || !v.Since.Equal(now) || v.EnrollmentID != "e1" {
				t.Errorf("got %+v", v)
			}
			found := false
			for _, f := range v.Findings {
				if (f.State == compliance.Met) != (f.Fix == "") {
					t.Errorf("%s is %s with fix %q", f.Rule, f.State, f.Fix)
				}
				if f.Fact == "" || f.Since.IsZero() {
					t.Errorf("finding without fact or since: %+v", f)
				}
				if tt.rule == "" && f.State != compliance.Met {
					t.Errorf("%s: got %s, want met", f.Rule, f.State)
				}
				if f.Rule == tt.rule {
					found = true
					if f.State != tt.find || !strings.Contains(f.Fact, tt.fact) || !strings.Contains(f.Fix, tt.fix) {
						t.Errorf("got %+v, want %s with %q and %q", f, tt.find, tt.fact, tt.fix)
					}
				}
			}
			if tt.rule != "" && !found {
				t.Errorf("no finding of %s in %+v", tt.rule, v.Findings)
			}
			if (v.State == compliance.InGrace) == v.GraceUntil.IsZero() {
				t.Errorf("%s with grace until %s", v.State, v.GraceUntil)
			}
		})
	}
}

func TestEvaluateAsksOnlyWhatThePolicySays(t *testing.T) {
	t.Parallel()
	s := good()
	s.policy.Spec.Rules = compliance.Rules{Passcode: true}
	s.expected.Mail, s.expected.Identity, s.report.Device = nil, compliance.ExpectedIdentity{}, nil
	v := s.evaluate()
	if v.State != compliance.Compliant || len(v.Findings) != 2 || v.Policy != "standard@3" || !v.ValidUntil.Equal(now.Add(24*time.Hour)) {
		t.Errorf("got %+v", v)
	}
}

// The story of a passcode that is taken off and set again.
func TestEvaluateThroughTime(t *testing.T) {
	t.Parallel()
	s := good()
	step := func(after time.Duration, passcode bool) compliance.Verdict {
		s.now = now.Add(after)
		s.expected.LastSeenAt = s.now
		s.report.Security.At, s.report.Device.At, s.report.Profiles.At = s.now, s.now, s.now
		s.report.Security.PasscodePresent = ptr(passcode)
		s.previous = s.evaluate()
		return s.previous
	}
	finding := func(v compliance.Verdict) compliance.Finding {
		for _, f := range v.Findings {
			if f.Rule == compliance.RulePasscode {
				return f
			}
		}
		t.Fatalf("no passcode finding in %+v", v)
		return compliance.Finding{}
	}
	const m = time.Minute
	steps := []struct {
		after    time.Duration
		passcode bool
		state    compliance.State
		since    time.Duration // of the state
		finding  time.Duration // since, of the passcode rule
		grace    time.Duration // until; 0 = none
	}{
		{0, true, compliance.Compliant, 0, 0, 0},
		{10 * m, true, compliance.Compliant, 0, 0, 0},
		{20 * m, false, compliance.InGrace, 20 * m, 20 * m, 140 * m},
		{60 * m, false, compliance.InGrace, 20 * m, 20 * m, 140 * m},
		{140*m - 1000, false, compliance.InGrace, 20 * m, 20 * m, 140 * m},
		{140 * m, false, compliance.NotCompliant, 140 * m, 20 * m, 0},
		{200 * m, false, compliance.NotCompliant, 140 * m, 20 * m, 0},
		{201 * m, true, compliance.Compliant, 201 * m, 201 * m, 0},
		{202 * m, false, compliance.InGrace, 202 * m, 202 * m, 322 * m},
	}
	for i, tt := range steps {
		v := step(tt.after, tt.passcode)
		f := finding(v)
		if v.State != tt.state || !v.Since.Equal(now.Add(tt.since)) || !f.Since.Equal(now.Add(tt.finding)) {
			t.Errorf("step %d: got %s since %s, rule since %s; want %s since %s, rule since %s", i, v.State, v.Since.Sub(now), f.Since.Sub(now), tt.state, tt.since, tt.finding)
		}
		if got := v.GraceUntil; tt.grace == 0 && !got.IsZero() || tt.grace != 0 && (!got.Equal(now.Add(tt.grace)) || !v.ValidUntil.Equal(got)) {
			t.Errorf("step %d: grace until %s, valid until %s, want %s", i, got.Sub(now), v.ValidUntil.Sub(now), tt.grace)
		}
	}
}

// A clock that went back must not stretch a grace, nor put a Since in the future.
func TestEvaluateAfterAClockStep(t *testing.T) {
	t.Parallel()
	s := good()
	s.report.Security.PasscodePresent = ptr(false)
	s.now = now.Add(time.Hour)
	s.previous = s.evaluate()
	s.now = now
	v := s.evaluate()
	if v.Since.After(now) || v.GraceUntil.After(now.Add(2*time.Hour)) {
		t.Errorf("got since %s, grace until %s", v.Since, v.GraceUntil)
	}
}

// A contact that was noted while the clock stood a year ahead must not keep a
// silent phone in good standing for that year.
func TestEvaluateContactFromTheFuture(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{time.Second, time.Hour, 365 * 24 * time.Hour} {
		s := good()
		s.expected.LastSeenAt = now.Add(ahead)
		s.report.Device.At, s.report.Security.At, s.report.Profiles.At = now.Add(ahead), now.Add(ahead), now.Add(ahead)
		want := compliance.Compliant
		if ahead > 24*time.Hour {
			want = compliance.NotEvaluated
		}
		if v := s.evaluate(); v.State != want {
			t.Errorf("%s ahead: got %s, want %s", ahead, v.State, want)
		}
	}
	s := good() // it has reported since the clock is right again
	s.expected.LastSeenAt = now.Add(365 * 24 * time.Hour)
	s.policy.Spec.Rules.ReportedWithin = compliance.Duration(time.Hour)
	if v := s.evaluate(); v.State != compliance.Compliant {
		t.Errorf("facts of a minute ago: got %s, want compliant", v.State)
	}
}
