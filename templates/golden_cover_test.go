package templates

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"sallyport/enroll/directory"
)

// TestEverySettingHasAGolden: a field of a template, an account or a security
// policy without a golden case that is sent fails here.
func TestEverySettingHasAGolden(t *testing.T) {
	for _, document := range []struct {
		file  string
		shape reflect.Type
	}{
		{goldenTemplate, reflect.TypeFor[Spec]()},
		{goldenPolicy, reflect.TypeFor[SecuritySpec]()},
	} {
		sent := map[string]bool{}
		for _, g := range goldens(t) {
			source := g.input(document.file)
			if source == nil || g.input(goldenApple) == nil {
				continue
			}
			var tree any
			if err := yaml.Unmarshal(source, &tree); err != nil {
				t.Fatalf("%s: %v", g.path, err)
			}
			written(sent, "", tree)
		}
		paths := settable("", document.shape)
		if len(paths) < 15 {
			t.Fatalf("%s: found %d fields only: %v", document.file, len(paths), paths)
		}
		for _, path := range paths {
			if !sent[path] {
				t.Errorf("no golden case sends a profile that sets %s: add testdata/golden/*/*.txtar, then go test ./templates -update", path)
			}
		}
	}
}

// written collects the paths of the keys in a document, without positions.
func written(paths map[string]bool, path string, tree any) {
	switch tree := tree.(type) {
	case map[string]any:
		for key, value := range tree {
			written(paths, path+"."+key, value)
		}
	case []any:
		for _, value := range tree {
			written(paths, path, value)
		}
	}
	paths[strings.TrimPrefix(path, ".")] = true
}

// settable lists the keys that a document may have, by its types' tags.
func settable(path string, shape reflect.Type) []string {
	for shape.Kind() == reflect.Pointer || shape.Kind() == reflect.Slice {
		shape = shape.Elem()
	}
	if shape == reflect.TypeFor[directory.Audience]() { // it writes its own YAML
		return []string{path, path + ".groups", path + ".users"}
	}
	if shape.Kind() != reflect.Struct {
		return []string{path}
	}
	var paths []string
	for i := range shape.NumField() {
		name, _, _ := strings.Cut(shape.Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		paths = append(paths, settable(strings.TrimPrefix(path+"."+name, "."), shape.Field(i).Type)...)
	}
	return paths
}

// TestEveryVariableHasAGolden: by each of its names.
func TestEveryVariableHasAGolden(t *testing.T) {
	var sent bytes.Buffer
	for _, g := range goldens(t) {
		if g.input(goldenApple) != nil {
			sent.Write(g.input(goldenTemplate))
		}
	}
	for _, v := range Variables() {
		for _, name := range append(v.Aliases, v.Name) {
			if !bytes.Contains(sent.Bytes(), []byte("%"+name+"%")) {
				t.Errorf("no golden case uses %%%s%%", name)
			}
		}
	}
}

// ruleFiles hold the rules that decide over a template and a user.
var ruleFiles = []string{
	"../profiles/validate.go", "../profiles/rules.go", "../profiles/warnings.go", "../profiles/passcode.go",
	"parse.go", "expand.go", "material.go", "assign.go", "kept.go", "security.go", "smime.go",
}

// unreached are reasons that no template and user can lead to, and why.
var unreached = map[string]string{
	"there is no such security policy":                          "a request of the API",
	"the user has no S/MIME certificate yet that could be sent": "a delivery",
}

// TestEveryRuleHasAGolden reads the reasons of refusals and warnings from the
// source: one that no golden case shows fails here.
func TestEveryRuleHasAGolden(t *testing.T) {
	var shown bytes.Buffer
	for _, g := range goldens(t) {
		for _, f := range g.archive.Files {
			if !slices.Contains(goldenInputs, f.Name) {
				shown.Write(f.Data)
			}
		}
	}
	for _, path := range ruleFiles {
		source, err := os.ReadFile(filepath.FromSlash(path))
		if err != nil {
			t.Fatal(err)
		}
		found := reasons(t, path, source)
		for _, reason := range slices.Sorted(maps.Keys(found)) {
			if unreached[reason] == "" && !bytes.Contains(shown.Bytes(), []byte(reason)) {
				t.Errorf("%s:%d: no golden case shows %q", path, found[reason], reason)
			}
		}
	}
}

// reasons finds the literal text of each reason in a file, with its line.
func reasons(t *testing.T, path string, source []byte) map[string]int {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		at := -1 // position of the reason among the arguments
		switch callee(call.Fun) {
		case "refusal.New", "warn":
			at = 2
		case "refuseKept":
			at = 0
		}
		if at >= 0 && at < len(call.Args) {
			if reason := fixedText(call.Args[at]); reason != "" {
				found[reason] = files.Position(call.Pos()).Line
			}
		}
		return true
	})
	return found
}

func callee(f ast.Expr) string {
	switch f := f.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

var verb = regexp.MustCompile(`%[-+#0-9.]*[a-zA-Z%]`)

// fixedText is the longest piece of fixed text in an expression.
func fixedText(e ast.Expr) string {
	longest := ""
	ast.Inspect(e, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			return true
		}
		for _, piece := range verb.Split(text, -1) {
			if piece = strings.TrimSpace(piece); len(piece) > len(longest) {
				longest = piece
			}
		}
		return true
	})
	return longest
}
