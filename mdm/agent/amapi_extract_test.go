package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write amapi_schema.json anew from the discovery document")

// discovered is what we read of a discovery document
// (https://developers.google.com/discovery/v1/reference/apis).
type discovered struct {
	Revision  string                        `json:"revision"`
	Schemas   map[string]*discoveredShape   `json:"schemas"`
	Resources map[string]discoveredResource `json:"resources"`
}

type discoveredResource struct {
	Methods   map[string]discoveredMethod   `json:"methods"`
	Resources map[string]discoveredResource `json:"resources"`
}

type discoveredMethod struct {
	ID         string                      `json:"id"`
	HTTPMethod string                      `json:"httpMethod"`
	FlatPath   string                      `json:"flatPath"`
	Parameters map[string]*discoveredShape `json:"parameters"`
	Request    *discoveredShape            `json:"request"`
	Response   *discoveredShape            `json:"response"`
}

type discoveredShape struct {
	Type       string                      `json:"type"`
	Format     string                      `json:"format"`
	Ref        string                      `json:"$ref"`
	Enum       []string                    `json:"enum"`
	Items      *discoveredShape            `json:"items"`
	Additional *discoveredShape            `json:"additionalProperties"`
	ReadOnly   bool                        `json:"readOnly"`
	Repeated   bool                        `json:"repeated"`
	Location   string                      `json:"location"`
	Properties map[string]*discoveredShape `json:"properties"`
}

// text is the shape as the extract writes it.
func (d *discoveredShape) text() string {
	switch {
	case d.ReadOnly:
		plain := *d
		plain.ReadOnly = false
		return "= " + plain.text()
	case d.Repeated:
		one := *d
		one.Repeated = false
		return "[]" + one.text()
	case d.Ref != "":
		return d.Ref
	case d.Type == "array":
		return "[]" + d.Items.text()
	case d.Type == "object" && d.Additional != nil:
		return "map " + d.Additional.text()
	case len(d.Enum) > 0:
		return "enum " + strings.Join(d.Enum, " ")
	case d.Type == "boolean":
		return "bool"
	}
	byFormat := map[string]string{
		"int32": "int32", "int64": "int64", "float": "float", "google-datetime": "time", "google-duration": "duration",
		"google-fieldmask": "mask", "byte": "bytes",
	}
	if known, ok := byFormat[d.Format]; ok {
		return known
	}
	return d.Type
}

// methodsOfStandIn are those that the stand-in has, of Google's.
var methodsOfStandIn = []string{
	"signupUrls.create", "provisioningInfo.get",
	"enterprises.create", "enterprises.get", "enterprises.patch", "enterprises.delete",
	"enterprises.enrollmentTokens.create", "enterprises.enrollmentTokens.get", "enterprises.enrollmentTokens.list", "enterprises.enrollmentTokens.delete",
	"enterprises.policies.patch", "enterprises.policies.get", "enterprises.policies.list", "enterprises.policies.delete",
	"enterprises.policies.modifyPolicyApplications", "enterprises.policies.removePolicyApplications",
	"enterprises.devices.get", "enterprises.devices.list", "enterprises.devices.patch", "enterprises.devices.delete", "enterprises.devices.issueCommand",
	"enterprises.devices.operations.get", "enterprises.devices.operations.list", "enterprises.devices.operations.cancel",
	"enterprises.applications.get",
}

// extractOf makes the extract of a discovery document.
func extractOf(t *testing.T, document []byte) []byte {
	t.Helper()
	var d discovered
	if err := json.Unmarshal(document, &d); err != nil {
		t.Fatal(err)
	}
	found := map[string]discoveredMethod{}
	var walk func(discoveredResource)
	walk = func(r discoveredResource) {
		for _, m := range r.Methods {
			found[strings.TrimPrefix(m.ID, "androidmanagement.")] = m
		}
		for _, one := range r.Resources {
			walk(one)
		}
	}
	walk(discoveredResource{Resources: d.Resources})
	s := amapiSchema{Source: "androidmanagement-api.json of google.golang.org/api (BSD-3-Clause)", Revision: d.Revision, Schemas: map[string]map[string]string{}}
	reach := []string{"Command", "Status"} // metadata and error of an operation
	for _, id := range methodsOfStandIn {
		m, ok := found[id]
		if !ok {
			t.Fatalf("Google has no method %s", id)
		}
		one := &amapiMethod{ID: id, HTTP: m.HTTPMethod, Path: m.FlatPath, Response: m.Response.Ref}
		reach = append(reach, m.Response.Ref)
		if m.Request != nil {
			one.Request = m.Request.Ref
			reach = append(reach, m.Request.Ref)
		}
		for name, p := range m.Parameters {
			if p.Location == "query" {
				if one.Query == nil {
					one.Query = map[string]string{}
				}
				one.Query[name] = p.text()
			}
		}
		s.Methods = append(s.Methods, one)
	}
	for len(reach) > 0 {
		name := reach[0]
		reach = reach[1:]
		if name == "" || s.Schemas[name] != nil {
			continue
		}
		s.Schemas[name] = map[string]string{}
		for field, p := range d.Schemas[name].Properties {
			s.Schemas[name][field] = p.text()
			at := parseShape(p.text())
			for at.elem != nil {
				at = *at.elem
			}
			reach = append(reach, at.ref)
		}
	}
	return writeExtract(t, s)
}

// writeExtract writes one line for each method and type.
func writeExtract(t *testing.T, s amapiSchema) []byte {
	t.Helper()
	var b bytes.Buffer
	line := func(prefix string, v any, suffix string) {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(prefix + string(text) + suffix + "\n")
	}
	line("{\n\"source\": ", s.Source, ",")
	line("\"revision\": ", s.Revision, ",\n\"methods\": [")
	for i, m := range s.Methods {
		line("  ", m, comma(i, len(s.Methods)))
	}
	b.WriteString("],\n\"schemas\": {\n")
	names := slices.Sorted(maps.Keys(s.Schemas))
	for i, name := range names {
		line("  \""+name+"\": ", s.Schemas[name], comma(i, len(names)))
	}
	b.WriteString("}\n}\n")
	return b.Bytes()
}

func comma(i, n int) string {
	if i == n-1 {
		return ""
	}
	return ","
}

// TestExtract: the embedded extract is the discovery document's, word for word.
func TestExtract(t *testing.T) {
	const name = "amapi_schema.json"
	document, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "android", "amapi-v1-discovery-20261102.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("SKIPPED %s: ../shared/android is not beside the project", t.Name())
		t.Skip("the extract was not compared to Google's discovery document")
	}
	if err != nil {
		t.Fatal(err)
	}
	want := extractOf(t, document)
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil { //nolint:gosec // a source file
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(want, amapiExtract) {
		t.Errorf("%s differs from the discovery document: go test ./mdm/agent -run TestExtract -update", name)
	}
}
