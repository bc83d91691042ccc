package storetest

import (
	"errors"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/mdm"
)

// judged is a verdict as evaluated now.
func (w *world) judged(e mdm.EnrollmentID, state compliance.State) compliance.Verdict {
	now := stored(w.now())
	return compliance.Verdict{EnrollmentID: e, State: state, Since: now, At: now, ValidUntil: now.Add(time.Hour),
		GraceUntil: now.Add(time.Minute), Policy: "baseline@1", Findings: []compliance.Finding{
			{Rule: compliance.RulePasscode, State: compliance.Met, Fact: "passcode set", Since: now},
			{Rule: compliance.RuleMinimumOS, State: compliance.Failed, Fact: "iOS 15.0", Expected: "at least 16.0", Since: now, Fix: "update"},
		}}
}

// verdict saves the first verdict of e.
func (w *world) verdict(e mdm.EnrollmentID, state compliance.State) compliance.Verdict {
	w.t.Helper()
	w.later()
	v := w.judged(e, state)
	w.ok(w.DB.Compliance().SaveVerdict(w.ctx, compliance.Verdict{}, v, w.entry("compliance.verdict", string(e))))
	return v
}

func testVerdicts(t *testing.T, make Maker) {
	t.Run("save and replace", testVerdictPath(make))
	t.Run("stale", testVerdictStale(make))
	t.Run("32 at once", testVerdictRace(make))
	t.Run("32 first ones at once", testFirstVerdictRace(make))
	t.Run("due", testVerdictsDue(make))
}

func testVerdictPath(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		save := w.DB.Compliance().SaveVerdict
		e := w.enrolled(w.user("alice@example.test"), "U1")
		_, err := w.DB.Compliance().Verdict(w.ctx, e.ID)
		w.is(err, compliance.ErrNotFound)
		w.unchangedBy(func() {
			w.is(save(w.ctx, compliance.Verdict{}, w.judged("unknown", compliance.Compliant), w.entry("compliance.verdict", "")), compliance.ErrNotFound)
		})

		var first compliance.Verdict
		events := w.newEvents(func() { first = w.verdict(e.ID, compliance.Compliant) })
		w.same(events, []string{"verdict " + string(e.ID)})
		w.audited("compliance.verdict", 1)
		got, err := w.DB.Compliance().Verdict(w.ctx, e.ID)
		w.ok(err)
		w.same(got, first)

		// The same again is kept without an event; other words about the same state
		// have one, and no entry.
		w.later()
		second := first
		second.At, second.ValidUntil = second.At.Add(time.Minute), second.ValidUntil.Add(time.Minute)
		other := second
		other.At, other.GraceUntil, other.Findings = other.At.Add(time.Minute), time.Time{}, []compliance.Finding{}
		for want, v := range []compliance.Verdict{second, other} {
			events = w.newEvents(func() { w.ok(save(w.ctx, got, v, w.entry("compliance.verdict", ""))) })
			w.same(len(events), want)
			w.audited("compliance.verdict", 1)
			got, err = w.DB.Compliance().Verdict(w.ctx, e.ID)
			w.ok(err)
			w.same(got, v)
		}

		w.later()
		third := w.judged(e.ID, compliance.NotCompliant)
		events = w.newEvents(func() { w.ok(save(w.ctx, got, third, w.entry("compliance.verdict", ""))) })
		w.same(events, []string{"verdict " + string(e.ID)})
		w.audited("compliance.verdict", 2)
	}
}

func testVerdictStale(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		save := w.DB.Compliance().SaveVerdict
		e := w.enrolled(w.user("alice@example.test"), "U1")
		w.unchangedBy(func() {
			w.is(save(w.ctx, w.judged(e.ID, compliance.Compliant), w.judged(e.ID, compliance.InGrace), w.entry("compliance.verdict", "")), compliance.ErrStale)
		})
		v := w.verdict(e.ID, compliance.Compliant)
		w.unchangedBy(func() {
			w.is(save(w.ctx, compliance.Verdict{}, v, w.entry("compliance.verdict", "")), compliance.ErrStale)
			other := v
			other.At = v.At.Add(-time.Microsecond)
			w.is(save(w.ctx, other, w.judged(e.ID, compliance.InGrace), w.entry("compliance.verdict", "")), compliance.ErrStale)
			// Another verdict of the very same microsecond.
			other = w.judged(e.ID, compliance.Compliant)
			other.Findings[0].Fact = "something else"
			w.is(save(w.ctx, other, w.judged(e.ID, compliance.InGrace), w.entry("compliance.verdict", "")), compliance.ErrStale)
		})
	}
}

const evaluators = 32

func testVerdictRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		v := w.verdict(e.ID, compliance.Compliant)
		w.oneVerdict(together(evaluators, func(i int) error {
			after := w.judged(e.ID, compliance.NotCompliant) // all in the same microsecond
			after.Policy = newID()
			return w.DB.Compliance().SaveVerdict(w.ctx, v, after, w.entry("compliance.race", ""))
		}))
	}
}

func testFirstVerdictRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		w.oneVerdict(together(evaluators, func(i int) error {
			return w.DB.Compliance().SaveVerdict(w.ctx, compliance.Verdict{}, w.judged(e.ID, compliance.NotCompliant), w.entry("compliance.race", ""))
		}))
	}
}

func (w *world) oneVerdict(errs []error) {
	w.t.Helper()
	won := count(errs, func(err error) bool { return err == nil })
	stale := count(errs, func(err error) bool { return errors.Is(err, compliance.ErrStale) })
	if won != 1 || stale != len(errs)-1 {
		w.t.Fatalf("%d saved and %d stale of %d: %v", won, stale, len(errs), errs)
	}
	w.audited("compliance.race", 1)
}

func testVerdictsDue(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		want := []mdm.EnrollmentID{}
		var last compliance.Verdict
		for _, udid := range []string{"U1", "U2", "U3"} {
			e := w.enrolled(u, udid)
			last = w.verdict(e.ID, compliance.Compliant)
			want = append(want, e.ID)
		}
		for _, tt := range []struct {
			now   time.Time
			limit int
			want  []mdm.EnrollmentID
		}{
			{w.now(), 10, []mdm.EnrollmentID{}},
			{last.ValidUntil, 10, want[:2]}, // before, not at
			{last.ValidUntil.Add(time.Microsecond), 10, want},
			{last.ValidUntil.Add(time.Hour), 2, want[:2]},
		} {
			due, err := w.DB.Compliance().DueVerdicts(w.ctx, tt.now, tt.limit)
			w.ok(err)
			w.same(due, tt.want)
		}
	}
}
