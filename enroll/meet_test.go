package enroll

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/mdm"
	"sallyport/mdm/apple"
)

// TestIdleIsNoted: an Idle that changes nothing else is noted with the command
// that it brings, and to the minute where it brings none.
func TestIdleIsNoted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.enroll.InquiryMaxAge = time.Hour
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	p.connect(t)
	began := p.enrollment(t)
	if began.IdleAt.IsZero() || began.State != mdm.Configured {
		t.Fatalf("after the first connection: %+v", began)
	}
	idle := func() mdm.Enrollment {
		t.Helper()
		if got := p.connect(t); len(got) > 0 {
			t.Fatalf("told %v", got)
		}
		return p.enrollment(t)
	}
	h.sleep(20 * time.Second)
	if now := idle(); now.IdleAt != began.IdleAt || now.LastSeenAt != began.LastSeenAt {
		t.Errorf("noted within the minute: %s, %s", now.IdleAt, now.LastSeenAt)
	}
	h.sleep(2 * time.Minute)
	now := idle()
	if !now.IdleAt.After(began.IdleAt) || h.now().Sub(now.LastSeenAt) > seenEvery {
		t.Errorf("not noted after the minute: %s, %s", now.IdleAt, now.LastSeenAt)
	}
	h.sleep(20 * time.Second)
	h.revisions = append(h.revisions[:0:0], mailTemplate("fixed@example.test"))
	if told := p.connect(t); len(told) == 0 || told[0] != "InstallProfile" {
		t.Fatalf("told %v", told)
	}
	if last := p.enrollment(t); !last.IdleAt.After(now.IdleAt) || !last.LastSeenAt.After(now.LastSeenAt) {
		t.Errorf("not noted with the command: %s, %s", last.IdleAt, last.LastSeenAt)
	}
}

// plainPlans takes no result with a command: it says each time that another
// server was quicker, so that the service goes the plain way.
type plainPlans struct{ PlanStore }

func (p plainPlans) SaveCommand(ctx context.Context, c mdm.Command, pending *mdm.Contact) error {
	if pending != nil && pending.Status != mdm.StatusIdle {
		return ErrHeard
	}
	return p.PlanStore.SaveCommand(ctx, c, pending)
}

// TestResultWithTheCommand: whether a result goes on record with the command that
// answers it, or before it, what is said and what is on record are the same.
func TestResultWithTheCommand(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		with, before := newWorld(t), newWorld(t)
		before.h.enroll.Plans = plainPlans{before.h.memory}
		clock := with.h.now()
		now := func() time.Time { return clock } // the house's own moves whenever it is asked
		with.h.enroll.Now, before.h.enroll.Now = now, now
		for range rapid.IntRange(1, 40).Draw(rt, "contacts") {
			clock = clock.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 1, 60, 4000}).Draw(rt, "wait")) * time.Second)
			c := mdm.Contact{At: clock, Status: mdm.StatusIdle}
			nth := -1
			if n := len(with.h.commands); n > 0 && rapid.IntRange(0, 4).Draw(rt, "result") > 0 {
				nth = n - 1 - rapid.IntRange(0, min(2, n-1)).Draw(rt, "ago")
				c.Status = rapid.SampledFrom([]mdm.Status{mdm.StatusAcknowledged, mdm.StatusAcknowledged, mdm.StatusError, mdm.StatusNotNow}).Draw(rt, "status")
			}
			told := [2]string{}
			for i, w := range []*world{with, before} {
				told[i] = w.hear(rt, c, nth)
			}
			if told[0] != told[1] {
				rt.Fatalf("%s of command %d: with the command %q, before it %q", c.Status, nth, told[0], told[1])
			}
			if diff := cmp.Diff(with.record(), before.record()); diff != "" {
				rt.Fatalf("%s of command %d (-with the command +before it):\n%s", c.Status, nth, diff)
			}
		}
	})
}

// hear has alice's phone say something of the nth command, or nothing, and
// returns what it is told.
func (w *world) hear(t *rapid.T, c mdm.Contact, nth int) string {
	e := w.h.enrollments[w.phones[0].e]
	if nth >= 0 {
		old := w.h.commands[nth]
		c.CommandID = old.ID
		switch {
		case c.Status == mdm.StatusError:
			c.Errors = []mdm.ErrorItem{{Code: 1, Domain: "TestDomain", Description: "no"}}
		case c.Status == mdm.StatusAcknowledged:
			c.Report = w.facts(old.RequestType, c.At)
		}
	}
	order, err := w.h.hear(t.Context(), e, c)
	if err != nil {
		t.Fatal(err)
	}
	if order == nil {
		return ""
	}
	return order.Command.RequestType()
}

// hear hands one contact of an enrolment's phone to the service, behind all that
// is checked of a message.
func (h *house) hear(ctx context.Context, e mdm.Enrollment, c mdm.Contact) (*apple.Order, error) {
	row, err := h.Lookup(ctx, e.CertificateHash)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return nil, err
	}
	v, err := h.enroll.Visit(ctx, apple.Identity{Certificate: cert, Hash: e.CertificateHash})
	if err != nil {
		return nil, err
	}
	return v.Next(ctx, c)
}

// facts are what an honest phone answers to a query.
func (w *world) facts(query string, at time.Time) (r mdm.Report) {
	switch query {
	case askDevice:
		r.Device = &mdm.DeviceFacts{At: at, EASDeviceID: "eas"}
	case askSecurity:
		r.Security = &mdm.SecurityFacts{At: at}
	case askCertificates:
		r.Certificates = &mdm.CertificateFacts{At: at}
	case askRestrictions:
		r.Restrictions = &mdm.RestrictionFacts{At: at}
	case askProfiles:
		r.Profiles = &mdm.ProfileFacts{At: at}
		for _, c := range w.h.commands {
			if c.RequestType == installProfile && c.State == mdm.Acknowledged {
				r.Profiles.Items = append(r.Profiles.Items, mdm.ProfileOnFile{Identifier: c.Subject, UUID: c.Revision})
			}
		}
	}
	return r
}

// record is what is on record of alice's phone, without what two worlds cannot share.
func (w *world) record() string {
	id := w.phones[0].e
	e := w.h.enrollments[id]
	lines := []string{fmt.Sprint(e.State, e.IdleAt, e.LastSeenAt, w.h.wakes[id])}
	report, err := json.Marshal(w.h.reports[id])
	lines = append(lines, string(report), fmt.Sprint(err))
	for _, c := range w.h.commands {
		c.ID, c.EnrollmentID = "", ""
		lines = append(lines, fmt.Sprintf("%+v", c))
	}
	for _, event := range w.h.events {
		lines = append(lines, fmt.Sprint(event.Kind, event.At))
	}
	return strings.Join(lines, "\n")
}

// TestPendingIsNotOnRecord: a server that dies before the commit of the next
// command has told nobody that it heard the result, and has not written it.
func TestPendingIsNotOnRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.phones[0]
	e := w.h.enrollments[p.e]
	order, err := w.h.hear(t.Context(), e, mdm.Contact{At: w.h.now(), Status: mdm.StatusIdle})
	if err != nil || order == nil {
		t.Fatal(order, err)
	}
	before := w.h.state()
	w.h.enroll.Plans = dyingPlans{w.h.memory}
	result := mdm.Contact{At: w.h.now(), Status: mdm.StatusAcknowledged, CommandID: order.ID, Report: w.obey(p, order)}
	if order, err := w.h.hear(t.Context(), e, result); order != nil || !errors.Is(err, errDied) {
		t.Fatal(order, err)
	}
	if !reflect.DeepEqual(w.h.state(), before) {
		t.Error("something of the result is on record")
	}
	w.h.enroll.Plans = w.h.memory
	if order, err := w.h.hear(t.Context(), e, result); order == nil || err != nil || len(w.h.commands) != 2 || w.h.commands[0].State != mdm.Acknowledged {
		t.Errorf("the phone says it again: %v, %v, %+v", order, err, w.h.commands)
	}
}

var errDied = errors.New("died before the commit")

type dyingPlans struct{ PlanStore }

func (dyingPlans) SaveCommand(context.Context, mdm.Command, *mdm.Contact) error { return errDied }

// TestCatalogIsReadOnce: a state of the templates is read and rendered once, and
// whatever changes is seen at once.
func TestCatalogIsReadOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	at := Catalog{Templates: 1}
	list := func(at Catalog, change func()) []assignment {
		t.Helper()
		if change != nil {
			change()
		}
		got, err := h.enroll.assigned(t.Context(), at, h.alice, nil, mdm.WithholdNothing, h.enroll.smimeKeys)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := list(at, nil)
	if again := list(at, nil); !reflect.DeepEqual(again, first) || &again[0] != &first[0] {
		t.Error("the same was rendered twice")
	}
	renamed := list(at, func() { h.alice.Email = "alice@other.example.test" })
	if renamed[0].uuid == first[0].uuid {
		t.Error("a user's change is not seen")
	}
	h.alice.Email = "alice@example.test"
	fixed := func() { h.revisions = append(h.revisions[:0:0], mailTemplate("fixed@example.test")) }
	if newer := list(Catalog{Templates: 2}, fixed); newer[0].uuid == first[0].uuid {
		t.Error("a template's change is not seen")
	}
	if got, err := h.enroll.assigned(t.Context(), at, h.alice, nil, mdm.WithholdEverything, h.enroll.smimeKeys); err != nil || len(got) != 0 {
		t.Errorf("withheld: got %v, %v", got, err)
	}
}
