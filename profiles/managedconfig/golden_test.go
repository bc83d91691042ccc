package managedconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

type golden struct {
	Bundle  Bundle           `json:"bundle,omitempty"`
	Report  profiles.Report  `json:"report,omitempty"`
	Refused []*refusal.Error `json:"refused,omitempty"`
}

// TestGolden compares what each setting becomes in each app with a file in
// testdata, and finds no file that belongs to no example.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, target := range targets() {
		t.Run(target.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join("testdata", target.name)
			known := map[string]bool{}
			for _, e := range examples() {
				known[e.name+".json"] = true
				t.Run(e.name, func(t *testing.T) { compare(t, filepath.Join(dir, e.name+".json"), render(t, target, e)) })
			}
			files, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				if !known[file.Name()] {
					t.Errorf("%s belongs to no example: remove it", filepath.Join(dir, file.Name()))
				}
			}
		})
	}
}

func render(t *testing.T, target target, e example) []byte {
	t.Helper()
	a := base()
	e.set(&a)
	b, report, err := target.make(a)
	g := golden{Bundle: b, Report: report, Refused: refusal.All(err)}
	if err != nil && (len(g.Refused) == 0 || !errors.Is(err, profiles.ErrInvalid)) {
		t.Fatalf("got %v, want refusals", err)
	}
	if err == nil && !strings.Contains("|"+fields(report)+"|", "|"+e.field+"|") {
		t.Errorf("the report lacks %s: %s", e.field, fields(report))
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(g); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func fields(report profiles.Report) string {
	names := make([]string, len(report))
	for i, f := range report {
		names[i] = f.Field
	}
	return strings.Join(names, "|")
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", path, diff)
	}
}
