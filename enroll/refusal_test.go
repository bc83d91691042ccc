package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
	"sallyport/mdm/apple"
)

// TestRefusals: whatever is wrong, the answer is a refusal (400), an audit row
// is written, and nothing is changed.
func TestRefusals(t *testing.T) {
	t.Parallel()
	idle := func(udid string) map[string]any { return map[string]any{"Status": "Idle", "UDID": udid} }
	tests := []struct {
		name string
		act  func(t *testing.T, h *house, p *phone) error
		want error
	}{
		{"certificate of another authority", func(t *testing.T, h *house, p *phone) error {
			p.identity = newAuthority(t).issue(t, "alice", phoneKeys()[1], x509.ExtKeyUsageClientAuth, noon.AddDate(1, 0, 0))
			_, err := p.send(t, idle(p.udid))
			return err
		}, apple.ErrUnauthenticated},
		{"certificate for another usage", func(t *testing.T, h *house, p *phone) error {
			p.identity = h.issue(t, "alice", phoneKeys()[1], x509.ExtKeyUsageServerAuth, noon.AddDate(1, 0, 0))
			_, err := p.send(t, idle(p.udid))
			return err
		}, apple.ErrUnauthenticated},
		{"expired certificate", func(t *testing.T, h *house, p *phone) error {
			h.sleep(366 * 24 * time.Hour)
			_, err := p.send(t, idle(p.udid))
			return err
		}, apple.ErrUnauthenticated},
		{"certificate of ours that is not on record", func(t *testing.T, h *house, p *phone) error {
			p.identity = h.issue(t, "alice", phoneKeys()[1], x509.ExtKeyUsageClientAuth, noon.AddDate(1, 0, 0))
			return p.authenticate(t)
		}, apple.ErrUnknownIdentity},
		{"unpinned certificate polls", func(t *testing.T, h *house, p *phone) error {
			fresh := h.newPhone(t, h.alice.UPN, udidA, 1)
			_, err := fresh.send(t, idle(p.udid))
			return err
		}, apple.ErrUnknownIdentity},
		{"mail certificate", func(t *testing.T, h *house, p *phone) error {
			fresh := h.newPhone(t, h.alice.UPN, udidB, 1)
			cert := h.certs[fresh.hash]
			cert.Rule = certs.RuleMailIdentity
			h.certs[fresh.hash] = cert
			return fresh.authenticate(t)
		}, apple.ErrUnauthenticated},
		{"revoked certificate polls", func(t *testing.T, h *house, p *phone) error {
			cert := h.certs[p.hash]
			cert.RevokedAt = noon
			h.certs[p.hash] = cert
			_, err := p.send(t, idle(p.udid))
			return err
		}, apple.ErrUnauthenticated},
		{"revoked certificate enrols", func(t *testing.T, h *house, p *phone) error {
			fresh := h.newPhone(t, h.alice.UPN, udidB, 1)
			cert := h.certs[fresh.hash]
			cert.RevokedAt = noon
			h.certs[fresh.hash] = cert
			return fresh.authenticate(t)
		}, apple.ErrUnauthenticated},
		{"another phone's UDID in a poll", func(t *testing.T, h *house, p *phone) error {
			_, err := p.send(t, idle(udidB))
			return err
		}, apple.ErrUnauthenticated},
		{"another phone's UDID in a TokenUpdate", func(t *testing.T, h *house, p *phone) error {
			p.udid = udidB
			return p.tokenUpdate(t)
		}, apple.ErrUnauthenticated},
		{"another phone's UDID in a CheckOut", func(t *testing.T, h *house, p *phone) error {
			p.udid = udidB
			return p.checkOut(t)
		}, apple.ErrUnauthenticated},
		{"identity copied to another phone", func(t *testing.T, h *house, p *phone) error {
			p.udid = udidB
			return p.authenticate(t)
		}, ErrForeign},
		{"another topic in Authenticate", func(t *testing.T, h *house, p *phone) error {
			fresh := h.newPhone(t, h.alice.UPN, udidB, 1)
			_, err := fresh.send(t, map[string]any{"MessageType": "Authenticate", "Topic": "com.apple.mgmt.other", "UDID": udidB})
			return err
		}, ErrConflict},
		{"another topic in TokenUpdate", func(t *testing.T, h *house, p *phone) error {
			_, err := p.send(t, map[string]any{"MessageType": "TokenUpdate", "Topic": "com.apple.mgmt.other", "UDID": p.udid, "Token": []byte{9}, "PushMagic": "x"})
			return err
		}, apple.ErrMalformed},
		{"user removed before Authenticate", func(t *testing.T, h *house, p *phone) error {
			fresh := h.newPhone(t, h.bob.UPN, udidB, 1)
			delete(h.users, h.bob.ID)
			return fresh.authenticate(t)
		}, ErrNotFound},
		{"invitation withdrawn before Authenticate", func(t *testing.T, h *house, p *phone) error {
			fresh := h.newPhone(t, h.bob.UPN, udidB, 1)
			id := InvitationID(h.certs[fresh.hash].InvitationID)
			i := h.invitations[id]
			i.State = InvitationRevoked
			h.invitations[id] = i
			return fresh.authenticate(t)
		}, ErrInvitationRevoked},
		{"invitation of another user", func(t *testing.T, h *house, p *phone) error {
			fresh := h.newPhone(t, h.bob.UPN, udidB, 1)
			cert := h.certs[fresh.hash]
			cert.UserID = string(h.alice.ID)
			h.certs[fresh.hash] = cert
			return fresh.authenticate(t)
		}, ErrForeign},
		{"message that we do not speak", func(t *testing.T, h *house, p *phone) error {
			_, err := p.send(t, map[string]any{"MessageType": "SetBootstrapToken", "Topic": topic, "UDID": p.udid})
			return err
		}, apple.ErrMalformed},
		{"message that nobody speaks", func(t *testing.T, h *house, p *phone) error {
			_, err := p.send(t, map[string]any{"MessageType": "Hello", "Topic": topic, "UDID": p.udid})
			return err
		}, apple.ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			p := h.newPhone(t, h.alice.UPN, udidA, 0)
			p.join(t)
			p.connect(t)
			victim := p.enrollment(t)
			before, rows := h.state(), len(h.audit)
			err := test.act(t, h, p)
			if !errors.Is(err, test.want) || !apple.Refused(err) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if last := h.audit[len(h.audit)-1]; len(h.audit) == rows || last.Outcome != audit.Refused || last.Detail["reason"] == "" {
				t.Errorf("got audit row %+v", last)
			}
			after := h.state()
			for _, key := range []string{"devices", "enrollments", "push", "reports", "commands", "events"} {
				if diff := cmp.Diff(after[key], before[key]); diff != "" {
					t.Errorf("%s changed:\n%s", key, diff)
				}
			}
			if e, _ := h.EnrollmentByID(context.Background(), victim.ID); !cmp.Equal(e, victim) {
				t.Errorf("the enrolment changed: %+v", e)
			}
		})
	}
}

// TestUnknownCommand: the result of a command that this phone was never given
// changes nothing, and lets the phone go.
func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p, other := h.newPhone(t, h.alice.UPN, udidA, 0), h.newPhone(t, h.bob.UPN, udidB, 1)
	p.join(t)
	p.connect(t)
	other.join(t)
	for _, id := range []string{"5E4A4A2E-0000-4000-8000-000000000000", string(h.commands[0].ID)} {
		before, rows := h.state(), len(h.audit)
		body, err := other.send(t, map[string]any{"Status": "Acknowledged", "UDID": udidB, "CommandUUID": id,
			"SecurityInfo": map[string]any{"PasscodePresent": false}})
		if err != nil || len(body) != 0 {
			t.Errorf("got %d bytes, %v", len(body), err)
		}
		if diff := cmp.Diff(h.state(), before); diff != "" {
			t.Errorf("changed:\n%s", diff)
		}
		if len(h.audit) != rows+1 || h.audit[rows].Outcome != audit.Refused {
			t.Errorf("got %d audit rows", len(h.audit)-rows)
		}
	}
}

// TestTroubleIsNoRefusal: when our own storage fails, the phone must hear 503,
// never that something is wrong with it.
func TestTroubleIsNoRefusal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	fresh := h.newPhone(t, h.bob.UPN, udidB, 1)
	broken := errors.New("disk full")
	h.broken = broken
	acts := map[string]func() error{
		"authenticate": func() error { return fresh.authenticate(t) },
		"token update": func() error { return p.tokenUpdate(t) },
		"check-out":    func() error { return p.checkOut(t) },
		"poll": func() error {
			_, err := p.send(t, map[string]any{"Status": "Idle", "UDID": p.udid})
			return err
		},
		"profile":  func() error { _, err := h.enroll.EnrollmentProfile(context.Background(), "ABCDEFGH", ""); return err },
		"page":     func() error { _, err := h.enroll.Open(context.Background(), "ABCDEFGH"); return err },
		"expected": func() error { _, _, err := h.enroll.Expected(context.Background(), p.enrollmentID()); return err },
		"invite": func() error {
			_, err := h.enroll.Invite(context.Background(), InviteRequest{UPN: h.alice.UPN})
			return err
		},
	}
	for name, act := range acts {
		if err := act(); !errors.Is(err, broken) || apple.Refused(err) || errors.Is(err, ErrNotFound) || errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func (p *phone) enrollmentID() mdm.EnrollmentID {
	for id := range maps.Keys(p.h.enrollments) {
		return id
	}
	return ""
}
