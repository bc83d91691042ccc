package enroll

import (
	"strings"
	"testing"

	"sallyport/mdm"
	"sallyport/mdm/android"
	"sallyport/profiles"
	"sallyport/templates"
)

// TestPersonalPhonesAreHeldToThePolicy: Android removes the work profile of a personal
// phone by itself, where Google says that it is one: of any other phone we would not
// know what goes.
func TestPersonalPhonesAreHeldToThePolicy(t *testing.T) {
	t.Parallel()
	block, wipe := 1, 30
	policy := securityPolicy("staff", 6)
	policy.Spec.Android = profiles.AndroidPolicy{Enforcement: &profiles.AndroidEnforcement{BlockAfterDays: &block, WipeAfterDays: &wipe}}
	h := newHouse(t)
	h.policies = []templates.SecurityRevision{policy}
	for told, want := range map[mdm.Ownership]bool{mdm.Personal: true, mdm.Corporate: false, "": false} {
		have := Have{User: h.alice, Enrollment: mdm.Enrollment{ID: "e1", Platform: mdm.Android, Ownership: mdm.Personal, State: mdm.Enrolled},
			Report: mdm.Report{Policy: &mdm.PolicyFacts{At: noon, Ownership: told}}}
		made, err := h.enroll.androidWanted(t.Context(), have, AndroidPhone{Mode: android.WorkProfile})
		if err != nil {
			t.Fatal(err)
		}
		text, err := made.policy.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), "policyEnforcementRules"); got != want {
			t.Errorf("Google says %q: enforced %t, want %t: %s", told, got, want, text)
		}
	}
}
