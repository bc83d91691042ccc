package work

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"sallyport/internal/logkey"
)

const (
	firstPause = 100 * time.Millisecond
	longPause  = 30 * time.Second
)

// Consumer is something that has work from time to time.
type Consumer struct {
	Name string
	// Step does a bounded piece of work and says whether there is more. It must
	// be idempotent: after an error, or a crash, the same work comes again.
	Step func(ctx context.Context) (more bool, err error)
	// Every is the longest time between two steps when nobody wakes the
	// consumer; 0 means that it only acts when woken. Even an outbox consumer
	// should have one, as another process may have written the event.
	Every time.Duration
}

// Run gives each consumer a goroutine of its own and returns when ctx has ended
// and all of them have stopped. A consumer steps once at the start, then after
// every wake-up and every Every. After an error it pauses for 100 ms, doubling up
// to 30 s with some jitter; wake-ups do not shorten that, or a busy server would
// hammer whatever is in trouble. A panic in a Step is an error.
func Run(ctx context.Context, log *slog.Logger, wake *Wake, consumers ...Consumer) {
	var all sync.WaitGroup
	for _, c := range consumers {
		all.Go(func() { loop(ctx, log.With(slog.String("consumer", c.Name)), wake, c) })
	}
	all.Wait()
}

func loop(ctx context.Context, log *slog.Logger, wake *Wake, c Consumer) {
	failures := 0
	for ctx.Err() == nil {
		woken := wake.Wait() // before the step: see Wait
		more, err := step(ctx, c)
		switch {
		case ctx.Err() != nil:
			return // an error that the shutdown caused is not news
		case err != nil:
			failures++
			d := pause(failures)
			log.WarnContext(ctx, "background step failed", slog.Any(logkey.Error, err),
				slog.Int("failures", failures), slog.Duration("retry_in", d))
			rest(ctx, d, nil)
			continue
		case failures > 0:
			log.InfoContext(ctx, "background step works again", slog.Int("failures", failures))
			failures = 0
		}
		if !more {
			rest(ctx, c.Every, woken)
		}
	}
}

func step(ctx context.Context, c Consumer) (more bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			more, err = false, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Step(ctx)
}

// rest waits until d has passed (0 = for ever), woken is closed or ctx ends.
func rest(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	var alarm <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case <-ctx.Done():
	case <-woken:
	case <-alarm:
	}
}

// pause is the time to wait after so many failures in a row: three quarters to
// all of the doubled time, so that consumers do not retry in step.
func pause(failures int) time.Duration {
	d := longPause
	if failures < 10 {
		d = min(firstPause<<(failures-1), longPause)
	}
	return d - rand.N(d/4)
}
