package main

import (
	"errors"
	"fmt"
	"time"

	"sallyport/internal/config"
)

// span is a length of time as a person writes it: 7d, 36h, 1d12h. It is longer
// than nothing.
type span time.Duration

const day = 24 * time.Hour

// UnmarshalText reads days, which Go's own form does not know, and that form.
func (s *span) UnmarshalText(text []byte) error {
	d, err := parseSpan(string(text))
	if err != nil {
		return err
	}
	*s = span(d)
	return nil
}

func parseSpan(text string) (time.Duration, error) {
	d, err := config.ParseSpan(text)
	if err == nil && d == 0 {
		err = errors.New("must be longer than nothing: write for example 7d, 36h or 1d12h")
	}
	return d, err
}

// String writes the form that the API takes.
func (s span) String() string { return time.Duration(s).String() }

// moment is a point in time as a person writes it: RFC 3339, a day, or how long ago.
type moment struct {
	at  time.Time
	ago time.Duration
}

// UnmarshalText reads one of the three forms.
func (m *moment) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(layout, string(text)); err == nil {
			*m = moment{at: at}
			return nil
		}
	}
	ago, err := parseSpan(string(text))
	if err != nil {
		return fmt.Errorf("%.64q is no time: write for example 2026-11-21T08:00:00Z, 2026-11-21, or 24h or 7d for so long ago", text)
	}
	*m = moment{ago: ago}
	return nil
}

// when is the point in time, the zero one where none was given.
func (m moment) when(now time.Time) time.Time {
	if m.ago > 0 {
		return now.Add(-m.ago).UTC()
	}
	return m.at.UTC()
}
