package enroll_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/apple/apns"
)

const pushTopic = "com.apple.mgmt.External.0d6f1c1e-3b1f-4a0e-9c53-1e6f5c0f5f10"

var wakeNoon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// wakes is a WakeStore in memory that does what its contract says.
type wakes struct {
	enroll.WakeStore // PushState is not needed here

	mu    sync.Mutex
	due   map[mdm.EnrollmentID]enroll.Wakeup
	saved map[mdm.EnrollmentID]enroll.WakeResult
	asked []mdm.EnrollmentID // by RequestWake; "*" for all
	since time.Time          // of RequestSilent
	quiet int                // how many RequestSilent finds
	err   error
}

func newWakes(n int) *wakes {
	s := &wakes{due: map[mdm.EnrollmentID]enroll.Wakeup{}, saved: map[mdm.EnrollmentID]enroll.WakeResult{}}
	for i := range n {
		id := mdm.EnrollmentID(fmt.Sprintf("e%06d", i))
		s.due[id] = enroll.Wakeup{EnrollmentID: id, Due: wakeNoon, Push: mdm.Push{
			Topic: pushTopic, Token: secret.New(fmt.Sprintf("token-%06d", i)), Magic: secret.New("magic"), UpdatedAt: wakeNoon.AddDate(0, -1, 0),
		}}
	}
	return s
}

func (s *wakes) RequestWake(_ context.Context, ids []mdm.EnrollmentID, _ time.Time) (int, error) {
	if ids == nil {
		ids = []mdm.EnrollmentID{"*"}
	}
	s.asked = append(s.asked, ids...)
	return len(ids), s.err
}

func (s *wakes) RequestSilent(_ context.Context, since, _ time.Time, limit int) (int, error) {
	s.since = since
	n := min(s.quiet, limit)
	s.quiet -= n
	return n, s.err
}

func (s *wakes) DueWakes(_ context.Context, now time.Time, limit int) ([]enroll.Wakeup, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []enroll.Wakeup
	for _, w := range s.due {
		if !w.Due.After(now) {
			if list = append(list, w); len(list) == limit {
				break
			}
		}
	}
	return list, s.err
}

func (s *wakes) SaveWake(_ context.Context, w enroll.Wakeup, r enroll.WakeResult) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved[w.EnrollmentID] = r
	if r.Next.IsZero() {
		delete(s.due, w.EnrollmentID)
		return s.err
	}
	w.Due, w.Attempts = r.Next, w.Attempts+1
	s.due[w.EnrollmentID] = w
	return s.err
}

type sender func(p mdm.Push) apns.Result

func (f sender) Push(_ context.Context, p mdm.Push) apns.Result { return f(p) }

// rig is a waker with a clock that the test moves.
type rig struct {
	*enroll.Waker
	store       *wakes
	now         time.Time
	certificate string
	log         bytes.Buffer
	notified    int
}

func newRig(n int, send sender) *rig {
	r := &rig{store: newWakes(n), now: wakeNoon, certificate: "first"}
	r.Waker = &enroll.Waker{
		Wakes: r.store, Sender: send, Interval: 4 * time.Hour,
		Topic:  func(context.Context) (string, string) { return pushTopic, r.certificate },
		Notify: func() { r.notified++ }, Now: func() time.Time { return r.now },
		Log: slog.New(slog.NewTextHandler(&r.log, nil)),
	}
	return r
}

func (r *rig) step(t *testing.T) bool {
	t.Helper()
	more, err := r.Step(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return more
}

// A fleet is woken at a pace that its server bears, and each phone once.
func TestHundredThousandWakeUpsArePaced(t *testing.T) {
	t.Parallel()
	const fleet = 100_000
	var running, most, sent atomic.Int64
	r := newRig(fleet, func(mdm.Push) apns.Result {
		now := running.Add(1)
		for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
		}
		sent.Add(1)
		running.Add(-1)
		return apns.Result{Outcome: apns.Accepted, Status: http.StatusOK}
	})
	steps, busiest := 0, int64(0)
	for len(r.store.due) > 0 && steps < fleet {
		before := sent.Load()
		for r.step(t) {
		}
		busiest = max(busiest, sent.Load()-before)
		r.now = r.now.Add(time.Second)
		steps++
	}
	if sent.Load() != fleet || len(r.store.saved) != fleet {
		t.Errorf("sent %d pushes to %d phones, want %d", sent.Load(), len(r.store.saved), fleet)
	}
	if most.Load() > 16 {
		t.Errorf("%d pushes at once, want 16 at most", most.Load())
	}
	if busiest > 200 || steps > fleet/200+2 {
		t.Errorf("%d pushes in one second, %d seconds; want 200 and about %d", busiest, steps, fleet/200)
	}
}

func TestWhatBecomesOfAPush(t *testing.T) {
	t.Parallel()
	registered := wakeNoon.AddDate(0, -1, 0)
	tests := []struct {
		name   string
		result apns.Result
		want   enroll.WakeResult // Next: an hour stands for any later moment
	}{
		{"accepted", apns.Result{Outcome: apns.Accepted, Status: 200}, enroll.WakeResult{}},
		{"dead", apns.Result{Outcome: apns.Dead, Status: 410, Reason: "Unregistered", InvalidSince: registered.Add(time.Hour)}, enroll.WakeResult{Dead: true, Error: "Unregistered"}},
		{"dead before this token came", apns.Result{Outcome: apns.Dead, Status: 410, Reason: "Unregistered", InvalidSince: registered.Add(-time.Second)}, enroll.WakeResult{Next: wakeNoon.Add(time.Hour), Error: "Unregistered"}},
		{"dead, nobody knows since when", apns.Result{Outcome: apns.Dead, Status: 410, Reason: "Unregistered"}, enroll.WakeResult{Next: wakeNoon.Add(time.Hour), Error: "Unregistered"}},
		{"wrong topic", apns.Result{Outcome: apns.WrongTopic, Status: 400, Reason: "DeviceTokenNotForTopic"}, enroll.WakeResult{Error: "DeviceTokenNotForTopic"}},
		{"refused", apns.Result{Outcome: apns.Refused, Status: 400, Reason: "BadDeviceToken"}, enroll.WakeResult{Error: "BadDeviceToken"}},
		{"too many", apns.Result{Outcome: apns.Later, Status: 429, Reason: "TooManyRequests"}, enroll.WakeResult{Next: wakeNoon.Add(time.Hour), Error: "TooManyRequests"}},
		{"service down", apns.Result{Outcome: apns.Later, Status: 503, Reason: "ServiceUnavailable"}, enroll.WakeResult{Next: wakeNoon.Add(time.Hour), Error: "ServiceUnavailable"}},
		{"bad certificate", apns.Result{Outcome: apns.BadCertificate, Status: 403, Reason: "BadCertificate"}, enroll.WakeResult{Next: wakeNoon.Add(time.Hour), Error: "BadCertificate"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(1, func(mdm.Push) apns.Result { return tt.result })
			r.step(t)
			got := r.store.saved["e000000"]
			if !got.Next.IsZero() {
				if !got.Next.After(wakeNoon) || got.Next.After(wakeNoon.Add(time.Hour)) {
					t.Errorf("next try at %s", got.Next)
				}
				got.Next = wakeNoon.Add(time.Hour)
			}
			tt.want.At = wakeNoon
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if text := r.log.String(); strings.Contains(text, "token-") || strings.Contains(text, "magic") {
				t.Errorf("a secret in the log: %s", text)
			}
		})
	}
}

// A phone that is asked too often waits longer each time, up to an hour; what
// the service asks for counts more.
func TestBackOffOfOnePhone(t *testing.T) {
	t.Parallel()
	var asked time.Duration
	r := newRig(1, func(mdm.Push) apns.Result {
		return apns.Result{Outcome: apns.Later, Status: http.StatusTooManyRequests, Reason: "TooManyRequests", RetryAfter: asked}
	})
	limit := 30 * time.Second
	for i := range 12 {
		r.step(t)
		wait := r.store.due["e000000"].Due.Sub(r.now)
		if wait > limit || wait < limit*3/4 {
			t.Errorf("try %d: waits %s, want %s to %s", i, wait, limit*3/4, limit)
		}
		limit = min(limit*2, time.Hour)
		r.now = r.store.due["e000000"].Due
	}
	asked = 3 * time.Hour
	r.step(t)
	if wait := r.store.due["e000000"].Due.Sub(r.now); wait != asked {
		t.Errorf("waits %s, want the %s that were asked for", wait, asked)
	}
}

// When the service takes nothing, it is left alone, one push finds out whether
// it works again, and a new certificate is tried at once.
func TestServiceInTrouble(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	down := true
	r := newRig(1000, func(mdm.Push) apns.Result {
		sent.Add(1)
		if down {
			return apns.Result{Outcome: apns.Later, Status: 503, Reason: "ServiceUnavailable", RetryAfter: 10 * time.Minute}
		}
		return apns.Result{Outcome: apns.Accepted, Status: 200}
	})
	tried := func() int64 { before := sent.Load(); r.step(t); return sent.Load() - before }
	if n := tried(); n == 0 || n > 16 {
		t.Errorf("tried %d before giving up, want those under way, at most 16", n)
	}
	r.now = r.now.Add(10*time.Minute - time.Second)
	if n := tried(); n != 0 {
		t.Errorf("tried %d although it asked for ten minutes", n)
	}
	r.now = r.now.Add(time.Second)
	if n := tried(); n != 1 {
		t.Errorf("tried %d to find out, want 1", n)
	}
	r.certificate = "second"
	down = false
	if n := tried(); n < 199 {
		t.Errorf("tried %d under a new certificate, want what the second allows", n)
	}
	down = true
	r.now = r.now.Add(time.Minute)
	tried()
	down = false
	r.now = r.now.Add(10 * time.Minute)
	if n := tried(); n != 1 {
		t.Errorf("tried %d to find out, want 1", n)
	}
	r.now = r.now.Add(time.Second)
	if n := tried(); n < 199 {
		t.Errorf("tried %d after it worked again, want 200", n)
	}
	if !strings.Contains(r.log.String(), "works again") {
		t.Error("the log does not say that it works again")
	}
}

func TestWithoutACertificateEverythingWaits(t *testing.T) {
	t.Parallel()
	r := newRig(3, func(mdm.Push) apns.Result { t.Error("pushed"); return apns.Result{} })
	r.certificate = ""
	if r.step(t) || len(r.store.due) != 3 || len(r.store.saved) != 0 {
		t.Errorf("got %d due, %d noted, want 3 and 0", len(r.store.due), len(r.store.saved))
	}
}

// A token of another topic is not told to the service.
func TestOtherTopicIsNotPushed(t *testing.T) {
	t.Parallel()
	r := newRig(1, func(mdm.Push) apns.Result { t.Error("pushed"); return apns.Result{} })
	w := r.store.due["e000000"]
	w.Push.Topic = "com.apple.mgmt.External.other"
	r.store.due["e000000"] = w
	r.step(t)
	if got := r.store.saved["e000000"]; got.Error != "OtherTopic" || got.Dead || !got.Next.IsZero() {
		t.Errorf("got %+v", got)
	}
}

func TestHandleMakesPhonesDue(t *testing.T) {
	t.Parallel()
	for kind, want := range map[mdm.EventKind][2][]mdm.EnrollmentID{ // with an enrolment, without
		mdm.EventEnrolled:       {{"e1"}, nil},
		mdm.EventAction:         {{"e1"}, nil},
		mdm.EventUserChanged:    {{"e1"}, nil},
		mdm.EventUserRemoved:    {{"e1"}, nil},
		mdm.EventTemplateChange: {{"e1"}, {"*"}},
		mdm.EventPolicyChanged:  {{"e1"}, {"*"}},
		mdm.EventReported:       {nil, nil},
		mdm.EventEnded:          {nil, nil},
		mdm.EventVerdict:        {nil, nil},
		mdm.EventIdentity:       {nil, nil},
		"of a later release":    {nil, nil},
	} {
		for i, id := range []mdm.EnrollmentID{"e1", ""} {
			r := newRig(0, nil)
			did, err := r.Handle(t.Context(), mdm.Event{Kind: kind, EnrollmentID: id})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(r.store.asked, want[i]) || r.notified != len(want[i]) || did != (len(want[i]) > 0) {
				t.Errorf("%s %q: woke %v with %d notices, something came of it: %t, want %v", kind, id, r.store.asked, r.notified, did, want[i])
			}
		}
	}
}

func TestSilentPhonesAreWoken(t *testing.T) {
	t.Parallel()
	r := newRig(0, nil)
	r.store.quiet = 700
	for i, want := range []bool{true, false} {
		more, err := r.Silent(t.Context())
		if err != nil || more != want {
			t.Errorf("step %d: got %t, %v, want %t", i, more, err, want)
		}
	}
	if want := wakeNoon.Add(-4 * time.Hour); !r.store.since.Equal(want) {
		t.Errorf("silent since %s, want %s", r.store.since, want)
	}
	r.Interval, r.store.since = 0, time.Time{}
	if more, err := r.Silent(t.Context()); more || err != nil || !r.store.since.IsZero() {
		t.Errorf("with 0: got %t, %v and asked the store", more, err)
	}
}

func TestStoreInTroubleIsTold(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	r := newRig(3, func(mdm.Push) apns.Result { return apns.Result{Outcome: apns.Accepted, Status: 200} })
	r.store.err = away
	_, step := r.Step(t.Context())
	_, silent := r.Silent(t.Context())
	_, handle := r.Handle(t.Context(), mdm.Event{Kind: mdm.EventEnrolled, EnrollmentID: "e1"})
	for _, err := range []error{step, silent, handle} {
		if !errors.Is(err, away) {
			t.Errorf("got %v, want it to wrap %v", err, away)
		}
	}
}
