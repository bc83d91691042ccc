package templates_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/profiles"
	"sallyport/templates"
	"sallyport/templates/builtin"
)

// starterRows says which setting of ours each row of the other product's form is.
func starterRows() map[string]string {
	return map[string]string{
		"Account Name": "name", "Exchange Host Type": "host_type", "Exchange Server": "host", "User Name": "user_name",
		"Identity Certificate": "identity", "OAuth": "oauth.enabled", "Domain": "domain", "E-mail Address": "email",
		"Password": "password.secret", "Prevent moving messages": "prevent_move",
		"Block account usage from non-mail apps": "block_non_mail_apps", "Use SSL": "ssl", "S/MIME enable": "smime.sign.enabled",
		"S/MIME signing certificate": "smime.sign.identity", "S/MIME encryption certificate": "smime.encrypt.identity",
		"Sync Calendar": "sync.calendar", "Sync Contacts": "sync.contacts", "Sync Notes": "sync.notes", "Sync Mail": "sync.mail",
		"Sync Reminders": "sync.reminders", "Mails to save offline": "days_to_keep_offline", "Disable recents sync": "disable_recents_sync",
	}
}

type mappingRow struct {
	Row     string `json:"row"`
	Android map[string]struct {
		Status string `json:"status"`
		Key    string `json:"key"`
	} `json:"android"`
}

// TestStartersOnAndroid: of the rows that a starter sets, those that the facts call
// exact or partial reach the mail app, and each that cannot be set is reported by
// name. An app that refuses a starter as a whole says for which setting.
func TestStartersOnAndroid(t *testing.T) {
	t.Parallel()
	rows := mapping(t)
	for _, app := range []templates.Platform{templates.PlatformGmail, templates.PlatformOutlook, templates.PlatformSamsung, templates.PlatformNine} {
		t.Run(string(app), func(t *testing.T) {
			t.Parallel()
			startersOn(t, app, rows)
		})
	}
}

func startersOn(t *testing.T, app templates.Platform, rows []mappingRow) {
	t.Helper()
	starters, err := builtin.Starters()
	if err != nil {
		t.Fatal(err)
	}
	for _, starter := range starters {
		t.Run(starter.Name, func(t *testing.T) {
			t.Parallel()
			spec, err := templates.Parse([]byte(starter.Source))
			if err != nil {
				t.Fatal(err)
			}
			u := directory.User{ID: "u", UPN: "alice@example.test", Email: "alice@example.test", Username: "alice", DomainName: "EXAMPLE", DisplayName: "Alice", FirstName: "A", LastName: "A"}
			rendered, err := templates.Render(templates.Revision{TemplateID: "t", Name: spec.Name, Spec: spec}, u, templates.Options{ForApp: true})
			if err != nil {
				t.Fatal(err)
			}
			shown, err := templates.Show(rendered, app)
			if refused := refusal.All(err); app != templates.PlatformGmail && len(refused) > 0 {
				for _, e := range refused {
					if !strings.HasPrefix(e.Field, "accounts[0].") || e.Remedy == "" {
						t.Errorf("refused without a setting, or a way out: %v", e)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			compareRows(t, string(app), rows, shown)
		})
	}
}

func compareRows(t *testing.T, app string, rows []mappingRow, shown templates.Preview) {
	t.Helper()
	report := shown.Fidelity[0].Report
	seen := 0
	for _, row := range rows {
		field, known := starterRows()[row.Row]
		if !known {
			t.Errorf("the test does not know the row %s", row.Row)
			continue
		}
		i := slices.IndexFunc(report, func(f profiles.Fidelity) bool { return f.Field == field })
		if i < 0 {
			continue // the starter does not set it
		}
		seen++
		got, status, key := report[i], row.Android[app].Status, row.Android[app].Key
		if got.Status != profiles.Applied && got.Why == "" {
			t.Errorf("%s is %s, and nobody says why", row.Row, got.Status)
		}
		if field == "identity" && got.Status == profiles.Applied {
			continue // the starter asks for none
		}
		if app == "gmail" && got.Status == profiles.Applied && keyName.MatchString(key) && !strings.Contains(string(shown.Body), `"`+key+`"`) {
			t.Errorf("%s is %s, and %s is not in what is sent:\n%s", row.Row, got.Status, key, shown.Body)
		}
		switch {
		// A certificate takes a companion app, which a file without a server has not.
		case field == "identity" && got.Status == profiles.Unsupported && strings.Contains(got.Why, "companion app"):
		case status == "exact" && got.Status != profiles.Applied:
			t.Errorf("%s is %s (%s), the facts say exact", row.Row, got.Status, got.Why)
		// Outlook has a key for the name with a password, and none with modern sign-in.
		case app == "outlook" && field == "name" && got.Status == profiles.Unsupported:
		case status == "partial" && got.Status == profiles.Unsupported:
			t.Errorf("%s is %s (%s), the facts say partial", row.Row, got.Status, got.Why)
		// What cannot be switched off need not be set where it shall be on.
		case app != "gmail" && status == "not_expressible" && got.Status == profiles.Applied && got.Why != "":
		case status == "not_expressible" && field != "sync.mail" && (got.Status != profiles.Unsupported || got.Why == ""):
			t.Errorf("%s is %s (%q), and it cannot be set", row.Row, got.Status, got.Why)
		}
	}
	if seen < 8 {
		t.Errorf("the starter sets %d of the rows only", seen)
	}
}

// keyName is one key; the facts also describe some in words.
var keyName = regexp.MustCompile(`^[a-z_]+$`)

// mapping reads the project's compilation of facts, and skips, loudly, where
// there is none.
func mapping(t *testing.T) []mappingRow {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "shared", "android", "eas-row-mapping.json"))
		if err == nil {
			var facts struct {
				Rows []mappingRow `json:"rows"`
			}
			if err := json.Unmarshal(text, &facts); err != nil || len(facts.Rows) == 0 {
				t.Fatalf("got %d rows, %v", len(facts.Rows), err)
			}
			return facts.Rows
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Skip("SKIPPED, NOT TESTED: no shared/android/eas-row-mapping.json in any directory above")
		}
		dir = parent
	}
}
