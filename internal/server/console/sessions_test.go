package console

import (
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	var s sessions
	first := s.begin("t1", nil, noon)
	second := s.begin("t1", nil, noon.Add(time.Second))
	if _, ok := s.find(first, noon.Add(2*time.Second)); !ok { // now the second is the oldest
		t.Fatal("not found")
	}
	for i := range mostOfToken - 1 {
		s.begin("t1", nil, noon.Add(time.Duration(i+3)*time.Second))
	}
	if _, ok := s.find(second, noon.Add(time.Minute)); ok || len(s.known) != mostOfToken {
		t.Errorf("the one that was used longest ago stays; %d of one token", len(s.known))
	}
	if _, ok := s.find(first, noon.Add(time.Minute)); !ok {
		t.Error("one that was used later goes")
	}
	for i := range mostSessions + 10 {
		s.begin(fmt.Sprint("other", i), nil, noon.Add(time.Minute))
	}
	if len(s.known) != mostSessions {
		t.Errorf("%d sessions, want %d", len(s.known), mostSessions)
	}
	s.begin("late", nil, noon.Add(time.Hour))
	if len(s.known) != 1 {
		t.Errorf("%d sessions are kept that are over", len(s.known)-1)
	}
}

// What is kept lets nobody in, and keys do not repeat.
func TestKeysAreNotKept(t *testing.T) {
	t.Parallel()
	var s sessions
	seen := map[string]bool{}
	for i := range 100 {
		key := s.begin(fmt.Sprint(i), nil, noon)
		raw, err := base64.RawURLEncoding.DecodeString(key)
		if err != nil || len(raw) != 32 || seen[key] {
			t.Fatalf("key %q, %v", key, err)
		}
		seen[key] = true
		for id := range s.known {
			if string(id[:]) == string(raw) {
				t.Fatal("the key itself is kept")
			}
		}
	}
}

// A key has one spelling.
func FuzzKey(f *testing.F) {
	var s sessions
	key := s.begin("t", nil, noon)
	f.Add(key)
	f.Add(key + "=")
	f.Add(key[:42] + "\n")
	f.Add(strings.Repeat("_", 43))
	f.Fuzz(func(t *testing.T, text string) {
		_, ok := s.find(text, noon)
		if ok != (text == key) {
			t.Errorf("%q opens the session of %q: %v", text, key, ok)
		}
	})
}

// What stands in the address of a list is refused or comes back as it was.
func FuzzFilter(f *testing.F) {
	for _, query := range []string{"", "q=alice&decision=allow&verdict=in_grace&after=u1", "q=%ff", "q=+%20", "after=" + strings.Repeat("a", 65), "q=a;b&q=c", "verdict=x"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/console/devices", nil)
		r.URL.RawQuery = query
		got, err := filterOf(r)
		if err != nil {
			return
		}
		if len(got.after) > maxCursor || utf8.RuneCountInString(got.search) > maxSearch || !utf8.ValidString(got.search+string(got.after)) {
			t.Errorf("%q: %+v", query, got)
		}
		address, err := url.Parse(got.address(got.after))
		if err != nil {
			t.Fatal(err)
		}
		r.URL = address
		if again, err := filterOf(r); err != nil || again != got {
			t.Errorf("%q leads to %q, which is %+v, %v", query, address, again, err)
		}
	})
}

// A shell takes a quoted word for exactly that word.
func TestQuoted(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"", "alice@example.test", "ApplC39", "a b", "it's", "$(id)", "`id`", "a;b", "a\nb", `\`, `"`, "-x", "*", "~", "#", "ü", "a|b&c>d", "=x", "{a,b}"} {
		out, err := exec.CommandContext(t.Context(), "sh", "-c", "printf %s "+quoted(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q becomes %s, which a shell takes for %q (%v)", word, quoted(word), out, err)
		}
	}
	if got := arguments("alice", "--json"); got != "-- alice --json" {
		t.Errorf("a DeviceId like a flag: %s", got)
	}
}
