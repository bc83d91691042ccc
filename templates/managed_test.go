package templates

import (
	"errors"
	"strings"
	"testing"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/profiles/managedconfig"
)

func managedRevision(t *testing.T, name string, priority int, app, more string) Revision {
	t.Helper()
	source := "name: " + name + "\nassign: everyone\nandroid: {app: " + app + "}\naccounts:\n- {name: Mail, host: " + name + ".example.test" + more + "}\n"
	spec, err := Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	spec.Priority = priority
	return Revision{TemplateID: name, Name: name, Number: 3, Spec: spec, Source: source}
}

func TestRenderManaged(t *testing.T) {
	t.Parallel()
	r := managedRevision(t, "mail", 0, "gmail", "}\n- {name: Second, host: two.example.test")
	m, err := RenderManaged(r, sampleUser(), Options{}, managedconfig.Inputs{DeviceID: "sply0"})
	if err != nil {
		t.Fatal(err)
	}
	if m.Package != managedconfig.GmailPackage || m.Revision != 3 || m.Bundle["exchange_device_id"] != "sply0" || m.Bundle["exchange_username"] != sampleUser().UPN {
		t.Errorf("got %+v", m.Rendering)
	}
	if len(m.Left) != 1 || m.Left[0] != "Second" {
		t.Errorf("got %v, want the second account left out", m.Left)
	}
	_, err = RenderManaged(managedRevision(t, "mail", 0, "samsung", ""), sampleUser(), Options{}, managedconfig.Inputs{})
	if list := refusal.All(err); !errors.Is(err, ErrRender) || len(list) != 1 || !strings.HasSuffix(list[0].Field, "android.app") {
		t.Errorf("got %v, want a refusal: Samsung Email's keys are not known", err)
	}
	_, err = RenderManaged(managedRevision(t, "mail", 0, "outlook", ", ssl: false"), sampleUser(), Options{}, managedconfig.Inputs{})
	if list := refusal.All(err); !errors.Is(err, ErrRender) || len(list) != 1 || list[0].Field != "accounts[0].ssl" {
		t.Errorf("got %v, want a refusal of ssl", err)
	}
}

// TestOneWriterForEachApp: two templates for two mailboxes and one app.
func TestOneWriterForEachApp(t *testing.T) {
	t.Parallel()
	revisions := []Revision{
		managedRevision(t, "a", 0, "gmail", ""), managedRevision(t, "b", 5, "gmail", ""), managedRevision(t, "c", 0, "outlook", ""),
		managedRevision(t, "d", 0, "outlook", ""),
	}
	won, lost := Choose(revisions, directory.User{UPN: "alice@example.test"})
	if len(won) != 4 || len(lost) != 0 {
		t.Fatalf("got %d and %d lost, want four mailboxes", len(won), len(lost))
	}
	apps, lost := ChooseApps(won)
	if len(apps) != 2 || apps[0].Name != "b" || apps[1].Name != "c" {
		t.Errorf("got %v, want b for its priority and c for its name", names(apps))
	}
	if len(lost) != 2 || lost[0].Revision.Name != "a" || lost[0].Winner != "b" || lost[1].Winner != "c" || !strings.Contains(lost[0].Mailbox, "gmail") {
		t.Errorf("got %+v, want the losers reported", lost)
	}
}
