package templates

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/profiles"
)

// Change is one difference between two templates, in words.
type Change struct {
	Field  string `json:"field"`  // path as in a template: "accounts[0].host"
	Before string `json:"before"` // "not set" where there was nothing
	After  string `json:"after"`
}

// Words of a change.
const (
	notSet    = "not set"
	absent    = "absent"
	otherwise = "changed"
)

// Diff says what b changes in a, field by field in the order of a template.
// What means the same is no change: a default that is written out, the order of
// an audience. Accounts are compared by position, which is their identity on the
// phone. Of what may hold secrets it says only that it changed.
func Diff(a, b Spec) []Change {
	var d differ
	d.fields("", reflect.ValueOf(meaning(a)), reflect.ValueOf(meaning(b)))
	return d.changes
}

// DiffSecurity is Diff for security policies.
func DiffSecurity(a, b SecuritySpec) []Change {
	for _, s := range []*SecuritySpec{&a, &b} {
		if s.Android.Enforcement == nil {
			s.Android.Enforcement = &profiles.AndroidEnforcement{} // its days come and go one by one
		}
	}
	var d differ
	d.fields("", reflect.ValueOf(a), reflect.ValueOf(b))
	return d.changes
}

// meaning writes defaults out.
func meaning(s Spec) Spec {
	accounts := make([]profiles.ExchangeAccount, len(s.Accounts))
	for i, account := range s.Accounts {
		account = account.WithDefaults()
		oauth := account.UsesOAuth()
		account.OAuth.Enabled = &oauth
		accounts[i] = account
	}
	s.Accounts = accounts
	s.Android.App = s.Android.MailApp()
	return s
}

type differ struct{ changes []Change }

func (d *differ) add(path, before, after string) {
	if before != after {
		d.changes = append(d.changes, Change{Field: path, Before: before, After: after})
	}
}

// fields compares two structs of one type by the keys of their fields.
func (d *differ) fields(path string, a, b reflect.Value) {
	for i := range a.NumField() {
		key, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("yaml"), ",")
		if key == "" || key == "-" {
			continue
		}
		if path != "" {
			key = path + "." + key
		}
		d.value(key, a.Field(i), b.Field(i))
	}
}

func (d *differ) value(path string, a, b reflect.Value) {
	switch a.Interface().(type) {
	case directory.Audience, profiles.Service:
		d.add(path, words(a), words(b))
		return
	}
	switch {
	case path == "kept":
		if a.String() != b.String() {
			d.changes = append(d.changes, Change{path, keptWords(a.String()), otherWords(a.String(), b.String())})
		}
	case a.Kind() == reflect.Struct:
		d.fields(path, a, b)
	case a.Kind() == reflect.Slice:
		d.list(path, a, b)
	case a.Kind() == reflect.Pointer && a.Type().Elem().Kind() == reflect.Struct && !a.IsNil() && !b.IsNil():
		d.fields(path, a.Elem(), b.Elem())
	default:
		d.add(path, words(a), words(b))
	}
}

// list compares item by item; what one list has beyond the other came or went.
func (d *differ) list(path string, a, b reflect.Value) {
	for i := range max(a.Len(), b.Len()) {
		item := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= a.Len():
			d.add(item, absent, words(b.Index(i)))
		case i >= b.Len():
			d.add(item, words(a.Index(i)), absent)
		default:
			d.value(item, a.Index(i), b.Index(i))
		}
	}
}

// words says what a value means.
func words(v reflect.Value) string {
	switch own := v.Interface().(type) {
	case directory.Audience:
		return audienceWords(own)
	case profiles.Service:
		return serviceWords(own)
	case profiles.ExchangeAccount:
		return fmt.Sprintf("account %s, %s on %s", own.Name, own.Login(), own.Host)
	case *profiles.PasswordSource:
		if own == nil {
			return "asked on the phone"
		}
		return "secret " + own.Secret
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return notSet
		}
		return words(v.Elem())
	case reflect.Bool:
		if v.Bool() {
			return "yes"
		}
		return "no"
	case reflect.Int:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.String:
		if v.Len() == 0 {
			return notSet
		}
		return v.String()
	}
	return fmt.Sprint(v.Interface())
}

func audienceWords(a directory.Audience) string {
	if a.Everyone {
		return "everyone"
	}
	if a.Nobody() {
		return "nobody"
	}
	var parts []string
	if len(a.Groups) > 0 {
		parts = append(parts, "groups "+strings.Join(slices.Sorted(slices.Values(a.Groups)), ", "))
	}
	if len(a.Users) > 0 {
		parts = append(parts, "users "+strings.Join(slices.Sorted(slices.Values(a.Users)), ", "))
	}
	return strings.Join(parts, "; ")
}

func serviceWords(s profiles.Service) string {
	text := "off"
	if s.On() {
		text = "on"
	}
	if s.Locked {
		return text + ", locked"
	}
	return text + ", the user may change it"
}

// keptWords and otherWords do not show what was kept of an imported profile: it
// may be anything.
func keptWords(kept string) string {
	if kept == "" {
		return notSet
	}
	return "set"
}

func otherWords(before, after string) string {
	if before != "" && after != "" {
		return otherwise
	}
	return keptWords(after)
}
