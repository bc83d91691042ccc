package android

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/mdm"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func pointer[T any](v T) *T { return &v }

func gmailApp() MailApp {
	return MailApp{Package: managedconfig.GmailPackage, Config: managedconfig.Bundle{
		"email_address": "alice@example.test", "exchange_host": "mail.example.test", "exchange_username": "alice", "exchange_ssl_required": true,
	}}
}

// ofPerson is a work profile on somebody's own phone.
func ofPerson(change func(*PolicyInput)) PolicyInput {
	in := PolicyInput{Mode: WorkProfile, Ownership: mdm.Personal, Told: mdm.Personal, OSVersion: "14"}
	change(&in)
	return in
}

// ofCompany is a phone that is managed as a whole.
func ofCompany(change func(*PolicyInput)) PolicyInput {
	in := PolicyInput{Mode: FullyManaged, Ownership: mdm.Corporate, Told: mdm.Corporate, OSVersion: "14"}
	change(&in)
	return in
}

func settings(set func(*profiles.SecurityPolicy)) func(*PolicyInput) {
	return func(in *PolicyInput) {
		in.Security.RequirePasscode = true
		set(&in.Security)
	}
}

func enforced(in *PolicyInput) {
	in.Security.RequirePasscode, in.Security.RequireEncryption = true, true
	in.Android = profiles.AndroidPolicy{MinimumOS: "13", Enforcement: &profiles.AndroidEnforcement{BlockAfterDays: pointer(0), WipeAfterDays: pointer(30)}}
}

func policyCases() map[string]PolicyInput {
	type security = profiles.SecurityPolicy
	all := func(s *security) {
		s.MinimumLength, s.Alphanumeric, s.MinimumCharacterSets, s.AllowSimple = 8, true, 3, pointer(false)
		s.History, s.ExpiryDays, s.FailedAttempts, s.InactivitySeconds, s.PasswordRecovery = 5, 90, 10, 300, true
		s.RequireEncryption, s.RequireStorageCardEncryption = true, true
	}
	return map[string]PolicyInput{
		"nothing":                  ofPerson(func(*PolicyInput) {}),
		"nothing_company":          ofCompany(func(*PolicyInput) {}),
		"passcode":                 ofPerson(settings(func(*security) {})),
		"passcode_android_11":      ofPerson(func(in *PolicyInput) { in.OSVersion = "11"; in.Security.RequirePasscode = true }),
		"passcode_unknown_android": ofPerson(func(in *PolicyInput) { in.OSVersion = ""; in.Security.RequirePasscode = true }),
		"allow_simple_off":         ofPerson(settings(func(s *security) { s.AllowSimple = pointer(false) })),
		"length_4":                 ofPerson(settings(func(s *security) { s.MinimumLength = 4 })),
		"length_6":                 ofPerson(settings(func(s *security) { s.MinimumLength = 6 })),
		"length_8":                 ofPerson(settings(func(s *security) { s.MinimumLength = 8 })),
		"length_16":                ofPerson(settings(func(s *security) { s.MinimumLength = 16 })),
		"length_2":                 ofPerson(settings(func(s *security) { s.MinimumLength = 2 })),
		"alphanumeric":             ofPerson(settings(func(s *security) { s.Alphanumeric = true })),
		"character_sets_1":         ofPerson(settings(func(s *security) { s.MinimumCharacterSets = 1 })),
		"everything":               ofPerson(settings(all)),
		"everything_company":       ofCompany(settings(all)),
		"everything_voluntary":     ofPerson(func(in *PolicyInput) { all(&in.Security) }),
		"company_work_profile": ofPerson(func(in *PolicyInput) {
			all(&in.Security)
			in.Security.RequirePasscode = true
			in.Ownership, in.Told = mdm.Corporate, mdm.Corporate
		}),
		"became_personal":     ofCompany(func(in *PolicyInput) { all(&in.Security); enforced(in); in.Ownership = mdm.Personal }),
		"minimum_os":          ofPerson(func(in *PolicyInput) { in.Android.MinimumOS = "13" }),
		"enforcement":         ofPerson(enforced),
		"enforcement_company": ofCompany(enforced),
		"enforcement_of_nothing": ofPerson(func(in *PolicyInput) {
			enforced(in)
			in.Security = profiles.SecurityPolicy{}
			in.Android.MinimumOS = ""
		}),
		"enforcement_half":        ofPerson(func(in *PolicyInput) { enforced(in); in.Android.Enforcement.BlockAfterDays = nil }),
		"mail":                    ofPerson(func(in *PolicyInput) { in.Mail = []MailApp{gmailApp()} }),
		"mail_with_chrome":        ofPerson(func(in *PolicyInput) { app := gmailApp(); app.Chrome = true; in.Mail = []MailApp{app} }),
		"mail_with_certificate":   ofPerson(certificate),
		"mail_in_two_apps":        ofPerson(func(in *PolicyInput) { in.Mail = []MailApp{outlookApp(), gmailApp()} }),
		"mail_on_a_company_phone": ofCompany(func(in *PolicyInput) { in.Mail = []MailApp{gmailApp()} }),
		"samsung_nested":          ofPerson(func(in *PolicyInput) { in.Mail = []MailApp{samsungApp()} }),
	}
}

func outlookApp() MailApp {
	return MailApp{Package: managedconfig.OutlookPackage, Config: managedconfig.Bundle{"com.microsoft.outlook.EmailProfile.AccountType": "ModernAuth"}}
}

func samsungApp() MailApp {
	return MailApp{Package: managedconfig.SamsungPackage, Config: managedconfig.Bundle{"accounts": []managedconfig.Bundle{{"k2": "alice", "k1": true}}}}
}

func certificate(in *PolicyInput) {
	app := gmailApp()
	app.Alias, app.Config["exchange_login_certificate_alias"] = "sallyport-mail", "sallyport-mail"
	in.Mail = []MailApp{app}
	in.Companion = &Companion{Package: "com.example.companion", Config: managedconfig.Bundle{"server_url": "https://mail.example.test"}}
}

type policyGolden struct {
	Policy json.RawMessage `json:"policy"`
	Report profiles.Report `json:"report,omitempty"`
}

func TestPolicyGoldens(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for name, in := range policyCases() {
		known[name+".json"] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, report, err := BuildPolicy(in)
			if err != nil {
				t.Fatal(err)
			}
			text, err := p.Encode()
			if err != nil {
				t.Fatal(err)
			}
			checkAgainstDiscovery(t, "Policy", text)
			var out bytes.Buffer
			encoder := json.NewEncoder(&out)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "  ")
			if err := encoder.Encode(policyGolden{text, report}); err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join("testdata", "policy", name+".json"), out.Bytes())
		})
	}
	files, err := os.ReadDir(filepath.Join("testdata", "policy"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !known[file.Name()] {
			t.Errorf("%s belongs to no case: remove it", file.Name())
		}
	}
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

// checkAgainstDiscovery holds JSON against Google's discovery document: every
// field is known, and every word is among those of its enum.
func checkAgainstDiscovery(t *testing.T, schema string, text []byte) {
	t.Helper()
	var document struct{ Schemas map[string]discoverySchema }
	if err := json.Unmarshal(shared(t, "android/amapi-v1-discovery-20261102.json"), &document); err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	document.Schemas[schema].check(t, document.Schemas, schema, v)
}

type discoverySchema struct {
	Ref                  string                     `json:"$ref"`
	Type, Format         string                     `json:"-"`
	Enum                 []string                   `json:"enum"`
	Properties           map[string]discoverySchema `json:"properties"`
	Items                *discoverySchema           `json:"items"`
	AdditionalProperties *discoverySchema           `json:"additionalProperties"`
}

func (s discoverySchema) check(t *testing.T, all map[string]discoverySchema, path string, v any) {
	t.Helper()
	if s.Ref != "" {
		all[s.Ref].check(t, all, path, v)
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if s.AdditionalProperties != nil {
				continue // a managed configuration
			}
			p, known := s.Properties[name]
			if !known {
				t.Errorf("%s has no field %s", path, name)
				continue
			}
			p.check(t, all, path+"."+name, inner)
		}
	case []any:
		for _, inner := range v {
			if s.Items == nil {
				t.Errorf("%s is no list", path)
				return
			}
			s.Items.check(t, all, path+"[]", inner)
		}
	case string:
		if len(s.Enum) > 0 && !strings.Contains(" "+strings.Join(s.Enum, " ")+" ", " "+v+" ") {
			t.Errorf("%s is none of %v: %s", path, s.Enum, v)
		}
	}
}

func TestBasePolicyReportsWhatComplianceAsks(t *testing.T) {
	t.Parallel()
	text, err := BasePolicy().Encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"statusReportingSettings":{"applicationReportsEnabled":true,"deviceSettingsEnabled":true,"softwareInfoEnabled":true}}`
	if string(text) != want {
		t.Errorf("got %s", text)
	}
	if len(BasePolicy().Mail()) != 0 || BasePolicy().IsZero() || !(Policy{}).IsZero() {
		t.Error("the base policy has mail, or is none")
	}
}

// TestHashes say which call is needed.
func TestHashes(t *testing.T) {
	t.Parallel()
	build := func(change func(*PolicyInput)) Policy {
		p, _, err := BuildPolicy(ofPerson(change))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	mail := build(func(in *PolicyInput) { in.Mail = []MailApp{gmailApp()} })
	tests := []struct {
		name             string
		p                Policy
		sameRest, sameIn bool
	}{
		{"the same again", build(func(in *PolicyInput) { in.Mail = []MailApp{gmailApp()} }), true, true},
		{"another host", build(func(in *PolicyInput) {
			app := gmailApp()
			app.Config["exchange_host"] = "other.example.test"
			in.Mail = []MailApp{app}
		}), true, false},
		{"another security policy", build(func(in *PolicyInput) { in.Mail, in.Security.RequirePasscode = []MailApp{gmailApp()}, true }), false, true},
		{"no mail", build(func(*PolicyInput) {}), false, false},
		{"one app more", build(func(in *PolicyInput) { in.Mail = []MailApp{gmailApp(), outlookApp()} }), false, false},
		{"Chrome beside it", build(func(in *PolicyInput) { app := gmailApp(); app.Chrome = true; in.Mail = []MailApp{app} }), false, true},
	}
	for _, test := range tests {
		if (test.p.Hash() == mail.Hash()) != test.sameRest || (test.p.MailHash() == mail.MailHash()) != test.sameIn {
			t.Errorf("%s: same rest %v, same mail %v", test.name, test.p.Hash() == mail.Hash(), test.p.MailHash() == mail.MailHash())
		}
	}
	if len(mail.Hash()) != 64 || mail.Hash() == mail.MailHash() {
		t.Errorf("got %q and %q", mail.Hash(), mail.MailHash())
	}
	two := build(func(in *PolicyInput) { in.Mail = []MailApp{gmailApp(), outlookApp()} })
	turned := build(func(in *PolicyInput) { in.Mail = []MailApp{outlookApp(), gmailApp()} })
	if two.Hash() != turned.Hash() || two.MailHash() != turned.MailHash() {
		t.Error("the order of mail apps counts")
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*PolicyInput){
		"two accounts for an app":     func(in *PolicyInput) { in.Mail = []MailApp{gmailApp(), gmailApp()} },
		"a blank configuration":       func(in *PolicyInput) { in.Mail = []MailApp{{Package: managedconfig.GmailPackage}} },
		"no package":                  func(in *PolicyInput) { in.Mail = []MailApp{{Config: gmailApp().Config}} },
		"a package that is no name":   func(in *PolicyInput) { in.Companion = &Companion{Package: "../x", Config: gmailApp().Config} },
		"mail app and companion":      func(in *PolicyInput) { certificate(in); in.Companion.Package = string(managedconfig.GmailPackage) },
		"a companion with no content": func(in *PolicyInput) { certificate(in); in.Companion.Config = nil },
	} {
		if p, report, err := BuildPolicy(ofPerson(change)); !errors.Is(err, ErrPolicy) || !p.IsZero() || report != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestNothingOfOursResetsAPersonalPhone: by no combination of settings does a
// phone that is not on record as the company's get a rule to erase itself, unless
// Google, too, knows it as its user's own and the work profile is all of ours.
func TestNothingOfOursResetsAPersonalPhone(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{"", WorkProfile, FullyManaged} {
		for _, ours := range []mdm.Ownership{"", mdm.Personal, mdm.Corporate} {
			for _, told := range []mdm.Ownership{"", mdm.Personal, mdm.Corporate} {
				p, report, err := BuildPolicy(ofPerson(func(in *PolicyInput) {
					enforced(in)
					in.Security.FailedAttempts = 5
					in.Mode, in.Ownership, in.Told = mode, ours, told
				}))
				if err != nil {
					t.Fatal(err)
				}
				erases := len(p.body.PolicyEnforcementRules) > 0
				for _, q := range p.body.PasswordPolicies {
					erases = erases || q.MaximumFailedPasswordsForWipe > 0
					if q.MaximumFailedPasswordsForWipe > 0 && q.PasswordScope != "SCOPE_PROFILE" && ours != mdm.Corporate {
						t.Errorf("%s %s %s: wrong passcodes of the whole phone count", mode, ours, told)
					}
				}
				if may := ours == mdm.Corporate || mode == WorkProfile && told == mdm.Personal; erases != may {
					t.Errorf("mode %q, ours %q, told %q: erases %v, want %v", mode, ours, told, erases, may)
				}
				if fmt.Sprint(report) == "" {
					t.Error("no report")
				}
			}
		}
	}
}

func TestPoliciesAreSent(t *testing.T) {
	t.Parallel()
	p, _, err := BuildPolicy(ofPerson(func(in *PolicyInput) { in.Mail = []MailApp{gmailApp()} }))
	if err != nil {
		t.Fatal(err)
	}
	g := newGoogle(t)
	g.answers("PATCH /v1/enterprises/E/policies/d-1", `{"name":"enterprises/E/policies/d-1","version":"4"}`)
	version, err := g.client().PatchPolicy(t.Context(), "enterprises/E/policies/d-1", p)
	if err != nil || version != 4 {
		t.Errorf("got %d, %v", version, err)
	}
	want, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(g.bodies[len(g.bodies)-1]); got != string(want) {
		t.Errorf("got %s\nwant %s", got, want)
	}
	g.answers("POST /v1/enterprises/E/policies/d-1:modifyPolicyApplications", `{"policy":{"version":"5"}}`)
	if version, err = g.client().ModifyApplications(t.Context(), "enterprises/E/policies/d-1", p.Mail()); err != nil || version != 5 {
		t.Errorf("got %d, %v", version, err)
	}
	changes := g.lastBody()["changes"].([]any)
	app := changes[0].(map[string]any)["application"].(map[string]any)
	if len(changes) != 1 || app["packageName"] != "com.google.android.gm" || app["managedConfiguration"].(map[string]any)["exchange_host"] != "mail.example.test" {
		t.Errorf("got %v", changes)
	}
	g.answers("DELETE /v1/enterprises/E/policies/d-1", `{}`)
	if err := g.client().DeletePolicy(t.Context(), "enterprises/E/policies/d-1"); err != nil {
		t.Error(err)
	}
	for route, answer := range map[string]string{"PATCH /v1/enterprises/E/policies/d-1": `{}`, "POST /v1/enterprises/E/policies/d-1:modifyPolicyApplications": `{}`} {
		g.answers(route, answer)
	}
	_, err = g.client().PatchPolicy(t.Context(), "enterprises/E/policies/d-1", p)
	if problem := asProblem(t, err); !problem.Retry {
		t.Errorf("half an answer: got %+v", problem)
	}
	_, err = g.client().ModifyApplications(t.Context(), "enterprises/E/policies/d-1", p.Mail())
	if problem := asProblem(t, err); !problem.Retry {
		t.Errorf("half an answer: got %+v", problem)
	}
}

func TestSchemaOfAnApp(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	g.answers("GET /v1/enterprises/E/applications/com.samsung.android.email.provider", `{"managedProperties":[null,{"key":""},
		{"key":"list","title":"Exchange ActiveSync accounts list","type":"BUNDLE_ARRAY","nestedProperties":[
			{"key":"k","title":"Use SSL","type":"BOOL","defaultValue":true},
			{"key":"p","title":"Period to sync emails","type":"CHOICE","entries":[{"value":"0","name":"All time"},null]}]}]}`)
	s, err := g.client().Schema(t.Context(), "enterprises/E", "com.samsung.android.email.provider")
	if err != nil || !s.Live || s.App != managedconfig.SamsungPackage || len(s.Keys) != 1 {
		t.Fatalf("got %+v, %v", s, err)
	}
	nested := s.Keys[0].Nested
	if len(nested) != 2 || nested[0].Default != true || nested[1].Labels[0] != "All time" || nested[1].Entries[0] != "0" {
		t.Errorf("got %+v", nested)
	}
}

// BenchmarkPolicies renders the policies of devices and compares them with what
// was sent, as the reconcile step does.
func BenchmarkPolicies(b *testing.B) {
	b.ReportAllocs()
	for i := range b.N {
		in := ofPerson(enforced)
		app := gmailApp()
		app.Config["exchange_username"] = fmt.Sprintf("user%d", i)
		in.Mail = []MailApp{app}
		p, _, err := BuildPolicy(in)
		if err != nil {
			b.Fatal(err)
		}
		if p.Hash() == p.MailHash() {
			b.Fatal("the hashes are the same")
		}
	}
}
