package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
)

// shelf is a Store in memory that follows the contract of auth.Store.
type shelf struct {
	tokens  []auth.Token
	entries []audit.Entry
	trouble error
}

func (s *shelf) SaveToken(_ context.Context, t auth.Token, e audit.Entry) error {
	if s.trouble == nil {
		s.tokens, s.entries = append([]auth.Token{t}, s.tokens...), append(s.entries, e)
	}
	return s.trouble
}

func (s *shelf) TokenByHash(_ context.Context, hash []byte) (auth.Token, error) {
	for _, t := range s.tokens {
		if bytes.Equal(t.Hash, hash) {
			return t, s.trouble
		}
	}
	return auth.Token{}, errors.Join(auth.ErrNotFound, s.trouble)
}

func (s *shelf) ListTokens(context.Context) ([]auth.Token, error) { return s.tokens, s.trouble }

func (s *shelf) RevokeToken(_ context.Context, id string, now time.Time, e audit.Entry) error {
	for i := range s.tokens {
		if s.tokens[i].ID == id {
			if s.tokens[i].RevokedAt.IsZero() {
				s.tokens[i].RevokedAt = now
				s.entries = append(s.entries, e)
			}
			return s.trouble
		}
	}
	return auth.ErrNotFound
}

var start = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func newService() (*auth.Service, *shelf, *time.Time) {
	store, now := &shelf{}, start
	return &auth.Service{Store: store, Now: func() time.Time { return now }}, store, &now
}

func TestCreateAndAuthenticate(t *testing.T) {
	t.Parallel()
	s, store, _ := newService()
	ctx := audit.WithActor(t.Context(), "root")
	issued, err := s.Create(ctx, auth.Operator, " help desk ", 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	text := issued.Text.Reveal()
	if !strings.HasPrefix(text, "spt_") || len(text) != 4+43 {
		t.Errorf("text has the wrong form: %d characters", len(text))
	}
	if got := store.tokens[0]; bytes.Contains(got.Hash, []byte(text)) || len(got.Hash) != 32 || !got.ExpiresAt.Equal(start.Add(24*time.Hour)) {
		t.Errorf("stored %+v", got)
	}
	e := store.entries[0]
	if e.Action != "token.create" || e.Actor != "root" || e.Target != issued.ID || e.Outcome != audit.Done {
		t.Errorf("audit entry %+v", e)
	}
	if strings.Contains(fmt.Sprintf("%+v %v", issued, e), text) {
		t.Error("the text prints")
	}
	p, err := s.Authenticate(ctx, text)
	want := auth.Principal{TokenID: issued.ID, Owner: "help desk", Role: auth.Operator}
	if err != nil || p != want {
		t.Errorf("got %+v, %v, want %+v", p, err, want)
	}
	other, err := s.Create(ctx, auth.Operator, "help desk", time.Hour)
	if err != nil || other.Text.Reveal() == text || other.ID == issued.ID {
		t.Errorf("a second token is the same as the first, or %v", err)
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	t.Parallel()
	s, store, now := newService()
	issued, err := s.Create(t.Context(), auth.Admin, "a", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	text := issued.Text.Reveal()
	last := text[:46]
	for name, wrong := range map[string]string{
		"empty": "", "prefix": "spt_", "no prefix": text[4:], "short": text[:46], "long": text + "A",
		"other case": strings.ToUpper(text), "space": text + " ", "line": text[:46] + "\n", "alphabet": text[:46] + "+",
		"unknown": "spt_" + strings.Repeat("A", 43), "padding bits": last + "_",
	} {
		if _, err := s.Authenticate(t.Context(), wrong); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("%s: got %v, want ErrUnauthenticated", name, err)
		}
	}

	*now = start.Add(time.Hour - time.Microsecond)
	if _, err := s.Authenticate(t.Context(), text); err != nil {
		t.Errorf("just before expiry: got %v, want none", err)
	}
	*now = start.Add(time.Hour)
	if _, err := s.Authenticate(t.Context(), text); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("at expiry: got %v, want ErrUnauthenticated", err)
	}
	*now = start
	store.tokens[0].Role = "owner"
	if _, err := s.Authenticate(t.Context(), text); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("unknown role: got %v, want ErrUnauthenticated", err)
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	s, store, now := newService()
	issued, err := s.Create(t.Context(), auth.Engine, "gate", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Revoke(t.Context(), issued.ID); err != nil {
			t.Fatal(err)
		}
		*now = now.Add(time.Minute)
	}
	if got := store.tokens[0].RevokedAt; !got.Equal(start) {
		t.Errorf("revoked at %s, want the first time, %s", got, start)
	}
	if _, err := s.Authenticate(t.Context(), issued.Text.Reveal()); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("got %v, want ErrUnauthenticated", err)
	}
	if err := s.Revoke(t.Context(), "nobody"); !errors.Is(err, auth.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

// A broken database must not look like a wrong token: clients would throw
// theirs away.
func TestTroubleIsNotABadToken(t *testing.T) {
	t.Parallel()
	s, store, _ := newService()
	issued, err := s.Create(t.Context(), auth.Engine, "gate", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	store.trouble = errors.New("disk full")
	if _, err := s.Authenticate(t.Context(), issued.Text.Reveal()); err == nil || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("authenticate: got %v", err)
	}
	if _, err := s.Create(t.Context(), auth.Engine, "gate", time.Hour); !errors.Is(err, store.trouble) {
		t.Errorf("create: got %v", err)
	}
	if _, err := s.List(t.Context()); !errors.Is(err, store.trouble) {
		t.Errorf("list: got %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		role  auth.Role
		owner string
		ttl   time.Duration
		want  []string
	}{
		{"everything", "root", " ", 0, []string{"role", "owner", "ttl"}},
		{"too short", auth.Admin, "a", auth.MinTTL - 1, []string{"ttl"}},
		{"too long", auth.Admin, "a", auth.MaxTTL + 1, []string{"ttl"}},
		{"long owner", auth.Admin, strings.Repeat("ü", 129), time.Hour, []string{"owner"}},
		{"control character", auth.Admin, "a\x1b[2J", time.Hour, []string{"owner"}},
		{"not UTF-8", auth.Admin, "a\xff", time.Hour, []string{"owner"}},
		{"longest owner", auth.Admin, strings.Repeat("ü", 128), auth.MinTTL, nil},
		{"longest life", auth.Auditor, "a", auth.MaxTTL, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, store, _ := newService()
			_, err := s.Create(t.Context(), tt.role, tt.owner, tt.ttl)
			var got []string
			for _, f := range refusal.All(err) {
				got = append(got, f.Field)
			}
			if strings.Join(got, ",") != strings.Join(tt.want, ",") {
				t.Errorf("got refusals of %v, want %v", got, tt.want)
			}
			if tt.want != nil && (!errors.Is(err, auth.ErrInvalid) || len(store.tokens) != 0) {
				t.Errorf("got %v and %d tokens, want ErrInvalid and none", err, len(store.tokens))
			}
		})
	}
}

func TestPrincipal(t *testing.T) {
	t.Parallel()
	if _, ok := auth.PrincipalFrom(t.Context()); ok {
		t.Error("a bare context has a principal")
	}
	p := auth.Principal{TokenID: "1", Owner: "a", Role: auth.Auditor}
	if got, ok := auth.PrincipalFrom(auth.WithPrincipal(t.Context(), p)); !ok || got != p {
		t.Errorf("got %+v, want %+v", got, p)
	}
	if err := p.Allowed(auth.Admin, auth.Auditor); err != nil {
		t.Errorf("got %v, want none", err)
	}
	for _, roles := range [][]auth.Role{nil, {auth.Admin}, {auth.Operator, auth.Engine}} {
		if err := p.Allowed(roles...); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%v: got %v, want ErrForbidden", roles, err)
		}
	}
}
