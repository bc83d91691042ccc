package managedconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sallyport/internal/refusal"
)

// ErrSchema says that a bundle is not what its app reads.
var ErrSchema = errors.New("managed configuration does not fit the app")

// maxValue bounds one text. The longest that an account holds is a login.
const maxValue = 1024

// Bundle is the managed configuration of one app: key to string, bool, int, list
// of strings, Bundle or list of Bundles.
type Bundle map[string]any

// Encode returns the bundle as JSON, sorted by key: same bundle, same bytes.
func (b Bundle) Encode() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(map[string]any(b)); err != nil {
		return nil, fmt.Errorf("encode managed configuration: %w", err)
	}
	return out.Bytes(), nil
}

// Validate refuses, by key, a bundle that the app would ignore or misread: a
// blank one (it would overrule what the account is set up with elsewhere), keys
// that the table lacks, values of another type, and the lack of a key without
// which the app does not start.
func (b Bundle) Validate(app Package) error {
	keys := Keys(app)
	if len(keys) == 0 {
		return refusal.New(ErrSchema, "package", "is no app that Sallyport can configure", fmt.Sprintf("use %s, %s or %s", GmailPackage, OutlookPackage, NinePackage))
	}
	if len(b) == 0 {
		return blank()
	}
	table := make(map[string]Key, len(keys))
	var list refusal.List
	for _, k := range keys {
		table[k.Name] = k
		if _, set := b[k.Name]; !set && k.Required && (!k.BasicOnly || b.basic()) {
			list.Add(refusal.New(ErrSchema, k.Name, "is missing", "the app sets up no account without it"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		k, known := table[name]
		if !known {
			list.Add(refusal.New(ErrSchema, name, "is no key of "+string(app), "remove it"))
			continue
		}
		if k.BasicOnly && !b.basic() {
			list.Add(refusal.New(ErrSchema, name, "is read with BasicAuth only", "remove it"))
		}
		list.Add(k.check(b[name]))
	}
	return list.OrNil()
}

// basic reports whether Outlook asks for a password itself.
func (b Bundle) basic() bool { return b[accountType] == basicAuth }

// check refuses a value that is not of the key's type or not among its entries.
func (k Key) check(value any) *refusal.Error {
	fits := false
	switch v := value.(type) {
	case string:
		if v == "" {
			return refusal.New(ErrSchema, k.Name, "is empty", "leave the key out")
		}
		if e := refusal.Line(ErrSchema, k.Name, v, maxValue); e != nil {
			return e
		}
		fits = k.Type == String
	case bool:
		fits = k.Type == Bool
	case int:
		fits = k.Type == Integer
	}
	if !fits {
		return refusal.New(ErrSchema, k.Name, "is of another type", "the app reads a "+string(k.Type))
	}
	if len(k.Entries) > 0 && !slices.Contains(k.Entries, value) {
		return refusal.New(ErrSchema, k.Name, "is none of the values that the app knows", fmt.Sprintf("use one of %v", k.Entries))
	}
	return nil
}
