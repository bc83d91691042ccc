package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sallyport/internal/audit"
)

// TestRubbishDoesNotFillTheTrail: anybody can be refused without end, and rows of
// the trail cannot be deleted.
func TestRubbishDoesNotFillTheTrail(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "var")
	a, _ := start(t, settingsIn(dir))
	c := browser(t, dir)
	const flood = 200
	for _, to := range []struct {
		method, path  string
		times, status int
	}{
		{http.MethodPost, "/scep?operation=PKIOperation", flood, http.StatusBadRequest},
		{http.MethodPut, "/mdm", flood, http.StatusBadRequest},
		{http.MethodGet, "/api/v1/users", 10, http.StatusUnauthorized}, // without a token
	} {
		for range to.times {
			req, err := http.NewRequestWithContext(t.Context(), to.method, a.PublicURL()+to.path, bytes.NewReader([]byte("rubbish")))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != to.status {
				t.Fatalf("%s: status %d, want %d each time", to.path, answer.StatusCode, to.status)
			}
		}
	}
	rows := 0
	for _, action := range []string{"certificate.issue", "mdm.message", "token.refuse"} {
		list, err := a.db.Audit().List(t.Context(), audit.Filter{Action: action, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		rows += len(list)
	}
	if rows == 0 || rows > flood/2 {
		t.Errorf("%d refusals by three doors left %d rows, want some and a bounded number", 2*flood+10, rows)
	}
	for action, least := range map[string]int{"certificate.issue": flood / 2, "mdm.message": flood / 2, "token.refuse": 1} {
		if counted := leftOut(t, a.rooms.trail, action); counted < least {
			t.Errorf("%s: %d refusals left out are counted, want at least %d", action, counted, least)
		}
	}
}

func TestTrailSparesRefusalsAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "var")
	a, _ := start(t, settingsIn(dir))
	log := a.rooms.trail
	note := func(actor string, outcome audit.Outcome) {
		t.Helper()
		ctx := audit.WithActor(t.Context(), actor)
		if err := log.Append(ctx, audit.New(ctx, a.now(), "test."+string(outcome), "", outcome)); err != nil {
			t.Fatal(err)
		}
	}
	rows := func(action, actor string) int {
		t.Helper()
		list, err := log.List(t.Context(), audit.Filter{Action: action, Actor: actor, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for range 2 * refusalBurst {
		note("loud", audit.Refused)
		note("loud", audit.Done)
	}
	note("quiet", audit.Refused)
	if got := rows("test.done", "loud"); got != 2*refusalBurst {
		t.Errorf("%d acts left %d rows", 2*refusalBurst, got)
	}
	if got := rows("test.refused", "loud"); got < refusalBurst || got > 3*refusalBurst/2 {
		t.Errorf("%d refusals left %d rows, want about %d", 2*refusalBurst, got, refusalBurst)
	}
	if got := rows("test.refused", "quiet"); got != 1 {
		t.Errorf("somebody else's refusal left %d rows, want 1", got)
	}
}

// rowsInMemory keeps who is named in the rows of a trail.
type rowsInMemory struct{ actors []string }

func (r *rowsInMemory) Append(_ context.Context, e audit.Entry) error {
	r.actors = append(r.actors, e.Actor)
	return nil
}

func (*rowsInMemory) List(context.Context, audit.Filter) ([]audit.Entry, error) { return nil, nil }

// leftOut is what the metric counts of refusals of that action.
func leftOut(t *testing.T, log *trail, action string) int {
	t.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(log.leftOut); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == action {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

// TestNetworksShareTheTrail: one host has as many addresses as it likes, and may
// neither fill the trail nor take the place of another's refusals.
func TestNetworksShareTheTrail(t *testing.T) {
	t.Parallel()
	const aSecond = 25
	tests := []struct {
		name    string
		address func(i int) string
		most    int // rows of an hour
	}{
		{"one address", func(int) string { return "2001:db8:1:2::1" }, 50 + 180},
		{"addresses of a /64", func(i int) string { return fmt.Sprintf("2001:db8:1:2:%x::1", i%65536) }, 50 + 180},
		{"networks of a /56", func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i%256) }, 200 + 720},
		{"networks of a /48", func(i int) string { return fmt.Sprintf("2001:db8:1:%x::1", i%65536) }, 200 + 720},
		{"IPv4 that was mapped", func(i int) string { return []string{"192.0.2.7", "::ffff:192.0.2.7"}[i%2] }, 50 + 180},
		{"the whole internet", func(i int) string { return fmt.Sprintf("2001:db8:%x::1", i%65536) }, 2000 + 3600},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
			rows := &rowsInMemory{}
			log := newTrail(rows, func() time.Time { return now }, slog.New(slog.DiscardHandler))
			refuse := func(actor string) {
				t.Helper()
				ctx := audit.WithActor(t.Context(), actor)
				if err := log.Append(ctx, audit.New(ctx, now, "mdm.message", "", audit.Refused)); err != nil {
					t.Fatal(err)
				}
			}
			words := []string{"address:", "phone:", "page:"} // by whichever door
			sent := 0
			for range 3600 {
				for range aSecond {
					refuse(words[sent%len(words)] + tt.address(sent))
					sent++
				}
				now = now.Add(time.Second)
			}
			if got := len(rows.actors); got > tt.most || got < tt.most-20 {
				t.Errorf("%d refusals left %d rows, want about %d", sent, got, tt.most)
			}
			if counted := leftOut(t, log, "mdm.message"); counted != sent-len(rows.actors) {
				t.Errorf("%d were left out, and %d counted", sent-len(rows.actors), counted)
			}
			others := []string{"phone:0193aaaa-0000-7000-8000-000000000001", "ops"}
			if tt.most < 2000 {
				others = append(others, "address:2001:db8:2::1", "page:198.51.100.7")
			}
			for _, actor := range others {
				if refuse(actor); !slices.Contains(rows.actors, actor) {
					t.Errorf("a refusal of %s dropped out", actor)
				}
			}
		})
	}
}
