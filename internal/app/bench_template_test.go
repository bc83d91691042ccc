//go:build unix

package app

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/enroll/directory"
	"sallyport/templates"
	"sallyport/templates/builtin"
)

// cpu is the time that this process has used, whatever other programs do.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// withStarters is a server with people and the starter exchange-certificate for
// everyone.
func withStarters(b *testing.B, people int) *App {
	b.Helper()
	a := prepared(b)
	users := make([]directory.User, 0, people)
	for i := range people {
		upn := fmt.Sprintf("user%05d@example.test", i)
		users = append(users, directory.User{UPN: upn, Email: upn, DisplayName: fmt.Sprint("User ", i), FirstName: "User", LastName: fmt.Sprint(i), Groups: []string{"mail-users"}})
	}
	for page := range slices.Chunk(users, 1000) {
		if _, err := a.rooms.users.Save(b.Context(), page); err != nil {
			b.Fatal(err)
		}
	}
	starters, err := builtin.Starters()
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range starters {
		if s.Name == "exchange-certificate" {
			if _, _, err := a.rooms.templates.Apply(b.Context(), []byte(s.Source)); err != nil {
				b.Fatal(err)
			}
		}
	}
	return a
}

// Every user of a large directory, as template check asks for them.
func BenchmarkCheck(b *testing.B) {
	const people, limit = 10_000, 5 * time.Second
	a := withStarters(b, people)
	var used time.Duration
	runs := 0
	for b.Loop() {
		began, rendered := cpu(b), 0
		page := directory.Page{Limit: 1000}
		for {
			report, err := a.rooms.viewer.Check(b.Context(), templates.CheckRequest{Page: page})
			if err != nil {
				b.Fatal(err)
			}
			rendered += report.Rendered
			if page.After = report.Next; page.After == "" {
				break
			}
		}
		if rendered != people {
			b.Fatalf("%d renderings, want %d", rendered, people)
		}
		used += cpu(b) - began
		runs++
	}
	each := used / time.Duration(runs)
	b.ReportMetric(each.Seconds(), "cpu-s/10k-users")
	b.Logf("check of %d users: %v of one core; to reach: %v", people, each.Round(time.Millisecond), limit)
}

// One preview after the other, on every platform.
func BenchmarkPreview(b *testing.B) {
	const limit = 20 * time.Millisecond
	a := withStarters(b, 200)
	var times []time.Duration
	i := 0
	for b.Loop() {
		q := templates.PreviewRequest{Name: "exchange-certificate", UPN: fmt.Sprintf("user%05d@example.test", i%200), Platform: templates.Platforms()[i%len(templates.Platforms())]}
		i++
		began := cpu(b)
		p, err := a.rooms.viewer.Preview(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		times = append(times, cpu(b)-began)
		if !strings.Contains(p.Tree, "mail.example.com") {
			b.Fatalf("%s shows no host:\n%s", q.Platform, p.Tree)
		}
	}
	slices.Sort(times)
	p95 := times[len(times)*95/100]
	b.ReportMetric(float64(p95.Microseconds())/1e3, "p95-cpu-ms")
	b.Logf("preview: p95 of %d is %v; to reach: %v", len(times), p95.Round(time.Microsecond), limit)
}
