package enroll

import (
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/certs"
	"sallyport/mdm"
	"sallyport/mdm/apple"
)

// twice is a phone that holds its old identity and was issued a new one, which it
// has not used: as it is without, and with it.
func twice(t *testing.T, h *house) (old, next *phone) {
	t.Helper()
	old = h.configured(t)
	next = h.successor(t, old)
	return old, next
}

// successor is the phone with another identity, which was issued for its enrolment.
func (h *house) successor(t *testing.T, p *phone) *phone {
	t.Helper()
	next := *p
	next.held, next.mail = maps.Clone(p.held), maps.Clone(p.mail)
	grant := certs.Grant{Rule: certs.RuleMDMIdentity, CommonName: "alice", UserID: string(h.alice.ID), EnrollmentID: string(p.enrollmentID()), AccessRights: 7999}
	next.identity, next.hash = h.certify(t, "alice", p.identity.Key, grant)
	return &next
}

func idle(t *testing.T, p *phone) error {
	_, err := p.send(t, map[string]any{"Status": "Idle", "UDID": p.udid})
	return err
}

func TestUnusedSuccessor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	old, next := twice(t, h)
	if err := idle(t, old); err != nil {
		t.Errorf("the old identity, before the new one was used: %v", err)
	}
	later := h.successor(t, old) // the first one was lost
	if err := idle(t, later); err != nil {
		t.Fatal(err)
	}
	if e := later.enrollment(t); e.CertificateHash != later.hash || e.State != mdm.Configured {
		t.Errorf("got %+v", e)
	}
	for _, p := range []*phone{old, next} {
		state := h.state()
		if err := idle(t, p); !errors.Is(err, apple.ErrUnknownIdentity) {
			t.Errorf("got %v", err)
		}
		if err := p.authenticate(t); !errors.Is(err, apple.ErrUnknownIdentity) && !errors.Is(err, apple.ErrUnauthenticated) {
			t.Errorf("got %v", err)
		}
		same(t, h.state(), state)
	}
}

// TestFirstWords: whatever a new identity says first, the enrolment stays the one.
func TestFirstWords(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(*testing.T, *phone) error{
		"Authenticate": func(t *testing.T, p *phone) error { return p.authenticate(t) },
		"TokenUpdate":  func(t *testing.T, p *phone) error { return p.tokenUpdate(t) },
		"Idle":         idle,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			old, next := twice(t, h)
			id := old.enrollmentID()
			if err := say(t, next); err != nil {
				t.Fatal(err)
			}
			if e := next.enrollment(t); e.ID != id || e.State != mdm.Configured || len(h.enrollments) != 1 || len(h.devices) != 1 {
				t.Errorf("got %+v", e)
			}
			if got := h.trail("enrollment.identity"); got != 1 {
				t.Errorf("%d rows say that the identity changed", got)
			}
			if err := idle(t, old); !errors.Is(err, apple.ErrUnknownIdentity) {
				t.Errorf("the old one: %v", err)
			}
		})
	}
	t.Run("CheckOut", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		old, next := twice(t, h)
		if err := next.checkOut(t); err != nil {
			t.Fatal(err)
		}
		if e := h.enrollments[old.enrollmentID()]; e.State != mdm.CheckedOut {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("of another phone", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		_, next := twice(t, h)
		state := h.state()
		next.udid = udidB
		for what, err := range map[string]error{"Idle": idle(t, next), "Authenticate": next.authenticate(t), "TokenUpdate": next.tokenUpdate(t), "CheckOut": next.checkOut(t)} {
			if !apple.Refused(err) {
				t.Errorf("%s: got %v", what, err)
			}
		}
		same(t, h.state(), state)
	})
}

// TestSuccessorOfTheRetired: a phone that an admin has retired is told to leave,
// whichever identity it shows; one that was replaced before is not even told that.
func TestSuccessorOfTheRetired(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first, second := twice(t, h)
	if err := idle(t, second); err != nil {
		t.Fatal(err)
	}
	third := h.successor(t, second)
	h.end(second.enrollmentID(), mdm.Retired, h.now())
	for _, p := range []*phone{second, third} {
		if err := idle(t, p); !errors.Is(err, apple.ErrRetired) {
			t.Errorf("got %v", err)
		}
	}
	if err := idle(t, first); !errors.Is(err, apple.ErrUnknownIdentity) {
		t.Errorf("got %v", err)
	}
}

// TestPinnedByAnotherServer: of two that see the first use, or two first uses, one
// is enough.
func TestPinnedByAnotherServer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	old, next := twice(t, h)
	id := old.enrollmentID()
	h.beforePin = func() {
		h.beforePin = nil
		e := h.enrollments[id]
		e.CertificateHash = next.hash
		h.enrollments[id] = e
	}
	if err := idle(t, next); err != nil {
		t.Errorf("pinned to the same meanwhile: %v", err)
	}
	third := h.successor(t, next)
	fourth := h.successor(t, next)
	h.beforePin = func() {
		h.beforePin = nil
		e := h.enrollments[id]
		e.CertificateHash = fourth.hash
		h.enrollments[id] = e
	}
	if err := idle(t, third); !errors.Is(err, apple.ErrUnknownIdentity) {
		t.Errorf("pinned to another one meanwhile: %v", err)
	}
	fifth := h.successor(t, fourth)
	h.sleep(time.Minute)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := idle(t, fifth); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if e := fifth.enrollment(t); e.ID != id {
		t.Errorf("got %+v", e)
	}
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("changed: got -, want +:\n%s", diff)
	}
}
