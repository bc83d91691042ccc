package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/internal/app"
	"sallyport/internal/refusal"
)

// TestUnwritable: what cannot be kept is broken, with what to do, whoever finds out.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	full := refusal.New(app.ErrUnwritable, "data", "no room is left", "make room")
	if c := directoryCheck("/d", full); c.Grade != broken || c.Fact != "/d: no room is left" || c.Next != "make room" {
		t.Errorf("the directory: %+v", c)
	}
	if c := directoryCheck("/d", nil); c.Grade != good || c.Next != "" {
		t.Errorf("the directory: %+v", c)
	}
	for _, tt := range []struct {
		answer string
		status int
		grade  grade
		fact   string
		next   string
	}{
		{`{"writable":true}`, 200, good, "taken by", ""},
		{`{"writable":false,"problem":"the data directory: no room is left","next":"make room"}`, 200, broken, "the data directory: no room is left", "make room"},
		{`{}`, 503, broken, "", "log"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(tt.status)
			_, _ = w.Write([]byte(tt.answer))
		}))
		c := storageCheck(t.Context(), &client{base: server.URL, http: server.Client()})
		server.Close()
		if c.Grade != tt.grade || !strings.Contains(c.Fact, tt.fact) || !strings.Contains(c.Next, tt.next) || (c.Next == "") != (tt.next == "") {
			t.Errorf("%s: %+v", tt.answer, c)
		}
	}
}
