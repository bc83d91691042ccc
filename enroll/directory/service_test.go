package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

// memory keeps users as the contract of Store demands, as far as this room needs it.
type memory struct {
	users   []User
	entries []audit.Entry
	fail    error
}

var _ Store = (*memory)(nil)

func (m *memory) index(match func(User) bool) int { return slices.IndexFunc(m.users, match) }

func byUPN(upn string) func(User) bool {
	return func(u User) bool { return strings.EqualFold(u.UPN, upn) }
}

func (m *memory) SaveUsers(_ context.Context, users []User, entries []audit.Entry) ([]User, error) {
	if m.fail != nil {
		return nil, m.fail
	}
	for _, u := range users {
		if m.index(func(other User) bool {
			return strings.EqualFold(other.Email, u.Email) && !strings.EqualFold(other.UPN, u.UPN)
		}) >= 0 {
			return nil, refusal.New(ErrConflict, "email", "belongs to another user", "")
		}
	}
	var stored []User
	for _, u := range users {
		if i := m.index(byUPN(u.UPN)); i >= 0 {
			u.ID, u.CreatedAt = m.users[i].ID, m.users[i].CreatedAt
			m.users[i] = u
		} else {
			m.users = append(m.users, u)
		}
		stored = append(stored, u)
	}
	m.entries = append(m.entries, entries...)
	return stored, nil
}

func (m *memory) UserByID(_ context.Context, id UserID) (User, error) {
	return m.one(func(u User) bool { return u.ID == id })
}

func (m *memory) UserByUPN(_ context.Context, upn string) (User, error) { return m.one(byUPN(upn)) }

func (m *memory) one(match func(User) bool) (User, error) {
	if m.fail != nil {
		return User{}, m.fail
	}
	i := m.index(match)
	if i < 0 {
		return User{}, ErrNotFound
	}
	return m.users[i], nil
}

func (m *memory) ListUsers(context.Context, string, Page) ([]User, error) { return m.users, m.fail }

func (m *memory) RemoveUser(_ context.Context, id UserID, _ time.Time, e audit.Entry) error {
	m.users = slices.DeleteFunc(m.users, func(u User) bool { return u.ID == id })
	m.entries = append(m.entries, e)
	return m.fail
}

var testTime = time.Date(2026, 11, 21, 8, 0, 0, 123456789, time.FixedZone("CET", 3600))

func newService() (*Service, *memory) {
	m := &memory{}
	return &Service{Store: m, Now: func() time.Time { return testTime }}, m
}

func alice() User { return User{UPN: "alice@example.test", Email: "alice@example.test"} }

func TestSaveFillsDefaults(t *testing.T) {
	s, m := newService()
	u := alice()
	u.UPN = " alice@example.test "
	u.Groups = []string{"staff", "Berlin", "STAFF", " ", "berlin "}
	got, err := s.Save(t.Context(), []User{u})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 21, 7, 0, 0, 123456000, time.UTC)
	want := []User{{
		UPN: "alice@example.test", Email: "alice@example.test", Username: "alice", DisplayName: "alice@example.test",
		Groups: []string{"Berlin", "staff"}, CreatedAt: at, UpdatedAt: at,
	}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(User{}, "ID")); diff != "" {
		t.Error(diff)
	}
	if got[0].ID == "" {
		t.Error("got no ID")
	}
	if len(m.entries) != 1 || m.entries[0].Action != "user.save" || m.entries[0].Target != "alice@example.test" || m.entries[0].Actor != "system" {
		t.Errorf("got entries %+v, want one user.save", m.entries)
	}
}

func TestSaveRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*User)
		field  string // empty: accepted
	}{
		{"nothing", func(*User) {}, ""},
		{"markup in a name is data", func(u *User) { u.DisplayName = "</string><key>PayloadRemovalDisallowed</key><true/>" }, ""},
		{"writing direction in a name is data", func(u *User) { u.DisplayName = "a\u202eb" }, ""},
		{"UPN in another script", func(u *User) { u.UPN = "ålice@example.test" }, ""},
		{"no UPN", func(u *User) { u.UPN = "" }, "upn"},
		{"UPN without domain", func(u *User) { u.UPN = "alice" }, "upn"},
		{"UPN with two signs", func(u *User) { u.UPN = "a@b@c" }, "upn"},
		{"UPN without name", func(u *User) { u.UPN = "@example.test" }, "upn"},
		{"writing direction in UPN", func(u *User) { u.UPN = "a\u202eb@example.test" }, "upn"},
		{"NUL in UPN, and so in what is taken from it", func(u *User) { u.UPN = "a\x00@example.test" }, "upn"},
		{"no email", func(u *User) { u.Email = "" }, "email"},
		{"email outside ASCII", func(u *User) { u.Email = "ålice@example.test" }, "email"},
		{"email with space", func(u *User) { u.Email = "a b@example.test" }, "email"},
		{"email too long", func(u *User) { u.Email = strings.Repeat("a", 250) + "@b.test" }, "email"},
		{"username with domain", func(u *User) { u.Username = `EXAMPLE\alice` }, "username"},
		{"domain with backslash", func(u *User) { u.DomainName = `EXAMPLE\` }, "domain_name"},
		{"NUL in a name", func(u *User) { u.FirstName = "a\x00" }, "first_name"},
		{"newline in a name", func(u *User) { u.LastName = "a\nb" }, "last_name"},
		{"64 KB", func(u *User) { u.MiddleName = strings.Repeat("a", 64<<10) }, "middle_name"},
		{"group with semicolon", func(u *User) { u.Groups = []string{"a;b"} }, "groups"},
		{"group with comma", func(u *User) { u.Groups = []string{"a,b"} }, "groups"},
		{"too many groups", func(u *User) {
			for i := range 300 {
				u.Groups = append(u.Groups, strings.Repeat("g", i%100+1)+string(rune('a'+i/100)))
			}
		}, "groups"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, m := newService()
			u := alice()
			test.change(&u)
			_, err := s.Save(t.Context(), []User{u})
			if test.field == "" {
				if err != nil {
					t.Fatalf("got %v, want it accepted", err)
				}
				return
			}
			list := refusal.All(err)
			if !errors.Is(err, ErrInvalid) || len(list) != 1 || list[0].Field != test.field {
				t.Errorf("got %v, want one refusal of %s", err, test.field)
			}
			if len(m.users)+len(m.entries) != 0 {
				t.Errorf("got %d users and %d entries, want nothing written", len(m.users), len(m.entries))
			}
		})
	}
}

// The trail says which fields changed, never to what; what is on record already
// is not written again.
func TestSaveTellsWhatChanged(t *testing.T) {
	s, m := newService()
	u := alice()
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, "all"},
		{func() {}, ""},
		{func() { u.MiddleName = " " }, ""},
		{func() { u.Email, u.Groups = "a@example.test", []string{"staff"} }, "email,groups"},
		{func() { u.SharedMailbox = true }, "shared_mailbox"},
		{func() { u.UPN, u.DisplayName = "Alice@example.test", "alice@example.test" }, "upn,username"},
	} {
		step.change()
		m.entries = nil
		stored, err := s.Save(t.Context(), []User{u})
		if err != nil {
			t.Fatal(err)
		}
		if len(stored) != 1 || stored[0].UPN != u.UPN || stored[0].ID != m.users[0].ID {
			t.Errorf("got %+v, want the user as stored", stored)
		}
		var got string
		if len(m.entries) == 1 {
			got = m.entries[0].Detail["changed"]
		}
		if got != step.want || len(m.entries) > 1 {
			t.Errorf("got entries %+v, want one with changed=%q, none when that is empty", m.entries, step.want)
		}
	}
}

func TestSaveRefusesDoublesInOneInput(t *testing.T) {
	s, _ := newService()
	second := alice()
	second.UPN = "ALICE@example.test"
	_, err := s.Save(t.Context(), []User{alice(), second})
	var fields []string
	for _, e := range refusal.All(err) {
		fields = append(fields, e.Field)
	}
	if diff := cmp.Diff([]string{"users[1].upn", "users[1].email"}, fields); diff != "" {
		t.Error(diff)
	}
}

func TestRemove(t *testing.T) {
	s, m := newService()
	if err := s.Remove(t.Context(), "alice@example.test"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, err := s.Save(t.Context(), []User{alice()}); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(audit.WithActor(t.Context(), "ops"), "Alice@Example.Test"); err != nil {
		t.Fatal(err)
	}
	last := m.entries[len(m.entries)-1]
	if last.Action != "user.remove" || last.Target != "alice@example.test" || last.Actor != "ops" {
		t.Errorf("got entry %+v, want user.remove by ops", last)
	}
	if _, err := s.Get(t.Context(), "alice@example.test"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestStoreErrorsPassThrough(t *testing.T) {
	s, m := newService()
	m.fail = ErrConflict
	if _, err := s.Save(t.Context(), []User{alice()}); !errors.Is(err, ErrConflict) {
		t.Errorf("Save: got %v, want ErrConflict", err)
	}
	if _, _, err := s.Import(t.Context(), strings.NewReader("upn,email\na@b.test,a@b.test\n")); !errors.Is(err, ErrConflict) {
		t.Errorf("Import: got %v, want ErrConflict", err)
	}
	if _, err := s.List(t.Context(), "", Page{Limit: 1001}); !errors.Is(err, ErrInvalid) {
		t.Errorf("List: got %v, want ErrInvalid", err)
	}
}
