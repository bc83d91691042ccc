package app_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/server/adminapi"
	"sallyport/internal/store"
)

const (
	killPhones = 4                      // at work at the same time
	killWithin = 600 * time.Millisecond // of a server's being ready
	readyGoal  = 2 * time.Second        // reported; no test fails for being slow
)

// kills is how often a server dies in one run.
func kills(t *testing.T) int {
	switch {
	case soaking() && engine.cluster == nil:
		return 1000
	case soaking():
		return 100
	case testing.Short():
		t.Skip("SKIPPED with -short: kills a server 20 times; run without -short")
	case engine.cluster != nil:
		return 5
	}
	return 20
}

// TestKilledAtRandom kills a server at random moments, while phones enrol and
// are served and admins work, and starts it again on the same data and port.
// What was answered must be there, what was ordered must be done, and nothing
// twice as the phones count it. TestCrash goes from commit to commit; this one
// also dies between them, within them, and with several in the air.
func TestKilledAtRandom(t *testing.T) {
	times := kills(t)
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	k := &killing{ctx: ctx, cancel: cancel, data: data, listen: freeAddress(t), dir: t.TempDir(), stopped: make(chan struct{})}
	k.logTo(t, filepath.Join(k.dir, "server.log"))
	p := k.start(t)
	k.client = newClient(t, data)
	k.seed()
	k.http.Timeout = patience / 3

	var busy sync.WaitGroup
	t.Cleanup(busy.Wait) // a test that ends early must not leave them behind
	t.Cleanup(cancel)
	for n := range killPhones {
		busy.Go(func() { k.blame(k.subscriber(n)) })
	}
	busy.Go(func() { k.blame(k.administer()) })

	began := time.Now()
	var ready []time.Duration
	for range times {
		if !pause(ctx, rand.N(killWithin)) {
			break
		}
		k.noteKill()
		p.kill()
		for rand.N(10) == 0 { // that one not even came up
			k.killStarting()
		}
		start := time.Now()
		p = k.start(t)
		if err := k.serving(ctx); err != nil {
			t.Fatal(err)
		}
		ready = append(ready, time.Since(start))
		k.blame(k.kept(k.promises.news()))
		if len(ready)%50 == 0 {
			t.Logf("%d kills: %s", len(ready), k.tally())
		}
	}
	close(k.stopped)
	busy.Wait()
	if t.Failed() {
		return
	}
	k.blame(k.kept(k.promises.all()))
	k.blame(k.certified())
	t.Logf("%d kills in %s: %s", len(ready), time.Since(began).Round(time.Second), k.tally())
	t.Log(readiness(ready))
	if k.enrolments.Load() < killPhones || k.acts.Load() == 0 {
		t.Errorf("nothing was under way when the server was killed: %s", k.tally())
	}
}

// killing is a server that is killed again and again, and those who use it.
type killing struct {
	*client // calls of it are for the test's own goroutine and a server that lives
	ctx     context.Context
	cancel  context.CancelFunc
	data    string        // of the server
	listen  string        // where it serves
	log     *os.File      // what it says
	dir     string        // of phones
	stopped chan struct{} // closed when there will be no further kill

	promises promises
	shown    certificates

	phones, enrolments, acts, commands, lost atomic.Int64
	enrolling, polling                       atomic.Int64 // under way
	killedEnrolling, killedPolling           atomic.Int64 // kills in the middle of one
	killedStarting                           int          // beside those that were asked for
}

// blame fails the test for what somebody found, and ends it.
func (k *killing) blame(err error) {
	if err != nil && k.ctx.Err() == nil {
		k.t.Error(err)
		k.cancel()
	}
}

func (k *killing) over() bool {
	select {
	case <-k.stopped:
		return true
	default:
		return k.ctx.Err() != nil
	}
}

// server is one that has not started yet.
func (k *killing) server() *process {
	p := processOf(k.data, k.listen, 0, store.BeforeCommit)
	p.cmd.Stderr = k.log // a thousand servers have the same things to say
	return p
}

func (k *killing) start(t *testing.T) *process {
	t.Helper()
	p := k.server()
	must(t, p.start(t))
	return p
}

// logTo keeps what the servers say. It is shown when the test fails, which it
// does for a panic or a data race.
func (k *killing) logTo(t *testing.T, path string) {
	t.Helper()
	var err error
	k.log, err = os.Create(path)
	must(t, err)
	t.Cleanup(func() {
		_ = k.log.Close()
		text, err := os.ReadFile(path)
		must(t, err)
		if bytes.Contains(text, []byte("panic: ")) || bytes.Contains(text, []byte("DATA RACE")) {
			t.Error("a server broke down")
		}
		if t.Failed() {
			t.Logf("the servers said at last:\n%s", text[max(0, len(text)-10_000):])
		}
	})
}

func (k *killing) noteKill() {
	if k.enrolling.Load() > 0 {
		k.killedEnrolling.Add(1)
	}
	if k.polling.Load() > 0 {
		k.killedPolling.Add(1)
	}
}

// killStarting kills a server that may not be ready yet.
func (k *killing) killStarting() {
	p := k.server()
	must(k.t, p.cmd.Start())
	pause(k.ctx, rand.N(100*time.Millisecond))
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // says that it was killed
	k.killedStarting++
}

func (k *killing) tally() string {
	return fmt.Sprintf("%d more while starting, %d during an enrolment, %d during a delivery; %d phones, %d enrolments, %d commands carried out; %d acts and %d other writes acknowledged, %d requests without an answer",
		k.killedStarting, k.killedEnrolling.Load(), k.killedPolling.Load(), k.phones.Load(), k.enrolments.Load(), k.commands.Load(), k.acts.Load(), int64(len(k.promises.all()))-k.acts.Load(), k.lost.Load())
}

// serving waits until the server answers that it is well.
func (k *killing) serving(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		status, _, err := k.ask(ctx, http.MethodGet, "/healthz", nil)
		if err == nil && status == http.StatusOK {
			return nil
		}
		if !pause(ctx, 2*time.Millisecond) {
			return fmt.Errorf("the server does not get well: %d, %w", status, err)
		}
	}
}

func readiness(all []time.Duration) string {
	if len(all) == 0 {
		return "never ready"
	}
	slices.Sort(all)
	late := 0
	for _, d := range all {
		if d > readyGoal {
			late++
		}
	}
	at := func(percent int) time.Duration { return all[(len(all)-1)*percent/100].Round(time.Millisecond) }
	return fmt.Sprintf("ready again, from the start of the process to the first good answer: p50 %s, p95 %s, max %s; %d of %d over %s",
		at(50), at(95), at(100), late, len(all), readyGoal)
}

// pause reports whether it came to its end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// administer adds users, and now and then changes what every phone should have.
func (k *killing) administer() error {
	for n := 1; !k.over(); n++ {
		var err error
		if n%20 == 0 {
			err = k.changeTemplate(n)
		} else {
			_, err = k.addUser(fmt.Sprintf("user-%d@example.test", n))
		}
		if err != nil {
			return err
		}
		pause(k.ctx, rand.N(100*time.Millisecond))
	}
	return nil
}

func (k *killing) addUser(upn string) (acknowledged bool, err error) {
	return k.write(http.MethodPost, "/api/v1/users", adminapi.UserInput{UPN: upn, Email: upn, DisplayName: upn},
		func([]byte) (promise, error) { return promise{"/api/v1/users/" + upn, upn}, nil })
}

func (k *killing) changeTemplate(n int) error {
	var newest adminapi.TemplateRevisions
	if err := k.get("/api/v1/templates/mail/revisions", &newest); err != nil {
		return err
	}
	changed := strings.Replace(mailTemplate, "display_name: Company mail", fmt.Sprintf("display_name: Company mail %d", n), 1)
	_, err := k.write(http.MethodPost, "/api/v1/templates", yaml{changed, newest.Revisions[0].Number}, func(answer []byte) (promise, error) {
		var applied adminapi.TemplateApplied
		err := decode(answer, &applied)
		return promise{fmt.Sprintf("/api/v1/templates/mail/revisions/%d", applied.Template.Number), fmt.Sprintf("Company mail %d", n)}, err
	})
	return err
}
