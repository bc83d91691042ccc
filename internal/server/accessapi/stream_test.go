package accessapi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/access"
	"sallyport/internal/auth"
)

// pipe is a reader at the other end of a stream.
type pipe struct {
	mu       sync.Mutex
	header   http.Header
	status   int
	text     strings.Builder
	stuck    bool // takes nothing any more
	deadline time.Time
}

func (p *pipe) Header() http.Header    { return p.header }
func (p *pipe) WriteHeader(status int) { p.status = status }
func (p *pipe) FlushError() error      { return nil }

func (p *pipe) SetReadDeadline(time.Time) error { return nil }

func (p *pipe) SetWriteDeadline(at time.Time) error {
	p.deadline = at
	return nil
}

func (p *pipe) Write(text []byte) (int, error) {
	p.mu.Lock()
	stuck := p.stuck
	if !stuck {
		p.text.Write(text)
	}
	p.mu.Unlock()
	if stuck {
		if p.deadline.IsZero() {
			panic("a write without a deadline")
		}
		time.Sleep(time.Until(p.deadline))
		return 0, errors.New("i/o timeout")
	}
	return len(text), nil
}

// take returns what came since the last time.
func (p *pipe) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.text.Reset()
	return p.text.String()
}

func (p *pipe) stick() { p.mu.Lock(); defer p.mu.Unlock(); p.stuck = true }

// doorman lets in until the token is revoked.
type doorman struct{ revoked atomic.Bool }

func (d *doorman) Authenticate(_ context.Context, text string) (auth.Principal, error) {
	if text != "spt_x" || d.revoked.Load() {
		return auth.Principal{}, auth.ErrUnauthenticated
	}
	return auth.Principal{}, nil
}

// hall is a server with streams, inside a bubble.
type hall struct {
	t     *testing.T
	store *rows
	feed  *access.Feed
	door  *doorman
	api   *API

	authorization string
}

func inHall(t *testing.T, do func(h *hall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &hall{t: t, store: &rows{}, door: &doorman{}, authorization: "Bearer spt_x"}
		h.api, h.feed = feedOf(h.store)
		h.api.d.Tokens = h.door
		h.step()
		do(h)
	})
}

// step is what the background does after a commit.
func (h *hall) step() { _, _ = h.feed.Step(h.t.Context()) }

// open begins a stream; ended is closed when it is over.
func (h *hall) open(last string) (p *pipe, ended chan error, leave func()) {
	ctx, leave := context.WithCancel(h.t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/v1/access/stream", nil)
	r.Header.Set("Authorization", h.authorization)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	p, ended = &pipe{header: http.Header{}}, make(chan error, 1)
	go func() { ended <- h.api.Stream(p, r) }()
	synctest.Wait()
	return p, ended, leave
}

func (h *hall) is(got, want string) {
	h.t.Helper()
	if got != want {
		h.t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// brief shortens events to their names, numbers and devices.
func brief(text string) string {
	var out []string
	for _, event := range strings.Split(strings.TrimSpace(text), "\n\n") {
		var words []string
		for _, line := range strings.Split(event, "\n") {
			name, value, _ := strings.Cut(line, ": ")
			switch {
			case line == "":
			case name == "data" && strings.Contains(value, "device_id"):
				_, rest, _ := strings.Cut(value, `"device_id":"01990000-0000-7000-8000-00000000000`)
				_, effect, _ := strings.Cut(value, `"decision":{"decision":"`)
				effect, _, _ = strings.Cut(effect, `"`)
				words = append(words, "d"+rest[:1]+" "+effect)
			case name == "data":
			case name == "":
				words = append(words, "beat")
			default:
				words = append(words, value)
			}
		}
		out = append(out, strings.Join(words, " "))
	}
	return strings.Join(out, ", ")
}

func TestStreamTellsAllThenWhatChanges(t *testing.T) {
	t.Parallel()
	inHall(t, func(h *hall) {
		h.store.say(1, access.Allow)
		h.store.say(2, access.Block)
		h.store.say(3, "")
		h.step()
		p, ended, leave := h.open("")
		h.is(brief(p.take()), "decision d1 allow, decision d2 block, 3 ready")
		if p.status != 200 || p.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("status %d, header %v", p.status, p.header)
		}
		reads := h.store.reads
		h.store.say(1, access.Block)
		h.step()
		synctest.Wait()
		h.is(brief(p.take()), "4 decision d1 block")
		if h.store.reads != reads+1 {
			t.Errorf("%d reads for one change", h.store.reads-reads)
		}
		leave()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestStreamGoesOn(t *testing.T) {
	t.Parallel()
	inHall(t, func(h *hall) {
		for range 3 {
			h.store.say(1, access.Allow)
			h.store.say(2, access.Block)
		}
		p, _, leave := h.open("4") // older than what the feed has in memory
		h.is(brief(p.take()), "5 decision d1 allow, 6 decision d2 block")
		leave()
		h.step()
		p, _, leave = h.open("6")
		if text := p.take(); p.status != 200 || strings.Contains(text, "event:") {
			t.Errorf("nothing is new: %d %q", p.status, text)
		}
		leave()
		h.api, h.feed = feedOf(h.store) // a server that started since
		h.api.d.Tokens, h.store.gone = h.door, 3
		h.step()
		p, _, leave = h.open("2")
		h.is(brief(p.take()), "reset, decision d1 allow, decision d2 block, 6 ready")
		leave()
		for _, last := range []string{"x", "-1", "1.5"} {
			_, ended, leave := h.open(last)
			if err := <-ended; err == nil {
				t.Errorf("Last-Event-ID %q was taken", last)
			}
			leave()
		}
	})
}

func TestStreamBeatsOnlyWhatStorageConfirms(t *testing.T) {
	t.Parallel()
	inHall(t, func(h *hall) {
		p, ended, _ := h.open("")
		p.take()
		for range 6 {
			time.Sleep(5 * time.Second)
			h.step()
		}
		synctest.Wait()
		h.is(p.take(), ": still so\n\n: still so\n\n")
		h.store.fails(errors.New("away"))
		for range 6 {
			time.Sleep(5 * time.Second)
			h.step()
		}
		h.is(p.take(), ": still so\n\n") // of the first 15 s
		h.feed.End()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A reader that takes nothing is cut, and nobody waits for it meanwhile.
func TestStreamCutsWhoIsStuck(t *testing.T) {
	t.Parallel()
	inHall(t, func(h *hall) {
		slow, ended, _ := h.open("")
		quick, _, leave := h.open("")
		quick.take()
		slow.stick()
		begin := time.Now()
		h.store.say(1, access.Allow)
		h.step()
		synctest.Wait()
		h.is(brief(quick.take()), "1 decision d1 allow")
		if time.Since(begin) != 0 {
			t.Error("the quick one waited")
		}
		<-ended
		if took := time.Since(begin); took != slowest {
			t.Errorf("cut after %s", took)
		}
		leave()
	})
}

func TestStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	inHall(t, func(h *hall) {
		_, ended, _ := h.open("")
		time.Sleep(time.Minute)
		begin := time.Now()
		h.door.revoked.Store(true)
		<-ended
		if took := time.Since(begin); took > askEvery {
			t.Errorf("cut after %s", took)
		}
	})
}

// The scheme is written as anybody likes (RFC 9110, section 11.1), as on every route.
func TestStreamTakesEverySpellingOfItsToken(t *testing.T) {
	t.Parallel()
	inHall(t, func(h *hall) {
		for _, authorization := range []string{"bearer spt_x", "BEARER  spt_x "} {
			h.authorization = authorization
			_, ended, leave := h.open("")
			time.Sleep(time.Minute)
			select {
			case <-ended:
				t.Errorf("%q: cut", authorization)
			default:
			}
			leave()
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	inHall(t, func(h *hall) {
		var leave []func()
		for range MaxStreams {
			_, _, one := h.open("")
			leave = append(leave, one)
		}
		_, ended, _ := h.open("")
		if err := <-ended; err == nil {
			t.Error("one too many")
		}
		leave[0]()
		synctest.Wait()
		if p, _, one := h.open(""); p.status != 200 {
			t.Error("no place after one has left")
		} else {
			leave = append(leave, one)
		}
		for _, one := range leave {
			one()
		}
	})
}

func TestStreamOutlivesTroubleForAWhile(t *testing.T) {
	t.Parallel()
	inHall(t, func(h *hall) {
		p, ended, leave := h.open("")
		p.take()
		h.store.say(1, access.Allow)
		h.step()
		synctest.Wait()
		p.take()
		h.feed.Store = &rows{all: h.store.all, err: errors.New("away")}
		leave()
		<-ended
		_, ended, _ = h.open("") // nothing was answered yet: an error is
		if err := <-ended; err == nil {
			t.Error("began without storage")
		}
	})
}
