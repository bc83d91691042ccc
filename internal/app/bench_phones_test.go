//go:build unix

package app

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkPolicies is what a change of a template costs that reaches one of a
// hundred Android phones: of each of 10,000 it is read what the phone should have,
// its policy is rendered and compared with the one that Google was told, and what
// came of it is noted. Those that changed are sent, and no others; what sending
// costs Google is not in it.
func BenchmarkPolicies(b *testing.B) {
	const phones, limit = 10_000, 10 * time.Second
	a, g := emptyServer(b)
	robots(b, a, g, phones)
	var used time.Duration
	n := 0
	for b.Loop() {
		n++
		before := cpu(b)
		changedMail(b, a, fmt.Sprintf(pilotsMail, fmt.Sprint("ROUND", n)))
		settleRobots(b, a)
		used += cpu(b) - before
		if patched, modified, assigned := g.asked(); modified != phones/pilots || patched+assigned != 0 {
			b.Fatalf("sent %d mail apps, %d policies, %d assignments; want %d mail apps", modified, patched, assigned, phones/pilots)
		}
	}
	each := used / time.Duration(n)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(each.Seconds(), "cpu-s/10000")
	b.ReportMetric(float64(phones/pilots), "sent/op")
	b.Logf("%d policies: %v of one core; to reach: %v", phones, each.Round(time.Millisecond), limit)
}
