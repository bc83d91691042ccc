package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/auth"
)

// told is one server-sent event.
type told struct {
	id, name string
	change   access.Change
	at       time.Time
}

// listenTo opens a stream of the server in dir; the channel closes when it ends.
func listenTo(t testing.TB, ctx context.Context, dir, token, last string, two bool) <-chan told {
	t.Helper()
	root, err := os.ReadFile(filepath.Join(dir, RootFile))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	local, err := ReadLocal(dir)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: two}
	t.Cleanup(transport.CloseIdleConnections)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, local.URL+"/api/v1/access/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	answer, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK || (answer.ProtoMajor == 2) != two {
		t.Fatalf("%s %s", answer.Proto, answer.Status)
	}
	events := make(chan told, 10_000)
	go func() {
		defer close(events)
		defer answer.Body.Close()
		var e told
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				if json.Unmarshal([]byte(value), &e.change) != nil {
					return
				}
			case "":
				if e.at = time.Now(); e.name != "" {
					events <- e
				}
				e = told{}
			}
		}
	}()
	return events
}

// next returns the next event, or none where the stream has ended.
func next(t testing.TB, events <-chan told) (told, bool) {
	t.Helper()
	select {
	case e, ok := <-events:
		return e, ok
	case <-time.After(30 * time.Second):
		t.Fatal("the stream is silent")
		return told{}, false
	}
}

func TestStreamOverTheWire(t *testing.T) {
	t.Parallel()
	for name, two := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "var")
			a, stop := start(t, settingsIn(dir))
			ctx := t.Context()
			_, err := a.rooms.users.Save(ctx, []directory.User{{UPN: "alice@example.test", Email: "alice@example.test"}})
			if err != nil {
				t.Fatal(err)
			}
			issued, err := a.rooms.tokens.Create(ctx, auth.Engine, "gate", time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			token := issued.Text.Reveal()
			events := listenTo(t, ctx, dir, token, "", two)
			if e, _ := next(t, events); e.name != "ready" {
				t.Fatalf("begins with %+v", e)
			}
			list, err := a.db.Access().UsersByLogin(ctx, "alice@example.test")
			if err != nil || len(list) != 1 {
				t.Fatal(list, err)
			}
			_, err = a.db.Access().Meet(ctx, access.Sighting{UserID: list[0].ID, Key: "appl1", At: time.Now(), Client: access.Client{User: "alice@example.test", DeviceID: "APPL1"}}, "")
			if err != nil {
				t.Fatal(err)
			}
			first, _ := next(t, events)
			if first.name != "decision" || first.id == "" || first.change.Decision.Effect != access.Quarantine || first.change.Spellings[0] != "APPL1" || !strings.Contains(first.change.Decision.Why, access.WhyPath) {
				t.Fatalf("first contact: %+v", first)
			}
			if err := a.accessAdmin().SetMail(ctx, "alice@example.test", false, "left"); err != nil {
				t.Fatal(err)
			}
			second, _ := next(t, events)
			if second.change.Decision.Step != access.StepMailOff || second.change.Before != access.Quarantine {
				t.Fatalf("mail off: %+v", second)
			}
			again := listenTo(t, ctx, dir, token, first.id, two)
			if e, _ := next(t, again); e.id != second.id {
				t.Errorf("resumed with %+v", e)
			}
			// A token that is revoked ends its streams, a server that stops all others.
			if err := a.rooms.tokens.Revoke(ctx, issued.ID); err != nil {
				t.Fatal(err)
			}
			for _, stream := range []<-chan told{events, again} {
				if e, ok := next(t, stream); ok {
					t.Errorf("%+v came to a revoked token", e)
				}
			}
			local, err := ReadLocal(dir)
			if err != nil {
				t.Fatal(err)
			}
			last := listenTo(t, ctx, dir, local.Token.Reveal(), "", two)
			next(t, last)
			next(t, last)
			if err := stop(); err != nil {
				t.Error(err)
			}
			if e, ok := next(t, last); ok {
				t.Errorf("%+v came from a server that stopped", e)
			}
		})
	}
}
