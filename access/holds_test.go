package access_test

import (
	"testing"
	"time"

	"sallyport/access"
	"sallyport/compliance"
)

// TestUntil: a row of the feed holds by what is known when it is read, not when it
// was written: as long as the verdict, and at most 300 s.
func TestUntil(t *testing.T) {
	t.Parallel()
	b := newLedger()
	device := b.people["u1"].Devices[0].ID
	e := b.loaded(t)
	row := func(effect access.Effect, until time.Time) *access.Change {
		return &access.Change{UserID: "u1", DeviceID: device, Decision: access.Decision{Effect: effect, ValidUntil: until}}
	}
	long, old := start.Add(300*time.Second), start.Add(-time.Hour)
	verdict := func(until time.Time) {
		b.change("u1", func(e *access.Entry) { e.Phones[0].Verdict.ValidUntil = until })
		decide(t, e, client())
	}
	tests := []struct {
		name    string
		verdict time.Time
		row     *access.Change
		want    time.Time
	}{
		{"written long ago, and still so", start.Add(time.Hour), row(access.Allow, old), long},
		{"as long as the verdict", start.Add(time.Minute), row(access.Allow, old), start.Add(time.Minute)},
		{"the verdict was shorter then", start.Add(time.Hour), row(access.Allow, start.Add(time.Minute)), long},
		{"not so any more", start.Add(time.Hour), row(access.Block, old), start},
		{"newer than what is in memory", start.Add(time.Hour), row(access.Block, start.Add(2*time.Minute)), start.Add(2 * time.Minute)},
		{"never longer than any answer", start.Add(time.Hour), row(access.Block, start.Add(time.Hour)), long},
		{"a device that is gone", start.Add(time.Hour), &access.Change{UserID: "u1", DeviceID: "gone", Decision: access.Decision{Effect: access.Allow, ValidUntil: old}}, start},
		{"somebody who is gone", start.Add(time.Hour), &access.Change{UserID: "gone", Decision: access.Decision{ValidUntil: old}}, start},
	}
	for _, tt := range tests {
		verdict(tt.verdict)
		if got := e.Until(tt.row); got.Sub(tt.want).Abs() > time.Second { // the monotonic clock goes on
			t.Errorf("%s: %s, want %s", tt.name, got.Sub(start), tt.want.Sub(start))
		}
	}
	b.say(compliance.NotCompliant)
	decide(t, e, client())
	if got := e.Until(row(access.Allow, old)); got.Sub(start).Abs() > time.Second {
		t.Errorf("a word that another verdict ended holds until %s", got.Sub(start))
	}
	if got := b.engine().Until(row(access.Allow, old)); got.Before(start) || got.After(long) {
		t.Errorf("before anything is loaded: %s", got.Sub(start))
	}
}
