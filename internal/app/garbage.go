package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// By how much, in percent of what is in use, the heap of a server grows before it is
// collected. Most of what requests leave behind is garbage at once, and what stays is
// small: with the runtime's own 100 an eighth of the work of a fleet's evaluation was
// collecting. 100,000 devices take some 60 MB, and with this 260. The more is in use,
// the less is gained: 2,000 phones that enrol at once would take 750 MB.
const (
	gcMost  = 400       // of a small heap
	gcLeast = 100       // the runtime's own
	gcRoom  = 200 << 20 // bytes that the heap grows by at most, unless gcLeast is more
)

// collecting begins once in a process, however many servers it holds.
var collecting sync.Once

// letHeapGrow has the process collect so from now on, unless its environment says
// otherwise (GOGC; GOMEMLIMIT bounds the memory whatever is set:
// https://go.dev/doc/gc-guide).
func letHeapGrow() {
	if os.Getenv("GOGC") == "" {
		collecting.Do(func() { adjustGrowth(struct{}{}) })
	}
}

// adjustGrowth sets the percentage by what the last collection left in use. It runs
// again after the next one, which collects what it leaves behind.
func adjustGrowth(struct{}) {
	now := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(now)
	// To set it stops the world for a moment: not for every small difference.
	if p, is := growth(now[0].Value.Uint64()), now[1].Value.Uint64(); p > is+is/8 || p < is-is/8 {
		debug.SetGCPercent(int(p))
	}
	runtime.AddCleanup(&struct{ _ *byte }{}, adjustGrowth, struct{}{})
}

// growth is the percentage for a heap of which so many bytes are in use.
func growth(live uint64) uint64 {
	return min(max(gcRoom*100/max(live, 1), gcLeast), gcMost)
}
