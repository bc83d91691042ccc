package android

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// asProblem is what every call's error must be.
func asProblem(t *testing.T, err error) *Problem {
	t.Helper()
	var p *Problem
	if !errors.As(err, &p) || p.Plain == "" || p.Error() == "" {
		t.Fatalf("got %v, want a problem in plain words", err)
	}
	return p
}

func TestRefusalsInPlainWords(t *testing.T) {
	t.Parallel()
	const route = "GET /v1/enterprises/E"
	tests := []struct {
		name, status, reason, message string
		code                          int
		header                        http.Header
		want                          Problem
		plain, next                   string
	}{
		{"project", "PERMISSION_DENIED", "PROJECT_NOT_PERMITTED", "no", 403, nil, Problem{Code: 403, Reason: "PROJECT_NOT_PERMITTED"}, "does not let this Google Cloud project", "permissible-usage"},
		{"project, in the message", "PERMISSION_DENIED", "", "PROJECT_NOT_PERMITTED: no", 403, nil, Problem{Code: 403, Reason: "PROJECT_NOT_PERMITTED"}, "does not let", "permissible-usage"},
		{"usage", "FAILED_PRECONDITION", "PERMISSIBLE_USAGE_RESTRICTION", "no", 400, nil, Problem{Code: 400, Reason: "PERMISSIBLE_USAGE_RESTRICTION"}, "restricts this use", "permissible-usage"},
		{"API off", "PERMISSION_DENIED", "SERVICE_DISABLED", "has not been used", 403, nil, Problem{Code: 403, Reason: "SERVICE_DISABLED"}, "switched off", "APIs & Services"},
		{"no role", "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", "no", 403, nil, Problem{Code: 403, Reason: "IAM_PERMISSION_DENIED"}, "may not use", "roles/androidmanagement.user"},
		{"denied", "PERMISSION_DENIED", "", "Caller is not authorized", 403, nil, Problem{Code: 403, Reason: "PERMISSION_DENIED"}, "saying: Caller is not authorized", "signed up by this project"},
		{"denied for an unknown reason", "PERMISSION_DENIED", "SOMETHING_NEW", "no", 403, nil, Problem{Code: 403, Reason: "PERMISSION_DENIED"}, "may not", "role"},
		{"not found", "NOT_FOUND", "", "gone", 404, nil, Problem{Code: 404, Reason: "NOT_FOUND"}, "does not know it", "removed at Google"},
		{"invalid", "INVALID_ARGUMENT", "", "passwordScope is bad", 400, nil, Problem{Code: 400, Reason: "INVALID_ARGUMENT"}, "saying: passwordScope is bad", "doctor"},
		{"token refused", "UNAUTHENTICATED", "", "no", 401, nil, Problem{Code: 401, Reason: "UNAUTHENTICATED"}, "access token", "new key"},
		{"quota", "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", "slow", 429, http.Header{"Retry-After": {"17"}}, Problem{Code: 429, Reason: "RATE_LIMIT_EXCEEDED", Retry: true, After: 17 * time.Second}, "quota", "Quotas"},
		{"quota, at a time", "RESOURCE_EXHAUSTED", "", "slow", 429, http.Header{"Retry-After": {"Sun, 22 Nov 2026 10:00:30 GMT"}, "Date": {"Sun, 22 Nov 2026 10:00:00 GMT"}}, Problem{Code: 429, Reason: "RESOURCE_EXHAUSTED", Retry: true, After: 30 * time.Second}, "quota", ""},
		{"quota, for ever", "RESOURCE_EXHAUSTED", "", "slow", 429, http.Header{"Retry-After": {"99999999999999999999"}}, Problem{Code: 429, Reason: "RESOURCE_EXHAUSTED", Retry: true}, "quota", ""},
		{"quota, for a week", "RESOURCE_EXHAUSTED", "", "slow", 429, http.Header{"Retry-After": {"604800"}}, Problem{Code: 429, Reason: "RESOURCE_EXHAUSTED", Retry: true, After: 24 * time.Hour}, "quota", ""},
		{"down", "UNAVAILABLE", "", "later", 503, nil, Problem{Code: 503, Reason: "UNAVAILABLE", Retry: true}, "not available", "again"},
		{"broken", "INTERNAL", "", "oops", 500, nil, Problem{Code: 500, Reason: "INTERNAL", Retry: true}, "failed", "again"},
		{"changed meanwhile", "ABORTED", "", "x", 409, nil, Problem{Code: 409, Reason: "ABORTED", Retry: true}, "same moment", ""},
		{"there already", "ALREADY_EXISTS", "", "x", 409, nil, Problem{Code: 409, Reason: "ALREADY_EXISTS"}, "has it already", ""},
		{"a status of no meaning", "", "", "x", 418, nil, Problem{Code: 418}, "status 418", "doctor"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGoogle(t)
			g.refuses(route, test.code, test.status, test.reason, test.message, test.header)
			_, err := g.client().Enterprise(t.Context(), "enterprises/E")
			p := asProblem(t, err)
			if p.Code != test.want.Code || p.Reason != test.want.Reason || p.Retry != test.want.Retry || p.After != test.want.After {
				t.Errorf("got %+v, want %+v", *p, test.want)
			}
			if !strings.Contains(p.Plain, test.plain) || !strings.Contains(p.Next, test.next) {
				t.Errorf("got %q and %q", p.Plain, p.Next)
			}
		})
	}
}

// TestEveryReasonHasWords: a table with a hole says nothing.
func TestEveryReasonHasWords(t *testing.T) {
	t.Parallel()
	for reason, w := range refusals {
		if w.plain == "" || w.next == "" && reason != "ALREADY_EXISTS" {
			t.Errorf("%s has no words", reason)
		}
	}
	for status, reason := range byStatus {
		if refusals[reason].plain == "" {
			t.Errorf("status %d stands for %s, which has no words", status, reason)
		}
	}
}

func TestSignInProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body  string
		code        int
		reason      string
		retry       bool
		plain, next string
	}{
		{"revoked key", `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`, 400, "invalid_grant", false, "revoked", "new key"},
		{"deleted account", `{"error":"invalid_grant","error_description":"Invalid grant: account not found"}`, 400, "invalid_grant", false, "deleted", "new service account"},
		{"wrong clock", `{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token and in a reasonable timeframe."}`, 400, "invalid_grant", false, "clock", "clock right"},
		{"disabled account", `{"error":"disabled_client"}`, 401, "disabled_client", false, "disabled", "enable it"},
		{"not JSON", `<html>`, 403, "", false, "no access token", "new key"},
		{"down", `{}`, 503, "", true, "at the moment", "again"},
		{"too many", `{}`, 429, "", true, "at the moment", "again"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			g := newGoogle(t)
			g.token = func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.code)
				fmt.Fprint(w, test.body)
			}
			_, err := g.client().Enterprise(t.Context(), "enterprises/E")
			p := asProblem(t, err)
			if p.Code != test.code || p.Reason != test.reason || p.Retry != test.retry || !strings.Contains(p.Plain, test.plain) || !strings.Contains(p.Next, test.next) {
				t.Errorf("got %+v", *p)
			}
			if len(g.requests()) != 0 {
				t.Errorf("got %v without a token", g.requests())
			}
		})
	}
}

func TestTroubleIsTriedAgain(t *testing.T) {
	t.Parallel()
	const route = "GET /v1/enterprises/E"
	tests := map[string]func(http.ResponseWriter, url.Values, string){
		"half an answer": func(w http.ResponseWriter, _ url.Values, _ string) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"name": "enterp`)
		},
		"no JSON": func(w http.ResponseWriter, _ url.Values, _ string) { fmt.Fprint(w, "<html>") },
		"a hang-up": func(w http.ResponseWriter, _ url.Values, _ string) {
			panic(http.ErrAbortHandler)
		},
		"endless": func(w http.ResponseWriter, _ url.Values, _ string) {
			fmt.Fprint(w, `{"name": "`)
			chunk := strings.Repeat("a", 1<<20)
			for range maxAnswer>>20 + 2 {
				if _, err := fmt.Fprint(w, chunk); err != nil {
					return
				}
			}
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGoogle(t)
			g.does(route, answer)
			_, err := g.client().Enterprise(t.Context(), "enterprises/E")
			if p := asProblem(t, err); !p.Retry || p.Code != 0 || len(p.Error()) > 2000 {
				t.Errorf("got %+v", *p)
			}
		})
	}
	t.Run("given up", func(t *testing.T) {
		t.Parallel()
		g := newGoogle(t)
		ctx, cancel := context.WithCancel(t.Context())
		g.does(route, func(http.ResponseWriter, url.Values, string) { cancel() })
		_, err := g.client().Enterprise(ctx, "enterprises/E")
		if p := asProblem(t, err); !errors.Is(p, context.Canceled) {
			t.Errorf("got %+v", *p)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		g := newGoogle(t)
		c := g.client()
		g.server.Close()
		_, err := c.Enterprise(t.Context(), "enterprises/E")
		if p := asProblem(t, err); !p.Retry || !strings.Contains(p.Next, "443") {
			t.Errorf("got %+v", *p)
		}
	})
}

// TestOneTokenForManyCalls: a token is kept until it ends.
func TestOneTokenForManyCalls(t *testing.T) {
	t.Parallel()
	g := newGoogle(t)
	g.answers("GET /v1/enterprises/E", `{"name":"enterprises/E"}`)
	c := g.client()
	for range 3 {
		if _, err := c.Enterprise(t.Context(), "enterprises/E"); err != nil {
			t.Fatal(err)
		}
	}
	if g.granted != 1 {
		t.Errorf("got %d tokens", g.granted)
	}
}
