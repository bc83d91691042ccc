package templates

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

func service(m *memory) *Service {
	return &Service{Store: m, Secrets: m, Security: m, Users: m, Now: func() time.Time { return noon }}
}

func TestHistory(t *testing.T) {
	m := &memory{}
	s := service(m)
	ctx := t.Context()
	first, _, err := s.ApplyExpecting(ctx, []byte(everyVariable), 0)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(everyVariable, "mail.example.test", "new.example.test")
	second, _, err := s.ApplyExpecting(ctx, []byte(changed), first.Number)
	if err != nil || second.Number != 2 {
		t.Fatalf("got %+v, %v", second, err)
	}
	third := strings.ReplaceAll(everyVariable, "mail.example.test", "third.example.test")
	for _, expected := range []int{0, 1, 3} {
		_, _, err := s.ApplyExpecting(ctx, []byte(third), expected)
		if list := refusal.All(err); !errors.Is(err, ErrConflict) || len(list) != 1 || !strings.Contains(list[0].Reason, "mail is 2") {
			t.Errorf("expected %d: got %v, want ErrConflict that names the newest", expected, err)
		}
	}
	if _, changed, err := s.ApplyExpecting(ctx, []byte(changed), 1); err != nil || changed {
		t.Errorf("the same again after a lost answer: got changed %v, %v", changed, err)
	}

	back, wrote, err := s.Rollback(ctx, "mail", 1)
	if err != nil || !wrote || back.Number != 3 || back.Source != first.Source || back.Spec.Accounts[0].Host != "mail.example.test" {
		t.Errorf("got %+v, %v, %v", back, wrote, err)
	}
	if e := m.entries[len(m.entries)-1]; e.Action != "template.rollback" || e.Target != "mail" || e.Detail["to"] != "1" {
		t.Errorf("got entry %+v", e)
	}
	if _, wrote, err := s.Rollback(ctx, "mail", 1); err != nil || wrote {
		t.Errorf("twice: got %v, %v", wrote, err)
	}
	if _, _, err := s.RollbackExpecting(ctx, "mail", 2, 2); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if _, _, err := s.Rollback(ctx, "mail", 9); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if list, err := s.Revisions(ctx, "mail"); err != nil || len(list) != 3 || list[0].Number != 3 {
		t.Errorf("got %d revisions, %v", len(list), err)
	}
}

func TestSetSecret(t *testing.T) {
	m := &memory{users: []directory.User{alice()}}
	s := service(m)
	ctx := audit.WithActor(t.Context(), "ops")
	file := holder{upn: alice().UPN}.file(t, pkcs12.Modern)
	in := SecretInput{Name: "login", Kind: SecretPKCS12, UPN: "ALICE@example.test", Value: secret.New(filePassword), Data: file}
	made, err := s.SetSecret(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if made.UserID != userID || made.UPN != alice().UPN || made.Revision == "" || !made.Value.IsZero() || made.Data != nil || !slices.Equal(made.UPNs, []string{alice().UPN}) {
		t.Errorf("got %+v", made)
	}
	if kept := m.secrets[0]; kept.Value.Reveal() != filePassword || string(kept.Data) != string(file) || kept.Revision != made.Revision {
		t.Error("something else was stored")
	}
	if e := m.entries[0]; e.Action != "secret.set" || e.Actor != "ops" || strings.Contains(strings.Join([]string{e.Target, e.Detail["user"], e.Detail["kind"]}, " "), filePassword) {
		t.Errorf("got entry %+v", e)
	}
	again, err := s.SetSecret(ctx, in)
	if err != nil || again.Revision == made.Revision {
		t.Errorf("the next value has the same revision, %v", err)
	}

	in.Data = holder{commonName: "Bob", upn: "bob@example.test"}.file(t, pkcs12.Modern)
	_, err = s.SetSecret(ctx, in)
	if list := refusal.All(err); !errors.Is(err, ErrInvalid) || len(list) != 1 || list[0].Field != "data" || !strings.Contains(list[0].Reason, "bob@example.test") || len(m.secrets) != 2 {
		t.Errorf("another's certificate: got %v, and %d secrets", err, len(m.secrets))
	}
	in.UPN = ""
	if _, err = s.SetSecret(ctx, in); err != nil {
		t.Errorf("for everyone: %v", err)
	}
	in.UPN = "nobody@example.test"
	if _, err = s.SetSecret(ctx, in); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("got %v, want no such user", err)
	}
}

func TestRemoveSecret(t *testing.T) {
	m := &memory{users: []directory.User{alice()}}
	s := service(m)
	for _, upn := range []string{"", alice().UPN} {
		if _, err := s.SetSecret(t.Context(), SecretInput{Name: "mail-password", Kind: SecretPassword, UPN: upn, Value: secret.New("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Apply(t.Context(), []byte(everySecret)); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveSecret(t.Context(), "mail-password", ""); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "template mail") {
		t.Errorf("one in use: got %v, want ErrConflict", err)
	}
	if err := s.RemoveSecret(t.Context(), "mail-password", alice().UPN); err != nil || len(m.secrets) != 1 {
		t.Errorf("a user's own: got %v, %d left", err, len(m.secrets))
	}
	if err := s.RemoveSecret(t.Context(), "other", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func (m *memory) SaveSecret(_ context.Context, s Secret, e audit.Entry) error {
	m.secrets, m.entries = append(m.secrets, s), append(m.entries, e)
	return m.fail
}

func (m *memory) ListSecrets(context.Context) ([]Secret, error) { return m.secrets, m.fail }

func (m *memory) SecretsFor(context.Context, directory.UserID) ([]Secret, error) {
	return m.secrets, m.fail
}

func (m *memory) RemoveSecret(_ context.Context, name string, user directory.UserID, _ audit.Entry) error {
	i := slices.IndexFunc(m.secrets, func(s Secret) bool { return s.Name == name && s.UserID == user })
	if i < 0 {
		return ErrNotFound
	}
	m.secrets = slices.Delete(m.secrets, i, i+1)
	return m.fail
}

func (m *memory) SaveSecurityPolicy(_ context.Context, r SecurityRevision, expected int, e audit.Entry) (SecurityRevision, bool, error) {
	if expected != AnyRevision && expected != len(m.policies) {
		return SecurityRevision{}, false, ConflictOf(r.Name, len(m.policies), expected)
	}
	r.Number = len(m.policies) + 1
	m.policies, m.entries = append(m.policies, r), append(m.entries, e)
	return r, true, m.fail
}

func (m *memory) CurrentSecurityPolicies(context.Context) ([]SecurityRevision, error) {
	return m.policies, m.fail
}

func (m *memory) UserByID(_ context.Context, id directory.UserID) (directory.User, error) {
	return m.user(func(u directory.User) bool { return u.ID == id })
}

func (m *memory) UserByUPN(_ context.Context, upn string) (directory.User, error) {
	return m.user(func(u directory.User) bool { return strings.EqualFold(u.UPN, upn) })
}

func (m *memory) user(is func(directory.User) bool) (directory.User, error) {
	if i := slices.IndexFunc(m.users, is); i >= 0 {
		return m.users[i], nil
	}
	return directory.User{}, directory.ErrNotFound
}

func (m *memory) ListUsers(context.Context, string, directory.Page) ([]directory.User, error) {
	return m.users, m.fail
}

func TestSecurityService(t *testing.T) {
	m := &memory{}
	s := service(m)
	r, changed, err := s.ApplySecurity(t.Context(), []byte(staffPolicy))
	if err != nil || !changed || r.Number != 1 || r.Spec.Settings.MinimumLength != 6 || m.entries[0].Action != "security_policy.apply" {
		t.Fatalf("got %+v, %v, %v", r, changed, err)
	}
	if _, _, err := s.ApplySecurityExpecting(t.Context(), []byte(staffPolicy), 0); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if _, _, err := s.ApplySecurity(t.Context(), []byte("name: x")); !errors.Is(err, ErrInvalid) || len(m.policies) != 1 {
		t.Errorf("got %v, want it refused and nothing written", err)
	}
	if got, err := s.GetSecurity(t.Context(), "staff"); err != nil || got.Number != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.GetSecurity(t.Context(), "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}
