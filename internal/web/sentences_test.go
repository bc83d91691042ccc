package web

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestWhatIsSaidHasGermanWords reads the code that says facts and fixes. Whatever is
// said there, or a part of it, stands in the sentences; else a reader of German
// would find English on the page.
func TestWhatIsSaidHasGermanWords(t *testing.T) {
	t.Parallel()
	data, err := embedded.ReadFile("sentences/de.json")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]string{}
	if err := json.Unmarshal(data, &known); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for english := range known {
		all.WriteString(english + "\n")
	}
	sentences := all.String()
	verb := regexp.MustCompile(`"?%[qsvd]"?`)
	// What stands in a hole of a sentence, and what is expected of a phone.
	elsewhere := map[string]bool{"an unknown person": true, " and more": true, "at least ": true, "from %s at least %s %s": true}
	found := 0
	for _, glob := range []string{"../../access/words.go", "../../compliance/rules*.go", "../../compliance/evaluate.go", "../../compliance/minimum.go", "../../templates/assign.go"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, text := range said(t, file) {
				if elsewhere[text] {
					continue
				}
				for _, part := range verb.Split(text, -1) {
					part = strings.Trim(part, ` "`)
					if !strings.Contains(part, " ") {
						continue
					}
					found++
					if !strings.Contains(sentences, part) {
						t.Errorf("%s says %q, and sentences/de.json does not know it", file, text)
					}
				}
			}
		}
	}
	if found < 60 {
		t.Errorf("only %d sentences were found in the code", found)
	}
}

// said are the strings of two words and more that may reach an owner: not those of
// errors, of formats of times, and of what is expected of a phone.
func said(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec, *ast.Field:
			return false
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok {
				switch f.Sel.Name {
				case "New", "Errorf", "Format":
					return false
				}
			}
		case *ast.AssignStmt:
			if f, ok := n.Lhs[0].(*ast.SelectorExpr); ok && f.Sel.Name == "Expected" {
				return false
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING && strings.Contains(strings.TrimSpace(text), " ") {
				list = append(list, text)
			}
		}
		return true
	})
	return list
}
