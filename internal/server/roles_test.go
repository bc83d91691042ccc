package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/server/problem"
)

var errFoo = errors.New("disk /dev/sda1 is on fire")

// Every closed route × every role: exactly the listed ones come in.
func TestRoles(t *testing.T) {
	w := newWorld(t)
	f, err := newFront(w.config())
	if err != nil {
		t.Fatal(err)
	}
	closed := 0
	for _, row := range f.routes {
		if row.open || row.session { // TestConsoleIsClosed tries the latter
			continue
		}
		closed++
		name := row.method + " " + row.pattern
		e := examples[name]
		for _, role := range []auth.Role{auth.Admin, auth.Operator, auth.Auditor, auth.Engine} {
			handlers, err := New(w.config()) // a fresh limit
			if err != nil {
				t.Fatal(err)
			}
			good := w.token(t, role, time.Hour)
			status := call(handlers.Public, e.request(row.method, good.Text.Reveal()))
			allowed := slices.Contains(row.roles, role)
			if allowed && status != e.status {
				t.Errorf("%s as %s: status %d, want %d", name, role, status, e.status)
			}
			forbidden := http.StatusForbidden
			if row.gate { // where that is the answer about a phone
				forbidden = http.StatusUnauthorized
			}
			if !allowed && status != forbidden {
				t.Errorf("%s as %s: status %d, want %d", name, role, status, forbidden)
			}

			revoked := w.token(t, role, time.Hour)
			revoke(t, w, revoked.ID)
			short := w.token(t, role, time.Minute)
			w.sleep(time.Minute)
			for kind, token := range map[string]string{
				"no token": "", "garbage": "spt_garbage", "unknown": "spt_" + strings.Repeat("A", 43),
				"expired": short.Text.Reveal(), "revoked": revoked.Text.Reveal(),
			} {
				before := w.writes
				if status := call(handlers.Public, e.request(row.method, token)); status != http.StatusUnauthorized {
					t.Errorf("%s as %s with %s: status %d, want 401", name, role, kind, status)
				}
				if w.writes != before {
					t.Errorf("%s with %s changed something", name, kind)
				}
			}
		}
	}
	if closed < 20 {
		t.Errorf("only %d closed routes were tried", closed)
	}
}

func revoke(t *testing.T, w *world, id string) {
	t.Helper()
	if err := (&auth.Service{Store: tokenStore{w}, Now: w.clock}).Revoke(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func call(h http.Handler, r *http.Request) int {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	return recorder.Code
}

// One host has thousands of IPv6 networks: what it tries is no reason to leave
// another's refusal out of the trail.
func TestOneSiteDoesNotCrowdOutRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := public(t, w)
	for i := range 600 {
		from(h, fmt.Sprintf("[2001:db8:0:%x::1]:1", i), http.MethodGet, "/api/v1/users")
	}
	if rows := w.entries("token.refuse"); len(rows) < 20 || len(rows) > 50 {
		t.Errorf("600 refusals of one site left %d rows", len(rows))
	}
	if got := from(h, "198.51.100.7:1", http.MethodGet, "/api/v1/users").Code; got != http.StatusUnauthorized {
		t.Errorf("another network: status %d, want 401", got)
	}
	if rows := w.entries("token.refuse"); rows[len(rows)-1].Actor != "address:198.51.100.7" {
		t.Errorf("the last row is of %s", rows[len(rows)-1].Actor)
	}
}

func TestRefusedTokensAreAudited(t *testing.T) {
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	engine := w.token(t, auth.Engine, time.Hour)
	get := func(token string) int {
		return call(handlers.Public, example{path: "/api/v1/users"}.request("GET", token))
	}
	if got := get(engine.Text.Reveal()); got != http.StatusForbidden {
		t.Fatalf("status %d, want 403", got)
	}
	if rows := w.entries("token.forbid"); len(rows) != 1 || rows[0].Actor != "owner-engine" || rows[0].Target != engine.ID || rows[0].RequestID == "" {
		t.Errorf("trail of a forbidden call: %+v", rows)
	}
	statuses := map[int]int{}
	for range 50 {
		statuses[get("spt_garbage")]++
	}
	if statuses[http.StatusTooManyRequests] == 0 || statuses[http.StatusUnauthorized] == 0 {
		t.Errorf("50 bad tokens: %v, want some 401 and then 429", statuses)
	}
	rows := w.entries("token.refuse")
	if len(rows) != statuses[http.StatusUnauthorized] || rows[0].Actor != "address:192.0.2.1" {
		t.Errorf("%d audit rows for %d refusals, the first %+v", len(rows), statuses[http.StatusUnauthorized], rows[0])
	}
	if got := get(w.token(t, auth.Admin, time.Hour).Text.Reveal()); got != http.StatusOK {
		t.Errorf("a good token from the same address: status %d, want 200", got)
	}
}

// Whoever hangs up right after a bad token leaves the row all the same: the
// answer to a half-closed connection still arrives.
func TestRefusedTokenOfOneWhoHungUp(t *testing.T) {
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	ctx, hangUp := context.WithCancel(t.Context())
	hangUp()
	status := call(handlers.Public, example{path: "/api/v1/users"}.request("GET", "spt_garbage").WithContext(ctx))
	if rows := w.entries("token.refuse"); status != http.StatusUnauthorized || len(rows) != 1 {
		t.Errorf("status %d and %d audit rows, want 401 and 1", status, len(rows))
	}
}

// Trouble of the token store is not a bad token.
func TestOutageIsNotABadToken(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Tokens = failing{}
	c.Unavailable = func(err error) bool { return errors.Is(err, errFoo) }
	handlers, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	handlers.Public.ServeHTTP(recorder, example{path: "/api/v1/users"}.request("GET", "spt_x"))
	var p problem.Problem
	if err := json.Unmarshal(recorder.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if recorder.Code != http.StatusServiceUnavailable || p.Type != problem.TypePrefix+"unavailable" || recorder.Header().Get("Retry-After") == "" {
		t.Errorf("status %d, problem %+v", recorder.Code, p)
	}
}
