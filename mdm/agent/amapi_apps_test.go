package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestCatalogue: every key and label that is known of the four apps is in the
// catalogue, with its type; what is not known is marked as made up.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "android", "managed-config-keys.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("SKIPPED %s: ../shared/android is not beside the project", t.Name())
		t.Skip("the catalogue was not compared to the collected keys")
	}
	if err != nil {
		t.Fatal(err)
	}
	var known struct {
		Apps map[string]struct {
			Package    string `json:"package"`
			Properties []struct {
				Key       string   `json:"key"`
				Label     string   `json:"label"`
				Type      string   `json:"type"`
				Platforms []string `json:"platforms"`
				Values    any      `json:"values"`
			} `json:"properties"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(text, &known); err != nil {
		t.Fatal(err)
	}
	apps, err := readStore()
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range known.Apps {
		have := map[string]appProperty{}
		for _, p := range properties(apps[app.Package].Properties) {
			have[p.Key] = p
			if p.MadeUp {
				have[p.Title] = p
			}
		}
		for _, p := range app.Properties {
			if len(p.Platforms) == 1 && p.Platforms[0] == "ios" {
				continue
			}
			got, ok := have[orText(p.Key, p.Label)]
			typ := p.Type
			if typ == "CHOICE" && p.Values == nil {
				typ = "STRING" // its entries are not known
			}
			if !ok || got.Type != typ || got.MadeUp != (p.Key == "") {
				t.Errorf("%s: %q %q: %+v", app.Package, p.Key, p.Label, got)
			}
		}
	}
}
