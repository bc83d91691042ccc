//go:build unix

package app

import (
	"context"
	"slices"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/mdm"
)

// BenchmarkStream is how long it takes from the commit of a phone's report to the
// event on a stream, over TLS: the verdict, the decision and the feed lie between.
// Of 1,000 phones one after the other loses its passcode, and has it back later.
func BenchmarkStream(b *testing.B) {
	const phones = 1000
	a := prepared(b)
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	_, _, err := a.rooms.compliance.Apply(ctx, []byte("name: standard\nassign: everyone\nrules:\n  passcode: true\n"))
	check(err)
	fleet(b, a, phones)
	go func() { ended <- a.Run(ctx) }()
	defer func() { cancel(); <-ended }()

	local, err := ReadLocal(a.dir)
	check(err)
	owners := known(b, a, phones)
	events := listenTo(b, ctx, a.dir, local.Token.Reveal(), "", true)
	for e, _ := next(b, events); e.name != "ready"; e, _ = next(b, events) {
	}
	tells := func(id mdm.EnrollmentID, passcode bool) time.Duration {
		at := time.Now().UTC().Truncate(time.Microsecond)
		caps := 3
		check(a.db.Plans().SaveContact(ctx, id, mdm.Contact{At: at, Status: mdm.StatusIdle, Report: mdm.Report{
			Security: &mdm.SecurityFacts{At: at, PasscodePresent: &passcode, PasscodeCompliant: &passcode, PasscodeCompliantWithProfiles: &passcode, HardwareEncryptionCaps: &caps},
		}}))
		began := time.Now()
		for {
			e, ok := next(b, events)
			if !ok {
				b.Fatal("the stream has ended")
			}
			if e.change.EnrollmentID == id && (e.change.Decision.Effect == access.Allow) == passcode {
				return e.at.Sub(began)
			}
		}
	}
	tells(owners[phones-1], false) // what their arrival left to do is done
	tells(owners[phones-1], true)
	var took []time.Duration
	n := 0
	b.ResetTimer()
	for b.Loop() {
		id := owners[n%phones]
		took = append(took, tells(id, n/phones%2 == 1))
		n++
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[(len(took)-1)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
}

// known waits until all phones were told of, and returns their enrolments.
func known(b *testing.B, a *App, count int) []mdm.EnrollmentID {
	b.Helper()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		rows, _, err := a.db.Access().Snapshot(b.Context(), "", 1000)
		if err != nil {
			b.Fatal(err)
		}
		var ids []mdm.EnrollmentID
		for _, c := range rows {
			if c.Decision.Effect == access.Allow {
				ids = append(ids, c.EnrollmentID)
			}
		}
		if len(ids) == count {
			return ids
		}
	}
	b.Fatal("not all phones were told of")
	return nil
}
