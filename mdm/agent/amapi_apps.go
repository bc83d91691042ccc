package agent

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// storeExtract are the apps of the stand-in's catalogue with the keys that their
// makers document. Where only a label is published, the key is made up, and says
// so: a server has to take such keys from the catalogue, as it has to at Google.
//
//go:embed amapi_apps.json
var storeExtract []byte

// storeApp is an app of the catalogue.
type storeApp struct {
	Title      string        `json:"title"`
	Properties []appProperty `json:"properties"`
}

// appProperty is a ManagedProperty, and what a phone in software makes of it.
type appProperty struct {
	Key     string        `json:"key"`
	Title   string        `json:"title"`
	Type    string        `json:"type"`
	Default any           `json:"default,omitempty"`
	Entries []appEntry    `json:"entries,omitempty"`
	Nested  []appProperty `json:"nested,omitempty"`
	MadeUp  bool          `json:"made_up,omitempty"`
	// Means is the part of an account that the key sets: email, host, user, domain,
	// device, ssl, alias, window, type; empty: none. Of Samsung's plugin it is a part
	// of a certificate: protocol, alias, subject, host, port, path, challenge.
	Means string `json:"means,omitempty"`
}

type appEntry struct {
	Value string `json:"value"`
	Name  string `json:"name"`
}

func readStore() (map[string]*storeApp, error) {
	var apps map[string]*storeApp
	if err := json.Unmarshal(storeExtract, &apps); err != nil {
		return nil, fmt.Errorf("catalogue of apps: %w", err)
	}
	return apps, nil
}

// getApplication is the entry of an app in the catalogue.
func (a *AMAPI) getApplication(c *call) (object, *apiError) {
	if _, no := a.own(c); no != nil {
		return nil, no
	}
	app := a.apps[c.parts[1]]
	if app == nil {
		return nil, missing("application")
	}
	return object{
		"name": c.enterprise() + "/applications/" + c.parts[1], "title": app.Title, "appPricing": "FREE", "distributionChannel": "PUBLIC_GOOGLE_HOSTED",
		"managedProperties": managedProperties(app.Properties),
	}, nil
}

func managedProperties(all []appProperty) []any {
	out := []any{}
	for _, p := range all {
		one := object{"key": p.Key, "title": p.Title, "type": p.Type}
		if p.Default != nil {
			one["defaultValue"] = p.Default
		}
		var entries []any
		for _, e := range p.Entries {
			entries = append(entries, object{"value": e.Value, "name": e.Name})
		}
		if len(entries) > 0 {
			one["entries"] = entries
		}
		if len(p.Nested) > 0 {
			one["nestedProperties"] = managedProperties(p.Nested)
		}
		out = append(out, one)
	}
	return out
}

// checkManaged compares a managed configuration to what its app declares: "each
// field name must match the key of the ManagedProperty" and the value its type
// (ApplicationPolicy.managedConfiguration). An app that the catalogue does not
// have takes anything.
func (a *AMAPI) checkManaged(pkg string, config object, at string) *apiError {
	app := a.apps[pkg]
	if app == nil {
		return checkTexts(config, at)
	}
	return checkProperties(app.Properties, config, at)
}

func checkProperties(known []appProperty, config object, at string) *apiError {
	for _, key := range slices.Sorted(maps.Keys(config)) {
		i := slices.IndexFunc(known, func(p appProperty) bool { return p.Key == key })
		if i < 0 {
			return broken(at, "The app declares no managed property %q.", key)
		}
		if no := known[i].check(config[key], join(at, key)); no != nil {
			return no
		}
	}
	return nil
}

func (p appProperty) check(v any, at string) *apiError {
	ok := true
	switch p.Type {
	case "BOOL":
		_, ok = v.(bool)
	case "INTEGER":
		n, is := v.(json.Number)
		_, err := n.Int64()
		ok = is && err == nil
	case "STRING", "HIDDEN":
		var text string
		text, ok = v.(string)
		ok = ok && utf8.RuneCountInString(text) <= maxManagedText
	case "CHOICE":
		text, is := v.(string)
		ok = is && p.has(text)
	case "MULTISELECT":
		all, is := v.([]any)
		ok = is && !slices.ContainsFunc(all, func(one any) bool { text, is := one.(string); return !is || !p.has(text) })
	case "BUNDLE_ARRAY":
		all, is := v.([]any)
		if !is {
			return broken(at, "%q is a BUNDLE_ARRAY: an array of objects.", p.Key)
		}
		for _, one := range all {
			o, is := one.(object)
			if !is {
				return broken(at, "%q is a BUNDLE_ARRAY: an array of objects.", p.Key)
			}
			if no := checkProperties(p.Nested, o, at); no != nil {
				return no
			}
		}
	}
	if !ok {
		return broken(at, "The value of %q is no %s, too long, or none of its entries.", p.Key, p.Type)
	}
	return nil
}

func (p appProperty) has(value string) bool {
	return slices.ContainsFunc(p.Entries, func(e appEntry) bool { return e.Value == value })
}

// checkTexts holds for every app.
func checkTexts(v any, at string) *apiError {
	switch v := v.(type) {
	case string:
		if utf8.RuneCountInString(v) > maxManagedText {
			return broken(at, "A string of more than %d characters.", maxManagedText)
		}
	case object:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if no := checkTexts(v[key], join(at, key)); no != nil {
				return no
			}
		}
	case []any:
		for _, one := range v {
			if no := checkTexts(one, at); no != nil {
				return no
			}
		}
	}
	return nil
}
