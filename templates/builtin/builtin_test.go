package builtin_test

import (
	"testing"

	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
	"sallyport/templates/builtin"
)

// TestStarters: each one is valid, without warnings, and makes a profile for a
// user with and without a Windows domain.
func TestStarters(t *testing.T) {
	starters, err := builtin.Starters()
	if err != nil {
		t.Fatal(err)
	}
	if len(starters) != 4 {
		t.Errorf("got %d starters, want 4", len(starters))
	}
	for _, s := range starters {
		t.Run(s.Name, func(t *testing.T) {
			if s.Summary == "" {
				t.Error("no comment says what it is for")
			}
			spec, err := templates.Parse([]byte(s.Source))
			if err != nil {
				t.Fatal(err)
			}
			if spec.Name != s.Name {
				t.Errorf("got name %s, want that of the file", spec.Name)
			}
			for _, a := range spec.Accounts {
				for _, w := range a.Warnings() {
					t.Error(w)
				}
			}
			for _, domain := range []string{"", "EXAMPLE"} {
				render(t, spec, directory.User{
					ID: "0192f0a0-0000-7000-8000-0000000000aa", UPN: "alice@example.com", Email: "alice@example.com", Username: "alice", DomainName: domain, DisplayName: "Alice", Groups: []string{"mail-users"},
				})
			}
		})
	}
}

func render(t *testing.T, spec templates.Spec, u directory.User) {
	t.Helper()
	r := templates.Revision{TemplateID: "0192f0a0-0000-7000-8000-000000000001", Name: spec.Name, Number: 1, Spec: spec}
	if won, lost := templates.Choose([]templates.Revision{r}, u); len(won) != 1 || len(lost) != 0 {
		t.Errorf("got %d chosen, %d lost; want it to reach its group", len(won), len(lost))
	}
	rendered, err := templates.Render(r, u, templates.Options{Organization: "Example", SCEPURL: "https://mdm.example.com/scep"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := rendered.WithChallenge(secret.New("CHALLENGE")).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mobileconfig.Decode(data); err != nil {
		t.Error(err)
	}
}
