package enroll

import (
	"reflect"
	"testing"
	"time"

	"sallyport/mdm"
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
		got, err := h.enroll.assigned(t.Context(), at, h.alice, nil, mdm.WithholdNothing)
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
	if got, err := h.enroll.assigned(t.Context(), at, h.alice, nil, mdm.WithholdEverything); err != nil || len(got) != 0 {
		t.Errorf("withheld: got %v, %v", got, err)
	}
}
