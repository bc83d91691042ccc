package work_test

import (
	"sync/atomic"
	"testing"

	"sallyport/internal/work"
)

func TestEach(t *testing.T) {
	t.Parallel()
	var running, most, sum atomic.Int64
	work.Each(1000, 7, func(i int) {
		now := running.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		sum.Add(int64(i))
		running.Add(-1)
	})
	if sum.Load() != 999*1000/2 || most.Load() > 7 {
		t.Errorf("sum %d, at most %d at once; want %d and 7", sum.Load(), most.Load(), 999*1000/2)
	}
	work.Each(0, 7, func(int) { t.Error("called for nothing") })
}

func TestEachPassesAPanicOn(t *testing.T) {
	t.Parallel()
	var ran atomic.Int64
	defer func() {
		if p := recover(); p != "nil map" || ran.Load() != 3 {
			t.Errorf("got %v after %d calls, want the panic after all 3", p, ran.Load())
		}
	}()
	work.Each(3, 1, func(i int) {
		ran.Add(1)
		if i == 0 {
			panic("nil map")
		}
	})
}
