package app

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

func TestGrowth(t *testing.T) {
	t.Parallel()
	for live, want := range map[uint64]uint64{0: 400, 4 << 20: 400, 50 << 20: 400, 100 << 20: 200, 160 << 20: 125, 200 << 20: 100, 4 << 30: 100} {
		if got := growth(live); got != want {
			t.Errorf("%d MB in use: %d percent, want %d", live>>20, got, want)
		}
	}
}

// Whatever the percentage is, a collection later it is what fits the heap.
func TestGrowthIsAdjusted(t *testing.T) {
	letHeapGrow()
	debug.SetGCPercent(11)
	is := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		if metrics.Read(is); is[0].Value.Uint64() >= gcLeast {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the heap still grows by %d percent", is[0].Value.Uint64())
		}
	}
}
