package house

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestHouse reads every Go file of the module. It parses them itself: the answer
// of `go list` would not be among the files that the test cache watches.
func TestHouse(t *testing.T) {
	t.Parallel()
	root := moduleRoot(t)
	sources := read(t, root)
	if len(sources) < 50 {
		t.Fatalf("found only %d files below %s", len(sources), root)
	}
	for _, breach := range check(sources) {
		t.Error(breach)
	}
}

// moduleRoot walks up to the directory that holds go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil {
			if !strings.HasPrefix(string(text), "module "+module+"\n") {
				t.Fatalf("%s is not the go.mod of %s", dir, module)
			}
			return dir
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			t.Fatalf("no go.mod above: %v", err)
		}
		dir = parent
	}
}

func read(t *testing.T, root string) []source {
	t.Helper()
	var sources []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(root, path, d.Name())
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		s, err := parse(root, path)
		if err != nil {
			return err
		}
		sources = append(sources, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

// enter skips what the go command skips, and modules of their own.
func enter(root, path, name string) error {
	if path == root {
		return nil
	}
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func parse(root, path string) (source, error) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return source{}, err
	}
	dir, err := filepath.Rel(root, filepath.Dir(path))
	if err != nil {
		return source{}, err
	}
	s := source{pkg: filepath.ToSlash(dir), name: filepath.Base(path)}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return source{}, err
		}
		s.imports = append(s.imports, imported)
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		if statement, ok := n.(*ast.GoStmt); ok {
			s.goroutines = append(s.goroutines, files.Position(statement.Pos()).Line)
		}
		return true
	})
	return s, nil
}

// TestCheckSees breaks each rule once: a watchman who never barks is no use.
func TestCheckSees(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		s    []source
		want string // part of the one breach; empty = none
	}{
		{"lower floor and leaf", []source{{pkg: "enroll", name: "a.go", imports: []string{"sallyport/compliance", "sallyport/internal/secret", "fmt"}}}, ""},
		{"parent of a sub-room", []source{{pkg: "profiles/mobileconfig", name: "a.go", imports: []string{"sallyport/profiles"}}}, ""},
		{"inside one room", []source{{pkg: "internal/server/adminapi", name: "a.go", imports: []string{"sallyport/internal/server/wire"}}}, ""},
		{"leaf imports leaf", []source{{pkg: "internal/config", name: "a.go", imports: []string{"sallyport/internal/secret"}}}, ""},
		{"sister", []source{{pkg: "templates", name: "a.go", imports: []string{"sallyport/compliance"}}}, "both stand on floor 1"},
		{"sub-room of a sister", []source{{pkg: "profiles", name: "a.go", imports: []string{"sallyport/profiles/mobileconfig"}}}, "both stand on floor 0"},
		{"higher floor", []source{{pkg: "compliance", name: "a.go", imports: []string{"sallyport/enroll"}}}, "floor 2 is above floor 1"},
		{"leaf imports room", []source{{pkg: "internal/config", name: "a.go", imports: []string{"sallyport/mdm"}}}, "a leaf imports leaves only"},
		{"unknown room", []source{{pkg: "helpers", name: "doc.go"}}, "has no room in the plan"},
		{"unknown sub-room", []source{{pkg: "enroll/portal", name: "doc.go"}}, "has no room in the plan"},
		{"import of an unknown room", []source{{pkg: "enroll", name: "a.go", imports: []string{"sallyport/enroll/portal"}}}, "it has no room in the plan"},
		{"echo", []source{{pkg: "internal/app", name: "a.go", imports: []string{"github.com/labstack/echo/v4"}}}, "only internal/server may"},
		{"echo in its room", []source{{pkg: "internal/server", name: "a.go", imports: []string{"github.com/labstack/echo/v4"}}}, ""},
		{"SQL", []source{{pkg: "enroll", name: "a.go", imports: []string{"database/sql"}}}, "only internal/store may"},
		{"pkcs7", []source{{pkg: "certs/scep", name: "a.go", imports: []string{"github.com/smallstep/pkcs7"}}}, "only internal/cms may"},
		{"scep", []source{{pkg: "internal/cms", name: "a.go", imports: []string{"github.com/smallstep/scep"}}}, "only certs, certs/scep may"},
		{"plist", []source{{pkg: "enroll", name: "a.go", imports: []string{"howett.net/plist"}}}, "only internal/bounded"},
		{"cgo", []source{{pkg: "certs", name: "a.go", imports: []string{"C"}}}, "free of cgo"},
		{"a test is free of keepers and floors", []source{{pkg: "enroll", name: "a_test.go", imports: []string{"howett.net/plist", "sallyport/mdm/agent", "sallyport/internal/appleschema"}}}, ""},
		{"the agent is free of keepers", []source{{pkg: "mdm/agent", name: "a.go", imports: []string{"howett.net/plist", "github.com/smallstep/scep", "sallyport/internal/secret"}}}, ""},
		{"the agent uses our rooms", []source{{pkg: "mdm/agent", name: "a.go", imports: []string{"sallyport/mdm"}}}, "uses leaves only"},
		{"the agent's program uses our rooms", []source{{pkg: "cmd/sallyport-agent", name: "a.go", imports: []string{"sallyport/mdm/agent", "sallyport/enroll"}}}, "uses leaves only"},
		{"the server links the agent", []source{{pkg: "cmd/sallyport", name: "main.go", imports: []string{"sallyport/internal/app"}}, {pkg: "internal/app", name: "a.go", imports: []string{"sallyport/mdm/agent"}}}, "bin/sallyport links mdm/agent"},
		{"schema outside tests", []source{{pkg: "mdm/apple", name: "a.go", imports: []string{"sallyport/internal/appleschema"}}}, "for tests only"},
		{"goroutine", []source{{pkg: "access", name: "a.go", goroutines: []int{7}}}, "a.go:7 starts a goroutine on floor 2"},
		{"goroutine upstairs", []source{{pkg: "internal/app", name: "a.go", goroutines: []int{7}}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sources := tt.s
			for _, s := range tt.s {
				sources = append(sources, source{pkg: s.pkg, name: "doc.go"})
			}
			got := check(sources)
			if tt.want == "" && len(got) != 0 || tt.want != "" && (len(got) == 0 || !strings.Contains(strings.Join(got, "\n"), tt.want)) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if got := check([]source{{pkg: "enroll", name: "a.go"}}); len(got) != 1 || !strings.Contains(got[0], "no doc.go") {
		t.Errorf("without doc.go: got %q", got)
	}
}
