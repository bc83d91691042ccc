package wire

import (
	"errors"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/server/problem"
)

// What ConditionOf takes names one revision, any or none; everything else is
// refused, and never passes for no condition.
func FuzzConditionOf(f *testing.F) {
	for _, seed := range []string{`"1"`, `*`, ` * `, `1`, `"01"`, `"+1"`, `"0"`, `"-1"`, `W/"1"`, `"1", "2"`, `"99999999999999999999"`, `""`, `"`, ``} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, value string, none bool) {
		r := httptest.NewRequest("POST", "/", nil)
		name := "If-Match"
		if none {
			name = "If-None-Match"
		}
		r.Header[name] = []string{value}
		c, err := ConditionOf(r)
		if err != nil {
			if !errors.Is(err, problem.ErrMalformed) || c != (Condition{}) {
				t.Fatalf("%s %q: %+v, %v", name, value, c, err)
			}
			return
		}
		said := `"` + strconv.Itoa(c.Revision) + `"`
		if c.Any || none {
			said = "*"
		}
		if !c.Given || c.Any && none || said != strings.TrimSpace(value) || !c.Any && !none && c.Revision < 1 {
			t.Fatalf("%s %q: %+v", name, value, c)
		}
	})
}

func TestConditionFailed(t *testing.T) {
	conflict := errors.New("somebody was faster")
	for _, test := range []struct {
		c      Condition
		holds  bool // for a newest revision 3
		status int
	}{
		{Condition{}, false, 428},
		{Condition{Given: true}, false, 412},
		{Condition{Given: true, Revision: 2}, false, 412},
		{Condition{Given: true, Revision: 3}, true, 412},
		{Condition{Given: true, Any: true}, true, 500}, // the conflict itself
	} {
		if test.c.Holds(3) != test.holds {
			t.Errorf("%+v holds: %v", test.c, !test.holds)
		}
		if got := problem.Of(test.c.Failed(conflict, "mail", 3)).Status; got != test.status {
			t.Errorf("%+v failed: status %d, want %d", test.c, got, test.status)
		}
	}
}
