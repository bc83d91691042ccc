package app

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/store/postgrestest"
)

// TestNextPoll: a command that the API has accepted is handed out at the device's
// very next poll, and so is what follows from a change of a template or of the
// user, 300 times of 300, at whichever server of a fleet the phone polls. (Of a
// peer's polls 139 of 300 came back empty.)
func TestNextPoll(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		p := enrolled(t, "")
		p.nextPolls([]*App{p.app})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		var cluster postgrestest.Shared
		t.Cleanup(cluster.Close)
		database := cluster.New(t)
		p := enrolled(t, database)
		p.nextPolls([]*App{p.app, another(t, p.app, database)})
	})
}

// another is a second server on the database of the first.
func another(t *testing.T, first *App, database string) *App {
	t.Helper()
	cfg := settingsIn(t.TempDir())
	cfg.Database, cfg.PublicURL = config.NewDatabaseURL(database), first.publicURL
	key, err := os.ReadFile(filepath.Join(first.dir, KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.Data, KeyFile), key, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// nextPolls orders at one server after the other, and polls at the next one.
func (p *wirePhone) nextPolls(servers []*App) {
	p.b.Helper()
	path := "/api/v1/devices/" + string(p.enrollment().DeviceID) + "/actions"
	idle := p.message(map[string]any{"Status": "Idle"})
	local, err := ReadLocal(p.app.dir)
	if err != nil {
		p.b.Fatal(err)
	}
	token, seen := "Bearer "+local.Token.Reveal(), 0
	for i := range 300 {
		to, at := servers[i%len(servers)], servers[(i+1)%len(servers)]
		want := "InstallProfile"
		switch i % 3 {
		case 0:
			p.ask(to, token, "/api/v1/templates", "application/yaml", strings.Replace(wireTemplate, "Company mail", fmt.Sprint("Mail ", i), 1))
		case 1:
			p.app = to
			p.rename()
		default:
			want = "DeviceLock"
			p.ask(to, token, path, "application/json", fmt.Sprintf(`{"kind": "lock", "message": "%d"}`, i))
		}
		p.app = at
		body := send(p.b, p.handler(), idle)
		if got := parseOrder(p.b, body).Command.RequestType; got == want {
			seen++
		} else {
			p.b.Errorf("poll %d brought %q, want %s", i, got, want)
		}
		p.settle(body)
	}
	if seen != 300 {
		p.b.Errorf("%d of 300 were visible", seen)
	}
}

// ask has a request accepted by the admin API of a server.
func (p *wirePhone) ask(a *App, token, path, contentType, body string) {
	p.b.Helper()
	r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader([]byte(body)))
	r.Header.Set("Authorization", token)
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("If-Match", "*")
	w := httptest.NewRecorder()
	a.fronts[0].server.Handler.ServeHTTP(w, r)
	if w.Code >= http.StatusMultipleChoices {
		p.b.Fatalf("%s: status %d: %s", path, w.Code, w.Body)
	}
}
