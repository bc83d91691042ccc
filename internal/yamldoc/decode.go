package yamldoc

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"sallyport/internal/refusal"
)

const (
	// MaxBytes bounds a document: the limit for anything that gets parsed as a tree.
	MaxBytes = 1 << 20

	maxDepth  = 32
	maxFaults = 50 // a person repairs no more in one go

	onePlainValue = "must be one plain value"
)

// Decode reads the one document in source into the struct that v points to. Its
// error is a refusal.List on behalf of sentinel. Only keys that a `yaml:"name"`
// tag names are known. What a value means is the caller's to check.
//
// Anchors and aliases are refused altogether: nobody needs them in documents of
// this size, and a few lines of them can expand to gigabytes.
func Decode(source []byte, v any, sentinel error) error {
	if len(source) > MaxBytes {
		line, column := position(source, MaxBytes+1)
		return refusal.List{refusal.New(sentinel, "", fmt.Sprintf("line %d, column %d: here the document grows longer than %d bytes", line, column, MaxBytes), "split it")}
	}
	if refused := unreadable(source, sentinel); refused != nil {
		return refusal.List{refused}
	}
	root, err := parse(source)
	if err != nil {
		return refusal.List{refusal.New(sentinel, "", err.Error(), remedy(err))}
	}
	w := walker{sentinel: sentinel}
	w.check(root, 0)
	if len(w.faults) == 0 {
		w.value(root, reflect.ValueOf(v).Elem(), "")
	}
	return w.faults.OrNil()
}

// unreadable finds the first byte that no YAML document may hold, since the
// parser does not say where it stands (YAML 1.2.2, section 5.1).
func unreadable(source []byte, sentinel error) *refusal.Error {
	line, column := 1, 0
	for rest := source; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		if column++; r == '\n' {
			line, column = line+1, 0
		}
		reason, remedy := "", ""
		switch {
		case r == utf8.RuneError && size == 1:
			reason, remedy = "the document is not UTF-8 text", "save it as UTF-8"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			reason, remedy = fmt.Sprintf("holds the control character %U", r), "remove it"
		default:
			continue
		}
		return refusal.New(sentinel, "", fmt.Sprintf("line %d, column %d: %s", line, column, reason), remedy)
	}
	return nil
}

// errEmpty is no fault of the syntax: the parser does not know it.
var errEmpty = &syntaxError{line: 1, column: 1, text: "the document is empty"}

const errSecond = "a second document begins here"

// parse reads the syntax and nothing of its meaning. Its error says line and column.
func parse(source []byte) (*yaml.Node, error) {
	node, err := parseFrom(bytes.NewReader(source))
	if err == nil {
		return node, nil
	}
	if placed, ok := errors.AsType[*syntaxError](err); ok {
		return nil, placed
	}
	return nil, located(source, err)
}

// parseFrom returns errors as the parser has them.
func parseFrom(source io.Reader) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(source)
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, errEmpty
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(&second); err == nil {
		return nil, &syntaxError{line: second.Line, column: second.Column, text: errSecond}
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return document.Content[0], nil
}

// walker goes through the nodes and the Go value side by side.
type walker struct {
	sentinel error
	faults   refusal.List
}

func (w *walker) refuse(node *yaml.Node, path, reason, remedy string) {
	if len(w.faults) < maxFaults {
		w.faults = append(w.faults, refusal.New(w.sentinel, path, fmt.Sprintf("line %d, column %d: %s", node.Line, node.Column, reason), remedy))
	}
}

// check refuses what no document may hold, before anything is decoded.
func (w *walker) check(node *yaml.Node, depth int) {
	switch {
	case depth > maxDepth:
		w.refuse(node, "", fmt.Sprintf("nested deeper than %d levels", maxDepth), "")
		return
	case node.Kind == yaml.AliasNode || node.Anchor != "":
		w.refuse(node, "", "anchors and aliases are not accepted", "write the value out")
		return
	case node.Style&yaml.TaggedStyle != 0:
		w.refuse(node, "", "tags are not accepted", "remove "+node.Tag)
		return
	}
	if node.Kind == yaml.MappingNode {
		w.checkKeys(node)
	}
	for _, child := range node.Content {
		w.check(child, depth+1)
	}
}

func (w *walker) checkKeys(node *yaml.Node) {
	seen := make(map[string]int, len(node.Content)/2)
	for i := 0; i < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode {
			w.refuse(key, "", "a key is one word", "")
			continue
		}
		if line, double := seen[key.Value]; double {
			w.refuse(key, key.Value, fmt.Sprintf("the key is there twice, first in line %d", line), "remove one of the two")
		}
		seen[key.Value] = key.Line
	}
}

// value decodes node into v.
func (w *walker) value(node *yaml.Node, v reflect.Value, path string) {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		w.refuse(node, path, "has no value", "give one, or remove the key")
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		w.value(node, v.Elem(), path)
		return
	}
	switch own := v.Addr().Interface().(type) {
	case yaml.Unmarshaler:
		if err := own.UnmarshalYAML(node); err != nil {
			w.refuse(node, path, plain(err), "")
		}
		return
	case encoding.TextUnmarshaler:
		w.text(node, own, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		w.structure(node, v, path)
	case reflect.Slice:
		w.list(node, v, path)
	default:
		w.scalar(node, v, path)
	}
}

func (w *walker) structure(node *yaml.Node, v reflect.Value, path string) {
	if node.Kind != yaml.MappingNode {
		w.refuse(node, path, "must be a mapping of keys and values", "")
		return
	}
	fields, names := known(v)
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		inner := join(path, key.Value)
		field, ok := fields[key.Value]
		if !ok {
			w.refuse(key, inner, "unknown key", "use "+strings.Join(names, ", "))
			continue
		}
		w.value(value, field, inner)
	}
}

func (w *walker) list(node *yaml.Node, v reflect.Value, path string) {
	if node.Kind != yaml.SequenceNode {
		w.refuse(node, path, "must be a list", "write each item on a line of its own, after a dash")
		return
	}
	items := reflect.MakeSlice(v.Type(), len(node.Content), len(node.Content))
	for i, item := range node.Content {
		w.value(item, items.Index(i), fmt.Sprintf("%s[%d]", path, i))
	}
	v.Set(items)
}

func (w *walker) text(node *yaml.Node, v encoding.TextUnmarshaler, path string) {
	if node.Kind != yaml.ScalarNode {
		w.refuse(node, path, onePlainValue, "")
		return
	}
	if err := v.UnmarshalText([]byte(node.Value)); err != nil {
		w.refuse(node, path, err.Error(), "")
	}
}

// scalar decodes one plain value. Text is taken as it stands: "16.0" without
// quotes is the text 16.0 and not a number that loses its zero.
func (w *walker) scalar(node *yaml.Node, v reflect.Value, path string) {
	if node.Kind != yaml.ScalarNode {
		w.refuse(node, path, onePlainValue, "")
		return
	}
	if v.Kind() == reflect.String {
		v.SetString(node.Value)
		return
	}
	reason, remedy := "cannot be read", ""
	whole := false
	switch v.Kind() {
	case reflect.Bool:
		reason, remedy = "must be true or false", "write true or false, without quotes"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		reason, remedy = "must be a whole number within bounds", "write its digits alone, for example 7, without quotes"
		whole = true
	}
	// The library takes 'yes' for true, 'true' for no bool, and 7.0 for 7.
	if node.Style&quoted != 0 || whole && node.Tag != "!!int" || node.Decode(v.Addr().Interface()) != nil {
		w.refuse(node, path, reason, remedy)
	}
}

// quoted are the styles of text.
const quoted = yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle

// known returns a struct's fields by key, and the keys in their order.
func known(v reflect.Value) (map[string]reflect.Value, []string) {
	fields := make(map[string]reflect.Value, v.NumField())
	var names []string
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		fields[name] = v.Field(i)
		names = append(names, name)
	}
	return fields, names
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// plain takes the library's own prefixes off an error, and its line where one
// is said already.
func plain(err error) string {
	var wrong *yaml.TypeError
	if errors.As(err, &wrong) && len(wrong.Errors) > 0 {
		text := wrong.Errors[0]
		if _, rest, found := strings.Cut(text, ": "); found && strings.HasPrefix(text, "line ") {
			text = rest
		}
		return text
	}
	return strings.TrimPrefix(err.Error(), "yaml: ")
}
