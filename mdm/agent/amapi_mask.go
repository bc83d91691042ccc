package agent

import (
	"slices"
	"strings"
)

// mask is a field mask: paths of field names, in lower camel case.
type mask []string

// readMask reads an updateMask for a message of that type and refuses paths that
// lead nowhere, lead into a list, or lead to what is not modifiable.
func (s *amapiSchema) readMask(typ, text string, modifiable func(field string) bool) (mask, *apiError) {
	if text == "" || text == "*" {
		return nil, nil
	}
	var m mask
	for path := range strings.SplitSeq(text, ",") {
		at, ok := s.field(typ, path)
		top, _, _ := strings.Cut(path, ".")
		switch {
		case !ok:
			return nil, broken("update_mask", "Invalid updateMask: %q is no field of %s, or leads into a list.", path, typ)
		case at.ro || !modifiable(top):
			return nil, broken("update_mask", "Invalid updateMask: %q cannot be modified.", path)
		case slices.Contains(m, path):
			return nil, broken("update_mask", "Invalid updateMask: %q stands there twice.", path)
		}
		m = append(m, path)
	}
	return m, nil
}

// apply returns old with what the mask names taken from new: a field that new
// does not have is cleared. An empty mask names all that is modifiable.
func (m mask) apply(old, new object, modifiable func(field string) bool) object {
	out := clone(old)
	if out == nil {
		out = object{}
	}
	if len(m) == 0 {
		for name := range old {
			if modifiable(name) {
				delete(out, name)
			}
		}
		for name, v := range new {
			if modifiable(name) {
				out[name] = cloneAny(v)
			}
		}
		return out
	}
	for _, path := range m {
		put(out, new, strings.Split(path, "."))
	}
	return out
}

func put(out, from object, path []string) {
	name := path[0]
	v, there := from[name]
	if len(path) == 1 {
		if there {
			out[name] = cloneAny(v)
		} else {
			delete(out, name)
		}
		return
	}
	below := inner(out, name)
	if below == nil {
		below = object{}
		out[name] = below
	}
	put(below, inner(from, name), path[1:])
}
