package compliance

import (
	"fmt"
	"strings"
	"time"
)

// Duration is a time.Duration that reads and writes as "24h" in YAML and JSON.
type Duration time.Duration

// String writes Go's form without parts that say nothing: "24h", not "24h0m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalText writes what String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads Go's duration form: "90m", "24h".
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 24h or 90m", text)
	}
	*d = Duration(parsed)
	return nil
}
