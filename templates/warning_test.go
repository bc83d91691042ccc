package templates

import (
	"strings"
	"testing"

	"sallyport/enroll/directory"
)

// TestWarningsOfDeviceVariables: each place that names a fact of the phone is
// told, wherever a template is shown.
func TestWarningsOfDeviceVariables(t *testing.T) {
	t.Parallel()
	source := "name: mail\nassign: everyone\ndisplay_name: 'Mail of %model%'\naccounts:\n- {name: '%firstname%', host: m.test, user_name: '%serialnumber%', email: '%udid|none%@example.test', domain: '%serialnumber|%'}\n"
	spec, err := Parse([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	const never = "By " + AccountDriven + " a phone never tells it, and gets "
	want := []struct{ field, reason, not string }{
		{"display_name", "uses %model%, a fact of the phone: the profile waits", never},
		{"accounts[0].user_name", never + "no profile", ""},
		{"accounts[0].domain", never + "nothing in its place", ""},
		{"accounts[0].email", never + `"none" in its place`, ""},
	}
	list := spec.Warnings()
	if len(list) != len(want) {
		t.Fatalf("got %v, want %d", list, len(want))
	}
	for i, w := range want {
		if list[i].Field != w.field || !strings.Contains(list[i].Reason, w.reason) || w.not != "" && strings.Contains(list[i].Reason, w.not) {
			t.Errorf("got %v, want %s: %s", list[i], w.field, w.reason)
		}
	}
	v, _ := newViewer(t, source)
	v.Phones = pocket{"alice": {*sample().device}}
	p, err := v.Preview(t.Context(), PreviewRequest{Name: "mail", UPN: "alice@example.test"})
	if err != nil || len(p.Warnings) != len(want) {
		t.Errorf("preview: got %v, %v", p.Warnings, err)
	}
	report, err := v.Check(t.Context(), CheckRequest{Name: "mail", Page: directory.Page{Limit: 1}})
	if err != nil || report.Warnings != len(want) {
		t.Errorf("check: got %+v, %v", report, err)
	}
}

// TestAppsNeedNoSecret: a managed configuration holds neither certificate nor
// password, so a user who has none yet gets one all the same.
func TestAppsNeedNoSecret(t *testing.T) {
	t.Parallel()
	v, _ := newViewer(t, template("mail", "everyone", ", password: {secret: mail-password}, identity: pkcs12, pkcs12: mail-p12"))
	for _, platform := range Platforms() {
		_, err := v.Preview(t.Context(), PreviewRequest{Name: "mail", UPN: "alice@example.test", Platform: platform})
		if apple := platform == PlatformApple; (err != nil) != apple {
			t.Errorf("%s: got %v", platform, err)
		}
	}
}
