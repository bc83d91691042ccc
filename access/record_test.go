package access_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/internal/refusal"
)

func flush(t testing.TB, e *access.Engine) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = e.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A denial is stored when the decision or what it rests on changes; repeats count.
func TestDenialsAreCounted(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	now := start
	e.Now = func() time.Time { return now }
	ask := func(times int, c access.Client) {
		for range times {
			now = now.Add(time.Second)
			c.Address = fmt.Sprintf("192.0.2.%d", now.Second())
			decide(t, e, c)
		}
	}
	ask(5, client())
	b.say(compliance.NotCompliant)
	ask(3, client())
	flush(t, e)
	b.change("u1", func(e *access.Entry) { e.Phones[0].Verdict.At = now }) // evaluated anew, to the same end
	ask(4, client())
	flush(t, e)
	if len(b.denials) != 1 {
		t.Fatalf("%d denials, want one: %+v", len(b.denials), b.denials)
	}
	b.change("u1", func(e *access.Entry) { e.Phones[0].Verdict.Policy = "standard@2" })
	ask(2, client())
	b.change("u1", func(e *access.Entry) { e.Phones[0].Verdict.State = compliance.NotEvaluated })
	ask(1, client())
	flush(t, e)
	counts := map[string]int64{}
	for _, d := range b.denials {
		counts[fmt.Sprint(d.Decision.Effect, " ", d.Inputs.Phones[0].Verdict.Policy)] = d.Count
		if d.DeviceID != "d1" || d.FirstAt.After(d.LastAt) || len(d.Trace) == 0 || len(d.Key) != 64 {
			t.Errorf("denial %+v", d)
		}
	}
	if want := "map[block standard@1:7 block standard@2:2 quarantine standard@2:1]"; fmt.Sprint(counts) != want {
		t.Errorf("got %v, want %s", counts, want)
	}
}

// Replay gives the identical answer later, whatever has changed since.
func TestReplay(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	b.say(compliance.NotCompliant)
	first := decide(t, e, client())
	stranger := client()
	stranger.User = "mallory@example.test"
	decide(t, e, stranger)
	flush(t, e)
	b.say(compliance.Compliant)
	e.Now = func() time.Time { return start.Add(100 * time.Hour) }
	if len(b.denials) != 2 {
		t.Fatalf("%d denials", len(b.denials))
	}
	explainer := &access.Explainer{Denials: b}
	for key, d := range b.denials {
		text, err := json.Marshal(d.Inputs) // as a database keeps it
		if err != nil {
			t.Fatal(err)
		}
		d.Inputs = access.Inputs{}
		if err := json.Unmarshal(text, &d.Inputs); err != nil {
			t.Fatal(err)
		}
		b.denials[key] = d
		replayed, err := explainer.Replay(t.Context(), d.ID)
		if err != nil || !replayed.Identical || replayed.Denial.ID != d.ID {
			t.Errorf("%+v, %v", replayed, err)
		}
		if d.Inputs.Client.User == client().User && (replayed.Decision.Effect != first.Effect || replayed.Decision.Reasons[0].Fact != first.Reasons[0].Fact) {
			t.Errorf("%+v is not what was answered: %+v", replayed.Decision, first)
		}
		d.Decision.Effect = access.Allow
		b.denials[key] = d
		if replayed, err := explainer.Replay(t.Context(), d.ID); err != nil || replayed.Identical {
			t.Errorf("another decision passes for identical: %v", err)
		}
	}
	if _, err := explainer.Replay(t.Context(), "nothing"); !errors.Is(err, access.ErrNotFound) || len(refusal.All(err)) != 1 || refusal.All(err)[0].Remedy == "" {
		t.Errorf("an unknown one: %v, want it named, with the next step", err)
	}
}

// People who are not on record cost at most 60 rows a minute.
func TestStrangersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newLedger()
		e := b.loaded(t)
		ask := func() {
			for i := range 500 {
				c := client()
				c.User = fmt.Sprintf("m%d@example.test", i)
				decide(t, e, c)
			}
			flush(t, e)
		}
		ask()
		if len(b.denials) != 60 {
			t.Errorf("%d rows in a minute", len(b.denials))
		}
		known := client()
		b.say(compliance.NotCompliant)
		decide(t, e, known)
		flush(t, e)
		if len(b.denials) != 61 {
			t.Error("a person on record goes short")
		}
		time.Sleep(time.Minute)
		b.denials = map[string]access.Denial{}
		ask()
		if len(b.denials) != 60 {
			t.Errorf("%d rows in the next minute", len(b.denials))
		}
	})
}

// Contacts are noted to the minute, and when the client says something new.
func TestSightings(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	now := start
	e.Now = func() time.Time { return now }
	c := client()
	ask := func(want int) {
		t.Helper()
		for range 10 {
			decide(t, e, c)
		}
		flush(t, e)
		if len(b.sightings) != want {
			t.Fatalf("%d contacts noted, want %d", len(b.sightings), want)
		}
	}
	ask(1)
	ask(1)
	now = now.Add(time.Minute)
	ask(2)
	c.UserAgent = "Apple-iPhone15C4/2302"
	ask(3)
	c.DeviceID = "44455631"
	ask(4)
	b.say(compliance.NotCompliant)
	ask(5)
	if s := b.sightings[4]; s.UserID != "u1" || s.Key != "dev1" || s.Client != c || s.Effect != access.Block || s.At.Sub(now).Abs() > time.Minute {
		t.Errorf("got %+v", s)
	}
}

// While nothing can be written, what waits is bounded, the newest stays, and is
// written when the database is back.
func TestQueuesAreBounded(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	b.set(true, false)
	c := client()
	for i := range 2500 {
		b.say(compliance.NotCompliant) // never read: the follower fails
		c.UserAgent = fmt.Sprint("agent ", i)
		c.DeviceID = "dev1"
		decide(t, e, c)
	}
	if _, err := e.Flush(t.Context()); !errors.Is(err, errAway) {
		t.Fatal(err)
	}
	b.set(false, false)
	if _, err := e.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	flush(t, e)
	if len(b.sightings) != 1 || b.sightings[0].Client.UserAgent != "agent 2499" {
		t.Errorf("contacts %+v", b.sightings)
	}
	for i := range 2500 {
		c.UserAgent = fmt.Sprint("agent ", i)
		decide(t, e, c)
	}
	if s := e.Stats(); s.DroppedDenials != 500 {
		t.Errorf("%d dropped, want 500 of 2500", s.DroppedDenials)
	}
	flush(t, e)
	if len(b.denials) != 2000 {
		t.Errorf("%d denials written", len(b.denials))
	}
}
