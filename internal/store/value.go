package store

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"sallyport/enroll/directory"
)

// micros is how a time is stored: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant is the time that micros stored, in UTC.
func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// whole is t as it comes back from the database. What is stored inside JSON
// goes through it too, so that one act has one time everywhere.
func whole(t time.Time) time.Time { return instant(micros(t)) }

// stamp scans a stored time.
type stamp struct{ to *time.Time }

func (s stamp) Scan(src any) error {
	us, ok := src.(int64)
	if !ok {
		return fmt.Errorf("time column holds %T", src)
	}
	*s.to = instant(us)
	return nil
}

// text scans a string of a type of ours, and number a number: database/sql does so
// by reflection, and by way of decimal digits, which takes several times as long.
// They are for what is read at every poll.
type text[T ~string] struct{ to *T }

func (t text[T]) Scan(src any) error {
	switch s := src.(type) {
	case string:
		*t.to = T(s)
	case []byte:
		*t.to = T(s)
	default:
		return fmt.Errorf("text column holds %T", src)
	}
	return nil
}

func textOf[T ~string](to *T) text[T] { return text[T]{to} }

type number[T ~int | ~int64] struct{ to *T }

func (n number[T]) Scan(src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("number column holds %T", src)
	}
	*n.to = T(v)
	return nil
}

func numberOf[T ~int | ~int64](to *T) number[T] { return number[T]{to} }

// document stores and scans a value as JSON text.
type document struct{ v any }

func (d document) Value() (driver.Value, error) {
	text, err := json.Marshal(d.v)
	return string(text), err
}

func (d document) Scan(src any) error {
	switch text := src.(type) {
	case string:
		return json.Unmarshal([]byte(text), d.v)
	case []byte:
		return json.Unmarshal(text, d.v)
	}
	return fmt.Errorf("JSON column holds %T", src)
}

// fold makes the key under which names are equal without regard to case.
func fold(s string) string { return directory.Fold(s) }

const (
	defaultLimit = 100
	maxLimit     = 1000
)

// pageLimit keeps a listing within bounds whatever was asked for.
func pageLimit(n int) int {
	if n <= 0 {
		return defaultLimit
	}
	return min(n, maxLimit)
}
