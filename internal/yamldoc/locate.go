package yamldoc

import (
	"bytes"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Locate finds where a field such as "accounts[0].host" stands in a document
// that Decode accepts: its value, or the nearest thing around it where the
// field itself is not written. ok is false for what is no YAML.
func Locate(source []byte, field string) (line, column int, ok bool) {
	if len(source) > MaxBytes {
		return 0, 0, false
	}
	node, err := parseFrom(bytes.NewReader(source))
	if err != nil {
		return 0, 0, false
	}
	line, column = node.Line, node.Column
	for step := range strings.FieldsFuncSeq(field, func(r rune) bool { return r == '.' || r == '[' }) {
		if number, isIndex := strings.CutSuffix(step, "]"); isIndex {
			node = item(node, number)
		} else {
			node = member(node, step)
		}
		if node == nil {
			break
		}
		line, column = node.Line, node.Column
	}
	return line, column, true
}

// Has reports whether the document is a mapping with that key.
func Has(source []byte, key string) bool {
	if len(source) > MaxBytes {
		return false
	}
	node, err := parseFrom(bytes.NewReader(source))
	return err == nil && member(node, key) != nil
}

func item(node *yaml.Node, number string) *yaml.Node {
	i, err := strconv.Atoi(number)
	if err != nil || node.Kind != yaml.SequenceNode || i < 0 || i >= len(node.Content) {
		return nil
	}
	return node.Content[i]
}

func member(node *yaml.Node, key string) *yaml.Node {
	if node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}
