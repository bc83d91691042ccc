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
	texts, types := map[string]string{}, map[string]string{}
	for _, dir := range []string{".", filepath.Join("..", "profiles"), filepath.Join("..", "enroll", "directory")} {
		readTexts(t, dir, texts, types)
	}
	for field, text := range texts {
		// A field without a word of its own is what its type is.
		if name, ok := strings.CutPrefix(text, typeMark); ok {
			text = types[name]
		}
		if texts[field] = text; text == "" {
			t.Errorf("%s has no comment", field)
		}
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

// typeMark begins the name of a field's type where the field has no comment.
const typeMark = "type "

// readTexts collects the comments of fields with a yaml tag as "Type.field", and
// those of types.
func readTexts(t *testing.T, dir string, texts, types map[string]string) {
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
		in := file.Name.Name + "."
		for _, declaration := range file.Decls {
			general, ok := declaration.(*ast.GenDecl)
			if !ok || general.Tok != token.TYPE {
				continue
			}
			for _, spec := range general.Specs {
				named := spec.(*ast.TypeSpec)
				types[in+named.Name.Name] = firstWord(named.Name.Name, comment(general.Doc, named.Doc))
				if form, ok := named.Type.(*ast.StructType); ok {
					structTexts(in, named.Name.Name, form, texts)
				}
			}
		}
	}
}

func structTexts(in, name string, form *ast.StructType, texts map[string]string) {
	for _, field := range form.Fields.List {
		if field.Tag == nil || len(field.Names) == 0 {
			continue
		}
		key, _, _ := strings.Cut(reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("yaml"), ",")
		if key == "" || key == "-" || !ast.IsExported(name) {
			continue
		}
		text := firstWord(field.Names[0].Name, comment(field.Doc, field.Comment))
		if text == "" {
			text = typeMark + typeName(in, field.Type)
		}
		texts[name+"."+key] = text
	}
}

// typeName is the name of a type with its package, without pointer.
func typeName(in string, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return in + e.Name
	case *ast.SelectorExpr:
		return typeName("", e.X) + "." + e.Sel.Name
	case *ast.StarExpr:
		return typeName(in, e.X)
	}
	return ""
}

// firstWord takes the Go name off the beginning of a doc comment.
func firstWord(name, text string) string {
	for _, verb := range []string{" is ", " are ", " says ", ", "} {
		if rest, ok := strings.CutPrefix(text, name+verb); ok {
			text = rest
			break
		}
	}
	return strings.TrimSuffix(text, ".")
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
