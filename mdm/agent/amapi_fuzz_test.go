package agent

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzReadObject: what is read can be written, and read again as the same.
func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":[1,2.5,"x",null,true,{"b":{}}]}`, `{"a":1,"a":2}`, `[]`, `{"a":1e400}`, "{\"\u2028\":\"\\ud800\"}", strings.Repeat(`{"a":`, 40)} {
		f.Add([]byte(seed))
	}
	schema, err := readSchema(amapiExtract)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := readObject(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		again, err := readObject(text)
		if err != nil || !same(o, again) {
			t.Errorf("%q: %v", data, err)
		}
		for _, typ := range []string{"Policy", "Device", "Command", "EnrollmentToken"} {
			if schema.checkMessage(typ, o, "") != nil {
				continue
			}
			kept := schema.stored(typ, o)
			if no := schema.checkMessage(typ, kept, ""); no != nil || !same(kept, schema.stored(typ, kept)) {
				t.Errorf("%s %q: %v", typ, data, no)
			}
		}
	})
}

// FuzzPolicy: no policy takes the stand-in, or a phone, down.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(gmailPolicy(``)))
	f.Add([]byte(`{"passwordPolicies":[{"passwordScope":"SCOPE_DEVICE","passwordQuality":"NUMERIC","passwordMinimumLength":6}],"minimumApiLevel":99}`))
	f.Add([]byte(`{"applications":[{"packageName":"com.samsung.android.email.provider","installType":"KIOSK","managedConfiguration":{"made_up_exchange_activesync_accounts_list":[{"made_up_email_address":"a"}]}}]}`))
	schema, err := readSchema(amapiExtract)
	if err != nil {
		f.Fatal(err)
	}
	apps, err := readStore()
	if err != nil {
		f.Fatal(err)
	}
	a := &AMAPI{schema: schema, apps: apps}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := readObject(data)
		if err != nil || schema.checkMessage("Policy", o, "") != nil || a.checkPolicy(o) != nil {
			return
		}
		p, err := New(Options{As: Android})
		if err != nil {
			t.Fatal(err)
		}
		end, err := p.begin()
		if err != nil {
			t.Fatal(err)
		}
		defer end()
		p.s.Android.Managed = &management{Mode: profileOwner, Ownership: personallyOwned, Policy: data}
		p.evaluate()
		if no := schema.checkMessage("Device", plain(p.deviceReport()), ""); no != nil {
			t.Errorf("%s: report: %s", data, no.message)
		}
	})
}

func FuzzMask(f *testing.F) {
	f.Add("minimumApiLevel,statusReportingSettings.deviceSettingsEnabled", `{"minimumApiLevel":1}`)
	f.Add("applications", `{"applications":[]}`)
	f.Add("*", `{}`)
	schema, err := readSchema(amapiExtract)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, body string) {
		o, err := readObject([]byte(body))
		if err != nil || schema.checkMessage("Policy", o, "") != nil {
			return
		}
		m, no := schema.readMask("Policy", text, modifiablePolicy)
		if no != nil {
			return
		}
		out := m.apply(object{"name": "x", "version": "1"}, o, modifiablePolicy)
		if out["name"] != "x" || out["version"] != "1" || schema.checkMessage("Policy", out, "") != nil {
			t.Errorf("%q %q: %v", text, body, out)
		}
	})
}

func FuzzJWT(f *testing.F) {
	f.Add("e30.e30.AA")
	f.Add("eyJhbGciOiJSUzI1NiJ9.e30.AA")
	account, err := testAccount()
	if err != nil {
		f.Fatal(err)
	}
	var s serviceAccount
	if err := json.Unmarshal(account, &s); err != nil {
		f.Fatal(err)
	}
	if s.public, err = s.publicKey(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if s.verify(text, time.Unix(1_800_000_000, 0)) == nil {
			t.Errorf("%q is taken for an assertion", text)
		}
	})
}

func FuzzAndroidPage(f *testing.F) {
	f.Add([]byte(`<form method=post><input name=pin><button name=a value=b></form><a href="https://enterprise.google.com/android/enroll?et=X">x</a>`))
	f.Add([]byte(`<div data-qr='{"android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE":{"com.google.android.apps.work.clouddpc.EXTRA_ENROLLMENT_TOKEN":"X"}}'>`))
	base, err := url.Parse("https://mdm.example.test/enroll/ABCD2345")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := readAndroidPage(base, body)
		if err != nil {
			return
		}
		if d.action != nil && (d.action.Host != base.Host || d.action.Scheme != "https") {
			t.Errorf("%q posts to %s", body, d.action)
		}
	})
}

func FuzzAndroidSet(f *testing.F) {
	for _, seed := range []string{"posture=COMPROMISED_OS", "app=gmail:missing", "noncompliant=applications:PENDING:gmail", "key=a:removed", "os=14", "fresh=yes", "amapi=http://127.0.0.1:1", "passcode=weak"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, assignment string) {
		p, err := New(Options{As: Android})
		if err != nil {
			t.Fatal(err)
		}
		_ = p.Set(assignment)
		if _, err := p.Show(); err != nil {
			t.Errorf("%q: %v", assignment, err)
		}
	})
}

func FuzzParseTrouble(f *testing.F) {
	f.Add("done:503:3:enterprises.get")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := ParseTrouble(text); err == nil && (troubles[got.Kind] == nil || got.Times == 0 || got.Times < Always) {
			t.Errorf("%q: %+v", text, got)
		}
	})
}
