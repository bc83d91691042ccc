package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

func handMinter(m *memory) *HandMinter {
	m.users["u1"] = directory.User{ID: "u1", UPN: "alice@example.test", Email: "alice@mail.example.test"}
	return &HandMinter{
		Users: m, Certificates: m, Audit: m, URL: "http://mdm.example.test/scep",
		Root: func() *x509.Certificate { return &x509.Certificate{Raw: []byte("root")} },
		RA:   func() *x509.Certificate { return &x509.Certificate{Raw: []byte("ra")} },
		Now:  func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) },
	}
}

func TestHandChallenge(t *testing.T) {
	t.Parallel()
	m := newMemory()
	h := handMinter(m)
	got, err := h.Mint(audit.WithActor(t.Context(), "Dana Admin"), HandRequest{UPN: "alice@example.test"})
	if err != nil {
		t.Fatal(err)
	}
	want := certs.Grant{Rule: certs.RuleMailIdentity, CommonName: "alice@example.test", UPN: "alice@example.test", Mail: "alice@mail.example.test",
		UserID: "u1", RequestedBy: "Dana Admin"}
	if grant := m.grants[got.Challenge.Reveal()]; grant != want {
		t.Errorf("grant %+v, want %+v", grant, want)
	}
	if m.ttl[got.Challenge.Reveal()] != 24*time.Hour || !got.ExpiresAt.Equal(h.Now().Add(24*time.Hour)) || got.URL != h.URL || string(got.Root.Raw) != "root" || string(got.RA.Raw) != "ra" {
		t.Errorf("%+v", got)
	}
	if len(m.audit) != 1 || m.audit[0].Action != "challenge.mint" || m.audit[0].Actor != "Dana Admin" || m.audit[0].Target != "u1" {
		t.Errorf("trail %+v", m.audit)
	}
}

func TestHandChallengeRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		r     HandRequest
		want  error
		field string
	}{
		"encryption key":   {HandRequest{UPN: "alice@example.test", Rule: certs.RuleSMIMEEncryption}, ErrInvalid, "rule"},
		"phone's identity": {HandRequest{UPN: "alice@example.test", Rule: certs.RuleMDMIdentity}, ErrInvalid, "rule"},
		"our own rule":     {HandRequest{UPN: "alice@example.test", Rule: certs.RuleServer}, ErrInvalid, "rule"},
		"too long":         {HandRequest{UPN: "alice@example.test", TTL: 7*24*time.Hour + 1}, ErrInvalid, "ttl"},
		"negative":         {HandRequest{UPN: "alice@example.test", TTL: -time.Hour}, ErrInvalid, "ttl"},
		"nobody":           {HandRequest{}, ErrInvalid, "upn"},
		"a stranger":       {HandRequest{UPN: "mallory@example.test"}, directory.ErrNotFound, "upn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory()
			_, err := handMinter(m).Mint(t.Context(), tt.r)
			all := refusal.All(err)
			if !errors.Is(err, tt.want) || len(all) != 1 || all[0].Field != tt.field || all[0].Remedy == "" {
				t.Errorf("%v", err)
			}
			if len(m.grants) != 0 || len(m.audit) != 0 {
				t.Error("something was written")
			}
		})
	}
}

// deafLog cannot write.
type deafLog struct{ audit.Log }

func (deafLog) Append(context.Context, audit.Entry) error { return errors.New("disk full") }

func TestHandChallengeWithoutTrailIsNotTold(t *testing.T) {
	t.Parallel()
	h := handMinter(newMemory())
	h.Audit = deafLog{}
	if got, err := h.Mint(t.Context(), HandRequest{UPN: "alice@example.test"}); err == nil || !got.Challenge.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}
