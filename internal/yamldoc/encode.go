package yamldoc

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Encode writes the struct v as a document that Decode reads back: keys in the
// order of the fields, those with a zero value left out.
func Encode(v any) ([]byte, error) {
	root, err := node(reflect.ValueOf(v))
	if err != nil {
		return nil, err
	}
	return write(root)
}

// Set returns the document with the value of a top-level key replaced by v, or
// the key added at the end. Every other line stays as it is, comments too; a
// document in one pair of braces is written anew.
func Set(source []byte, key string, v any) ([]byte, error) {
	root, err := parse(source)
	if err != nil {
		return nil, fmt.Errorf("read document: %w", err)
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("set %s: the document is not a mapping", key)
	}
	value, err := node(reflect.ValueOf(v))
	if err != nil {
		return nil, err
	}
	if root.Style&yaml.FlowStyle != 0 {
		return setInBraces(root, key, value)
	}
	entry, err := write(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar(key), value}})
	if err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(string(source), "\n")
	first, last := extent(root, key, lines)
	if first < 0 {
		if n := len(lines); lines[n-1] != "" {
			lines[n-1] += "\n"
		}
		return []byte(strings.Join(lines, "") + string(entry)), nil
	}
	return []byte(strings.Join(lines[:first], "") + string(entry) + strings.Join(lines[last:], "")), nil
}

// extent is where the entry of a key stands: lines [first, last). Comments and
// blank lines before the next key belong to that one. first is -1 without the key.
func extent(root *yaml.Node, key string, lines []string) (first, last int) {
	for i := 0; i < len(root.Content); i += 2 {
		if root.Content[i].Value != key {
			continue
		}
		first, last = root.Content[i].Line-1, len(lines)
		if i+2 < len(root.Content) {
			last = root.Content[i+2].Line - 1
		}
		for last > first+1 {
			line := strings.TrimSpace(lines[last-1])
			if line != "" && line[0] != '#' && line != "..." {
				break
			}
			last--
		}
		return first, last
	}
	return -1, -1
}

func setInBraces(root *yaml.Node, key string, value *yaml.Node) ([]byte, error) {
	for i := 0; i < len(root.Content); i += 2 {
		if root.Content[i].Value == key {
			root.Content[i+1] = value
			return write(root)
		}
	}
	root.Content = append(root.Content, scalar(key), value)
	return write(root)
}

func scalar(value string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: value} }

func write(root *yaml.Node) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("write document: %w", err)
	}
	if err := e.Close(); err != nil {
		return nil, fmt.Errorf("write document: %w", err)
	}
	return b.Bytes(), nil
}

func node(v reflect.Value) (*yaml.Node, error) {
	if marshaler, ok := v.Interface().(yaml.Marshaler); ok {
		inner, err := marshaler.MarshalYAML()
		if err != nil {
			return nil, fmt.Errorf("encode: %w", err)
		}
		v = reflect.ValueOf(inner)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return node(v.Elem())
	case reflect.Struct:
		return mapping(v)
	case reflect.Slice:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			item, err := node(v.Index(i))
			if err != nil {
				return nil, err
			}
			list.Content = append(list.Content, item)
		}
		return list, nil
	}
	n := &yaml.Node{}
	if err := n.Encode(v.Interface()); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return n, nil
}

func mapping(v reflect.Value) (*yaml.Node, error) {
	m := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if key == "" || key == "-" || v.Field(i).IsZero() {
			continue
		}
		value, err := node(v.Field(i))
		if err != nil {
			return nil, err
		}
		m.Content = append(m.Content, scalar(key), value)
	}
	return m, nil
}
