package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/audit"
)

// attic has so much to forget.
type attic struct {
	denials, devices, rows int
	asked                  []string
	before                 []time.Time
	trail                  []audit.Entry
	trouble                error
}

func (a *attic) DropDenials(_ context.Context, before time.Time, _, _, limit int) (int, error) {
	a.asked, a.before = append(a.asked, "denials"), append(a.before, before)
	n := min(a.denials, limit)
	a.denials -= n
	return n, a.trouble
}

func (a *attic) ForgetDevices(_ context.Context, before time.Time, after access.DeviceID, limit int) (int, access.DeviceID, error) {
	a.asked, a.before = append(a.asked, "devices "+string(after)), append(a.before, before)
	n := min(a.devices, limit)
	if a.devices -= n; a.devices > 0 {
		return n, after + "x", a.trouble
	}
	return n, "", a.trouble
}

func (a *attic) Prune(context.Context, time.Time) (int64, error) {
	a.asked = append(a.asked, "rows")
	return int64(a.rows), a.trouble
}

func (a *attic) Append(_ context.Context, e audit.Entry) error {
	a.trail = append(a.trail, e)
	return nil
}

func (a *attic) List(context.Context, audit.Filter) ([]audit.Entry, error) { return a.trail, nil }

// TestCleaner: a round goes in pieces, and is one line in the trail.
func TestCleaner(t *testing.T) {
	t.Parallel()
	a := &attic{denials: 700, devices: 600, rows: 3}
	c := &access.Cleaner{Store: a, Denials: 24 * time.Hour, Audit: a, Now: func() time.Time { return start }}
	round := func() (steps int) {
		t.Helper()
		for more := true; more; steps++ {
			var err error
			if more, err = c.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return steps
	}
	round()
	if got := strings.Join(a.asked, ", "); got != "denials, denials, denials, devices , devices x, rows" {
		t.Errorf("asked %s", got)
	}
	if a.before[0] != start.Add(-24*time.Hour) || a.before[3] != start.Add(-90*24*time.Hour) {
		t.Errorf("looked before %v", a.before)
	}
	if len(a.trail) != 1 || a.trail[0].Action != "access.prune" || a.trail[0].Detail["denials"] != "700" || a.trail[0].Detail["devices"] != "600" || a.trail[0].Detail["feed_rows"] != "3" {
		t.Fatalf("trail %+v", a.trail)
	}
	a.rows = 0
	if round(); len(a.trail) != 1 {
		t.Error("a round that forgot nothing stands in the trail")
	}
	a.before, c.Denials = nil, 0
	if round(); !a.before[0].IsZero() {
		t.Error("denials that are kept for ever end")
	}
	a.trouble = errors.New("disk is full")
	if more, err := c.Step(t.Context()); more || !errors.Is(err, a.trouble) {
		t.Errorf("got %v, %v", more, err)
	}
}
