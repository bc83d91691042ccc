package work_test

import (
	"errors"
	"strings"
	"testing"

	"sallyport/internal/work"
)

func TestLanes(t *testing.T) {
	t.Parallel()
	lanes, hang, runs := work.NewLanes(), make(chan struct{}), 0
	lanes.Start("slow", func() error { <-hang; return errors.New("late") })
	lanes.Start("slow", func() error { t.Error("two in one lane"); return nil })
	for range 3 { // the others go on
		lanes.Start("quick", func() error { runs++; return nil })
		<-lanes.Ended()
		if !lanes.Busy("slow") || lanes.Busy("quick") || lanes.Idle() || lanes.Err() != nil {
			t.Fatal("the lanes are mixed up")
		}
	}
	lanes.Start("broken", func() error { panic("nil map") })
	<-lanes.Ended()
	close(hang)
	if err := lanes.Wait(); runs != 3 || !lanes.Idle() || !strings.Contains(err.Error(), "nil map") || !strings.Contains(err.Error(), "late") {
		t.Errorf("%d runs, %v", runs, err)
	}
}
