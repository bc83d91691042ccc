package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sallyport/internal/audit"
	"sallyport/internal/server/accessapi"
)

func lines(t *testing.T, entries []audit.Entry, width int) []string {
	t.Helper()
	var out strings.Builder
	p := &program{stdout: &out, stderr: &out}
	if err := list(p, Output{}, entries, auditHeader, narrow(entries, width)); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// A trail fits the terminal: identifiers are shortened first, the detail then.
func TestAuditTableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	const id = "0192f0c1-0000-7000-8000-00000000abcd"
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	entries := []audit.Entry{
		{ID: 7, At: at, Actor: "local admin", Action: "invitation.create", Target: id, Outcome: audit.Done,
			Detail: map[string]string{"user": id, "ownership": "personal", "note": strings.Repeat("ä", 200)}},
		{ID: 8, At: at, Actor: "system", Action: "user.save", Target: "a@example.test", Outcome: audit.Done},
	}
	if whole := lines(t, entries, 0); !strings.Contains(whole[1], id) || strings.Contains(whole[1], "…") {
		t.Errorf("no terminal: got %s, want it whole", whole[1])
	}
	for _, width := range []int{110, 120, 200} {
		got := lines(t, entries, width)
		for _, line := range got {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("width %d: got %d characters: %s", width, n, line)
			}
		}
		if strings.Contains(got[1], id) || !strings.Contains(got[1], "…0000abcd") || !strings.HasSuffix(got[1], "…") {
			t.Errorf("width %d: got %s", width, got[1])
		}
	}
	if got := lines(t, entries[1:], 110); !strings.Contains(got[1], "a@example.test") || strings.Contains(got[1], "…") {
		t.Errorf("what fits stays: got %s", got[1])
	}
	if got := lines(t, entries, 20); len(got) != 3 { // too narrow for the table: as short as it gets
		t.Errorf("got %q", got)
	}
}

// After a check-out nobody knows what the phone holds.
func TestShowSaysThatManagementEnded(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]bool{"configured": false, "checked_out": true, "replaced": true} {
		var out strings.Builder
		var d deviceShown
		d.Enrollment = accessapi.Enrollment{State: state, EndedAt: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)}
		if err := printDevice(&program{stdout: &out}, d); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "Management ended on 2026-11-21 08:00:00Z: what follows is what the phone last reported"); got != want {
			t.Errorf("%s: got %s", state, out.String())
		}
	}
}
