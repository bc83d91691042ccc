package compliance_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/compliance"
	"sallyport/mdm"
)

// anyScene draws a phone and a policy, with moments close to each other's limits.
func anyScene(t *rapid.T) scene {
	s := good()
	hours := func(label string, most int) time.Duration {
		return time.Duration(rapid.IntRange(0, most*4).Draw(t, label)) * 15 * time.Minute
	}
	flag := rapid.SampledFrom([]*bool{nil, ptr(true), ptr(false)})
	s.policy.Spec.Rules = compliance.Rules{
		MailProfile: rapid.Bool().Draw(t, "mail rule"), Passcode: rapid.Bool().Draw(t, "passcode rule"),
		MinimumOS: rapid.SampledFrom([]compliance.MinimumOS{nil, compliance.AtLeast("16.0"), {{Version: "15.0"}, {Version: "17.0", From: "2026-11-22"}}}).Draw(t, "minimum"), IdentityCertificate: rapid.Bool().Draw(t, "identity rule"),
		ReportedWithin: compliance.Duration(hours("within", 6)),
	}
	s.policy.Spec.Grace = compliance.Duration(hours("grace", 6))
	s.expected.State = rapid.SampledFrom([]mdm.EnrollmentState{mdm.Authenticated, mdm.Enrolled, mdm.Configured, mdm.CheckedOut}).Draw(t, "state")
	s.expected.LastSeenAt = ago(hours("seen", 6))
	s.expected.Identity.NotAfter = now.Add(hours("expiry", 6) - time.Hour)
	s.expected.Mail[0].AcknowledgedAt = ago(time.Duration(rapid.IntRange(0, 20).Draw(t, "acknowledged")) * time.Minute)
	if rapid.Bool().Draw(t, "renewed") {
		renewed(&s, now.Add(hours("counts", 6)-time.Hour))
	}
	s.report.Security.PasscodePresent = flag.Draw(t, "present")
	s.report.Device.OSVersion = rapid.SampledFrom([]string{"", "15.8", "16.1"}).Draw(t, "version")
	s.report.Profiles.At = ago(time.Duration(rapid.IntRange(0, 20).Draw(t, "listed")) * time.Minute)
	if rapid.Bool().Draw(t, "absent") {
		s.report.Profiles.Items = nil
	}
	if rapid.Bool().Draw(t, "seen before") {
		early := s
		early.now = ago(hours("before", 6))
		s.previous = early.evaluate()
	}
	return s
}

// As long as nothing new is known, the answer stands until ValidUntil; and no
// verdict is due again at once, or a sweep would never come to rest.
func TestVerdictHoldsUntilItsValidUntil(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := anyScene(t)
		v := s.evaluate()
		if !v.ValidUntil.After(v.At) {
			t.Fatalf("due at once: at %s, valid until %s", v.At, v.ValidUntil)
		}
		later := s
		later.previous = v
		share := rapid.Float64Range(0, 0.999999).Draw(t, "share")
		for _, at := range []time.Time{v.At.Add(time.Duration(share * float64(v.ValidUntil.Sub(v.At)))), v.ValidUntil.Add(-time.Microsecond)} {
			later.now = at
			w := later.evaluate()
			if w.State != v.State {
				t.Fatalf("%s at %s, valid until %s, but %s at %s", v.State, v.At, v.ValidUntil, w.State, at)
			}
			if !w.Since.Equal(v.Since) {
				t.Fatalf("since moved from %s to %s", v.Since, w.Since)
			}
		}
	})
}
