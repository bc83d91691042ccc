package access_test

import (
	"testing"
	"time"

	"sallyport/access"
)

// TestFeedStartsBehindItsReaders: who followed before the feed had looked at its
// storage for the first time hears of what came until then.
func TestFeedStartsBehindItsReaders(t *testing.T) {
	t.Parallel()
	w, _ := newPress()
	f := &access.Feed{Store: w, Until: func(*access.Change) time.Time { return start }}
	grown := f.Grown()
	if rows, err := f.After(t.Context(), 0, 10); err != nil || len(rows) != 0 {
		t.Fatalf("before: %v, %v", rows, err)
	}
	w.rows = append(w.rows, access.Change{Seq: 1})
	if _, err := f.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-grown:
	default:
		t.Fatal("nobody was woken")
	}
	if rows, err := f.After(t.Context(), 0, 10); err != nil || len(rows) != 1 {
		t.Errorf("after: %v, %v", rows, err)
	}
}
