package enroll

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// victim is everything that a takeover must leave alone.
func (h *house) victim(t testing.TB, p *phone) map[string]any {
	t.Helper()
	state := h.state()
	e := p.enrollment(t)
	var commands []mdm.Command
	for _, c := range state["commands"].([]mdm.Command) {
		if c.EnrollmentID == e.ID {
			commands = append(commands, c)
		}
	}
	return map[string]any{
		"enrollment": e, "device": state["devices"].(map[mdm.DeviceID]mdm.Device)[e.DeviceID], "commands": commands,
		"push": state["push"].(map[mdm.EnrollmentID][3]string)[e.ID], "report": state["reports"].(map[mdm.EnrollmentID]mdm.Report)[e.ID],
	}
}

// TestTakeoverIsHeld: alice's phone comes with bob's certificate. Nothing of
// alice's changes, and the phone is told nothing until an admin has decided.
func TestTakeoverIsHeld(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	before := h.victim(t, p)
	thief := h.newPhone(t, h.bob.UPN, udidA, 1)
	for range 3 { // and again, as if our answers were lost
		thief.join(t)
		sameTypes(t, thief.connect(t), nil)
	}
	if e := thief.enrollment(t); e.State != mdm.Held {
		t.Fatalf("got %s, want held", e.State)
	}
	if diff := cmp.Diff(before, h.victim(t, p)); diff != "" {
		t.Errorf("the takeover changed the victim:\n%s", diff)
	}
	if h.trail("enrollment.hold") != 1 || h.trail("enrollment.enroll") != 1 {
		t.Errorf("%d holds and %d enrolments in the trail", h.trail("enrollment.hold"), h.trail("enrollment.enroll"))
	}
	rows, err := h.enroll.Held(t.Context(), directory.Page{})
	if err != nil || len(rows) != 1 || rows[0].UPN != h.bob.UPN || rows[0].HolderUPN != h.alice.UPN || rows[0].Device.ID != p.enrollment(t).DeviceID {
		t.Errorf("got %+v, %v", rows, err)
	}
	if row, err := h.enroll.Device(t.Context(), p.enrollment(t).DeviceID); err != nil || row.Enrollment.ID != p.enrollment(t).ID {
		t.Errorf("the device shows %+v, %v", row.Enrollment, err)
	}
	sameTypes(t, p.connect(t), nil) // alice goes on
}

// TestAdmitHeld: the held enrolment goes on where it was stopped.
func TestAdmitHeld(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	next := h.newPhone(t, h.bob.UPN, udidA, 1)
	next.join(t)
	id := next.enrollment(t).ID
	if err := h.enroll.AdmitHeld(carol(t), id); err != nil {
		t.Fatal(err)
	}
	if next.enrollment(t).State != mdm.Enrolled || p.enrollment(t).State != mdm.Replaced {
		t.Errorf("got %s and %s", next.enrollment(t).State, p.enrollment(t).State)
	}
	sameTypes(t, p.connect(t), nil)
	sameTypes(t, next.connect(t), everything)
	if err := h.enroll.AdmitHeld(carol(t), id); !errors.Is(err, ErrConflict) {
		t.Errorf("admitted twice: got %v", err)
	}
	if err := h.enroll.RefuseHeld(carol(t), p.enrollment(t).ID); !errors.Is(err, ErrConflict) {
		t.Errorf("not held: got %v", err)
	}
	if err := h.enroll.AdmitHeld(carol(t), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if h.trail("enrollment.admit") != 2 { // one of them refused
		t.Errorf("%d entries", h.trail("enrollment.admit"))
	}
}

// TestAdmitHeldBeforeItsToken: held at Authenticate, admitted, then the token comes.
func TestAdmitHeldBeforeItsToken(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	next := h.newPhone(t, h.bob.UPN, udidA, 1)
	if err := next.authenticate(t); err != nil {
		t.Fatal(err)
	}
	if err := h.enroll.AdmitHeld(carol(t), next.enrollment(t).ID); err != nil {
		t.Fatal(err)
	}
	if next.enrollment(t).State != mdm.Authenticated || p.enrollment(t).State != mdm.Replaced {
		t.Errorf("got %s and %s", next.enrollment(t).State, p.enrollment(t).State)
	}
	if err := next.tokenUpdate(t); err != nil {
		t.Fatal(err)
	}
	sameTypes(t, next.connect(t), everything)
}

// TestRefuseHeld: turned away for good, and the holder goes on.
func TestRefuseHeld(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	thief := h.newPhone(t, h.bob.UPN, udidA, 1)
	thief.join(t)
	if err := h.enroll.RefuseHeld(carol(t), thief.enrollment(t).ID); err != nil {
		t.Fatal(err)
	}
	if e := thief.enrollment(t); e.State != mdm.Refused || h.certs[thief.hash].RevokedAt.IsZero() {
		t.Errorf("got %s", e.State)
	}
	sameTypes(t, thief.connect(t), nil)
	if err := thief.tokenUpdate(t); !errors.Is(err, ErrConflict) {
		t.Errorf("TokenUpdate: got %v", err)
	}
	sameTypes(t, p.connect(t), nil)
	if p.enrollment(t).State != mdm.Configured {
		t.Errorf("the holder is %s", p.enrollment(t).State)
	}
}

// TestBothAuthenticated: neither was active when both came; who brings the token
// first has the phone, and the other one is held.
func TestBothAuthenticated(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first, second := h.newPhone(t, h.alice.UPN, udidA, 0), h.newPhone(t, h.bob.UPN, udidA, 1)
	for _, p := range []*phone{first, second} {
		if err := p.authenticate(t); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []*phone{second, first} {
		if err := p.tokenUpdate(t); err != nil {
			t.Fatal(err)
		}
	}
	if second.enrollment(t).State != mdm.Enrolled || first.enrollment(t).State != mdm.Held {
		t.Errorf("got %s and %s", second.enrollment(t).State, first.enrollment(t).State)
	}
}

// TestEvadingAnActIsHeld: the same user comes with an invitation from before the
// act. It waits for an admin, who reads why; a new invitation does not.
func TestEvadingAnActIsHeld(t *testing.T) {
	t.Parallel()
	h, p := configured(t)
	spare := h.newPhone(t, h.alice.UPN, udidA, 1)
	h.sleep(time.Minute)
	act := p.ask(t, p.request(t, mdm.ActionWipe))
	if err := p.checkOut(t); err != nil {
		t.Fatal(err)
	}
	if got := h.standing(t, act.ID); got.State != mdm.ActionFailed || got.Error != "the enrolment ended" {
		t.Errorf("got %+v", got)
	}
	h.sleep(time.Minute)
	spare.join(t)
	sameTypes(t, spare.connect(t), nil)
	rows, err := h.enroll.Held(t.Context(), directory.Page{})
	if err != nil || len(rows) != 1 || rows[0].Act.ID != act.ID || rows[0].Why() != "it would evade a full wipe, ordered by carol" {
		t.Fatalf("got %+v, %v", rows, err)
	}
	if err := h.enroll.AdmitHeld(carol(t), spare.enrollment(t).ID); err != nil {
		t.Fatal(err)
	}
	sameTypes(t, spare.connect(t), everything)
}

// TestWhyHeld: each reason in words.
func TestWhyHeld(t *testing.T) {
	t.Parallel()
	act := mdm.Action{ID: "A", Kind: mdm.ActionSelectiveWipe, RequestedBy: "carol"}
	for want, row := range map[string]HeldRow{
		"the phone is enrolled for bob":                                                    {HolderUPN: "bob"},
		"it would evade a selective wipe, ordered by carol":                                {Act: act},
		"the phone is enrolled for bob; it would evade a selective wipe, ordered by carol": {HolderUPN: "bob", Act: act},
		"the phone was enrolled for another user when it came":                             {},
	} {
		if got := row.Why(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
