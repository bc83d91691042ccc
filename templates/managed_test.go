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
	apps, lost := ChooseApps(revisions, directory.User{UPN: "alice@example.test"})
	if len(apps) != 2 || apps[0].Name != "b" || apps[1].Name != "c" {
		t.Errorf("got %v, want b for its priority and c for its name", names(apps))
	}
	if len(lost) != 2 || lost[0].Revision.Name != "a" || lost[0].Winner != "b" || lost[1].Winner != "c" || lost[0].App != managedconfig.AppGmail || lost[1].App != managedconfig.AppOutlook {
		t.Errorf("got %+v, want the losers reported", lost)
	}
}

// TestWhyATemplateIsLeftOut: who keeps the templates reads which rule decided, and
// what to do.
func TestWhyATemplateIsLeftOut(t *testing.T) {
	t.Parallel()
	mailbox := func(name string, priority int, app string) Revision {
		r := managedRevision(t, name, priority, app, "")
		r.Spec.Accounts[0].Host = "mail.example.test"
		return r
	}
	const higher, another = "give this one a higher priority, or assign only one of both to the user", "give this one a higher priority or another android.app, or assign only one of both to the user"
	for _, tt := range []struct {
		name           string
		revisions      []Revision
		reason, remedy string // of the one that is left out
	}{
		{"mailbox, priority", []Revision{mailbox("a", 0, "gmail"), mailbox("b", 5, "outlook")},
			"the template b sets up alice@example.test on mail.example.test, and its priority is higher: 5 against 0", higher},
		{"mailbox, name", []Revision{mailbox("a", -1, "gmail"), mailbox("b", -1, "gmail")},
			"the template a sets up alice@example.test on mail.example.test with the same priority, -1, and its name sorts first", higher},
		{"app, priority", []Revision{managedRevision(t, "a", 0, "gmail", ""), managedRevision(t, "b", 5, "gmail", "")},
			"Gmail takes one account on Android, that of the template b, whose priority is higher: 5 against 0", another},
		{"app, name", []Revision{managedRevision(t, "a", 3, "outlook", ""), managedRevision(t, "b", 3, "outlook", "")},
			"Outlook takes one account on Android, that of the template a with the same priority, 3, whose name sorts first", another},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			apps, lost := ChooseApps(tt.revisions, directory.User{UPN: "alice@example.test"})
			if len(apps) != 1 || len(lost) != 1 {
				t.Fatalf("%v reach the phone, and %d do not; want one each", names(apps), len(lost))
			}
			if got := lost[0].Refusal(); !errors.Is(got, ErrRender) || got.Field != "priority" || got.Reason != tt.reason || got.Remedy != tt.remedy {
				t.Errorf("got %q (%s), want %q (%s)", got.Reason, got.Remedy, tt.reason, tt.remedy)
			}
		})
	}
}
