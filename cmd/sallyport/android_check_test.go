package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/internal/server/adminapi"
	"sallyport/profiles/managedconfig"
)

func TestAndroidChecks(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	well := enroll.AndroidStatus{
		Enterprise: "enterprises/E", Project: "p", Topic: "projects/p/topics/sallyport", SetUp: true, FinishedAt: now.Add(-30 * day), NotifiedAt: now.Add(-3 * time.Minute),
		Phones:  enroll.AndroidState{Active: 7, Due: 1, ReportedAt: now.Add(-2 * time.Minute)},
		Schemas: map[managedconfig.App]time.Time{managedconfig.AppGmail: now.Add(-3 * time.Hour), managedconfig.AppOutlook: now.Add(-day)},
	}
	but := func(change func(s *enroll.AndroidStatus)) enroll.AndroidStatus {
		s := well
		change(&s)
		return s
	}
	tests := []struct {
		name       string
		s          enroll.AndroidStatus
		check      func(enroll.AndroidStatus) check
		grade      grade
		fact, next string
	}{
		{"notified", well, func(s enroll.AndroidStatus) check { return notifiedCheck(s, now) }, good, "last 2026-11-22 08:57:00Z", ""},
		{"never notified", but(func(s *enroll.AndroidStatus) { s.NotifiedAt, s.Phones = time.Time{}, enroll.AndroidState{} }),
			func(s enroll.AndroidStatus) check { return notifiedCheck(s, now) }, warn, "none of Google's has come yet; silent for 30 days", "topic projects/p/topics/sallyport has a push subscription"},
		{"silent", but(func(s *enroll.AndroidStatus) {
			s.NotifiedAt, s.Phones.ReportedAt = now.Add(-3*day), now.Add(-3*day)
		}), func(s enroll.AndroidStatus) check { return notifiedCheck(s, now) }, warn, "silent for 3 days", "Pub/Sub"},
		{"nobody to tell of", but(func(s *enroll.AndroidStatus) { s.NotifiedAt, s.Phones = now.Add(-3*day), enroll.AndroidState{} }),
			func(s enroll.AndroidStatus) check { return notifiedCheck(s, now) }, good, "last 2026-11-19", ""},
		{"lost", but(func(s *enroll.AndroidStatus) { s.NotifiedAt = now.Add(-5 * time.Hour) }),
			func(s enroll.AndroidStatus) check { return notifiedCheck(s, now) }, warn, "phones have reported since (2026-11-22 08:58:00Z), which the hourly list", "Pub/Sub"},
		{"provided", well, providedCheck, good, "1 wait for their policy", ""},
		{"not provided", but(func(s *enroll.AndroidStatus) {
			s.Phones.Failing, s.Phones.Left, s.Phones.NewestError, s.Phones.FailedAt = 2, 1, "Google is out of order", now.Add(-time.Hour)
		}), providedCheck, warn, "2 are not provided for, and tried again; 1 keep the policy that they have; the newest reason, 2026-11-22 08:00:00Z: Google is out of order", "android doctor"},
		{"apps", well, func(s enroll.AndroidStatus) check { return schemasCheck(s, now) }, good,
			"gmail itself, 3 hours ago; outlook itself, 1 day ago; nobody (samsung: its mail is not set up)", ""},
		{"no app", but(func(s *enroll.AndroidStatus) { s.Schemas = nil }), func(s enroll.AndroidStatus) check { return schemasCheck(s, now) }, warn, "a built-in table (gmail)", "managed Google Play"},
		{"old app", but(func(s *enroll.AndroidStatus) {
			s.Schemas = map[managedconfig.App]time.Time{managedconfig.AppGmail: now.Add(-4 * day)}
		}), func(s enroll.AndroidStatus) check { return schemasCheck(s, now) }, warn, "gmail itself, 4 days ago", "the server's log"},
	}
	for _, tt := range tests {
		c := tt.check(tt.s)
		if c.Grade != tt.grade || !strings.Contains(c.Fact, tt.fact) || !strings.Contains(c.Next, tt.next) || (c.Next == "") != (tt.next == "") {
			t.Errorf("%s: %+v", tt.name, c)
		}
	}
}

// TestAndroidDoctorEnds with status 1 when something is to be mended, in either form, and
// lets nobody's words draw on the terminal.
func TestAndroidDoctorEnds(t *testing.T) {
	t.Parallel()
	fine := enroll.AndroidFinding{Name: "account", OK: true, Text: "Google takes the key"}
	fix := enroll.AndroidFinding{Name: "project", Text: "refused\x1b[2J", Next: "ask Google"}
	for _, tt := range []struct {
		output string
		found  []enroll.AndroidFinding
		want   error
		text   string
	}{
		{"table", []enroll.AndroidFinding{fine}, nil, "ok  account: Google takes the key\n"},
		{"table", []enroll.AndroidFinding{fine, fix}, errQuiet, "FIX project: refused\uFFFD[2J\n    next: ask Google\n"},
		{"json", []enroll.AndroidFinding{fix}, errQuiet, `"next": "ask Google"`},
	} {
		var out strings.Builder
		c := androidDoctorCmd{Output{tt.output}}
		if err := c.tell(&program{stdout: &out}, adminapi.AndroidFindings{Findings: tt.found}); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.output, err, tt.want)
		}
		if !strings.Contains(out.String(), tt.text) {
			t.Errorf("%s: %q is missing in %q", tt.output, tt.text, out.String())
		}
	}
}
