package managedconfig

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/refusal"
	"sallyport/profiles"
	"sallyport/profiles/mobileconfig"
)

const docsHead = `# What each mail app makes of a setting

Written by a test from the code (` + "`go test ./profiles/managedconfig -update`" + `): what stands here is what previews say.

- **applied**: the app does what the setting says.
- **degraded**: it does nearly so; the difference is named.
- **unsupported**: the app has no way to do it, and nothing is sent for it.
- **refused**: the account as a whole would not work in this app; nothing is sent.

Apple is Mail on a current iPhone or iPad; what older versions lack stands in the preview for a device. Gmail is Gmail on
Android. Outlook is Outlook on Android and, where nothing else is said, on iOS. Unless the value says otherwise the account
is on premises and signs in with a password. An app takes one account: a template's second one reaches Apple's Mail only.
No key is sent that its vendor, or a device manager's documentation, does not name. Nothing here has been tried with the real apps.

Samsung Email publishes what its settings are called, not the names of their keys, and Nine Work the names of a few. The other
names are read from the app's own schema, which Google tells once Android is set up: two columns for each app, without that
schema and with it. An app's own schema also overrules the built-in tables of Gmail and Outlook: a key that it lacks is not
sent, and the report says so. The columns are those without a companion app, and with one where an app's own schema is known: without
one on the phone no certificate reaches an app, and none is shipped; see [android-agent.md](android-agent.md). With one, Gmail does of
` + "`identity`" + ` what Samsung Email does with its schema.

| setting | value | Apple | Gmail | Outlook | Samsung Email | Samsung Email, with its schema | Nine Work | Nine Work, with its schema |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`

// TestSettingsPageIsCurrent compares docs/android-settings.md with what the code
// does, and rewrites it with -update.
func TestSettingsPageIsCurrent(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString(docsHead)
	var last, values string // the row so far: neighbours that become the same share one
	flush := func() {
		if last != "" {
			page.WriteString(strings.Replace(last, "\x00", values, 1))
		}
	}
	for _, e := range examples() {
		if e.value == "" {
			continue
		}
		row := docsRow(e)
		if row == last {
			values += "; " + e.value
			continue
		}
		flush()
		last, values = row, e.value
	}
	flush()
	compare(t, filepath.Join(filepath.Dir(above(t, "docs/divergences.md")), "android-settings.md"), []byte(page.String()))
}

func docsRow(e example) string {
	a := base()
	e.set(&a)
	var cells []string
	for _, target := range targets() {
		_, report, err := target.make(a)
		cells = append(cells, cell(report, err, e.field))
	}
	if cells[2] != cells[1] {
		cells[1] += "; on iOS " + cells[2]
	}
	return fmt.Sprintf("| `%s` | \x00 | %s | %s | %s | %s | %s | %s | %s |\n", e.field, cell(mobileconfig.Fidelity(a, ""), a.Validate(), e.field),
		cells[0], cells[1], cells[3], cells[6], cells[4], cells[7])
}

func cell(report profiles.Report, err error, field string) string {
	if err != nil {
		var reasons []string
		for _, r := range refusal.All(err) {
			reasons = append(reasons, "`"+r.Field+"` "+r.Reason+" ("+r.Remedy+")")
		}
		return "**refused**: " + strings.Join(reasons, "; ")
	}
	for _, f := range report {
		if f.Field != field {
			continue
		}
		text := string(f.Status)
		if f.Status != profiles.Applied {
			text = "**" + text + "**"
		}
		if f.Why != "" {
			text += ": " + f.Why
		}
		if f.Substitute != "" {
			text += " (instead: " + f.Substitute + ")"
		}
		return text
	}
	return "not reported"
}

// TestPlatformsReportTheSameSettings: a preview shows the platforms side by side.
func TestPlatformsReportTheSameSettings(t *testing.T) {
	t.Parallel()
	for _, e := range examples() {
		a := base()
		e.set(&a)
		if err := a.Validate(); err != nil {
			t.Errorf("%s: %v", e.name, err)
		}
		want := fields(mobileconfig.Fidelity(a, ""))
		for _, target := range targets() {
			_, report, err := target.make(a)
			if got := fields(report); err == nil && got != want {
				t.Errorf("%s, %s: got %s, Apple reports %s", e.name, target.name, got, want)
			}
		}
	}
}
