package appleschema

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// dictionary compares a property list dictionary with the keys that the schema
// allows and demands, and returns one line per fault.
func dictionary(path string, dict map[string]any, keys []key) []string {
	var faults []string
	known := make(map[string]key, len(keys))
	var anyKey key
	open := false
	for _, k := range keys {
		known[k.Key] = k
		if k.any() {
			anyKey, open = k, true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(dict)) {
		k, ok := known[name]
		switch {
		case ok && !k.SupportedOS.onIOS():
			faults = append(faults, fmt.Sprintf("%s.%s: not a key of iOS", path, name))
		case ok:
			faults = append(faults, value(path+"."+name, dict[name], k)...)
		case open:
			faults = append(faults, value(path+"."+name, dict[name], anyKey)...)
		default:
			faults = append(faults, fmt.Sprintf("%s.%s: the schema has no such key", path, name))
		}
	}
	for _, k := range keys {
		if _, ok := dict[k.Key]; !ok && demanded(k) {
			faults = append(faults, fmt.Sprintf("%s.%s: required, missing", path, k.Key))
		}
	}
	return faults
}

// demanded: a key that iOS does not have, or has only in a User Enrollment, is
// not required of a device that enrolled by profile.
func demanded(k key) bool {
	return k.Presence == "required" && !k.any() && k.SupportedOS.onIOS() &&
		k.SupportedOS.IOS.UserEnrollment.Mode != "required"
}

func value(path string, v any, k key) []string {
	if got, ok := kind(v); k.Type != "<any>" && (!ok || !fits(got, k.Type)) {
		return []string{fmt.Sprintf("%s: is %s (%T), the schema says %s", path, got, v, k.Type)}
	}
	faults := scalar(path, v, k)
	switch k.Type {
	case "<dictionary>":
		if keys := dictionaryKeys(k.Subkeys); len(keys) > 0 {
			faults = append(faults, dictionary(path, asDict(v), keys)...)
		}
	case "<array>":
		faults = append(faults, array(path, asArray(v), k)...)
	}
	return faults
}

// dictionaryKeys sees through a named place-holder around the ANY key
// (ConsentText is written that way).
func dictionaryKeys(keys []key) []key {
	if len(keys) == 1 && keys[0].Type == "<dictionary>" && len(keys[0].Subkeys) == 1 && keys[0].Subkeys[0].any() {
		return keys[0].Subkeys
	}
	return keys
}

func array(path string, items []any, k key) []string {
	if len(k.Subkeys) == 0 {
		return nil
	}
	item := k.Subkeys[0]
	var faults []string
	if r := item.Repetition; r != nil {
		if n := float64(len(items)); (r.Min != nil && n < *r.Min) || (r.Max != nil && n > *r.Max) {
			faults = append(faults, fmt.Sprintf("%s: %d items are too few or too many", path, len(items)))
		}
	}
	for i, v := range items {
		at := fmt.Sprintf("%s[%d]", path, i)
		if item.Type == "<string>" && len(item.Subkeys) > 0 {
			// The sub-keys of a scalar are its possible values (DeviceInformation.Queries).
			faults = append(faults, oneOf(at, v, item.Subkeys)...)
			continue
		}
		faults = append(faults, item.closest(at, v, k.Subkeys)...)
	}
	return faults
}

// closest are the faults against the alternative that fits best: the items of
// Settings are each of another form.
func (k key) closest(path string, v any, alternatives []key) []string {
	best := value(path, v, k)
	for _, other := range alternatives {
		if faults := value(path, v, other); len(faults) < len(best) {
			best = faults
		}
	}
	return best
}

func oneOf(path string, v any, values []key) []string {
	for _, k := range values {
		if k.Key == v && k.SupportedOS.onIOS() {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: %v is not a value that iOS knows", path, v)}
}

func scalar(path string, v any, k key) []string {
	var faults []string
	if len(k.RangeList) > 0 && !slices.ContainsFunc(k.RangeList, func(want any) bool { return fmt.Sprint(want) == fmt.Sprint(v) }) {
		faults = append(faults, fmt.Sprintf("%s: %v is none of %v", path, v, k.RangeList))
	}
	if n, ok := number(v); ok && k.Range != nil {
		if (k.Range.Min != nil && n < *k.Range.Min) || (k.Range.Max != nil && n > *k.Range.Max) {
			faults = append(faults, fmt.Sprintf("%s: %v is out of range", path, v))
		}
	}
	if s, ok := v.(string); ok && k.Format != "" && !regexp.MustCompile(k.Format).MatchString(s) {
		faults = append(faults, fmt.Sprintf("%s: %q does not match %s", path, s, k.Format))
	}
	if s, ok := v.(string); ok && s == "" && k.Presence == "required" {
		faults = append(faults, fmt.Sprintf("%s: required, empty", path))
	}
	return faults
}

// kind names the property list type of a Go value.
func kind(v any) (string, bool) {
	switch v.(type) {
	case nil:
		return "nothing", false
	case []byte:
		return "<data>", true
	case time.Time:
		return "<date>", true
	}
	switch reflect.TypeOf(v).Kind() {
	case reflect.String:
		return "<string>", true
	case reflect.Bool:
		return "<boolean>", true
	case reflect.Float32, reflect.Float64:
		return "<real>", true
	case reflect.Slice, reflect.Array:
		return "<array>", true
	case reflect.Map:
		return "<dictionary>", true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "<integer>", true
	}
	return strings.ToLower(reflect.TypeOf(v).String()), false
}

// fits: a property list may write a whole number where a real is meant.
func fits(got, want string) bool { return got == want || (want == "<real>" && got == "<integer>") }

func number(v any) (float64, bool) {
	r := reflect.ValueOf(v)
	switch {
	case !r.IsValid():
		return 0, false
	case r.CanInt():
		return float64(r.Int()), true
	case r.CanUint():
		return float64(r.Uint()), true
	case r.CanFloat():
		return r.Float(), true
	}
	return 0, false
}

func asDict(v any) map[string]any {
	if dict, ok := v.(map[string]any); ok {
		return dict
	}
	r := reflect.ValueOf(v)
	dict := make(map[string]any, r.Len())
	for _, name := range r.MapKeys() {
		dict[name.String()] = r.MapIndex(name).Interface()
	}
	return dict
}

func asArray(v any) []any {
	if items, ok := v.([]any); ok {
		return items
	}
	r := reflect.ValueOf(v)
	items := make([]any, r.Len())
	for i := range items {
		items[i] = r.Index(i).Interface()
	}
	return items
}
