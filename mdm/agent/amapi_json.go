package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"unicode/utf8"
)

// object is a JSON object of the API. Numbers are json.Number.
type object = map[string]any

// maxJSONDepth is deeper than any policy.
const maxJSONDepth = 32

// readObject reads one JSON object and nothing behind it. Unlike encoding/json it
// takes no key twice, in no other case, and no text that is not UTF-8.
func readObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the object")
	}
	o, ok := v.(object)
	if !ok {
		return nil, errors.New("not an object")
	}
	return o, nil
}

func readValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, errors.New("not JSON")
	}
	opening, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == maxJSONDepth {
		return nil, fmt.Errorf("more than %d levels", maxJSONDepth)
	}
	out := object{}
	list := []any{}
	for d.More() {
		key := ""
		if opening == '{' {
			token, err := d.Token()
			if err != nil {
				return nil, errors.New("not JSON")
			}
			key, _ = token.(string)
			if _, twice := out[key]; twice {
				return nil, fmt.Errorf("key %q stands there twice", key)
			}
		}
		v, err := readValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		if opening == '{' {
			out[key] = v
		} else {
			list = append(list, v)
		}
	}
	if _, err := d.Token(); err != nil { // the closing one
		return nil, errors.New("not JSON")
	}
	if opening == '{' {
		return out, nil
	}
	return list, nil
}

// plain brings what Go code made into the form that readObject returns.
func plain(v any) object {
	text, err := json.Marshal(v)
	if err != nil {
		return object{}
	}
	o, err := readObject(text)
	if err != nil {
		return object{}
	}
	return o
}

// clone copies to the last leaf.
func clone[T any](v T) T {
	c, _ := cloneAny(v).(T)
	return c
}

func cloneAny(v any) any {
	switch v := v.(type) {
	case object:
		out := maps.Clone(v)
		for key, inner := range v {
			out[key] = cloneAny(inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = cloneAny(inner)
		}
		return out
	}
	return v
}

// same compares as JSON, whatever the order of keys.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// str, list and inner read a field that the schema has checked already; what is
// not there is empty.
func str(o object, key string) string {
	s, _ := o[key].(string)
	return s
}

func list(o object, key string) []object {
	all, _ := o[key].([]any)
	out := make([]object, 0, len(all))
	for _, one := range all {
		if o, ok := one.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

func texts(o object, key string) []string {
	all, _ := o[key].([]any)
	out := make([]string, 0, len(all))
	for _, one := range all {
		if s, ok := one.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func inner(o object, key string) object {
	in, _ := o[key].(object)
	return in
}

func yes(o object, key string) bool {
	b, _ := o[key].(bool)
	return b
}

// number reads an int32, which is a JSON number; 0 when it is not there.
func number(o object, key string) int {
	n, _ := o[key].(json.Number)
	i, _ := n.Int64()
	return int(i)
}
