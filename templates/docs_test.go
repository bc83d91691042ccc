package templates_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update-docs", false, "write templates/fields.json and docs/templates.md anew")

// TestFieldTextsAreCurrent keeps fields.json equal to the doc comments.
func TestFieldTextsAreCurrent(t *testing.T) {
	texts := map[string]string{}
	for _, dir := range []string{".", filepath.Join("..", "profiles")} {
		readFieldTexts(t, dir, texts)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(texts); err != nil {
		t.Fatal(err)
	}
	current(t, "fields.json", b.Bytes())
}

// current compares a file that is made with what is on disk.
func current(t *testing.T, path string, want []byte) {
	t.Helper()
	if *updateDocs {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not current: run go test ./templates -run 'Current' -update-docs", path)
	}
}

// readFieldTexts collects the comments of fields with a yaml tag as
// "Type.field".
func readFieldTexts(t *testing.T, dir string, texts map[string]string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if form, ok := spec.Type.(*ast.StructType); ok {
					structTexts(spec.Name.Name, form, texts)
				}
			}
			return true
		})
	}
}

func structTexts(name string, form *ast.StructType, texts map[string]string) {
	for _, field := range form.Fields.List {
		if field.Tag == nil || len(field.Names) == 0 {
			continue
		}
		key, _, _ := strings.Cut(reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("yaml"), ",")
		if key == "" || key == "-" {
			continue
		}
		text := comment(field.Doc, field.Comment)
		text = strings.TrimPrefix(text, field.Names[0].Name+" is ")
		text = strings.TrimPrefix(text, field.Names[0].Name+" are ")
		texts[name+"."+key] = text
	}
}

// comment is the comment above a field, or the one beside it, on one line.
func comment(groups ...*ast.CommentGroup) string {
	var parts []string
	for _, g := range groups {
		if text := strings.Join(strings.Fields(g.Text()), " "); text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " ")
}
