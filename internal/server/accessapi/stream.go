package accessapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"sallyport/access"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

// MaxStreams is how many may be open at once.
const MaxStreams = 100

const (
	streamPage = 500
	// beatEvery is how often a stream says that it lives, and that what it said
	// still holds: only while storage confirms it.
	beatEvery = 15 * time.Second
	// askEvery is how often a stream's token is looked at. A revocation by another
	// server is known to authentication within 5 s of its own.
	askEvery = 4 * time.Second
	// slowest is how long a reader may take for what was written.
	slowest = 10 * time.Second
	// again is when storage is asked once more after trouble, and troubled how long a
	// stream stays open in silence.
	again    = time.Second
	troubled = time.Minute
)

// Tokens recognises bearer tokens. *auth.Service is one.
type Tokens interface {
	Authenticate(ctx context.Context, text string) (auth.Principal, error)
}

// Stream answers GET /api/v1/access/stream with server-sent events (WHATWG HTML,
// section 9.2): "decision" for each device, "ready" when all were told, then
// "decision" for each change. Events after the snapshot have their row's number as
// id: with that as Last-Event-ID a stream goes on where it was cut, and begins
// with "reset" where that is too long ago.
func (a *API) Stream(w http.ResponseWriter, r *http.Request) error {
	select {
	case a.streams <- struct{}{}:
	default:
		return refusal.New(problem.ErrUnavailable, "", fmt.Sprintf("%d streams are open, which is the most there can be", MaxStreams), "close one, or try again later")
	}
	defer func() { <-a.streams }()
	s := &stream{feed: a.d.Feed, w: w, out: http.NewResponseController(w), seq: -1}
	if text := r.Header.Get("Last-Event-ID"); text != "" {
		seq, err := strconv.ParseInt(text, 10, 64)
		if err != nil || seq < 0 {
			return badCursor("Last-Event-ID")
		}
		s.seq = seq
	}
	token := wire.Bearer(r)
	s.alive = func(ctx context.Context) bool {
		_, err := a.d.Tokens.Authenticate(ctx, token)
		return !errors.Is(err, auth.ErrUnauthenticated)
	}
	return s.run(r.Context())
}

// stream is one reader.
type stream struct {
	feed  Feed
	w     http.ResponseWriter
	out   *http.ResponseController
	alive func(ctx context.Context) bool
	beat  *time.Ticker
	ask   *time.Ticker // for whether the token still counts
	text  bytes.Buffer // not written yet
	seq   int64        // told up to here; -1: nothing yet
	began bool
}

// errCut ends a stream: its reader, its token or the server is gone.
var errCut = errors.New("stream cut")

// run returns an error only as long as nothing was answered.
func (s *stream) run(ctx context.Context) error {
	err := s.follow(ctx)
	if s.began || errors.Is(err, errCut) {
		return nil
	}
	return err
}

func (s *stream) follow(ctx context.Context) error {
	if s.seq < 0 {
		if err := s.snapshot(ctx); err != nil {
			return err
		}
	}
	s.beat, s.ask = time.NewTicker(beatEvery), time.NewTicker(askEvery)
	defer s.beat.Stop()
	defer s.ask.Stop()
	last := time.Now() // when there was no trouble
	for {
		grown, retry := s.feed.Grown(), time.Duration(0)
		more, err := s.news(ctx)
		switch {
		case err == nil:
			last = time.Now()
		case errors.Is(err, errCut), !s.began, time.Since(last) > troubled:
			return err
		default:
			retry = again
		}
		if more { // select is fair: who always has something to read is looked at, too
			ready := make(chan struct{})
			close(ready)
			grown = ready
		}
		if err := s.wait(ctx, grown, retry); err != nil {
			return err
		}
	}
}

// wait returns when there may be something to tell.
func (s *stream) wait(ctx context.Context, grown <-chan struct{}, retry time.Duration) error {
	var alarm <-chan time.Time
	if retry > 0 {
		alarm = time.After(retry)
	}
	for {
		select {
		case <-ctx.Done():
			return errCut
		case <-s.feed.Over():
			return errCut
		case <-grown:
			return nil
		case <-alarm:
			return nil
		case <-s.ask.C:
			if !s.alive(ctx) {
				return errCut
			}
		case <-s.beat.C:
			if !s.feed.Current(beatEvery) {
				continue // what was said may be old by now
			}
			s.text.WriteString(": still so\n\n")
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
}

// news tells what came after what was told last.
func (s *stream) news(ctx context.Context) (more bool, err error) {
	rows, err := s.feed.After(ctx, s.seq, streamPage)
	if errors.Is(err, access.ErrGone) {
		s.event("reset", -1, struct{}{})
		return true, s.snapshot(ctx)
	}
	if err != nil {
		return false, err
	}
	for _, c := range rows {
		s.event("decision", c.Seq, c)
		s.seq = c.Seq
	}
	if len(rows) == 0 && s.began {
		return false, nil
	}
	return len(rows) > 0, s.flush() // who resumes is answered at once, too
}

// snapshot tells of every device.
func (s *stream) snapshot(ctx context.Context) error {
	seq, after := int64(-1), access.DeviceID("")
	for {
		rows, newest, err := s.feed.Newest(ctx, after, streamPage)
		if err != nil {
			return err
		}
		if seq < 0 { // what changes between two pages comes again
			seq = newest
		}
		more := len(rows) == streamPage
		if more {
			after = rows[len(rows)-1].DeviceID
		}
		for _, c := range present(rows) {
			s.event("decision", -1, c)
		}
		if !more {
			s.event("ready", seq, map[string]int64{"seq": seq})
			s.seq = seq
		}
		if err := s.flush(); err != nil || !more {
			return err
		}
	}
}

// event adds one. Its JSON holds no line end.
func (s *stream) event(name string, id int64, data any) {
	text, err := json.Marshal(data)
	if err != nil {
		text = []byte("null") // of our own types: none fails
	}
	if id >= 0 {
		fmt.Fprintf(&s.text, "id: %d\n", id)
	}
	fmt.Fprintf(&s.text, "event: %s\ndata: %s\n\n", name, text)
}

// flush writes what was added. A reader that takes it too slowly is cut: the others
// have streams of their own and never wait for it.
func (s *stream) flush() error {
	if !s.began {
		s.began = true
		s.w.Header().Set("Content-Type", "text/event-stream")
		s.w.Header().Set("X-Accel-Buffering", "no") // nginx passes events on at once
		s.w.WriteHeader(http.StatusOK)
		_ = s.out.SetReadDeadline(time.Time{}) // a response writer without deadlines is a test's
	}
	_ = s.out.SetWriteDeadline(time.Now().Add(slowest))
	_, err := s.w.Write(s.text.Bytes())
	s.text.Reset()
	if err != nil || s.out.Flush() != nil {
		return errCut
	}
	_ = s.out.SetWriteDeadline(time.Time{})
	return nil
}
