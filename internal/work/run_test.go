package work_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/work"
)

var quiet = slog.New(slog.DiscardHandler)

// start runs the consumers inside a synctest bubble and returns how to stop them.
func start(t *testing.T, log *slog.Logger, wake *work.Wake, consumers ...work.Consumer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		work.Run(ctx, log, wake, consumers...)
		close(stopped)
	}()
	return func() {
		cancel()
		<-stopped
	}
}

func TestRunStepsAtStartOnWakeAndPeriodically(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var wake work.Wake
		var steps, woken atomic.Int32
		stop := start(t, quiet, &wake,
			work.Consumer{Name: "periodic", Every: time.Minute, Step: func(context.Context) (bool, error) { steps.Add(1); return false, nil }},
			work.Consumer{Name: "woken", Step: func(context.Context) (bool, error) { woken.Add(1); return false, nil }})
		defer stop()

		check := func(when string, wantSteps, wantWoken int32) {
			t.Helper()
			synctest.Wait()
			if steps.Load() != wantSteps || woken.Load() != wantWoken {
				t.Errorf("%s: got %d periodic and %d woken steps, want %d and %d", when, steps.Load(), woken.Load(), wantSteps, wantWoken)
			}
		}
		check("at the start", 1, 1)
		time.Sleep(time.Minute)
		check("after a minute", 2, 1)
		wake.Notify()
		check("after a wake-up", 3, 2)
		time.Sleep(time.Minute)
		check("a minute after the wake-up", 4, 2)
	})
}

func TestRunGoesOnWhileThereIsMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var wake work.Wake
		var steps atomic.Int32
		begin := time.Now()
		stop := start(t, quiet, &wake, work.Consumer{Step: func(context.Context) (bool, error) { return steps.Add(1) < 5, nil }})
		defer stop()
		synctest.Wait()
		if got := steps.Load(); got != 5 {
			t.Errorf("got %d steps, want 5", got)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("waited %s between steps, want none", d)
		}
	})
}

// A commit may land between a consumer's look and its sleep.
func TestRunKeepsAWakeUpThatComesDuringAStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var wake work.Wake
		var steps atomic.Int32
		stop := start(t, quiet, &wake, work.Consumer{Step: func(context.Context) (bool, error) {
			if steps.Add(1) == 1 {
				wake.Notify()
			}
			return false, nil
		}})
		defer stop()
		synctest.Wait()
		if got := steps.Load(); got != 2 {
			t.Errorf("got %d steps, want 2: the wake-up was lost", got)
		}
	})
}

func TestRunBacksOffAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var wake work.Wake
		var mu sync.Mutex
		var at []time.Time
		var text strings.Builder
		const failing = 14
		stop := start(t, slog.New(slog.NewTextHandler(&text, nil)), &wake, work.Consumer{Name: "mail", Step: func(context.Context) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
			switch {
			case len(at) == 3:
				panic("nil map")
			case len(at) <= failing:
				return true, errors.New("database is away")
			}
			return false, nil
		}})
		// Wake-ups all the while must not shorten the pauses.
		for range 600 {
			time.Sleep(time.Second)
			wake.Notify()
			if mu.Lock(); len(at) > failing {
				mu.Unlock()
				break
			}
			mu.Unlock()
		}
		stop()
		if len(at) <= failing {
			t.Fatalf("got %d steps in ten minutes, want more than %d", len(at), failing)
		}
		limit := 100 * time.Millisecond
		for i := 1; i <= failing; i++ {
			if gap := at[i].Sub(at[i-1]); gap > limit || gap < limit*3/4 {
				t.Errorf("pause %d: got %s, want %s to %s", i, gap, limit*3/4, limit)
			}
			limit = min(limit*2, 30*time.Second)
		}
		for _, want := range []string{"database is away", "panic: nil map", "works again", "consumer=mail"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the log does not say %q", want)
			}
		}
	})
}

func TestRunStopsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var wake work.Wake
		var text strings.Builder
		stop := start(t, slog.New(slog.NewTextHandler(&text, nil)), &wake,
			work.Consumer{Name: "asleep", Step: func(context.Context) (bool, error) { return false, nil }},
			work.Consumer{Name: "failing", Step: func(context.Context) (bool, error) { return false, errors.New("no") }},
			work.Consumer{Name: "busy", Step: func(ctx context.Context) (bool, error) { <-ctx.Done(); return true, ctx.Err() }})
		time.Sleep(50 * time.Millisecond)
		stop() // hangs, and so fails the bubble, if one does not stop
		if strings.Contains(text.String(), "canceled") {
			t.Error("the shutdown itself was logged as a failure")
		}
	})
}

func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, drains) // no time passes
}

func drains(t *testing.T) {
	pending := []int{1, 2, 3, 4, 5, 6, 7}
	var handled []int
	var moves []string
	broken := 0
	move := func(how string) func(context.Context, int) error {
		return func(_ context.Context, e int) error {
			moves = append(moves, fmt.Sprint(how, e))
			for len(pending) > 0 && pending[0] <= e {
				pending = pending[1:]
			}
			return nil
		}
	}
	step := work.Drain(3, work.Queue[int]{
		Pending: func(_ context.Context, limit int) ([]int, error) { return pending[:min(limit, len(pending))], nil },
		Handle: func(_ context.Context, e int) (bool, error) {
			if e == broken {
				return false, errors.New("not now")
			}
			handled = append(handled, e)
			return e == 2, nil
		},
		Done: move("done "), Pass: move("pass "),
	})
	if more, err := step(t.Context()); !more || err != nil {
		t.Fatalf("first step: got %t, %v, want true, nil", more, err)
	}
	broken = 5
	for range 2 {
		if more, err := step(t.Context()); more || err == nil {
			t.Fatalf("broken event: got %t, %v, want false and an error", more, err)
		}
	}
	broken = 0
	if more, err := step(t.Context()); !more || err != nil {
		t.Fatalf("again: got %t, %v, want true, nil", more, err)
	}
	if more, err := step(t.Context()); more || err != nil {
		t.Fatalf("empty: got %t, %v, want false, nil", more, err)
	}
	if want := []int{1, 2, 3, 4, 5, 6, 7}; !slices.Equal(handled, want) {
		t.Errorf("handled %v, want %v", handled, want)
	}
	if want := []string{"done 3", "pass 4", "pass 7"}; !slices.Equal(moves, want) {
		t.Errorf("got %v, want %v", moves, want)
	}
}

// TestDrainMovesOnInTime: events that take long are not all done again by a server that
// is killed before the last of them.
func TestDrainMovesOnInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pending := []int{1, 2, 3, 4, 5}
		var moves []int
		step := work.Drain(100, work.Queue[int]{
			Pending: func(context.Context, int) ([]int, error) { return pending, nil },
			Handle:  func(context.Context, int) (bool, error) { time.Sleep(30 * time.Millisecond); return true, nil },
			Done: func(_ context.Context, e int) error {
				moves, pending = append(moves, e), pending[slices.Index(pending, e)+1:]
				return nil
			},
		})
		for more := true; more; {
			var err error
			if more, err = step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if want := []int{2, 4, 5}; !slices.Equal(moves, want) {
			t.Errorf("moved to %v, want %v", moves, want)
		}
	})
}

func TestDrainPassesTroubleOn(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	one := func(context.Context, int) ([]int, error) { return []int{1}, nil }
	fine := func(context.Context, int) error { return nil }
	handle := func(context.Context, int) (bool, error) { return false, nil }
	handled := func(context.Context, int) (bool, error) { return true, nil }
	lost := func(context.Context, int) error { return away }
	tests := []struct {
		name string
		q    work.Queue[int]
	}{
		{"pending", work.Queue[int]{Pending: func(context.Context, int) ([]int, error) { return nil, away }, Handle: handle, Done: fine, Pass: fine}},
		{"done", work.Queue[int]{Pending: one, Handle: handled, Done: lost, Pass: fine}},
		{"pass", work.Queue[int]{Pending: one, Handle: handle, Done: fine, Pass: lost}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if more, err := work.Drain(1, tt.q)(t.Context()); more || !errors.Is(err, away) {
				t.Errorf("got %t, %v, want false, %v", more, err, away)
			}
		})
	}
}
