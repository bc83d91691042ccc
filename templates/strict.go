package templates

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
)

// decodeStrict reads one YAML document into v, a pointer to a struct whose
// fields have yaml tags. It refuses, with line and column, what YAML would let
// pass: unknown and doubled keys, aliases, deep nesting, a second document.
func decodeStrict(source []byte, v any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(source))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return refusal.New(ErrInvalid, "", "the file is empty", "begin with name:")
	} else if err != nil {
		return refusal.New(ErrInvalid, "", "is not YAML: "+strings.TrimPrefix(err.Error(), "yaml: "), "")
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return refusal.New(ErrInvalid, "", "holds more than one document", "apply each template by itself")
	}
	root := document.Content[0]
	var list refusal.List
	list.Add(sound(root, "", 0))
	if len(list) == 0 {
		list = shape(root, reflect.TypeOf(v).Elem(), "")
	}
	if len(list) > 0 {
		return list
	}
	if err := root.Decode(v); err != nil {
		return refusal.New(ErrInvalid, "", "is not a template: "+strings.TrimPrefix(err.Error(), "yaml: "), "")
	}
	return nil
}

func at(node *yaml.Node, path, reason, remedy string) *refusal.Error {
	return refusal.New(ErrInvalid, path, fmt.Sprintf("line %d, column %d: %s", node.Line, node.Column, reason), remedy)
}

// sound refuses what no template needs and what makes a small file large.
func sound(node *yaml.Node, path string, depth int) *refusal.Error {
	switch {
	case depth > bounded.MaxDepth:
		return at(node, "", "is nested too deeply", "")
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		return at(node, path, "anchors and aliases are not taken in templates", "write the value out")
	case node.Kind == yaml.MappingNode:
		var seen []string
		for i := 0; i+1 < len(node.Content); i += 2 {
			key := node.Content[i]
			if key.Kind != yaml.ScalarNode {
				return at(key, path, "a key is not plain text", "")
			}
			if slices.Contains(seen, key.Value) {
				return at(key, join(path, key.Value), "the key appears twice", "keep one of them")
			}
			if seen = append(seen, key.Value); len(seen) > maxKeys {
				return at(key, path, "holds too many keys", "")
			}
		}
	}
	for i, child := range node.Content {
		if refused := sound(child, childPath(node, i, path), depth+1); refused != nil {
			return refused
		}
	}
	return nil
}

// maxKeys bounds the keys of one mapping: no type of ours has nearly as many.
const maxKeys = 256

func join(path, key string) string {
	if len(key) > 64 {
		key = key[:64]
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func childPath(node *yaml.Node, i int, path string) string {
	switch node.Kind {
	case yaml.MappingNode:
		return join(path, node.Content[i&^1].Value)
	case yaml.SequenceNode:
		return fmt.Sprintf("%s[%d]", path, i)
	}
	return path
}

// shape compares a node with the Go type that it is for.
func shape(node *yaml.Node, t reflect.Type, path string) refusal.List {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if node.Tag == "!!null" {
		return nil // as if the key were absent
	}
	_, own := reflect.New(t).Interface().(yaml.Unmarshaler)
	switch {
	case own || t.Kind() != reflect.Struct && t.Kind() != reflect.Slice:
		return leaf(node, t, path)
	case t.Kind() == reflect.Slice:
		if node.Kind != yaml.SequenceNode {
			return refusal.List{at(node, path, "is not a list", "begin each entry with a dash")}
		}
		var list refusal.List
		for i, item := range node.Content {
			below := fmt.Sprintf("%s[%d]", path, i)
			list.Add(notNull(item, below))
			list = append(list, shape(item, t.Elem(), below)...)
		}
		return list
	}
	if node.Kind != yaml.MappingNode {
		return refusal.List{at(node, path, "is not a mapping", "write key: value lines")}
	}
	known, names := yamlFields(t)
	var list refusal.List
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		fieldType, ok := known[key.Value]
		if !ok {
			list = append(list, at(key, join(path, key.Value), "unknown key", "the keys here are "+strings.Join(names, ", ")))
			continue
		}
		list = append(list, shape(value, fieldType, join(path, key.Value))...)
	}
	return list
}

// notNull refuses an empty entry of a list: the decoder would drop it, and the
// ones behind it would move up.
func notNull(node *yaml.Node, path string) *refusal.Error {
	if node.Tag != "!!null" {
		return nil
	}
	return at(node, path, "is empty", "remove the entry")
}

// leaf lets the type itself say whether it takes the node.
func leaf(node *yaml.Node, t reflect.Type, path string) refusal.List {
	v := reflect.New(t)
	own, ok := v.Interface().(yaml.Unmarshaler)
	if ok {
		if err := own.UnmarshalYAML(node); err != nil {
			return refusal.List{at(node, path, err.Error(), "")}
		}
		return nil
	}
	if node.Kind != yaml.ScalarNode || node.Decode(v.Interface()) != nil {
		kind := "text"
		if t.Kind() == reflect.Bool {
			kind = "true or false"
		}
		return refusal.List{at(node, path, "is not "+kind, "")}
	}
	return nil
}

func yamlFields(t reflect.Type) (map[string]reflect.Type, []string) {
	known := make(map[string]reflect.Type, t.NumField())
	names := make([]string, 0, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		known[name] = t.Field(i).Type
		names = append(names, name)
	}
	return known, names
}
