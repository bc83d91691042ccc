package managedconfig

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

// settingOf names the setting that a field of the account belongs to.
func settingOf(path string) string {
	if strings.HasPrefix(path, "sync.") {
		return path[:strings.LastIndexByte(path, '.')]
	}
	return path
}

type leaf struct {
	path  string
	index []int
}

// leaves finds every field of the account by its names in YAML.
func leaves(t reflect.Type, path string, index []int) []leaf {
	var found []leaf
	for i := range t.NumField() {
		f := t.Field(i)
		name := path + strings.Split(f.Tag.Get("yaml"), ",")[0]
		at := append(slices.Clone(index), i)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			found = append(found, leaves(inner, name+".", at)...)
			continue
		}
		found = append(found, leaf{name, at})
	}
	return found
}

// set gives one field a value that is not its zero, and makes the pointers on
// the way.
func set(t *testing.T, a *account, l leaf) {
	t.Helper()
	v := reflect.ValueOf(a).Elem()
	for _, i := range l.index {
		if v.Kind() == reflect.Pointer {
			v.Set(reflect.New(v.Type().Elem()))
			v = v.Elem()
		}
		v = v.Field(i)
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem())) // false and 0 are settings too
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	default:
		t.Fatalf("%s: a field of kind %s needs a case here", l.path, v.Kind())
	}
}

// allRules are the rules of every app, with and without its own schema.
func allRules() map[string]map[string]rule {
	return map[string]map[string]rule{
		"gmail": gmailRules(Inputs{}), "gmail with its schema": gmailRules(liveInputs(GmailPackage)),
		"outlook": outlookRules(Android), "outlook on iOS": outlookRules(IOS),
		"samsung": samsungRules(nil, Inputs{}), "samsung with its schema": samsungRules(samsungSchema().Keys[0].Nested, liveInputs(SamsungPackage)),
		"nine": nineRules(Inputs{}), "nine with its schema": nineRules(liveInputs(NinePackage)),
	}
}

// TestEveryFieldIsReported sets each field of the account alone: a new field
// without a row in the report fails here.
func TestEveryFieldIsReported(t *testing.T) {
	t.Parallel()
	all := leaves(reflect.TypeFor[account](), "", nil)
	if len(all) < 40 {
		t.Fatalf("found %d fields only", len(all))
	}
	covered := map[string]bool{}
	for _, l := range all {
		field := settingOf(l.path)
		covered[field] = true
		var a account
		set(t, &a, l)
		for app, rules := range allRules() {
			report := apply(a, rules, Bundle{})
			if got := fields(report); got != field {
				t.Errorf("%s: %s alone is reported as %q, want %q", app, l.path, got, field)
			}
		}
	}
	for _, s := range settings() {
		if !covered[s.field] {
			t.Errorf("%s is no field of an account", s.field)
		}
	}
}

// TestEverySettingHasARule: apply calls the rule of each setting, and there is
// no other.
func TestEverySettingHasARule(t *testing.T) {
	t.Parallel()
	var want []string
	examined := map[string]bool{}
	for _, e := range examples() {
		examined[e.field] = true
	}
	for _, s := range settings() {
		want = append(want, s.field)
		if !examined[s.field] {
			t.Errorf("%s has no example", s.field)
		}
	}
	slices.Sort(want)
	for app, rules := range allRules() {
		var got []string
		for field, r := range rules {
			if r != nil {
				got = append(got, field)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: rules for %v, want %v", app, got, want)
		}
	}
}

func accounts() *rapid.Generator[account] {
	word := rapid.SampledFrom([]string{"", "alice", "Ålice", "a b", "%upn%", "%email%x", "%%", "$(id)", "{{.}}", "</string>", `EX\AMPLE`, "a\u202eb", "a\x00b", "\xff", strings.Repeat("a", 300)})
	on := rapid.SampledFrom([]*bool{nil, pointer(true), pointer(false)})
	source := rapid.SampledFrom([]profiles.IdentitySource{"", profiles.IdentityNone, profiles.IdentitySCEP, profiles.IdentityPKCS12})
	return rapid.Custom(func(t *rapid.T) account {
		flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
		service := func(name string) profiles.Service {
			return profiles.Service{Enabled: on.Draw(t, name), Locked: flag(name + " locked")}
		}
		mostly := func(name, usual string) string {
			if rapid.IntRange(0, 9).Draw(t, name+" unusual") == 0 {
				return word.Draw(t, name)
			}
			return usual
		}
		a := account{
			Name: mostly("name", "Mail"), HostType: rapid.SampledFrom([]profiles.HostType{profiles.OnPremises, profiles.Office365}).Draw(t, "host type"),
			Host:     mostly("host", rapid.SampledFrom([]string{"mail.example.test", "mail.example.test:443", "mail.example.test:8443", "192.0.2.1", "[2001:db8::1]:443"}).Draw(t, "good host")),
			UserName: mostly("user name", "alice"), Domain: mostly("domain", ""), Email: mostly("email", "alice@example.test"),
			SSL: on.Draw(t, "ssl"), OverridePreviousPassword: flag("override"),
			Identity:    source.Draw(t, "identity"),
			OAuth:       profiles.OAuth{Enabled: on.Draw(t, "oauth")},
			PreventMove: flag("move"), BlockNonMailApps: flag("block"), DisableRecentsSync: flag("recents"), AllowMailDrop: flag("drop"),
			SMIME: profiles.SMIME{
				Sign: profiles.SMIMESign{Enabled: flag("sign"), UserMayChange: flag("sign may"), UserMayChangeIdentity: flag("sign id")},
				Encrypt: profiles.SMIMEEncrypt{ByDefault: flag("encrypt"), UserMayChange: flag("encrypt may"), UserMayChangeIdentity: flag("encrypt id"),
					PerMessageSwitch: flag("switch")},
			},
			Sync:              profiles.Sync{Mail: service("mail"), Contacts: service("contacts"), Calendar: service("calendar"), Reminders: service("reminders"), Notes: service("notes")},
			DaysToKeepOffline: rapid.SampledFrom([]*int{nil, pointer(0), pointer(1), pointer(3), pointer(7), pointer(14), pointer(31), pointer(2), pointer(-1)}).Draw(t, "days"),
		}
		if a.Identity == profiles.IdentityPKCS12 {
			a.PKCS12 = "alice"
		}
		if flag("password") && !a.UsesOAuth() {
			a.Password = &profiles.PasswordSource{Secret: "the-secret"}
		}
		if flag("default") {
			a = a.WithDefaults()
		}
		return a
	})
}

// TestBundlesHold: whatever an account says, an app gets a bundle that its
// schema allows, twice the same, made of the account's own values; and the
// admin gets each setting's fate exactly once. Anything else is a refusal that
// names a field.
func TestBundlesHold(t *testing.T) {
	t.Parallel()
	for _, target := range targets() {
		t.Run(target.name, func(t *testing.T) {
			t.Parallel()
			made := 0
			rapid.Check(t, func(t *rapid.T) {
				a := accounts().Draw(t, "account")
				b, report, err := target.make(a)
				if err != nil {
					checkRefusal(t, err, b, report)
					return
				}
				made++
				if b == nil { // no app's own schema, no keys
					checkReport(t, a, report)
					return
				}
				checkBundle(t, target, a, b)
				checkReport(t, a, report)
			})
			if made == 0 {
				t.Error("every account was refused: nothing was tested")
			}
		})
	}
}

func checkRefusal(t *rapid.T, err error, b Bundle, report profiles.Report) {
	if list := refusal.All(err); !errors.Is(err, profiles.ErrInvalid) || len(list) == 0 || list[0].Field == "" || list[0].Remedy == "" {
		t.Errorf("got %v, want refusals with field and remedy", err)
	}
	if b != nil || report != nil {
		t.Error("got a bundle beside the refusal")
	}
}

func checkBundle(t *rapid.T, target target, a account, b Bundle) {
	if err := target.in.schema(target.app).Validate(b); err != nil {
		t.Errorf("got %v, want what the app's schema allows", err)
	}
	again, _, err := target.make(a)
	if err != nil {
		t.Fatal(err)
	}
	first, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := again.Encode(); err != nil || string(first) != string(second) {
		t.Errorf("got %s, then %s", first, second)
	}
	host, _ := hostPort(a.Host)
	own := []string{a.Name, a.Host, host, a.UserName, a.Login(), a.Domain, a.Email, modernAuth, basicAuth, usernameAndPassword, publisher, target.in.Alias, target.in.DeviceID}
	own = append(own, "0", "1", "2", "3", "4", "5") // Samsung's spans in the test's schema
	if list, nested := b["accounts"].([]Bundle); nested {
		b = list[0]
	}
	for key, value := range b {
		if text, ok := value.(string); ok && !slices.Contains(own, text) {
			t.Errorf("%s: got %q, which the account does not say", key, text)
		}
		if value == "the-secret" {
			t.Errorf("%s: got the name of the password", key)
		}
	}
	// Elsewhere a value that looks like a variable is data; these two are what
	// WithDefaults writes for an account that nobody has expanded.
	blank := account{}.WithDefaults()
	for _, key := range []string{exchangeUser, profileUPN, emailAddress, profileAddress} {
		if b[key] == blank.UserName || b[key] == blank.Email {
			t.Errorf("%s: got %v, a variable", key, b[key])
		}
	}
}

func checkReport(t *rapid.T, a account, report profiles.Report) {
	next := 0
	for _, s := range settings() {
		if !s.made(a) {
			continue
		}
		if next >= len(report) || report[next].Field != s.field {
			t.Fatalf("row %d: got %q, want %s", next, fields(report), s.field)
		}
		f := report[next]
		if f.Status != profiles.Applied && f.Why == "" || f.Status == "" {
			t.Errorf("%s is %q without a reason", f.Field, f.Status)
		}
		next++
	}
	if next != len(report) {
		t.Errorf("got %q, want %d rows", fields(report), next)
	}
}
