package enroll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

// lostTrail cannot be read.
type lostTrail struct{ audit.Log }

func (lostTrail) List(context.Context, audit.Filter) ([]audit.Entry, error) { return nil, errBroken }

// TestAndroidRefusedOnce: Google tells of a phone that is refused for good. It leaves
// a row in the trail for each reason, and one more when it was let in meanwhile.
func TestAndroidRefusedOnce(t *testing.T) {
	t.Parallel()
	const name, other = "enterprises/E/devices/refused", "enterprises/E/devices/other"
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	m, b := newMemory(), &booksFake{refuse: fmt.Errorf("used: %w", ErrConflict)}
	m.users["u"], m.invitations["i"] = directory.User{ID: "u"}, Invitation{ID: "i", UserID: "u"}
	for n := range 1200 { // more than one page of what else the trail knows of the invitation
		m.audit = append(m.audit, audit.Entry{At: now, Action: "invitation.open", Target: "i", Outcome: audit.Done, Detail: map[string]string{"phone": name, "n": fmt.Sprint(n)}})
	}
	trail := audit.Log(m)
	met := func(phone string) error {
		now = now.Add(time.Hour)
		s := &Service{Enrollments: m, Invitations: m, Audit: trail, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)}
		a := &Androids{Service: s, Phones: b, Tickets: b, Notify: func() {}} // anew each time: nothing is remembered
		return a.Met(t.Context(), android.Phone{Name: phone, Ticket: "free"})
	}
	before := len(m.audit)
	leaves := func(what, phone string, rows int, reason string) {
		t.Helper()
		for range 3 {
			if err := met(phone); !errors.Is(err, android.ErrUnknownPhone) {
				t.Fatalf("%s: %v", what, err)
			}
		}
		news := m.audit[before:]
		before = len(m.audit)
		if len(news) != rows {
			t.Fatalf("%s left %d rows, want %d: %+v", what, len(news), rows, news)
		}
		for _, row := range news {
			if row.Outcome != audit.Refused || row.Action != "enrollment.enroll" || row.Target != "i" || row.Detail["phone"] != phone || !strings.Contains(row.Detail["reason"], reason) {
				t.Errorf("%s: %+v", what, row)
			}
		}
	}
	leaves("a first refusal", name, 1, "invitation was withdrawn")
	leaves("the same again", name, 0, "")
	leaves("another phone with that invitation", other, 1, "invitation was withdrawn")
	leaves("the first one after that", name, 0, "")

	now = now.Add(time.Hour)
	b.known = AndroidPhone{EnrollmentID: "e", Name: name}
	m.enrollments["e"] = mdm.Enrollment{ID: "e", Platform: mdm.Android, State: mdm.CheckedOut, CreatedAt: now}
	leaves("one that was let in and is gone", name, 1, "invitation was withdrawn")

	b.refuse = fmt.Errorf("user: %w", ErrNotFound)
	leaves("another reason", name, 1, "its user is no more")
	delete(m.invitations, "i")
	leaves("the same reason, found earlier", name, 0, "")
	m.invitations["i"], b.refuse = Invitation{ID: "i", UserID: "u"}, fmt.Errorf("used: %w", ErrConflict)
	leaves("the first reason anew", name, 1, "invitation was withdrawn")

	trail = lostTrail{m}
	if err := met(name); !errors.Is(err, errBroken) || errors.Is(err, android.ErrUnknownPhone) || len(m.audit) != before {
		t.Errorf("a trail that cannot be read: %v, %d more rows", err, len(m.audit)-before)
	}
}
