package managedconfig

import (
	"errors"
	"testing"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

func TestValidateRefusesWhatTheAppMisreads(t *testing.T) {
	t.Parallel()
	trio := func(more Bundle) Bundle {
		b := Bundle{emailAddress: "a@example.test", exchangeHost: "mail.example.test", exchangeUser: "a"}
		for key, value := range more {
			if value == nil {
				delete(b, key)
				continue
			}
			b[key] = value
		}
		return b
	}
	outlook := Bundle{accountType: modernAuth, profileAddress: "a@example.test", profileUPN: "a@example.test"}
	tests := []struct {
		name  string
		app   Package
		b     Bundle
		field string // "-": accepted
	}{
		{"the three keys that start Gmail", GmailPackage, trio(nil), "-"},
		{"blank", GmailPackage, Bundle{}, ""},
		{"none", GmailPackage, nil, ""},
		{"one of the three is missing", GmailPackage, trio(Bundle{exchangeHost: nil}), exchangeHost},
		{"one of the three is empty", GmailPackage, trio(Bundle{exchangeHost: ""}), exchangeHost},
		{"a key by its label", GmailPackage, trio(Bundle{"Authentication types": "modern"}), "Authentication types"},
		{"a wrong name that is about", GmailPackage, trio(Bundle{"default_sync_window": 3}), "default_sync_window"},
		{"a number as text", GmailPackage, trio(Bundle{exchangeWindow: "3"}), exchangeWindow},
		{"a code that Gmail ignores", GmailPackage, trio(Bundle{exchangeWindow: 6}), exchangeWindow},
		{"a switch as text", GmailPackage, trio(Bundle{exchangeSSL: "true"}), exchangeSSL},
		{"a list", GmailPackage, trio(Bundle{exchangeUser: []string{"a"}}), exchangeUser},
		{"a control character", GmailPackage, trio(Bundle{exchangeUser: "a\x00"}), exchangeUser},
		{"Outlook with modern sign-in", OutlookPackage, outlook, "-"},
		{"Outlook without an account type", OutlookPackage, Bundle{profileAddress: "a@example.test", profileUPN: "a"}, accountType},
		{"a host with modern sign-in", OutlookPackage, with(outlook, profileHost, "mail.example.test"), profileHost},
		{"calendar export on iOS", OutlookBundleID, with(outlook, calendarSync, true), calendarSync},
		{"another app", "com.example.mail", trio(nil), "package"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.b.Validate(test.app)
			if test.field == "-" {
				if err != nil {
					t.Errorf("got %v, want it accepted", err)
				}
				return
			}
			list := refusal.All(err)
			if !errors.Is(err, ErrSchema) || len(list) != 1 || list[0].Field != test.field || list[0].Remedy == "" {
				t.Errorf("got %v, want one refusal of %q with a remedy", err, test.field)
			}
		})
	}
	if got := len(refusal.All(Bundle{accountType: basicAuth, profileUPN: "a"}.Validate(OutlookPackage))); got != 3 {
		t.Errorf("got %d refusals, want those of address, account name and host", got)
	}
}

func with(b Bundle, key string, value any) Bundle {
	changed := Bundle{key: value}
	for k, v := range b {
		changed[k] = v
	}
	return changed
}

func TestAccountsThatAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		set            func(*account)
		gmail, outlook string // field; empty: accepted
	}{
		{"plain", func(*account) {}, "", ""},
		{"no host", func(a *account) { a.Host = "" }, "host", "host"},
		{"no user name", func(a *account) { a.UserName = "" }, "user_name", "user_name"},
		{"no address", func(a *account) { a.Email = "" }, "email", "email"},
		{"nobody expanded the user name", func(a *account) { a.UserName = ""; *a = a.WithDefaults() }, "user_name", "user_name"},
		{"nobody expanded the address", func(a *account) { a.Email = ""; *a = a.WithDefaults() }, "email", "email"},
		{"days that phones do not offer", func(a *account) { a.DaysToKeepOffline = pointer(2) }, "days_to_keep_offline", "days_to_keep_offline"},
		{"no encryption", func(a *account) { a.SSL = pointer(false) }, "", "ssl"},
		{"a port", func(a *account) { a.Host += ":8443" }, "", "host"},
		{"a port with modern sign-in", func(a *account) { a.Host += ":8443"; a.OAuth.Enabled = pointer(true) }, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := base()
			test.set(&a)
			for i, target := range targets()[:3] {
				want := test.outlook
				if i == 0 {
					want = test.gmail
				}
				_, _, err := target.make(a)
				if list := refusal.All(err); want == "" && err != nil || want != "" && (!errors.Is(err, profiles.ErrInvalid) || len(list) != 1 || list[0].Field != want) {
					t.Errorf("%s: got %v, want a refusal of %q", target.name, err, want)
				}
			}
		})
	}
	if _, _, err := Outlook(base(), "windows"); !errors.Is(err, profiles.ErrInvalid) {
		t.Errorf("got %v, want another platform refused", err)
	}
}
