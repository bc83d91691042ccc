package templates

import (
	"context"
	"errors"
	"strings"
	"testing"

	"sallyport/profiles/managedconfig"
)

// appsOf are the schemas that apps have told.
type appsOf map[managedconfig.Package]managedconfig.Schema

func (a appsOf) AppInputs(_ context.Context, app managedconfig.Package, template string) (managedconfig.Inputs, error) {
	if len(a) == 0 {
		return managedconfig.Inputs{}, errors.New("the store is out of order")
	}
	in := managedconfig.Inputs{Alias: "key-of-" + template}
	if s, ok := a[app]; ok {
		in.Schema = &s
	}
	return in, nil
}

// TestPlanOfAnotherApp: iPhones see nothing of another mail app, and Android phones do.
func TestPlanOfAnotherApp(t *testing.T) {
	v, _ := newViewer(t)
	source := template("mail", "everyone", "")
	plan := func(source string) ChangePlan {
		t.Helper()
		p, err := v.Plan(t.Context(), []byte(source))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	all := plan(source)
	if all.Android != all.Touched || all.Touched == 0 {
		t.Errorf("a template for everyone: %+v", all)
	}
	if _, _, err := v.Templates.Apply(t.Context(), []byte(source)); err != nil {
		t.Fatal(err)
	}
	if p := plan(source + "android: {app: outlook}\n"); p.Touched != all.Touched || p.Android != p.Touched {
		t.Errorf("another app touches %d users, %d on Android; want %d", p.Touched, p.Android, all.Touched)
	}
	if p := plan(source + "android: {app: gmail}\n"); p.Touched != 0 || p.Android != 0 {
		t.Errorf("the same app touches %d users, %d on Android", p.Touched, p.Android)
	}
	// What Gmail has no key for changes iPhones alone.
	if p := plan(template("mail", "everyone", ", prevent_move: true")); p.Touched != all.Touched || p.Android != 0 {
		t.Errorf("a setting of iPhones touches %d users, %d on Android", p.Touched, p.Android)
	}
}

// TestPreviewSaysBySchema: a preview says whether the app itself has told its keys.
func TestPreviewSaysBySchema(t *testing.T) {
	v, _ := newViewer(t)
	preview := func(platform Platform) (Preview, error) {
		return v.Preview(t.Context(), PreviewRequest{Source: []byte(template("mail", "everyone", "")), UPN: "alice@example.test", Platform: platform})
	}
	if p, err := preview(PlatformGmail); err != nil || p.Schema != SchemaBuiltIn {
		t.Errorf("nobody has told: %q, %v", p.Schema, err)
	}
	gmail := managedconfig.BuiltIn(managedconfig.GmailPackage)
	gmail.Live = true
	v.Apps = appsOf{managedconfig.GmailPackage: gmail}
	for platform, want := range map[Platform]SchemaSource{PlatformGmail: SchemaApp, PlatformOutlook: SchemaBuiltIn, PlatformOutlookIOS: "", PlatformApple: ""} {
		if p, err := preview(platform); err != nil || p.Schema != want {
			t.Errorf("%s: got %q, %v; want %q", platform, p.Schema, err, want)
		}
	}
	v.Apps = appsOf{}
	if _, err := preview(PlatformGmail); err == nil {
		t.Error("a store that is out of order goes unnoticed")
	}
}

// TestPreviewNamesTheKey: where something brings a key to phones, the mail app is
// told its alias, as it will be.
func TestPreviewNamesTheKey(t *testing.T) {
	v, _ := newViewer(t)
	source := template("mail", "everyone", ", identity: scep")
	body := func() string {
		t.Helper()
		p, err := v.Preview(t.Context(), PreviewRequest{Source: []byte(source), UPN: "alice@example.test", Platform: PlatformGmail})
		if err != nil {
			t.Fatal(err)
		}
		return string(p.Body)
	}
	if text := body(); strings.Contains(text, "exchange_login_certificate_alias") {
		t.Errorf("nothing brings a key: %s", text)
	}
	v.Apps = appsOf{managedconfig.OutlookPackage: {}}
	if text := body(); !strings.Contains(text, `"exchange_login_certificate_alias": "key-of-mail"`) {
		t.Errorf("no alias: %s", text)
	}
}
