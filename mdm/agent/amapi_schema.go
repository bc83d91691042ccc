package agent

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// amapiExtract is what the stand-in knows of Google's discovery document
// (androidmanagement-api.json of google.golang.org/api, BSD-3-Clause): methods,
// fields, types and enums, without a word of its descriptions. A test writes it
// anew from the document (-update) and fails where the two differ.
//
//go:embed amapi_schema.json
var amapiExtract []byte

// amapiSchema is the extract, read.
type amapiSchema struct {
	Source   string                       `json:"source"`
	Revision string                       `json:"revision"`
	Methods  []*amapiMethod               `json:"methods"`
	Schemas  map[string]map[string]string `json:"schemas"` // type, field: shape

	shapes map[string]map[string]shape
}

// amapiMethod is one method of the API.
type amapiMethod struct {
	ID       string            `json:"id"`   // "enterprises.policies.patch"
	HTTP     string            `json:"http"` // the HTTP method
	Path     string            `json:"path"` // "v1/enterprises/{enterprisesId}"
	Query    map[string]string `json:"query,omitempty"`
	Request  string            `json:"request,omitempty"`
	Response string            `json:"response"`

	path  *regexp.Regexp
	query map[string]shape
}

// shape is the type of a field. As text it is "string", "bool", "int32",
// "int64" (a JSON string), "float", "time", "duration", "mask", "bytes", "any",
// "enum A B C", the name of a type, "[]" and a shape, "map " and a shape; "= " in
// front says that only the server writes it.
type shape struct {
	kind string // of the above; "[]", "map" or "ref" for the last three
	ref  string
	elem *shape
	enum []string
	ro   bool
}

var scalars = []string{"string", "bool", "int32", "int64", "float", "time", "duration", "mask", "bytes", "any"}

func parseShape(text string) shape {
	if rest, ok := strings.CutPrefix(text, "= "); ok {
		s := parseShape(rest)
		s.ro = true
		return s
	}
	for _, outer := range []string{"[]", "map "} {
		if rest, ok := strings.CutPrefix(text, outer); ok {
			elem := parseShape(rest)
			return shape{kind: strings.TrimSpace(outer), elem: &elem}
		}
	}
	if rest, ok := strings.CutPrefix(text, "enum "); ok {
		return shape{kind: "enum", enum: strings.Fields(rest)}
	}
	if slices.Contains(scalars, text) {
		return shape{kind: text}
	}
	return shape{kind: "ref", ref: text}
}

// pathPart is one variable part of a method's path.
var pathPart = regexp.MustCompile(`\\\{[A-Za-z]+\\\}`)

func readSchema(extract []byte) (*amapiSchema, error) {
	var s amapiSchema
	if err := json.Unmarshal(extract, &s); err != nil {
		return nil, fmt.Errorf("extract of the discovery document: %w", err)
	}
	s.shapes = map[string]map[string]shape{}
	for name, fields := range s.Schemas {
		shapes := map[string]shape{}
		for field, text := range fields {
			shapes[field] = parseShape(text)
		}
		s.shapes[name] = shapes
	}
	for _, m := range s.Methods {
		pattern := "^/" + pathPart.ReplaceAllString(regexp.QuoteMeta(m.Path), "([^/:]+)") + "$"
		var err error
		if m.path, err = regexp.Compile(pattern); err != nil {
			return nil, fmt.Errorf("extract of the discovery document: %w", err)
		}
		m.query = map[string]shape{}
		for name, text := range m.Query {
			m.query[name] = parseShape(text)
		}
	}
	return &s, nil
}

// find returns the method and the variable parts of its path; nil where no
// method has that path, wrongVerb where one has it with another HTTP method.
func (s *amapiSchema) find(verb, path string) (m *amapiMethod, parts []string, wrongVerb bool) {
	for _, one := range s.Methods {
		found := one.path.FindStringSubmatch(path)
		switch {
		case found == nil:
		case one.HTTP == verb:
			return one, found[1:], false
		default:
			wrongVerb = true
		}
	}
	return nil, nil, wrongVerb
}

// field resolves a path of field names with dots between them, as a field mask
// writes it.
func (s *amapiSchema) field(typ, path string) (shape, bool) {
	at := shape{kind: "ref", ref: typ}
	for name := range strings.SplitSeq(path, ".") {
		if at.kind != "ref" {
			return shape{}, false
		}
		next, ok := s.shapes[at.ref][name]
		if !ok {
			return shape{}, false
		}
		at = next
	}
	return at, true
}
