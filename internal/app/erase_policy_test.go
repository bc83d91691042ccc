package app_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"google.golang.org/api/androidmanagement/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"sallyport/enroll"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

const erasingPolicy = `name: strict
assign: everyone
settings:
  require_passcode: true
  failed_attempts: 8
android:
  enforcement: {block_after_days: 1, wipe_after_days: 10}
`

// policy is what Google has a phone keep; nil: it knows of none.
func (g *google) policy(c *client, device string) *androidmanagement.Policy {
	g.t.Helper()
	key, err := os.ReadFile(g.Account())
	must(g.t, err)
	api, err := androidmanagement.NewService(g.t.Context(), option.WithEndpoint(g.URL()+"/"), option.WithAuthCredentialsJSON(option.ServiceAccount, key))
	must(g.t, err)
	var status enroll.AndroidStatus
	c.call(http.MethodGet, "/api/v1/android", "", nil, &status)
	var d accessapi.DeviceDetail
	c.call(http.MethodGet, "/api/v1/devices/"+device, "", nil, &d)
	p, err := api.Enterprises.Policies.Get(status.Enterprise + "/policies/d-" + strings.ReplaceAll(d.Enrollment.ID, "-", "")).Do()
	refused := (*googleapi.Error)(nil)
	if errors.As(err, &refused) && refused.Code == http.StatusNotFound {
		return nil
	}
	must(g.t, err)
	return p
}

// erasing says by which scope of passcodes, and by how many rules, Android erases.
func erasing(p *androidmanagement.Policy) (scopes string, rules int) {
	for _, q := range p.PasswordPolicies {
		if q.MaximumFailedPasswordsForWipe > 0 {
			scopes += q.PasswordScope
		}
	}
	return scopes, len(p.PolicyEnforcementRules)
}

// TestWhatAndroidErases: what an administrator confirmed holds on a user's own phone,
// for the work profile alone, and on the company's. One that is made personal is told
// at once that it erases nothing any more.
func TestWhatAndroidErases(t *testing.T) {
	t.Parallel()
	g, c := withGoogle(t)
	_, personal := g.enrolled(c, "personal")
	_, company := g.enrolled(c, "corporate")
	c.call(http.MethodPost, "/api/v1/security-policies?confirm_erase=10", "application/yaml", []byte(erasingPolicy), &json.RawMessage{})
	for device, want := range map[string]string{personal: "SCOPE_PROFILE", company: "SCOPE_DEVICE"} {
		comesTrue(t, "what was confirmed is at Google", func() bool {
			scopes, rules := erasing(g.policy(c, device))
			return scopes == want && rules == 1
		})
	}
	if status := c.call(http.MethodPut, "/api/v1/devices/"+company+"/ownership", "application/json", []byte(`{"ownership":"personal"}`), nil); status != http.StatusNoContent {
		t.Fatalf("corporate to personal: status %d", status)
	}
	comesTrue(t, "a phone that was made personal erases itself no more", func() bool {
		scopes, rules := erasing(g.policy(c, company))
		return scopes == "" && rules == 0
	})
}

// TestPolicyEndsWithTheEnrolment: Google keeps nothing of a mailbox whose phone is gone.
func TestPolicyEndsWithTheEnrolment(t *testing.T) {
	t.Parallel()
	g, c := withGoogle(t)
	phone, device := g.enrolled(c, "personal")
	if g.policy(c, device) == nil {
		t.Fatal("Google has no policy of the phone's own")
	}
	c.order(device, adminapi.ActionRequest{Kind: "retire"})
	settledPhone(t, phone, "work profile", func(s agent.Snapshot) bool { return s.Android.ProfilesRemoved == 1 })
	comesTrue(t, "the policy is gone", func() bool { return g.policy(c, device) == nil })
}
