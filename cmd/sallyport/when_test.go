package main

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"7d": 7 * day, "90d": 90 * day, "36h": 36 * time.Hour, "1d12h": 36 * time.Hour, "1d0h": day, "90m": 90 * time.Minute,
		"": 0, "0": 0, "0s": 0, "0d": 0, "-1h": 0, "-7d": 0, "1d-1h": 0, "d": 0, "7": 0, "7 days": 0, "1h7d": 0, "1.5d": 0,
		"4294967296d": 0, "4294967295d": 0, "9223372036854775807ns": 0, "1d1d": 0,
	} {
		var s span
		err := s.UnmarshalText([]byte(text))
		if (err == nil) != (want > 0) || time.Duration(s) != want {
			t.Errorf("%q: got %v, %v; want %v", text, time.Duration(s), err, want)
		}
	}
}

func TestMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-11-21T08:00:00Z":      "2026-11-21T08:00:00Z",
		"2026-11-21T09:00:00+01:00": "2026-11-21T08:00:00Z",
		"2026-11-20":                "2026-11-20T00:00:00Z",
		"24h":                       "2026-11-20T12:00:00Z",
		"7d":                        "2026-11-14T12:00:00Z",
		"foo":                       "",
		"0s":                        "",
		"yesterday":                 "",
	} {
		var m moment
		err := m.UnmarshalText([]byte(text))
		if want == "" {
			if err == nil {
				t.Errorf("%q was taken", text)
			}
			continue
		}
		if got := m.when(now).Format(time.RFC3339); err != nil || got != want {
			t.Errorf("%q: got %s, %v; want %s", text, got, err, want)
		}
	}
	if got := (moment{}).when(now); !got.IsZero() {
		t.Errorf("nothing given: got %s", got)
	}
}
