package agent

import (
	"fmt"
	"math"

	"howett.net/plist"

	"sallyport/internal/bounded"
)

// dict is a property-list dictionary from outside, read key by key: a key of
// the wrong type is an error that names it, never a zero value.
type dict map[string]any

// decodeDict reads an XML property list whose root is a dictionary.
func decodeDict(data []byte) (dict, error) {
	var d map[string]any
	if err := bounded.DecodePlist(data, bounded.MaxPlist, bounded.MaxDepth, &d); err != nil {
		return nil, err
	}
	if d == nil {
		return nil, bounded.ErrMalformed
	}
	return d, nil
}

func decodeArray(data []byte) ([]any, error) {
	var a []any
	if err := bounded.DecodePlist(data, bounded.MaxPlist, bounded.MaxDepth, &a); err != nil {
		return nil, err
	}
	return a, nil
}

func encodePlist(v any) ([]byte, error) {
	return plist.MarshalIndent(v, plist.XMLFormat, "\t")
}

// fieldError says that a key is missing or has the wrong type.
type fieldError struct {
	key     string
	missing bool
}

func (e *fieldError) Error() string {
	if e.missing {
		return fmt.Sprintf("key %q is missing", e.key)
	}
	return fmt.Sprintf("key %q has the wrong type or range", e.key)
}

// reader collects the first error, so that a payload is read in straight lines.
type reader struct {
	d   dict
	err error
}

func get[T any](r *reader, key string, required bool) (v T, present bool) {
	raw, ok := r.d[key]
	if !ok {
		if required && r.err == nil {
			r.err = &fieldError{key: key, missing: true}
		}
		return v, false
	}
	if v, ok = raw.(T); !ok && r.err == nil {
		r.err = &fieldError{key: key}
	}
	return v, ok
}

func (r *reader) text(key string) string { v, _ := get[string](r, key, false); return v }

// need is text that must be there and not empty.
func (r *reader) need(key string) string {
	v, ok := get[string](r, key, true)
	if ok && v == "" && r.err == nil {
		r.err = &fieldError{key: key, missing: true}
	}
	return v
}

func (r *reader) data(key string, required bool) []byte {
	v, _ := get[[]byte](r, key, required)
	return v
}

func (r *reader) boolean(key string, otherwise bool) bool {
	if v, ok := get[bool](r, key, false); ok {
		return v
	}
	return otherwise
}

func (r *reader) integer(key string, otherwise int) int {
	raw, ok := r.d[key]
	if !ok {
		return otherwise
	}
	switch v := raw.(type) {
	case uint64:
		if v <= math.MaxInt32 {
			return int(v)
		}
	case int64:
		if v >= math.MinInt32 && v <= math.MaxInt32 {
			return int(v)
		}
	}
	if r.err == nil {
		r.err = &fieldError{key: key}
	}
	return otherwise
}

func (r *reader) dict(key string, required bool) dict {
	v, _ := get[map[string]any](r, key, required)
	return v
}

func (r *reader) array(key string, required bool) []any {
	v, _ := get[[]any](r, key, required)
	return v
}

// texts is one string or an array of strings: some of Apple's keys take both.
func (r *reader) texts(key string) []string {
	raw, ok := r.d[key]
	if !ok {
		return nil
	}
	list, isList := raw.([]any)
	if !isList {
		list = []any{raw}
	}
	var out []string
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			if r.err == nil {
				r.err = &fieldError{key: key}
			}
			return nil
		}
		out = append(out, s)
	}
	return out
}
