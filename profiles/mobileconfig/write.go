package mobileconfig

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

const header = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
`

// encode writes a tree as an XML property list, dictionaries with their keys
// sorted. A test holds it to howett.net/plist, byte for byte; that one spends
// most of a rendering on finding out by reflection what is known here.
// http://www.apple.com/DTDs/PropertyList-1.0.dtd
func encode(tree any) ([]byte, error) {
	var w writer
	w.b.Grow(4096)
	w.b.WriteString(header)
	w.b.WriteString(`<plist version="1.0">`)
	w.depth++
	if err := w.value(tree); err != nil {
		return nil, fmt.Errorf("encode profile: %w", err)
	}
	w.close("plist")
	w.b.WriteByte('\n')
	return w.b.Bytes(), nil
}

// writer writes each element on a line of its own, indented by its depth.
type writer struct {
	b     bytes.Buffer
	depth int
}

func (w *writer) value(v any) error {
	switch v := v.(type) {
	case string:
		w.element("string", v)
	case bool:
		w.element(strconv.FormatBool(v), "")
	case int:
		w.element("integer", strconv.Itoa(v))
	case int64:
		w.element("integer", strconv.FormatInt(v, 10))
	case uint64:
		w.element("integer", strconv.FormatUint(v, 10))
	case float32:
		w.element("real", strconv.FormatFloat(float64(v), 'g', -1, 64))
	case float64:
		w.element("real", strconv.FormatFloat(v, 'g', -1, 64))
	case []byte:
		w.element("data", base64.StdEncoding.EncodeToString(v))
	case time.Time:
		w.element("date", v.UTC().Format(time.RFC3339))
	case map[string]any:
		return w.dictionary(v)
	case []any:
		return w.array(v)
	default:
		return fmt.Errorf("a property list holds no %T", v)
	}
	return nil
}

func (w *writer) dictionary(dict map[string]any) error {
	w.open("dict")
	keys := slices.AppendSeq(make([]string, 0, len(dict)), maps.Keys(dict))
	slices.Sort(keys)
	for _, key := range keys {
		w.element("key", key)
		if err := w.value(dict[key]); err != nil {
			return err
		}
	}
	w.close("dict")
	return nil
}

func (w *writer) array(items []any) error {
	w.open("array")
	for _, item := range items {
		if err := w.value(item); err != nil {
			return err
		}
	}
	w.close("array")
	return nil
}

func (w *writer) open(tag string) {
	w.line()
	w.b.WriteByte('<')
	w.b.WriteString(tag)
	w.b.WriteByte('>')
	w.depth++
}

func (w *writer) close(tag string) {
	w.depth--
	w.line()
	w.b.WriteString("</")
	w.b.WriteString(tag)
	w.b.WriteByte('>')
}

func (w *writer) element(tag, text string) {
	w.line()
	w.b.WriteByte('<')
	w.b.WriteString(tag)
	if text == "" {
		w.b.WriteString("/>")
		return
	}
	w.b.WriteByte('>')
	w.text(text)
	w.b.WriteString("</")
	w.b.WriteString(tag)
	w.b.WriteByte('>')
}

// text escapes; most values need none of it.
func (w *writer) text(text string) {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\'' || c == '&' || c == '<' || c == '>' {
			_ = xml.EscapeText(&w.b, []byte(text)) // a bytes.Buffer takes everything
			return
		}
	}
	w.b.WriteString(text)
}

func (w *writer) line() {
	w.b.WriteByte('\n')
	for range w.depth {
		w.b.WriteByte('\t')
	}
}
