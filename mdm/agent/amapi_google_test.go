package agent

import (
	"context"
	"errors"
	"net/http"
	"os"
	"testing"

	"google.golang.org/api/androidmanagement/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

// googleClient is Google's own client library in front of a stand-in: it is how
// a server meets it.
func googleClient(t *testing.T, s *standIn) *androidmanagement.Service {
	t.Helper()
	account, err := os.ReadFile(s.Account())
	if err != nil {
		t.Fatal(err)
	}
	service, err := androidmanagement.NewService(context.Background(),
		option.WithEndpoint(s.URL()+"/"), option.WithAuthCredentialsJSON(option.ServiceAccount, account))
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// TestGoogleClient: the client library does everything that a server needs, and
// the stand-in finds nothing wrong with it.
func TestGoogleClient(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	service := googleClient(t, s)
	enterprise := s.enterprise()
	name := enterprise + "/policies/d-0123"
	policy := &androidmanagement.Policy{
		StatusReportingSettings: &androidmanagement.StatusReportingSettings{ApplicationReportsEnabled: true, DeviceSettingsEnabled: true},
		PasswordPolicies:        []*androidmanagement.PasswordRequirements{{PasswordScope: "SCOPE_DEVICE", PasswordQuality: "COMPLEXITY_MEDIUM"}},
		Applications: []*androidmanagement.ApplicationPolicy{{
			PackageName: gmailPackage, InstallType: "FORCE_INSTALLED",
			ManagedConfiguration: googleapi.RawMessage(`{"email_address":"a@example.test","exchange_host":"mail.example.test","exchange_username":"a","exchange_ssl_required":false}`),
		}},
	}
	versions := []int64{}
	for _, change := range []func(){func() {}, func() {}, func() { policy.MinimumApiLevel = 31 }} {
		change()
		got, err := service.Enterprises.Policies.Patch(name, policy).Do()
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, got.Version)
	}
	if versions[0] != 1 || versions[1] != 1 || versions[2] != 2 {
		t.Errorf("versions %v, want 1 1 2", versions)
	}
	modified, err := service.Enterprises.Policies.ModifyPolicyApplications(name, &androidmanagement.ModifyPolicyApplicationsRequest{
		Changes: []*androidmanagement.ApplicationPolicyChange{{Application: &androidmanagement.ApplicationPolicy{PackageName: chromePackage, InstallType: "FORCE_INSTALLED"}}},
	}).Do()
	if err != nil || len(modified.Policy.Applications) != 2 || modified.Policy.Version != 3 || modified.Policy.MinimumApiLevel != 31 {
		t.Fatalf("%+v %v", modified, err)
	}
	token, err := service.Enterprises.EnrollmentTokens.Create(enterprise, &androidmanagement.EnrollmentToken{PolicyName: name, OneTimeOnly: true, Duration: "3600s", AdditionalData: "x"}).Do()
	if err != nil || token.Value == "" || token.QrCode == "" || token.PolicyName != name {
		t.Fatalf("%+v %v", token, err)
	}
	if _, err := service.Enterprises.EnrollmentTokens.Delete(token.Name).Do(); err != nil {
		t.Fatal(err)
	}
	var gone *googleapi.Error
	if _, err := service.Enterprises.EnrollmentTokens.Get(token.Name).Do(); !errors.As(err, &gone) || gone.Code != http.StatusNotFound {
		t.Errorf("deleted token: %v", err)
	}
	app, err := service.Enterprises.Applications.Get(enterprise + "/applications/" + samsungPackage).Do()
	if err != nil || len(app.ManagedProperties) != 1 || len(app.ManagedProperties[0].NestedProperties) < 15 {
		t.Errorf("%+v %v", app, err)
	}
	s.clean()
	if s.Log().Calls[tokenExchange] != 2 { // the library's, and this test's own
		t.Errorf("calls %v", s.Log().Calls)
	}
}
