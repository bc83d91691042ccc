package enroll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

// booksFake knows one phone, and one ticket that is free beside the one that the
// phone came with.
type booksFake struct {
	AndroidPhoneStore
	AndroidTicketStore
	known    AndroidPhone
	reports  int
	admitted []string // names at Google
	refuse   error
}

func (b *booksFake) AndroidPhone(_ context.Context, name string) (AndroidPhone, error) {
	if name != b.known.Name {
		return AndroidPhone{}, ErrNotFound
	}
	return b.known, nil
}

func (b *booksFake) SaveAndroidReport(context.Context, mdm.EnrollmentID, time.Time, mdm.Report) error {
	b.reports++
	return nil
}

func (b *booksFake) AdmitAndroid(_ context.Context, a AndroidAdmission) (mdm.Enrollment, error) {
	if b.refuse != nil {
		return mdm.Enrollment{}, b.refuse
	}
	b.admitted = append(b.admitted, a.Phone.Name)
	return a.Enrollment, nil
}

func (b *booksFake) TicketByHash(_ context.Context, hash []byte) (AndroidTicket, error) {
	switch string(hash) {
	case string(secret.Hash("used")):
		return AndroidTicket{Hash: hash, InvitationID: "i", EnrollmentID: b.known.EnrollmentID, UsedAt: time.Now()}, nil
	case string(secret.Hash("free")):
		return AndroidTicket{Hash: hash, InvitationID: "i"}, nil
	case string(secret.Hash("orphan")):
		return AndroidTicket{Hash: hash, InvitationID: "gone"}, nil
	}
	return AndroidTicket{}, ErrNotFound
}

// TestAndroidMet: who a phone is follows from its name and its ticket, and from
// nothing that it says of itself.
func TestAndroidMet(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	const known, other = "enterprises/E/devices/known", "enterprises/E/devices/other"
	type outcome struct {
		err      error
		admitted bool
		state    mdm.EnrollmentState
	}
	for name, tt := range map[string]struct {
		phone  android.Phone
		state  mdm.EnrollmentState // of the phone on record, before
		refuse error
		want   outcome
	}{
		"unknown, deleted":       {android.Phone{Name: other, Ticket: "free", Deleted: true}, mdm.Configured, nil, outcome{android.ErrUnknownPhone, false, mdm.Configured}},
		"unknown, no ticket":     {android.Phone{Name: other}, mdm.Configured, nil, outcome{android.ErrUnknownPhone, false, mdm.Configured}},
		"unknown, false ticket":  {android.Phone{Name: other, Ticket: "guessed"}, mdm.Configured, nil, outcome{android.ErrUnknownPhone, false, mdm.Configured}},
		"unknown, user removed":  {android.Phone{Name: other, Ticket: "orphan"}, mdm.Configured, nil, outcome{android.ErrUnknownPhone, false, mdm.Configured}},
		"unknown, used ticket":   {android.Phone{Name: other, Ticket: "used"}, mdm.Configured, fmt.Errorf("used: %w", ErrConflict), outcome{android.ErrUnknownPhone, false, mdm.Configured}},
		"unknown, broken store":  {android.Phone{Name: other, Ticket: "free"}, mdm.Configured, errBroken, outcome{errBroken, false, mdm.Configured}},
		"unknown, good ticket":   {android.Phone{Name: other, Ticket: "free"}, mdm.Configured, nil, outcome{nil, true, mdm.Configured}},
		"known, deleted":         {android.Phone{Name: known, Deleted: true}, mdm.Configured, nil, outcome{nil, false, mdm.CheckedOut}},
		"known, deleted twice":   {android.Phone{Name: known, Deleted: true}, mdm.CheckedOut, nil, outcome{nil, false, mdm.CheckedOut}},
		"retired, deleted":       {android.Phone{Name: known, Deleted: true}, mdm.Retired, nil, outcome{nil, false, mdm.Retired}},
		"known, another's":       {android.Phone{Name: known, Ticket: "free"}, mdm.Configured, nil, outcome{nil, false, mdm.Configured}},
		"known, older report":    {android.Phone{Name: known, Report: reportAt(noon.Add(-time.Second))}, mdm.Configured, nil, outcome{nil, false, mdm.Configured}},
		"ended, and late":        {android.Phone{Name: known, Ticket: "used", Report: reportAt(noon.Add(time.Hour))}, mdm.CheckedOut, nil, outcome{nil, false, mdm.CheckedOut}},
		"ended, without ticket":  {android.Phone{Name: known, Report: reportAt(noon.Add(time.Hour))}, mdm.CheckedOut, nil, outcome{nil, false, mdm.CheckedOut}},
		"ended, and comes again": {android.Phone{Name: known, Ticket: "free"}, mdm.CheckedOut, nil, outcome{nil, true, mdm.CheckedOut}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, b := newMemory(), &booksFake{known: AndroidPhone{EnrollmentID: "e", Name: known, ReportedAt: noon}, refuse: tt.refuse}
			m.users["u"] = directory.User{ID: "u"}
			m.invitations["i"] = Invitation{ID: "i", UserID: "u"}
			m.enrollments["e"] = mdm.Enrollment{ID: "e", Platform: mdm.Android, State: tt.state}
			s := &Service{Enrollments: m, Invitations: m, Audit: m, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler)}
			a := &Androids{Service: s, Phones: b, Tickets: b, Notify: func() {}}
			err := a.Met(t.Context(), tt.phone)
			if !errors.Is(err, tt.want.err) || (err == nil) != (tt.want.err == nil) {
				t.Errorf("got %v, want %v", err, tt.want.err)
			}
			if got := m.enrollments["e"].State; got != tt.want.state || (len(b.admitted) == 1) != tt.want.admitted || b.reports != 0 {
				t.Errorf("state %s, admitted %v, %d reports; want %+v", got, b.admitted, b.reports, tt.want)
			}
		})
	}
}

var errBroken = errors.New("disk full")

func reportAt(at time.Time) mdm.Report { return mdm.Report{Device: &mdm.DeviceFacts{At: at}} }

// TestAndroidOutcome: a command has failed when Google will never take it, and not
// while it does not answer, or refuses our key.
func TestAndroidOutcome(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err   error
		done  bool
		state mdm.CommandState
	}{
		{nil, true, mdm.Acknowledged}, {nil, false, mdm.Sent}, {unavailable, true, mdm.Sent}, {revoked, false, mdm.Sent},
		{malformed, false, mdm.Failed}, {notFound, false, mdm.Failed}, {android.ErrForbidden, false, mdm.Failed},
	} {
		m := newMemory()
		m.enrollments["e"] = mdm.Enrollment{ID: "e", Platform: mdm.Android, State: mdm.Configured, LastSeenAt: noon}
		m.commands = []mdm.Command{{ID: "C", EnrollmentID: "e", RequestType: "LOCK", State: mdm.Sent}}
		a := &Androids{Service: &Service{Plans: m}}
		err := a.outcome(t.Context(), "e", "C", tt.err, tt.done)
		if retried := tt.err != nil && tt.state == mdm.Sent; (err != nil) != retried || m.commands[0].State != tt.state {
			t.Errorf("%v: %v, command %s; want %s", tt.err, err, m.commands[0].State, tt.state)
		}
		if seen := m.enrollments["e"].LastSeenAt; !seen.Equal(noon) {
			t.Errorf("%v: an answer of Google's counts as one of the phone, at %s", tt.err, seen)
		}
	}
}
