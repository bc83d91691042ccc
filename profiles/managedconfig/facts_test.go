package managedconfig

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/profiles"
)

// The files of the project's compilation of facts.
const (
	keysFile = "shared/android/managed-config-keys.json"
	rowsFile = "shared/android/eas-row-mapping.json"
)

type factApp struct {
	Package    string    `json:"package"`
	IOSBundle  string    `json:"ios_bundle"`
	Activation []string  `json:"activation_requires"`
	Properties []factKey `json:"properties"`
}

type factKey struct {
	Key        *string  `json:"key"`
	Type       string   `json:"type"`
	Confidence string   `json:"confidence"`
	Default    any      `json:"default"`
	Required   bool     `json:"required"`
	Values     any      `json:"values"`
	Platforms  []string `json:"platforms"`
	Enrolment  []string `json:"enrolment"`
	Source     []string `json:"source"`
}

func decodeFacts(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(above(t, path))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

// reaches reports whether a device manager can set the key: its name is
// published, and it is not for Intune's app protection alone.
func (k factKey) reaches() bool {
	return k.Key != nil && k.Confidence == string(Documented) &&
		(k.Enrolment == nil || slices.ContainsFunc(k.Enrolment, func(s string) bool { return strings.HasPrefix(s, "managed device") }))
}

// TestKeysAreTheFacts compares our tables with the facts, both ways.
func TestKeysAreTheFacts(t *testing.T) {
	t.Parallel()
	var facts struct{ Apps map[string]factApp }
	decodeFacts(t, keysFile, &facts)
	if g, o := facts.Apps["gmail"], facts.Apps["outlook"]; g.Package != string(GmailPackage) || o.Package != string(OutlookPackage) || o.IOSBundle != string(OutlookBundleID) {
		t.Errorf("the packages of the facts are %s, %s and %s", g.Package, o.Package, o.IOSBundle)
	}
	for app, ours := range map[string][]Key{"gmail": gmailKeys(), "outlook": outlookKeys(), "nine_work": nineKeys(), "samsung_email": nil} {
		table := map[string]Key{}
		for _, k := range ours {
			if _, double := table[k.Name]; double {
				t.Errorf("%s: %s stands twice in the table", app, k.Name)
			}
			table[k.Name] = k
		}
		for _, fact := range facts.Apps[app].Properties {
			if !fact.reaches() {
				continue
			}
			k, known := table[*fact.Key]
			if !known {
				t.Errorf("%s: the table lacks %s", app, *fact.Key)
				continue
			}
			delete(table, *fact.Key)
			compareKey(t, k, fact)
		}
		for name := range table {
			t.Errorf("%s: the facts do not confirm %s", app, name)
		}
	}
	for _, name := range facts.Apps["gmail"].Activation {
		if i := slices.IndexFunc(gmailKeys(), func(k Key) bool { return k.Name == name }); i < 0 || !gmailKeys()[i].Required {
			t.Errorf("%s starts Gmail's set-up, and the table does not require it", name)
		}
	}
}

func compareKey(t *testing.T, k Key, fact factKey) {
	t.Helper()
	type comparable struct {
		Type, Confidence    string
		Required, BasicOnly bool
		Platforms           []string
		Source              []string
		Entries             []string
	}
	got := comparable{Type: string(k.Type), Confidence: string(k.Confidence), Required: k.Required, BasicOnly: k.BasicOnly, Source: k.Source, Entries: texts(k.Entries)}
	for _, p := range k.Platforms {
		got.Platforms = append(got.Platforms, string(p))
	}
	want := comparable{Type: fact.Type, Confidence: fact.Confidence, Required: fact.Required, Source: fact.Source, Platforms: fact.Platforms,
		BasicOnly: slices.Equal(fact.Enrolment, []string{"managed device, BasicAuth"})}
	if len(want.Platforms) == 2 { // wherever the app runs
		want.Platforms = nil
	}
	if fact.Type != string(Bool) {
		want.Entries = factValues(fact.Values)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-facts +table):\n%s", k.Name, diff)
	}
	// A default in words ("port 443 (80 if ...)") begins with the value, if there is one.
	words, isText := fact.Default.(string)
	ours, _ := k.Default.(string)
	if isText && !strings.HasPrefix(words, ours) || !isText && fact.Default != k.Default {
		t.Errorf("%s: got default %v, want %v", k.Name, k.Default, fact.Default)
	}
}

// factValues are the values of a list, or the codes of a table, in order.
func factValues(values any) []string {
	switch v := values.(type) {
	case []any:
		return texts(v)
	case map[string]any:
		var codes []string
		for code := range v {
			codes = append(codes, code)
		}
		slices.Sort(codes)
		return codes
	}
	return nil
}

func texts(values []any) []string {
	var list []string
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		list = append(list, strings.Trim(string(text), `"`))
	}
	return list
}

type factRow struct {
	Row     string
	Android map[string]struct{ Status, Key string }
}

// rowFields says which settings a row of the other product's form became.
func rowFields() map[string]string {
	return map[string]string{
		"Account Name":                           "name",
		"Exchange Host Type":                     "host_type",
		"Exchange Server":                        "host",
		"User Name":                              "user_name",
		"Identity Certificate":                   "identity",
		"OAuth":                                  "oauth.enabled",
		"Domain":                                 "domain",
		"E-mail Address":                         "email",
		"Password":                               "password.secret",
		"Prevent moving messages":                "prevent_move",
		"Block account usage from non-mail apps": "block_non_mail_apps",
		"Use SSL":                                "ssl",
		"S/MIME enable":                          "smime.sign.enabled",
		"S/MIME signing certificate":             "smime.sign.enabled",
		"S/MIME encryption certificate":          "smime.encrypt.by_default",
		"Sync Calendar":                          "sync.calendar",
		"Sync Contacts":                          "sync.contacts",
		"Sync Notes":                             "sync.notes",
		"Sync Mail":                              "sync.mail",
		"Sync Reminders":                         "sync.reminders",
		"Mails to save offline":                  "days_to_keep_offline",
		"Disable recents sync":                   "disable_recents_sync",
	}
}

// TestRowsAreTheFacts compares what the examples of a setting become with the
// status that the facts give its row.
func TestRowsAreTheFacts(t *testing.T) {
	t.Parallel()
	var facts struct {
		Days map[string]int `json:"days_to_gmail_window"`
		Rows []factRow
	}
	decodeFacts(t, rowsFile, &facts)
	if got, want := len(facts.Rows), len(rowFields()); got != want {
		t.Errorf("the facts have %d rows, the test knows %d", got, want)
	}
	for _, row := range facts.Rows {
		field, known := rowFields()[row.Row]
		if !known {
			t.Errorf("the test does not know the row %s", row.Row)
			continue
		}
		for app, target := range map[string]target{"gmail": targets()[0], "outlook": targets()[1], "samsung": targets()[3], "nine": targets()[4]} {
			fact := row.Android[app]
			seen, written := outcomes(target, field)
			if !keyWritten(app, field, fact.Status) && written[fact.Key] {
				t.Errorf("%s, %s: the facts do not confirm %s", app, field, fact.Key)
			}
			if keyWritten(app, field, fact.Status) && !written[fact.Key] && slices.ContainsFunc(Keys(target.app), func(k Key) bool { return k.Name == fact.Key }) {
				t.Errorf("%s, %s: the examples never write %s", app, field, fact.Key)
			}
			if !matches(app, field, fact.Status, seen) {
				t.Errorf("%s, %s: the facts say %s, the examples become %v", app, field, fact.Status, seen)
			}
		}
	}
	for days, code := range facts.Days {
		n, err := strconv.Atoi(days)
		if err != nil {
			t.Fatal(err)
		}
		if got, known := gmailWindow(n); !known || got != code {
			t.Errorf("%d days: got code %d, want %d", n, got, code)
		}
	}
}

// outcomes are the statuses that a setting has in its examples, and the keys
// that these write.
func outcomes(target target, field string) (seen map[profiles.Status]bool, written map[string]bool) {
	seen, written = map[profiles.Status]bool{}, map[string]bool{}
	for _, e := range examples() {
		if e.field != field || e.name == "identity_none" { // asks for nothing
			continue
		}
		a := base()
		e.set(&a)
		b, report, _ := target.make(a) // nothing beside a refusal: the golden files hold those
		for key := range b {
			written[key] = true
		}
		for _, f := range report {
			if f.Field == field {
				seen[f.Status] = true
			}
		}
	}
	return seen, written
}

// keyWritten reports whether a row's key is written. Gmail's alias is known, but
// nothing can install yet what it names.
func keyWritten(app, field, status string) bool {
	return (status == "exact" || status == "partial") && !(app == "gmail" && field == "identity")
}

func matches(app, field, status string, seen map[profiles.Status]bool) bool {
	switch status {
	case "exact":
		return seen[profiles.Applied] && !seen[profiles.Unsupported]
	case "partial":
		if !keyWritten(app, field, status) {
			return seen[profiles.Unsupported] && len(seen) == 1
		}
		return seen[profiles.Degraded] || seen[profiles.Applied] && seen[profiles.Unsupported]
	case "runtime_schema":
		return !seen[profiles.Applied] && len(seen) > 0
	case "not_expressible":
		// These hold without a key: mail is always on, and so is encryption.
		if field == "sync.mail" || app == "outlook" && field == "ssl" {
			return len(seen) > 0
		}
		return seen[profiles.Unsupported] && len(seen) == 1
	}
	return false
}
