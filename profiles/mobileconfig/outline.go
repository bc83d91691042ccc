package mobileconfig

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// first are the keys that say what something is; they come before the others.
var first = [...]string{"PayloadType", "PayloadDisplayName", "PayloadIdentifier", "PayloadUUID"}

// Outline writes a decoded profile as an indented tree for a person: one line a
// value, secrets redacted, certificates by their subject, other data by length
// and hash. Text from outside cannot draw on a terminal.
func Outline(profile map[string]any) string {
	o := outline{}
	o.dict(rewriteDict(profile, func(any) any { return redacted }), 0)
	return o.b.String()
}

type outline struct{ b strings.Builder }

func (o *outline) dict(dict map[string]any, depth int) {
	for _, key := range orderedKeys(dict) {
		o.indent(depth)
		o.b.WriteString(printable(key))
		o.b.WriteByte(':')
		o.value(dict[key], depth)
	}
}

func (o *outline) value(value any, depth int) {
	switch v := value.(type) {
	case map[string]any:
		o.b.WriteByte('\n')
		o.dict(v, depth+1)
	case []any:
		o.b.WriteByte('\n')
		for i, item := range v {
			o.indent(depth + 1)
			o.b.WriteString(strconv.Itoa(i+1) + ".")
			o.value(item, depth+1)
		}
	default:
		o.b.WriteString(" " + leaf(value) + "\n")
	}
}

func (o *outline) indent(depth int) { o.b.WriteString(strings.Repeat("  ", depth)) }

func leaf(value any) string {
	switch v := value.(type) {
	case string:
		return printable(v)
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []byte:
		return describeData(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339)
	}
	return fmt.Sprint(value)
}

func describeData(data []byte) string {
	if certificate, err := x509.ParseCertificate(data); err == nil {
		return fmt.Sprintf("certificate of %s, valid until %s", printable(certificate.Subject.String()), certificate.NotAfter.UTC().Format(time.DateOnly))
	}
	sum := sha256.Sum256(data)
	return fmt.Sprintf("%d bytes, SHA-256 %s", len(data), hex.EncodeToString(sum[:]))
}

// printable quotes what would not show as what it is.
func printable(s string) string {
	if s == "" || strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func orderedKeys(dict map[string]any) []string {
	keys := slices.Sorted(maps.Keys(dict))
	rank := func(key string) int {
		if i := slices.Index(first[:], key); i >= 0 {
			return i
		}
		switch dict[key].(type) {
		case map[string]any, []any:
			return len(first) + 1
		}
		return len(first)
	}
	slices.SortStableFunc(keys, func(a, b string) int { return rank(a) - rank(b) })
	return keys
}
