package app

import (
	"bytes"
	"net/http"
	"path/filepath"
	"testing"

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
	for _, to := range []struct{ method, path string }{{http.MethodPost, "/scep?operation=PKIOperation"}, {http.MethodPut, "/mdm"}} {
		for range flood {
			req, err := http.NewRequestWithContext(t.Context(), to.method, a.PublicURL()+to.path, bytes.NewReader([]byte("rubbish")))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusBadRequest {
				t.Fatalf("%s: status %d, want 400 each time", to.path, answer.StatusCode)
			}
		}
	}
	for _, action := range []string{"certificate.issue", "mdm.message"} {
		rows, err := a.db.Audit().List(t.Context(), audit.Filter{Action: action, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 || len(rows) > flood/2 {
			t.Errorf("%s: %d refusals left %d rows, want some and a bounded number", action, flood, len(rows))
		}
	}
}

func TestTrailSparesRefusalsAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "var")
	a, _ := start(t, settingsIn(dir))
	log := a.strangers()
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
