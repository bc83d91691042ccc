package agent

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unknownName is Google's sentence for a field that a message does not have.
func unknownName(path, name string) *apiError {
	at := ""
	if path != "" {
		at = fmt.Sprintf(" at '%s'", path)
	}
	return broken(path, "Invalid JSON payload received. Unknown name %q%s: Cannot find field.", name, at)
}

func invalidValue(path, want string) *apiError {
	return broken(path, "Invalid value at '%s' (%s).", path, want)
}

// durationText is google.protobuf.Duration in JSON.
var durationText = regexp.MustCompile(`^-?[0-9]{1,12}(\.[0-9]{1,9})?s$`)

// checkMessage refuses what a message of that type does not have: fields by
// another name, values of another type or outside the enum, int64 as a number,
// null.
func (s *amapiSchema) checkMessage(typ string, o object, path string) *apiError {
	for _, name := range slices.Sorted(maps.Keys(o)) {
		at, ok := s.shapes[typ][name]
		if !ok {
			return unknownName(path, name)
		}
		if e := s.check(at, o[name], join(path, name)); e != nil {
			return e
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (s *amapiSchema) check(at shape, v any, path string) *apiError {
	switch at.kind {
	case "any":
		return nil
	case "[]":
		all, ok := v.([]any)
		if !ok {
			return invalidValue(path, "an array")
		}
		for i, one := range all {
			if e := s.check(*at.elem, one, fmt.Sprintf("%s[%d]", path, i)); e != nil {
				return e
			}
		}
		return nil
	case "map", "ref":
		o, ok := v.(object)
		if !ok {
			return invalidValue(path, "an object")
		}
		if at.kind == "ref" {
			return s.checkMessage(at.ref, o, path)
		}
		for _, key := range slices.Sorted(maps.Keys(o)) {
			if e := s.check(*at.elem, o[key], join(path, key)); e != nil {
				return e
			}
		}
		return nil
	}
	return checkScalar(at, v, path)
}

// checkScalar follows the JSON mapping of protocol buffers
// (https://protobuf.dev/programming-guides/json/), without what it forgives.
func checkScalar(at shape, v any, path string) *apiError {
	switch at.kind {
	case "bool":
		if _, ok := v.(bool); !ok {
			return invalidValue(path, "TYPE_BOOL")
		}
		return nil
	case "int32", "float":
		n, ok := v.(json.Number)
		if !ok {
			return invalidValue(path, "TYPE_"+strings.ToUpper(at.kind)+", a number")
		}
		if _, err := strconv.ParseInt(n.String(), 10, 32); err != nil && at.kind == "int32" {
			return invalidValue(path, "TYPE_INT32")
		}
		return nil
	}
	text, ok := v.(string)
	if !ok {
		return invalidValue(path, "a string")
	}
	return checkText(at, text, path)
}

// checkText checks what JSON and a query both write as text.
func checkText(at shape, text, path string) *apiError {
	var err error
	switch at.kind {
	case "enum":
		if !slices.Contains(at.enum, text) {
			return invalidValue(path, fmt.Sprintf("%q is not of the enum", text))
		}
	case "int64":
		_, err = strconv.ParseInt(text, 10, 64)
	case "int32":
		_, err = strconv.ParseInt(text, 10, 32)
	case "bool":
		if text != "true" && text != "false" {
			return invalidValue(path, "TYPE_BOOL")
		}
	case "time":
		_, err = time.Parse(time.RFC3339Nano, text)
	case "bytes":
		_, err = base64.StdEncoding.DecodeString(text)
	case "duration":
		if !durationText.MatchString(text) {
			return invalidValue(path, "Field '"+path+"', Illegal duration format; duration must end with 's'")
		}
	}
	if err != nil {
		return invalidValue(path, "TYPE_"+strings.ToUpper(at.kind))
	}
	return nil
}

// stored is a message as Google keeps it: a field that has its default value is
// as good as absent, and is left out of every answer. Free objects and messages
// stay, even when they are empty.
func (s *amapiSchema) stored(typ string, o object) object {
	out := object{}
	for name, v := range o {
		at := s.shapes[typ][name]
		if kept, ok := s.kept(at, v); ok {
			out[name] = kept
		}
	}
	return out
}

func (s *amapiSchema) kept(at shape, v any) (any, bool) {
	switch at.kind {
	case "ref":
		if o, ok := v.(object); ok {
			return s.stored(at.ref, o), true
		}
	case "[]":
		all, _ := v.([]any)
		var out []any
		for _, one := range all {
			if o, ok := one.(object); ok && at.elem.kind == "ref" {
				one = s.stored(at.elem.ref, o)
			}
			out = append(out, one)
		}
		return out, len(out) > 0
	case "bool":
		return v, v == true
	case "string", "bytes":
		return v, v != ""
	case "int32", "float":
		n, _ := v.(json.Number)
		f, _ := n.Float64()
		return v, f != 0
	case "int64":
		return v, v != "0"
	case "enum":
		return v, len(at.enum) == 0 || v != at.enum[0]
	}
	return v, true
}
