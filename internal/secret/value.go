package secret

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Value is a secret in memory. It prints, logs and marshals as "[redacted]";
// only Reveal gives the content, so that a reviewer can find every place that
// uses one. The zero Value is empty.
type Value struct{ v string }

// New wraps a secret.
func New(s string) Value { return Value{v: s} }

// Reveal returns the content. Call it where the secret is used, not before.
func (v Value) Reveal() string { return v.v }

// IsZero reports whether there is no secret.
func (v Value) IsZero() bool { return v.v == "" }

func (v Value) String() string                { return redacted }
func (v Value) GoString() string              { return redacted }
func (v Value) Format(s fmt.State, _ rune)    { _, _ = s.Write([]byte(redacted)) }
func (v Value) LogValue() slog.Value          { return slog.StringValue(redacted) }
func (v Value) MarshalText() ([]byte, error)  { return []byte(redacted), nil }
func (v Value) MarshalJSON() ([]byte, error)  { return []byte(`"` + redacted + `"`), nil }
func (v Value) MarshalYAML() (any, error)     { return redacted, nil }
func (v *Value) UnmarshalText(b []byte) error { v.v = string(b); return nil }
