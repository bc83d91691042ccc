package managedconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

// Schema is what an app reads of a managed configuration: its own published
// schema, or the table that is built in.
type Schema struct {
	App  Package
	Keys []Key
	// Live: the app's own schema, as its store tells it. False: the built-in table,
	// which holds documented keys only.
	Live bool
}

// BuiltIn is the table that stands in for an app's own schema.
func BuiltIn(app Package) Schema { return Schema{App: app, Keys: Keys(app)} }

// Validate refuses, by key, what the app would ignore or misread. Against the
// app's own schema, too, the keys without which it sets up nothing must be there.
func (s Schema) Validate(b Bundle) error {
	if !s.Live {
		return b.Validate(s.App)
	}
	if len(b) == 0 {
		return blank()
	}
	var list refusal.List
	for _, k := range Keys(s.App) {
		if _, set := b[k.Name]; !set && k.Required && (!k.BasicOnly || b.basic()) {
			list.Add(refusal.New(ErrSchema, k.Name, "is missing", "the app sets up no account without it"))
		}
	}
	list.Add(checkLive(s.App, "", s.Keys, b)...)
	return list.OrNil()
}

func blank() *refusal.Error {
	return refusal.New(ErrSchema, "", "the managed configuration is blank and would wipe the app's settings", "send none at all")
}

func checkLive(app Package, path string, keys []Key, b Bundle) refusal.List {
	var list refusal.List
	for _, name := range slices.Sorted(maps.Keys(b)) {
		k, known := named(keys, name)
		if !known {
			list.Add(refusal.New(ErrSchema, path+name, "is no key of the version of "+string(app)+" that is in the store", "remove it"))
			continue
		}
		list.Add(k.checkLive(app, path, b[name])...)
	}
	return list
}

func named(keys []Key, name string) (Key, bool) {
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return keys[i], true
}

// checkLive holds a value against a key of an app's own schema.
func (k Key) checkLive(app Package, path string, value any) refusal.List {
	fits := false
	switch v := value.(type) {
	case string:
		if e := refusal.Line(ErrSchema, path+k.Name, v, maxValue); e != nil {
			return refusal.List{e}
		}
		fits = k.Type == String || k.Type == Hidden || k.Type == Choice && k.offers(v)
	case bool:
		fits = k.Type == Bool
	case int:
		fits = k.Type == Integer || k.Type == Choice && k.offers(fmt.Sprint(v))
	case []string:
		fits = k.Type == MultiSelect && !slices.ContainsFunc(v, func(one string) bool { return !k.offers(one) })
	case Bundle:
		if k.Type == BundleType {
			return checkLive(app, path+k.Name+".", k.Nested, v)
		}
	case []Bundle:
		if k.Type == BundleArray {
			var list refusal.List
			for i, one := range v {
				list.Add(checkLive(app, fmt.Sprintf("%s%s[%d].", path, k.Name, i), k.element(), one)...)
			}
			return list
		}
	}
	if !fits {
		return refusal.List{refusal.New(ErrSchema, path+k.Name, "is not what the version in the store reads", "it reads a "+string(k.Type)+k.choices())}
	}
	return nil
}

// element are the keys of one bundle of an array. A schema either lists them
// directly, or wraps them in the one BUNDLE that the array repeats.
func (k Key) element() []Key {
	if len(k.Nested) == 1 && k.Nested[0].Type == BundleType {
		return k.Nested[0].Nested
	}
	return k.Nested
}

func (k Key) offers(value string) bool {
	return slices.ContainsFunc(k.Entries, func(e any) bool { return fmt.Sprint(e) == value })
}

func (k Key) choices() string {
	if len(k.Entries) == 0 {
		return ""
	}
	return fmt.Sprintf(" out of %v", k.Entries)
}

// labelled finds the one key that the app calls so: by its title, or by a name
// that is the label itself. Where two are called so, none is meant.
func labelled(keys []Key, labels ...string) (Key, bool) {
	var found []Key
	for _, k := range keys {
		if slices.ContainsFunc(labels, func(l string) bool { return squeeze(k.Title) == squeeze(l) || squeeze(k.Name) == squeeze(l) }) {
			found = append(found, k)
		}
	}
	if len(found) != 1 {
		return Key{}, false
	}
	return found[0], true
}

// entry finds the one value that the app calls so.
func (k Key) entry(match func(label string) bool) (value string, found bool) {
	for i, e := range k.Entries {
		label := fmt.Sprint(e)
		if i < len(k.Labels) && k.Labels[i] != "" {
			label = k.Labels[i]
		}
		if !match(squeeze(label)) {
			continue
		}
		if found {
			return "", false
		}
		value, found = fmt.Sprint(e), true
	}
	return value, found
}

// squeeze makes labels comparable: "User name", "user_name" and "UserName" are one.
func squeeze(label string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, label)
}

// keep moves what a rule has written into the bundle, as far as the app's own
// schema takes it. What it lacks is not sent, and the admin is told.
func (in Inputs) keep(app Package, written, b Bundle, f profiles.Fidelity) profiles.Fidelity {
	for _, name := range slices.Sorted(maps.Keys(written)) {
		value := written[name]
		if in.live() {
			k, known := named(in.Schema.Keys, name)
			if !known {
				f = unsupported("the version of "+string(app)+" that is in the store has no key "+name, "")
				continue
			}
			if n, number := value.(int); number && k.Type == Choice {
				value = fmt.Sprint(n) // a choice is text
			}
			if refused := k.checkLive(app, "", value); len(refused) > 0 {
				f = unsupported("the version of "+string(app)+" that is in the store reads "+name+" otherwise: "+refused[0].Remedy, "")
				continue
			}
		}
		b[name] = value
	}
	return f
}
