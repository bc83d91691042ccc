package agent

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestPushTrustsByScript: a root that is named while the stand-in runs.
func TestPushTrustsByScript(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var took atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		took.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it tells of each client that does not trust it
	server.StartTLS()
	t.Cleanup(server.Close)
	s.play(AMAPIScript{Push: server.URL})
	s.worker()
	for s.Log().Failed == 0 {
		time.Sleep(time.Millisecond)
	}
	if took.Load() != 0 {
		t.Error("a push went to a server that nobody trusts")
	}
	s.play(AMAPIScript{Push: server.URL, CA: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))})
	for s.Log().Delivered != 2 {
		time.Sleep(time.Millisecond)
	}
	if err := s.Play(AMAPIScript{CA: "-----BEGIN CERTIFICATE-----"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("roots that are none: %v", err)
	}
}

// clockForTests is a clock that stands still.
type clockForTests struct {
	mu sync.Mutex
	at time.Time
}

func (c *clockForTests) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clockForTests) set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = at
}

// TestPushAgain: what is not taken comes again, under the same ID.
func TestPushAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.ear.mu.Lock()
	s.ear.fail = 3
	s.ear.mu.Unlock()
	s.worker()
	s.ear.wait("ENROLLMENT", 1)
	s.ear.wait("STATUS_REPORT", 1)
	for s.Log().Waiting > 0 { // the answer of the last one may be under way
		time.Sleep(time.Millisecond)
	}
	if l := s.Log(); l.Failed != 3 || l.Delivered != 2 {
		t.Errorf("%+v", l)
	}
}

// TestPushTwice: at least once means now and then twice, with one ID.
func TestPushTwice(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	script := s.Script()
	script.Duplicate = 1
	s.play(script)
	s.worker()
	got := s.ear.wait("ENROLLMENT", 2)
	if got[0].id != got[1].id || !same(got[0].data, got[1].data) {
		t.Errorf("%v", got)
	}
	s.ear.wait("STATUS_REPORT", 1)
}

// TestPushOutOfOrder: the last one first.
func TestPushOutOfOrder(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	script := s.Script()
	script.Reorder = 3
	s.play(script)
	p := s.worker()
	reconnect(t, p)
	s.ear.wait("ENROLLMENT", 1)
	if got := s.ear.kinds(); !slices.Equal(got, []string{"STATUS_REPORT", "STATUS_REPORT", "ENROLLMENT"}) {
		t.Errorf("%v", got)
	}
}

// TestPushWaitsForAnAddress: messages wait, as in a subscription, until somebody
// listens; an enterprise that wants none gets none.
func TestPushWaitsForAnAddress(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.play(AMAPIScript{})
	p := s.worker()
	if l := s.Log(); l.Waiting != 2 || l.Delivered != 0 {
		t.Errorf("%+v", l)
	}
	s.play(AMAPIScript{Push: s.ear.url()})
	s.ear.wait("ENROLLMENT", 1)
	s.ear.wait("STATUS_REPORT", 1)
	s.call("PATCH", s.enterprise+"?updateMask=enabledNotificationTypes", `{"enabledNotificationTypes":["ENROLLMENT"]}`)
	reconnect(t, p)
	if n := len(s.ear.kinds()); n != 2 || s.Log().Waiting > 1 {
		t.Errorf("%d messages", n)
	}
}

// TestCommandsExpireAndAreCancelled, and Google tells of both.
func TestCommandsExpireAndAreCancelled(t *testing.T) {
	t.Parallel()
	var now clockForTests
	now.set(time.Now())
	e := newEar(t)
	s := &scene{standIn: newStandIn(t, func(o *AMAPIOptions) { o.Push, o.Now = e.url(), now.now }), ear: e, usage: "PERSONAL_USAGE_DISALLOWED"}
	s.page = newPage(t, s)
	s.enterprise = s.standIn.enterprise()
	p := s.corporate("PERSONAL_USAGE_DISALLOWED")
	late := s.issue(p, `{"type":"LOCK","duration":"60s"}`)
	cancelled := s.issue(p, `{"type":"REBOOT"}`)
	s.call("POST", str(cancelled, "name")+":cancel", "")
	now.set(now.now().Add(2 * time.Minute))
	reconnect(t, p)
	for op, code := range map[string]int{str(late, "name"): codeDeadline, str(cancelled, "name"): codeCancelled} {
		if got := s.call("GET", op, ""); !yes(got, "done") || number(inner(got, "error"), "code") != code {
			t.Errorf("%v, want code %d", got, code)
		}
	}
	if shot := show(t, p); shot.Executions != 0 {
		t.Errorf("%+v", shot.Executed)
	}
	s.ear.wait("COMMAND", 2)
	if n := len(list(s.call("GET", androidOf(t, p).Device+"/operations", ""), "operations")); n != 2 {
		t.Errorf("%d operations", n)
	}
	s.clean()
}
