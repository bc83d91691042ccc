package compliance_test

import (
	"strings"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/mdm"
)

// only asks one question, without grace.
func only(rules compliance.Rules) func(*scene) {
	return func(s *scene) { s.policy.Spec = compliance.Spec{Name: "standard", Rules: rules} }
}

func custom(expression string) compliance.Rules {
	return compliance.Rules{Custom: []compliance.Custom{{Name: "own", Expression: expression, Fact: "it is not so", Fix: "do it"}}}
}

func demands(list ...compliance.Demand) compliance.Rules {
	return compliance.Rules{MinimumOS: list}
}

func installed(ids ...string) func(*scene) {
	return func(s *scene) {
		s.report.Applications = &mdm.ApplicationFacts{At: ago(time.Minute)}
		for _, id := range ids {
			s.report.Applications.Items = append(s.report.Applications.Items, mdm.ApplicationOnFile{Identifier: id, Name: strings.ToUpper(id)})
		}
	}
}

func TestRulesOfEveryKind(t *testing.T) {
	t.Parallel()
	const h = time.Hour
	encrypted := only(compliance.Rules{Encryption: true})
	caps := func(n int) func(*scene) {
		return func(s *scene) { s.report.Security.HardwareEncryptionCaps = ptr(n) }
	}
	version := func(v string) func(*scene) { return func(s *scene) { s.report.Device.OSVersion = v } }
	product := func(p string) func(*scene) { return func(s *scene) { s.report.Device.Product = p } }
	day := compliance.Demand{Version: "17.0", From: "2026-11-22"}
	tests := []struct {
		name   string
		set    []func(*scene)
		state  compliance.State
		find   compliance.RuleState
		fact   string
		expect string
		fix    string
		valid  time.Time // zero: a day
	}{
		{"encrypted", []func(*scene){encrypted, caps(3)}, compliance.Compliant, compliance.Met, "encrypts", "under a passcode", "", time.Time{}},
		{"block level only", []func(*scene){encrypted, caps(1)}, compliance.NotCompliant, compliance.Failed, "cannot encrypt", "", "another phone", time.Time{}},
		{"encrypted without a passcode", []func(*scene){encrypted, caps(3), func(s *scene) { s.report.Security.PasscodePresent = ptr(false) }}, compliance.NotCompliant, compliance.Failed, "no passcode", "", "Set a passcode", time.Time{}},
		{"encryption not told", []func(*scene){encrypted}, compliance.NotEvaluated, compliance.Unasked, "not told", "", "Unlock", time.Time{}},
		{"encrypted, passcode not told", []func(*scene){encrypted, caps(3), func(s *scene) { s.report.Security.PasscodePresent = nil }}, compliance.NotEvaluated, compliance.Unasked, "not told", "", "", time.Time{}},
		{"encryption of another platform", []func(*scene){encrypted, caps(3), func(s *scene) { s.expected.Platform = mdm.Android }}, compliance.NotEvaluated, compliance.Unasked, "not told", "", "", time.Time{}},
		{"encryption, nothing reported", []func(*scene){encrypted, func(s *scene) { s.report.Security = nil }}, compliance.NotEvaluated, compliance.Unasked, "not told", "", "", time.Time{}},

		{"supervised", []func(*scene){only(compliance.Rules{Supervised: true}), func(s *scene) { s.report.Device.Supervised = ptr(true) }}, compliance.Compliant, compliance.Met, "supervised", "", "", time.Time{}},
		{"not supervised", []func(*scene){only(compliance.Rules{Supervised: true}), func(s *scene) { s.report.Device.Supervised = ptr(false) }}, compliance.NotCompliant, compliance.Failed, "not supervised", "by your organisation", "sets up anew", time.Time{}},
		{"supervision not told", []func(*scene){only(compliance.Rules{Supervised: true})}, compliance.NotEvaluated, compliance.Unasked, "not told", "", "", time.Time{}},

		{"jailbreak cannot be told", []func(*scene){only(compliance.Rules{NotJailbroken: true, Passcode: true})}, compliance.Compliant, compliance.CannotTell, "no iPhone", "not broken into", "", time.Time{}},
		{"jailbreak on Android", []func(*scene){only(compliance.Rules{NotJailbroken: true}), func(s *scene) { s.expected.Platform = mdm.Android }}, compliance.NotEvaluated, compliance.Unasked, "not told", "", "", time.Time{}},

		{"no forbidden app", []func(*scene){only(compliance.Rules{ForbiddenApps: []string{"bad.app"}}), installed("good.app")}, compliance.Compliant, compliance.Met, "no forbidden", "not installed: bad.app", "", time.Time{}},
		{"a forbidden app", []func(*scene){only(compliance.Rules{ForbiddenApps: []string{"bad.app"}}), installed("good.app", "Bad.App")}, compliance.NotCompliant, compliance.Failed, "BAD.APP (Bad.App)", "", "Remove from the phone: BAD.APP", time.Time{}},
		{"apps not told", []func(*scene){only(compliance.Rules{ForbiddenApps: []string{"bad.app"}})}, compliance.NotEvaluated, compliance.Unasked, "which apps", "", "Unlock", time.Time{}},
		{"apps never to be told", []func(*scene){only(compliance.Rules{ForbiddenApps: []string{"bad.app"}}), func(s *scene) { s.expected.AccessRights = mdm.RightSecurity }}, compliance.NotEvaluated, compliance.Unasked, "which apps", "", "new invitation", time.Time{}},
		{"required app", []func(*scene){only(compliance.Rules{RequiredApps: []string{"our.app"}}), installed("our.app")}, compliance.Compliant, compliance.Met, "every required", "", "", time.Time{}},
		{"required app missing", []func(*scene){only(compliance.Rules{RequiredApps: []string{"our.app", "b", "c", "d", "e", "f"}}), installed()}, compliance.NotCompliant, compliance.Failed, "not installed: our.app, b, c, d, e and more", "", "Install", time.Time{}},
		{"required apps not told", []func(*scene){only(compliance.Rules{RequiredApps: []string{"our.app"}})}, compliance.NotEvaluated, compliance.Unasked, "which apps", "", "", time.Time{}},

		{"not demanded yet", []func(*scene){only(demands(day))}, compliance.Compliant, compliance.Met, "iOS 16.1", "from 2026-11-22 at least iOS 17.0", "", now.Add(15 * h)},
		{"demanded today", []func(*scene){only(demands(day)), func(s *scene) { s.now = now.Add(15 * h) }}, compliance.NotCompliant, compliance.Failed, "iOS 16.1", "at least iOS 17.0", "Update the phone to iOS 17.0", time.Time{}},
		{"something now, more later", []func(*scene){only(demands(compliance.Demand{Version: "16.0"}, day))}, compliance.Compliant, compliance.Met, "iOS 16.1", "at least iOS 16.0; from 2026-11-22 at least iOS 17.0", "", now.Add(15 * h)},
		{"another platform", []func(*scene){only(demands(compliance.Demand{Platform: mdm.Android, Version: "99"}))}, compliance.Compliant, compliance.Met, "no version is asked", "", "", time.Time{}},
		{"a narrower demand for an old model", []func(*scene){only(demands(compliance.Demand{Version: "17.0"}, compliance.Demand{Model: "iPhone15*", Version: "16.0"}))}, compliance.Compliant, compliance.Met, "iOS 16.1", "at least iOS 16.0", "", time.Time{}},
		{"and for no other", []func(*scene){only(demands(compliance.Demand{Version: "17.0"}, compliance.Demand{Model: "iPhone15*", Version: "16.0"})), product("iPhone16,1")}, compliance.NotCompliant, compliance.Failed, "iOS 16.1", "at least iOS 17.0", "", time.Time{}},
		{"the narrower platform", []func(*scene){only(demands(compliance.Demand{Version: "17.0"}, compliance.Demand{Platform: mdm.Apple, Version: "16.0"}))}, compliance.Compliant, compliance.Met, "", "at least iOS 16.0", "", time.Time{}},
		{"by the model's name", []func(*scene){only(demands(compliance.Demand{Model: "iphone 14 *", Version: "17.0"})), func(s *scene) { s.report.Device.Model = "iPhone 14 Pro" }}, compliance.NotCompliant, compliance.Failed, "iOS 16.1", "", "", time.Time{}},
		{"model not told", []func(*scene){only(demands(compliance.Demand{Model: "iPad*", Version: "17.0"})), product("")}, compliance.NotEvaluated, compliance.Unasked, "not told its model", "", "", time.Time{}},
		{"version not told", []func(*scene){only(demands(day)), version("")}, compliance.NotEvaluated, compliance.Unasked, "not told its version", "", "", now.Add(15 * h)},

		{"custom holds", []func(*scene){only(custom(`device.os_version.startsWith("16.") && platform == "apple"`))}, compliance.Compliant, compliance.Met, "own is as it should be", "own", "", time.Time{}},
		{"custom fails", []func(*scene){only(custom(`at_least(device.os_version, "17")`))}, compliance.NotCompliant, compliance.Failed, "it is not so", "own", "do it", time.Time{}},
		{"custom, not reported", []func(*scene){only(custom(`device.supervised || true`))}, compliance.NotEvaluated, compliance.Unasked, "not told device.supervised", "", "Unlock", time.Time{}},
		{"custom, an empty text is not reported", []func(*scene){only(custom(`device.name != "x"`))}, compliance.NotEvaluated, compliance.Unasked, "device.name", "", "", time.Time{}},
		{"custom goes wrong", []func(*scene){only(custom(`1 / (size(user.groups) - size(user.groups)) == 1`))}, compliance.NotEvaluated, compliance.Unasked, "divi", "", "administrator", time.Time{}},
		{"custom, no version", []func(*scene){only(custom(`at_least(device.os_version, "x")`))}, compliance.NotEvaluated, compliance.Unasked, "not a version", "", "", time.Time{}},
		{"custom costs too much", []func(*scene){only(custom(`apps.all(a, apps.all(b, apps.all(c, a + b != c)))`)), installed(strings.Fields(strings.Repeat("a b c d ", 20))...)}, compliance.NotEvaluated, compliance.Unasked, "cost", "", "", time.Time{}},
		{"custom of apps", []func(*scene){only(custom(`!apps.exists(a, a.startsWith("bad."))`)), installed("bad.one")}, compliance.NotCompliant, compliance.Failed, "it is not so", "", "", time.Time{}},
		{"custom that is not accepted", []func(*scene){only(custom(`unknown == 1`))}, compliance.NotEvaluated, compliance.Unasked, "cannot be told", "", "administrator", time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := good()
			for _, set := range tt.set {
				set(&s)
			}
			v := s.evaluate()
			f := v.Findings[len(v.Findings)-1]
			if v.State != tt.state || f.State != tt.find || !strings.Contains(f.Fact, tt.fact) || !strings.Contains(f.Expected, tt.expect) || !strings.Contains(f.Fix, tt.fix) {
				t.Errorf("%s, want %s; finding %+v, want %s %q %q %q", v.State, tt.state, f, tt.find, tt.fact, tt.expect, tt.fix)
			}
			if f.Expected == "" && !strings.Contains(f.Fact, "no version is asked") || (f.Fix == "") != (f.State == compliance.Met || f.State == compliance.CannotTell) {
				t.Errorf("finding %+v", f)
			}
			if want := tt.valid; want.IsZero() && !v.ValidUntil.Equal(s.now.Add(24*h)) || !want.IsZero() && !v.ValidUntil.Equal(want) {
				t.Errorf("valid until %s, want %s", v.ValidUntil, want)
			}
		})
	}
}

// What other rules rest on is what reported_within looks at.
func TestReportedWithinLooksAtEveryGroup(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]struct {
		rules compliance.Rules
		age   func(*mdm.Report)
	}{
		"encryption": {compliance.Rules{Encryption: true}, func(r *mdm.Report) { r.Security.At = ago(13 * time.Hour) }},
		"supervised": {compliance.Rules{Supervised: true}, func(r *mdm.Report) { r.Device.At = ago(13 * time.Hour) }},
		"apps":       {compliance.Rules{RequiredApps: []string{"a"}}, func(r *mdm.Report) { r.Applications.At = ago(13 * time.Hour) }},
		"custom":     {custom(`"x" in profiles`), func(r *mdm.Report) { r.Profiles.At = ago(13 * time.Hour) }},
	} {
		s := good()
		s.policy.Spec.Rules = set.rules
		s.policy.Spec.Rules.ReportedWithin = compliance.Duration(12 * time.Hour)
		installed("a")(&s)
		if v := s.evaluate(); v.State == compliance.Unknown {
			t.Errorf("%s: fresh facts are %s", name, v.State)
		}
		set.age(&s.report)
		if v := s.evaluate(); v.State != compliance.Unknown {
			t.Errorf("%s: got %s, want unknown", name, v.State)
		}
	}
}

// A clock that leaps ahead shuts no mailbox where the time is watched.
func TestBlockIsWatchedTime(t *testing.T) {
	t.Parallel()
	s := good()
	s.policy.Spec.Grace, s.policy.Spec.Actions.Block = 0, ptr(compliance.Duration(2*time.Hour))
	s.report.Security.PasscodePresent = ptr(false)
	s.policy.Spec.Rules.ReportedWithin = 0
	s.previous = s.evaluate()
	if s.previous.State != compliance.InGrace || !s.previous.GraceUntil.Equal(now.Add(2*time.Hour)) {
		t.Fatalf("got %s until %s", s.previous.State, s.previous.GraceUntil)
	}
	s.now = now.AddDate(1, 0, 0)
	s.expected.Identity.NotAfter = s.now.AddDate(1, 0, 0)
	s.expected.Watched = compliance.Watched{At: now}
	v := s.evaluate()
	if v.State != compliance.InGrace || !v.GraceUntil.Equal(s.now.Add(time.Hour)) {
		t.Errorf("after a leap: got %s until %s", v.State, v.GraceUntil)
	}
	s.expected.Watched = compliance.Watched{Total: 90 * time.Minute, At: s.now.Add(-30 * time.Minute)}
	if v := s.evaluate(); v.State != compliance.NotCompliant {
		t.Errorf("watched for long enough: got %s", v.State)
	}
}
