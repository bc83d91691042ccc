package access_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/access"
	"sallyport/compliance"
)

// The sentences of "Database gone", one test each, with a database that refuses
// and with one that never answers. In the bubble time passes by itself.

// gone runs do once for each kind of outage, on an engine that was loaded.
func gone(t *testing.T, maxStale time.Duration, do func(t *testing.T, b *ledger, e *access.Engine, goes func(away bool))) {
	for name, hangs := range map[string]bool{"refuses": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newLedger()
				one := b.people["u1"]
				one.Phones[0].Verdict.At, one.Phones[0].Verdict.ValidUntil = time.Now(), time.Now().Add(24*time.Hour)
				e := b.engine()
				e.MaxStale, e.Now = maxStale, time.Now
				if err := e.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				do(t, b, e, func(away bool) { b.set(away && !hangs, away && hangs) })
			})
		})
	}
}

// quick answers, and fails where that takes longer than 300 ms.
func quick(t *testing.T, e *access.Engine, c access.Client) access.Decision {
	t.Helper()
	began := time.Now()
	d := decide(t, e, c)
	if took := time.Since(began); took > 300*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
	return d
}

// follows runs the follower as the server does, until the test ends.
func follows(t *testing.T, e *access.Engine) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = e.Follow(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func TestKnownDevicesKeepTheirDecisionFor300Seconds(t *testing.T) {
	t.Parallel()
	gone(t, 300*time.Second, func(t *testing.T, b *ledger, e *access.Engine, goes func(bool)) {
		follows(t, e)
		time.Sleep(time.Hour)
		goes(true)
		b.say(compliance.NotCompliant) // committed just before; it cannot be read any more
		for range 29 {
			time.Sleep(10 * time.Second)
			d := quick(t, e, client())
			if d.Effect != access.Allow {
				t.Fatalf("during the outage: %+v", d)
			}
		}
		stranger := client()
		stranger.User = "mallory@example.test"
		if d := quick(t, e, stranger); d.Effect != access.Block || d.Step != access.StepUser {
			t.Errorf("a stranger keeps: %+v", d)
		}
	})
}

func TestThenTheyAreDenied(t *testing.T) {
	t.Parallel()
	gone(t, 300*time.Second, func(t *testing.T, b *ledger, e *access.Engine, goes func(bool)) {
		goes(true)
		time.Sleep(299 * time.Second)
		if d := quick(t, e, client()); d.Effect != access.Allow || d.ValidUntil.After(time.Now().Add(time.Second)) {
			t.Errorf("just before: %+v, want an answer that ends with the set", d)
		}
		time.Sleep(time.Second)
		for range 20 {
			if d := quick(t, e, client()); d.Effect != access.Block || d.Step != access.StepUnavailable || d.Reasons[0].Fix == "" {
				t.Errorf("after 300 s: %+v", d)
			}
			time.Sleep(100 * time.Millisecond)
		}
		goes(false)
		time.Sleep(2 * time.Second)
		if d := quick(t, e, client()); d.Effect != access.Allow {
			t.Errorf("the database is back: %+v", d)
		}
	})
}

// What storage said took its time: it counts from when it was asked.
func TestASlowAnswerIsAsOldAsTheQuestion(t *testing.T) {
	t.Parallel()
	gone(t, 300*time.Second, func(t *testing.T, b *ledger, e *access.Engine, goes func(bool)) {
		time.Sleep(time.Minute)
		b.takes(4 * time.Second) // twice: events, and certificates that have ended
		if _, err := e.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.takes(0)
		goes(true)
		time.Sleep(291 * time.Second)
		if d := quick(t, e, client()); d.Effect != access.Allow || d.ValidUntil.After(time.Now().Add(time.Second)) {
			t.Errorf("299 s after the question: %+v", d)
		}
		time.Sleep(time.Second)
		if d := quick(t, e, client()); d.Step != access.StepUnavailable {
			t.Errorf("300 s after the question: %+v", d)
		}
	})
}

// No test can set the clock of its machine: all times of an engine count from one
// that has a reading of the monotonic clock.
func TestTimesCountOnTheMonotonicClock(t *testing.T) {
	t.Parallel()
	e := newLedger().engine()
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if base := e.Base(); base == base.Round(0) { // Round takes the reading away
		t.Error("the engine counts by the wall clock")
	}
}

func TestTheTimeIsSettable(t *testing.T) {
	t.Parallel()
	gone(t, 20*time.Second, func(t *testing.T, b *ledger, e *access.Engine, goes func(bool)) {
		goes(true)
		time.Sleep(19 * time.Second)
		if d := quick(t, e, client()); d.Effect != access.Allow {
			t.Errorf("after 19 of 20 s: %+v", d)
		}
		time.Sleep(time.Second)
		if d := quick(t, e, client()); d.Step != access.StepUnavailable {
			t.Errorf("after 20 s: %+v", d)
		}
	})
	gone(t, 0, func(t *testing.T, b *ledger, e *access.Engine, goes func(bool)) {
		for range 3 {
			if d := quick(t, e, client()); d.Effect != access.Allow || d.ValidUntil.After(time.Now()) {
				t.Errorf("0 s, the database answers: %+v, want an answer for this request alone", d)
			}
		}
		goes(true)
		time.Sleep(time.Millisecond)
		if d := quick(t, e, client()); d.Step != access.StepUnavailable {
			t.Errorf("0 s, it does not: %+v", d)
		}
	})
}

func TestUnknownDevicesAreDeniedAtOnce(t *testing.T) {
	t.Parallel()
	gone(t, 300*time.Second, func(t *testing.T, b *ledger, e *access.Engine, goes func(bool)) {
		goes(true)
		c := client()
		c.DeviceID = "neverseen"
		for range 10 {
			if d := quick(t, e, c); d.Effect != access.Block || d.Step != access.StepUnavailable {
				t.Errorf("got %+v", d)
			}
		}
		clients := make([]access.Client, 1000)
		for i := range clients {
			clients[i] = c
		}
		began := time.Now()
		if _, err := e.DecideMany(t.Context(), clients); err != nil || time.Since(began) > 300*time.Millisecond {
			t.Errorf("1000 at once: %v after %v", err, time.Since(began))
		}
		goes(false)
		time.Sleep(2 * time.Second)
		if d := quick(t, e, c); d.Step != access.StepDefault {
			t.Errorf("the database is back: %+v", d)
		}
	})
}

func TestAnswersComeWithin300ms(t *testing.T) {
	t.Parallel()
	gone(t, 300*time.Second, func(t *testing.T, b *ledger, e *access.Engine, goes func(bool)) {
		follows(t, e)
		goes(true)
		b.say(compliance.NotCompliant) // committed just before, and never read
		unknown := client()
		unknown.DeviceID = "dev2"
		for range 100 {
			for _, c := range []access.Client{client(), unknown} {
				quick(t, e, c)
			}
			began := time.Now()
			if _, _, _, err := e.Explain(t.Context(), client()); err != nil || time.Since(began) > 300*time.Millisecond {
				t.Errorf("explained after %v, %v", time.Since(began), err)
			}
			time.Sleep(7 * time.Second) // beyond the 300 s, too
		}
	})
}

func TestAVerdictThatEndsMeanwhileCounts(t *testing.T) {
	t.Parallel()
	gone(t, 300*time.Second, func(t *testing.T, b *ledger, e *access.Engine, goes func(bool)) {
		follows(t, e)
		time.Sleep(24*time.Hour - time.Minute)
		goes(true)
		time.Sleep(2 * time.Minute)
		if d := quick(t, e, client()); d.Effect != access.Allow || d.ValidUntil.After(time.Now()) {
			t.Errorf("got %+v, want the last word, for this request alone", d)
		}
		time.Sleep(4 * time.Minute)
		if d := quick(t, e, client()); d.Step != access.StepUnavailable {
			t.Errorf("after 300 s: %+v", d)
		}
	})
}

// A disk that is full, or a standby that cannot be written to, is read as before and
// so confirms the Set, while no verdict can be made.
func TestAVerdictThatCannotBeRenewedEndsToo(t *testing.T) {
	t.Parallel()
	for _, maxStale := range []time.Duration{300 * time.Second, 0} {
		synctest.Test(t, func(t *testing.T) {
			b := newLedger()
			ends := time.Now().Add(time.Hour)
			b.people["u1"].Phones[0].Verdict = compliance.Verdict{EnrollmentID: "e1", State: compliance.InGrace, Since: time.Now(), At: time.Now(),
				ValidUntil: ends, GraceUntil: ends, Policy: "standard@1"}
			e := b.engine()
			e.MaxStale, e.Now = maxStale, time.Now
			if err := e.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			follows(t, e)
			b.mu.Lock()
			b.full = true
			b.mu.Unlock()
			time.Sleep(time.Hour + maxStale - 10*time.Second)
			if d := quick(t, e, client()); d.Effect != access.Allow || d.ValidUntil.After(time.Now().Add(10*time.Second)) {
				t.Errorf("just before, %v: %+v", maxStale, d)
			}
			time.Sleep(20 * time.Second)
			for range 20 {
				d := quick(t, e, client())
				if d.Effect != access.Block || d.Step != access.StepConditionsFailed || d.Reasons[0].Fact != "the server could not judge this phone again" || d.Reasons[0].Fix == "" {
					t.Fatalf("after %v: %+v", maxStale, d)
				}
				time.Sleep(time.Hour)
			}
			b.mu.Lock()
			b.full = false
			b.verdicts["e1"] = compliance.Verdict{EnrollmentID: "e1", State: compliance.Compliant, Since: time.Now(), At: time.Now(), ValidUntil: time.Now().Add(time.Hour)}
			b.mu.Unlock()
			if d := quick(t, e, client()); d.Effect != access.Allow {
				t.Errorf("it can be written to again: %+v", d)
			}
		})
	}
}

// A step so small that an answer from before it is still remembered.
func TestASmallStepBackExtendsNothing(t *testing.T) {
	t.Parallel()
	gone(t, 300*time.Second, func(t *testing.T, b *ledger, e *access.Engine, goes func(bool)) {
		ends := time.Now().Add(40 * time.Second)
		b.change("u1", func(e *access.Entry) {
			e.Personal = []access.Personal{{UserID: "u1", Key: "dev2", Kind: access.PersonalAllow, ExpiresAt: ends}}
			e.Devices = append(e.Devices, access.Device{ID: "d2", UserID: "u1", Key: "dev2"})
		})
		c := client()
		c.DeviceID = "dev2"
		if d := quick(t, e, c); d.Step != access.StepPersonalAllow {
			t.Fatalf("an admin's word: %+v", d)
		}
		goes(true)
		e.Now = func() time.Time { return time.Now().Add(-30 * time.Second) }
		time.Sleep(45 * time.Second)
		if d := quick(t, e, c); d.Effect == access.Allow {
			t.Errorf("5 s after its end: %+v", d)
		}
	})
}

func TestClockStepsExtendNothing(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]time.Duration{"back": -6 * time.Hour, "ahead": 6 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			gone(t, 300*time.Second, func(t *testing.T, b *ledger, e *access.Engine, goes func(bool)) {
				ends := time.Now().Add(2 * time.Minute)
				blocked := client()
				blocked.DeviceID = "dev2"
				b.change("u1", func(e *access.Entry) {
					e.Devices = append(e.Devices, access.Device{ID: "d2", UserID: "u1", Key: "dev2"})
					e.Personal = []access.Personal{{UserID: "u1", Key: "dev2", Kind: access.PersonalAllow, ExpiresAt: ends}}
				})
				if d := quick(t, e, blocked); d.Step != access.StepPersonalAllow || d.ValidUntil.After(ends) {
					t.Errorf("an admin's word: %+v", d)
				}
				goes(true)
				e.Now = func() time.Time { return time.Now().Add(step) }
				time.Sleep(time.Minute)
				d := quick(t, e, client())
				if last := e.Now().Add(4 * time.Minute); d.Effect != access.Allow || d.ValidUntil.After(last) {
					t.Errorf("after a minute: %+v, want an allow until %v at most", d, last)
				}
				time.Sleep(time.Minute)
				if d := quick(t, e, blocked); d.Effect == access.Allow {
					t.Errorf("the admin's word outlives its time: %+v", d)
				}
				time.Sleep(3 * time.Minute)
				if d := quick(t, e, client()); d.Step != access.StepUnavailable {
					t.Errorf("after 300 s: %+v", d)
				}
			})
		})
	}
}
