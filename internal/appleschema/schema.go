package appleschema

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Schema is the part of Apple's schema that Sallyport speaks: profile
// payloads, commands and check-in messages.
type Schema struct {
	payloads map[string][]file // by PayloadType; a few types have two files
	commands map[string][]file // by RequestType
	checkins map[string][]file // by MessageType
	topLevel file
	common   file
}

// file is one YAML file of the schema, see its docs/schema.md.
type file struct {
	Payload struct {
		PayloadType string    `yaml:"payloadtype"`
		RequestType string    `yaml:"requesttype"`
		SupportedOS supported `yaml:"supportedOS"`
	} `yaml:"payload"`
	PayloadKeys  []key `yaml:"payloadkeys"`
	ResponseKeys []key `yaml:"responsekeys"`
}

type supported struct {
	IOS struct {
		Introduced     string `yaml:"introduced"`
		AccessRights   string `yaml:"accessrights"`
		UserEnrollment struct {
			Mode string `yaml:"mode"`
		} `yaml:"userenrollment"`
	} `yaml:"iOS"`
}

// onIOS reports whether the schema says that iOS knows this at all.
func (s supported) onIOS() bool { return s.IOS.Introduced != "n/a" }

type key struct {
	Key         string    `yaml:"key"`
	Type        string    `yaml:"type"`
	Presence    string    `yaml:"presence"`
	SupportedOS supported `yaml:"supportedOS"`
	RangeList   []any     `yaml:"rangelist"`
	Range       *limits   `yaml:"range"`
	Repetition  *limits   `yaml:"repetition"`
	Format      string    `yaml:"format"`
	Subkeys     []key     `yaml:"subkeys"`
}

// any reports whether k stands for keys of any name ("ANY", "ANY app identifier").
func (k key) any() bool { return k.Key == "ANY" || strings.HasPrefix(k.Key, "ANY ") }

type limits struct {
	Min *float64 `yaml:"min"`
	Max *float64 `yaml:"max"`
}

// Open reads the schema from ../shared/apple-schema beside the project root.
// Where it is missing the test is skipped, and says so.
func Open(t testing.TB) *Schema {
	t.Helper()
	root, ok := find(t)
	if !ok {
		t.Logf("SKIPPED %s: ../shared/apple-schema is not beside the project. "+
			"Get https://github.com/apple/device-management (branch release) and put its mdm folder there.", t.Name())
		t.Skip("Apple's schema is missing: nothing was compared with it")
	}
	s, err := read(root)
	if err != nil {
		t.Fatalf("read Apple's schema: %v", err)
	}
	return s
}

// find walks up from the test's directory to go.mod; the schema is beside that.
func find(t testing.TB) (string, bool) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", false
		}
		dir = parent
	}
	root := filepath.Join(dir, "..", "shared", "apple-schema")
	if _, err := os.Stat(filepath.Join(root, "mdm", "profiles", "TopLevel.yaml")); err != nil {
		return "", false
	}
	return root, true
}

func read(root string) (*Schema, error) {
	s := &Schema{}
	var err error
	if s.payloads, err = readAll(filepath.Join(root, "mdm", "profiles")); err != nil {
		return nil, err
	}
	if s.commands, err = readAll(filepath.Join(root, "mdm", "commands")); err != nil {
		return nil, err
	}
	if s.checkins, err = readAll(filepath.Join(root, "mdm", "checkin")); err != nil {
		return nil, err
	}
	s.topLevel = s.payloads["TopLevel"][0]
	s.common = s.payloads["CommonPayloadKeys"][0]
	return s, nil
}

func readAll(dir string) (map[string][]file, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	all := make(map[string][]file, len(paths))
	for _, path := range paths {
		f, err := readFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		name := f.Payload.PayloadType
		if name == "" {
			name = f.Payload.RequestType
		}
		all[name] = append(all[name], f)
	}
	return all, nil
}

func readFile(path string) (file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return file{}, err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return file{}, err
	}
	unwind(&node, nil)
	var f file
	err = node.Decode(&f)
	return f, err
}

// unwind ends recursive definitions (a folder of folders) at their first
// return: what lies below is accepted as it is.
func unwind(node *yaml.Node, above []*yaml.Node) {
	above = append(above, node)
	for _, child := range node.Content {
		if child.Kind == yaml.AliasNode && slices.Contains(above, child.Alias) {
			*child = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
			continue
		}
		unwind(child, above)
	}
}
