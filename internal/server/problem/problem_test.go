package problem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
)

func TestOf(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		kind   string
		errors int
	}{
		{"unknown error", errors.New("pq: password authentication failed"), 500, "internal", 0},
		{"wrapped sentinel", fmt.Errorf("remove user: %w", directory.ErrNotFound), 404, "not-found", 0},
		{"refusals", refusal.List{refusal.New(directory.ErrInvalid, "upn", "empty", "fill it"), refusal.New(directory.ErrInvalid, "email", "empty", "fill it")}, 400, "invalid", 2},
		{"one refusal, wrapped", fmt.Errorf("x: %w", refusal.New(enroll.ErrConflict, "", "used", "")), 409, "conflict", 1},
		{"token", auth.ErrUnauthenticated, 401, "unauthenticated", 0},
		{"role", auth.ErrForbidden, 403, "forbidden", 0},
		{"used", enroll.ErrInvitationUsed, 410, "invitation-used", 0},
		{"body limit", fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 5}), 413, "too-large", 1},
		{"deadline", fmt.Errorf("query: %w", context.DeadlineExceeded), 503, "unavailable", 0},
		{"refusal of a foreign sentinel", refusal.New(errors.New("other"), "f", "secret reason", ""), 500, "internal", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Of(tt.err)
			if p.Status != tt.status || p.Type != TypePrefix+tt.kind || len(p.Errors) != tt.errors || p.Title == "" {
				t.Errorf("problem %+v", p)
			}
			if p.Detail != "" {
				t.Errorf("detail %q", p.Detail)
			}
		})
	}
}

// One type means one status for ever.
func TestTableIsConsistent(t *testing.T) {
	status := make(map[string]int)
	for _, r := range table {
		if before, seen := status[r.name]; seen && before != r.status {
			t.Errorf("%s is %d and %d", r.name, before, r.status)
		}
		status[r.name] = r.status
		if r.title == "" || strings.ContainsAny(r.name, " _ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			t.Errorf("row %+v", r)
		}
		if got := Of(fmt.Errorf("wrapped: %w", r.err)); got.Status != r.status || got.Title != r.title {
			t.Errorf("%v becomes %+v: another row comes first", r.err, got)
		}
	}
}

func TestWrite(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r = r.WithContext(audit.WithRequestID(r.Context(), "abc"))
	for err, want := range map[error][2]string{
		auth.ErrUnauthenticated: {"WWW-Authenticate", `Bearer realm="sallyport"`},
		ErrTooMany:              {"Retry-After", "30"},
		ErrUnavailable:          {"Retry-After", "30"},
		fmt.Errorf("x: %w", TooMany(599*time.Second+1)): {"Retry-After", "600"},
	} {
		w := httptest.NewRecorder()
		Write(w, r, Of(err))
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		if w.Header().Get(want[0]) != want[1] || w.Header().Get("Content-Type") != ContentType || p.RequestID != "abc" || w.Code != p.Status {
			t.Errorf("%v: headers %v, problem %+v", err, w.Header(), p)
		}
	}
}
