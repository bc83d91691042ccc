package managedconfig

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

func TestLiveSchemaRefusesWhatTheAppDoesNotRead(t *testing.T) {
	t.Parallel()
	trio := Bundle{emailAddress: "a@example.test", exchangeHost: "mail.example.test", exchangeUser: "a"}
	samsung := func(one Bundle) Bundle { return Bundle{"accounts": []Bundle{one}} }
	tests := []struct {
		name   string
		schema Schema
		b      Bundle
		field  string // "-": accepted
	}{
		{"the three keys that start Gmail", gmailSchema(), trio, "-"},
		{"blank", gmailSchema(), Bundle{}, ""},
		{"a key that Gmail's own schema lacks", gmailSchema(), with(trio, "exchange_new", "x"), "exchange_new"},
		{"without a host", gmailSchema(), Bundle{emailAddress: "a@example.test", exchangeUser: "a"}, exchangeHost},
		{"another type", gmailSchema(), with(trio, exchangeSSL, "true"), exchangeSSL},
		{"two kinds of sign-in", gmailSchema(), with(trio, "madeup_authentication", []string{"m", "b"}), "-"},
		{"a kind that is not offered", gmailSchema(), with(trio, "madeup_authentication", []string{"x"}), "madeup_authentication"},
		{"a nested account", samsungSchema(), samsung(Bundle{"k1": "a@example.test", "k6": true, "k10": "3"}), "-"},
		{"a nested key that is not there", samsungSchema(), samsung(Bundle{"k77": "x"}), "accounts[0].k77"},
		{"a nested choice that is not offered", samsungSchema(), samsung(Bundle{"k10": "9"}), "accounts[0].k10"},
		{"a bundle where a list of them belongs", samsungSchema(), Bundle{"accounts": Bundle{"k1": "a"}}, "accounts"},
		{"a control character deep down", samsungSchema(), samsung(Bundle{"k1": "a\x00"}), "accounts[0].k1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.schema.Validate(test.b)
			if test.field == "-" {
				if err != nil {
					t.Errorf("got %v, want it accepted", err)
				}
				return
			}
			if list := refusal.All(err); !errors.Is(err, ErrSchema) || len(list) != 1 || list[0].Field != test.field || list[0].Remedy == "" {
				t.Errorf("got %v, want one refusal of %q with a remedy", err, test.field)
			}
		})
	}
}

// TestTheAppsOwnSchemaWins: a documented key that the app no longer has is not
// sent, and a value that it reads otherwise neither.
func TestTheAppsOwnSchemaWins(t *testing.T) {
	t.Parallel()
	schema := gmailSchema()
	schema.Keys = slices.DeleteFunc(schema.Keys, func(k Key) bool { return k.Name == exchangeWindow || k.Name == exchangeDeviceID })
	i := slices.IndexFunc(schema.Keys, func(k Key) bool { return k.Name == exchangeSSL })
	schema.Keys[i].Type = String
	a := base()
	a.DaysToKeepOffline, a.SSL = pointer(7), pointer(true)
	r, err := Render(AppGmail, a, Inputs{Schema: &schema, DeviceID: "sply0"})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Bundle) != 3 || !r.Live {
		t.Errorf("got %v, want the three keys that are left", r.Bundle)
	}
	for _, f := range r.Report {
		if (f.Field == "ssl" || f.Field == "days_to_keep_offline") != (f.Status == profiles.Unsupported) && f.Field != "name" {
			t.Errorf("%s: got %s %s", f.Field, f.Status, f.Why)
		}
	}
	schema.Keys[i].Type = Bool
	schema.Keys = append(schema.Keys, Key{Name: exchangeWindow, Type: Choice, Entries: []any{"0", "1", "2", "3", "4", "5"}})
	r, err = Render(AppGmail, a, Inputs{Schema: &schema})
	if err != nil || r.Bundle[exchangeWindow] != "3" {
		t.Errorf("got %v, %v; want a choice as text", r.Bundle[exchangeWindow], err)
	}
	schema.Keys = slices.DeleteFunc(schema.Keys, func(k Key) bool { return k.Name == exchangeHost })
	if _, err := Render(AppGmail, a, Inputs{Schema: &schema}); !errors.Is(err, ErrSchema) {
		t.Errorf("got %v, want a refusal: Gmail starts nothing without a host", err)
	}
}

// TestKeysAreNeverGuessed: two settings of one label, one of another type, or
// none at all: nothing is written.
func TestKeysAreNeverGuessed(t *testing.T) {
	t.Parallel()
	twice := samsungSchema()
	twice.Keys[0].Nested = append(twice.Keys[0].Nested, Key{Name: "k11", Title: "use ssl", Type: Bool})
	r, err := Render(AppSamsung, base(), Inputs{Schema: &twice})
	if err != nil {
		t.Fatal(err)
	}
	one := r.Bundle["accounts"].([]Bundle)[0]
	if one["k6"] != nil || one["k11"] != nil || !strings.Contains(r.Report[5].Why, samsungSSL) {
		t.Errorf("got %v and %+v, want neither of two", one, r.Report[5])
	}
	renamed := samsungSchema()
	renamed.Keys[0].Nested[4].Title = "Server"
	for name, in := range map[string]Inputs{"no schema": {}, "no list": {Schema: &Schema{App: SamsungPackage, Live: true}}, "no host": {Schema: &renamed}} {
		if _, err := Render(AppSamsung, base(), in); !errors.Is(err, ErrSchema) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
	r, err = Draft(AppSamsung, base(), Inputs{})
	if err != nil || r.Bundle != nil || r.Live || len(r.Report) == 0 {
		t.Errorf("got %+v, %v; want a report without a bundle", r, err)
	}
}

func TestRenderForOnePhone(t *testing.T) {
	t.Parallel()
	certificate := base()
	certificate.Identity = profiles.IdentitySCEP
	modern := online()
	tests := []struct {
		name          string
		app           App
		account       account
		in            Inputs
		chrome, alias bool
		err           error
	}{
		{"gmail with a password", AppGmail, base(), Inputs{}, false, false, nil},
		{"gmail with modern sign-in", AppGmail, modern, Inputs{}, true, false, nil},
		{"gmail with a certificate", AppGmail, certificate, Inputs{Alias: "a"}, false, true, nil},
		{"gmail without the companion", AppGmail, certificate, Inputs{}, false, false, nil},
		{"outlook takes no certificate", AppOutlook, certificate, Inputs{Alias: "a"}, false, false, nil},
		{"samsung with a certificate", AppSamsung, certificate, liveInputs(SamsungPackage), false, true, nil},
		{"nine", AppNine, base(), Inputs{}, false, false, nil},
		{"another app", "pine", base(), Inputs{}, false, false, profiles.ErrInvalid},
		{"a device ID that servers refuse", AppGmail, base(), Inputs{DeviceID: "sply-0"}, false, false, profiles.ErrInvalid},
		{"a device ID that is too long", AppGmail, base(), Inputs{DeviceID: strings.Repeat("a", 33)}, false, false, profiles.ErrInvalid},
		{"another app's schema", AppGmail, base(), liveInputs(NinePackage), false, false, ErrSchema},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := Render(test.app, test.account, test.in)
			if !errors.Is(err, test.err) || r.Chrome != test.chrome || r.Alias != test.alias {
				t.Errorf("got %+v, %v", r, err)
			}
		})
	}
}
