package directory

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/refusal"
)

func TestParseCSV(t *testing.T) {
	got, err := ParseCSV(strings.NewReader("\uFEFFUPN, email,groups,display_name\r\n" +
		"alice@example.test,alice@example.test,staff; Berlin,\"Doe, \"\"Al\"\"\"\r\n\r\n" +
		"bob@example.test,bob@example.test,,\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []User{
		{UPN: "alice@example.test", Email: "alice@example.test", Username: "alice", DisplayName: `Doe, "Al"`, Groups: []string{"Berlin", "staff"}},
		{UPN: "bob@example.test", Email: "bob@example.test", Username: "bob", DisplayName: "bob@example.test"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseCSVRefuses(t *testing.T) {
	tests := []struct{ name, file, field, reason string }{
		{"empty", "", "line 1", "no header"},
		{"unknown column", "upn,email,phone\n", "line 1", "unknown column"},
		{"double column", "upn,email,upn\n", "line 1", "twice"},
		{"missing column", "upn\n", "line 1", "email is missing"},
		{"semicolons", "upn;email\n", "line 1", "commas"},
		{"short row", "upn,email\na@b.test,a@b.test\nx\n", "line 3", "has 1 fields"},
		{"bad quote", "upn,email\n\"a@b.test,a\n", "line 2, column", "is not CSV"},
		{"bad value", "upn,email\na@b.test,a@b.test\nbob,b@b.test\n", "line 3, upn", "name@domain"},
		{"line of a row after a value of two lines", "upn,email,first_name\na@b.test,a@b.test,\"x\ny\"\n", "line 2, first_name", "control character"},
		{"user twice", "upn,email\na@b.test,a@b.test\nA@b.test,c@b.test\n", "line 3, upn", "another user"},
		{"email twice", "upn,email\na@b.test,a@b.test\nb@b.test,A@B.test\n", "line 3, email", "another user"},
		{"no flag", "upn,email,shared_mailbox\na@b.test,a@b.test,perhaps\n", "line 2, shared_mailbox", "true nor false"},
		{"group with a comma", "upn,email,groups\na@b.test,a@b.test,\"x,y\"\n", "line 2, groups", "semicolons between"},
		{"not UTF-8", "upn,email,first_name\na@b.test,a@b.test,\xff\n", "line 2, first_name", "UTF-8"},
		{"UTF-16", "\xff\xfeu\x00", "", "UTF-16"},
		{"too large", "upn,email\n" + strings.Repeat(",\n", 8<<20), "", "16 MiB"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseCSV(strings.NewReader(test.file))
			list := refusal.All(err)
			if !errors.Is(err, ErrInvalid) || len(list) == 0 {
				t.Fatalf("got %v, want a refusal", err)
			}
			if !strings.HasPrefix(list[0].Field, test.field) || !strings.Contains(list[0].Error(), test.reason) {
				t.Errorf("got %v, want field %q and reason %q", list[0], test.field, test.reason)
			}
			if len(list) > 1 && list[0].Error() == list[1].Error() {
				t.Errorf("%v is said twice", list[0])
			}
		})
	}
}

func TestParseCSVBoundsRefusals(t *testing.T) {
	_, err := ParseCSV(strings.NewReader("upn,email\n" + strings.Repeat("x,y\n", 10000)))
	if n := len(refusal.All(err)); n < maxRefusals || n > maxRefusals+20 {
		t.Errorf("got %d refusals, want about %d", n, maxRefusals)
	}
}

func TestImport(t *testing.T) {
	s, m := newService()
	before := alice()
	before.FirstName, before.Groups = "Alice", []string{"staff"}
	if _, err := s.Save(t.Context(), []User{before, {UPN: "carol@example.test", Email: "carol@example.test"}}); err != nil {
		t.Fatal(err)
	}
	added, updated, err := s.Import(t.Context(), strings.NewReader("upn,email,last_name\nALICE@example.test,alice@example.test,Doe\nbob@example.test,bob@example.test,Roe\n"))
	if err != nil || added != 1 || updated != 1 {
		t.Fatalf("got %d added, %d updated, %v; want 1, 1", added, updated, err)
	}
	got, err := s.Get(t.Context(), "alice@example.test")
	if err != nil {
		t.Fatal(err)
	}
	if got.FirstName != "Alice" || got.LastName != "Doe" || !got.CreatedAt.Equal(s.now()) || len(got.Groups) != 1 {
		t.Errorf("got %+v, want the columns of the file changed and the others kept", got)
	}
	if len(m.users) != 3 {
		t.Errorf("got %d users, want 3: absent ones stay", len(m.users))
	}
}

// A file finds people by their UPN whatever its case; it does not respell it.
func TestImportKeepsTheSpellingOfAUPN(t *testing.T) {
	s, m := newService()
	for _, want := range []string{"1 0", "0 1", "0 0"} {
		file := "upn,email,last_name,shared_mailbox\nAlice@Example.test,alice@example.test,,\n"
		if want != "1 0" {
			file = "upn,email,last_name,shared_mailbox\nalice@example.TEST,alice@example.test,Doe, True\n"
		}
		added, updated, err := s.Import(t.Context(), strings.NewReader(file))
		if got := fmt.Sprint(added, updated); err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
	if u := m.users[0]; u.UPN != "Alice@Example.test" || u.LastName != "Doe" || !u.SharedMailbox || len(m.users) != 1 {
		t.Errorf("got %+v", m.users)
	}
	if got := m.entries[1].Detail["changed"]; got != "last_name,shared_mailbox" || len(m.entries) != 2 {
		t.Errorf("got entries %+v", m.entries)
	}
}

// What the database refuses is told by line too.
func TestImportTellsTheLineOfAConflict(t *testing.T) {
	s, m := newService()
	if _, err := s.Save(t.Context(), []User{alice(), {UPN: "bob@example.test", Email: "bob@example.test"}}); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.Import(t.Context(), strings.NewReader("upn,email\ncarol@example.test,carol@example.test\n"+
		"dave@example.test,bob@example.test\nerin@example.test,Alice@example.test\n"))
	var got []string
	for _, e := range refusal.All(err) {
		got = append(got, e.Field+" "+e.Reason)
	}
	want := []string{
		"line 3, email the address bob@example.test belongs to another user, bob@example.test",
		"line 4, email the address alice@example.test belongs to another user, alice@example.test",
	}
	if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, ErrConflict) {
		t.Errorf("%v: %s", err, diff)
	}
	if len(m.users) != 2 {
		t.Errorf("got %d users, want nothing written", len(m.users))
	}
}

func FuzzParseCSV(f *testing.F) {
	f.Add("\uFEFFupn,email,groups\na@b.test,a@b.test,x;y\n")
	f.Add("upn,email,display_name\n\"a@b.test\",a@b.test,\"</string>\"\n")
	f.Add("upn;email\n")
	f.Add("upn,email\n\"")
	f.Fuzz(func(t *testing.T, file string) {
		users, err := ParseCSV(strings.NewReader(file))
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid: the reader does not fail", err)
			}
			return
		}
		for _, u := range users {
			if err := u.Validate(); err != nil {
				t.Errorf("accepted %+v: %v", u, err)
			}
			if !utf8.ValidString(u.DisplayName) || u.Username == "" {
				t.Errorf("accepted %+v", u)
			}
		}
	})
}
