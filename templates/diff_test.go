package templates

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/profiles"
)

const twoAccounts = `
name: mail
display_name: Mail
assign: {groups: [sales, board]}
accounts:
  - {name: A, host: a.test}
  - {name: B, host: b.test}
`

func TestDiff(t *testing.T) {
	tests := []struct {
		name, a, b string
		want       []Change
	}{
		{"the same", twoAccounts, twoAccounts, nil},
		{"defaults written out, order of groups", twoAccounts, strings.NewReplacer("[sales, board]", "[board, sales]",
			"host: a.test", `host: a.test, host_type: on_premises, ssl: true, user_name: "%upn%", identity: none, oauth: {enabled: false}, sync: {mail: {enabled: true}}`).Replace(twoAccounts), nil},
		{"fields", twoAccounts, strings.NewReplacer("display_name: Mail", "display_name: Post", "host: b.test", "host: c.test, prevent_move: true, days_to_keep_offline: 7").Replace(twoAccounts), []Change{
			{"display_name", "Mail", "Post"}, {"accounts[1].host", "b.test", "c.test"},
			{"accounts[1].prevent_move", "no", "yes"}, {"accounts[1].days_to_keep_offline", notSet, "7"},
		}},
		{"audience", twoAccounts, strings.Replace(twoAccounts, "{groups: [sales, board]}", "everyone\nexclude: {users: [bob@example.test]}\npriority: 5", 1), []Change{
			{"priority", "0", "5"}, {"assign", "groups board, sales", "everyone"}, {"exclude", "nobody", "users bob@example.test"},
		}},
		{"an account goes", twoAccounts, strings.Replace(twoAccounts, "  - {name: B, host: b.test}\n", "", 1), []Change{
			{"accounts[1]", "account B, %upn% on b.test", absent},
		}},
		{"an account comes", strings.Replace(twoAccounts, "  - {name: B, host: b.test}\n", "", 1), twoAccounts, []Change{
			{"accounts[1]", absent, "account B, %upn% on b.test"},
		}},
		{"services", twoAccounts, strings.Replace(twoAccounts, "host: b.test", "host: b.test, sync: {notes: {enabled: false, locked: true}}", 1), []Change{
			{"accounts[1].sync.notes", "on, the user may change it", "off, locked"},
		}},
		{"password", twoAccounts, strings.Replace(twoAccounts, "host: b.test", "host: b.test, password: {secret: mail}", 1), []Change{
			{"accounts[1].password", "asked on the phone", "secret mail"},
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Diff(revision(t, test.a).Spec, revision(t, test.b).Spec)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDiffShowsNothingKept: what an import kept may be anything.
func TestDiffShowsNothingKept(t *testing.T) {
	a, b := Spec{Kept: "<one>"}, Spec{Kept: "<two>"}
	for _, test := range []struct {
		a, b Spec
		want []Change
	}{
		{Spec{}, a, []Change{{"kept", notSet, "set"}}}, {a, Spec{}, []Change{{"kept", "set", notSet}}},
		{a, b, []Change{{"kept", "set", "changed"}}}, {a, a, nil},
	} {
		if diff := cmp.Diff(test.want, Diff(test.a, test.b)); diff != "" {
			t.Error(diff)
		}
	}
}

// TestDiffSeesEveryField: a field that is added to an account one day is not
// forgotten here.
func TestDiffSeesEveryField(t *testing.T) {
	base := Spec{Accounts: []profiles.ExchangeAccount{{Name: "A", Host: "a.test"}}}
	each(reflect.TypeFor[profiles.ExchangeAccount](), nil, "", func(path string, index []int) {
		changed := Spec{Accounts: []profiles.ExchangeAccount{base.Accounts[0]}}
		v := reflect.ValueOf(&changed.Accounts[0]).Elem()
		for _, i := range index {
			v = v.Field(i)
		}
		set(v) // a switch by pointer becomes off
		if path == "oauth.enabled" {
			v.Elem().SetBool(true) // off is the default
		}
		found := Diff(base, changed)
		if len(found) == 0 || !strings.HasPrefix("accounts[0]."+path, found[0].Field) {
			t.Errorf("%s: got %v", path, found)
		}
	})
}

// each calls f for every leaf of a struct that has a key.
func each(t reflect.Type, index []int, path string, f func(string, []int)) {
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		inner := append(append([]int(nil), index...), i)
		if t.Field(i).Type.Kind() == reflect.Struct {
			each(t.Field(i).Type, inner, path+key+".", f)
			continue
		}
		f(path+key, inner)
	}
}

func set(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		if v.Elem().Kind() == reflect.Int {
			v.Elem().SetInt(3)
		}
		if v.Elem().Kind() == reflect.Struct {
			set(v.Elem().Field(0))
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("other")
	}
}
