package templates

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/profiles/mobileconfig"
)

func encoded(t testing.TB, p mobileconfig.Profile) []byte {
	t.Helper()
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decoded(t testing.TB, p mobileconfig.Profile) map[string]any {
	t.Helper()
	profile, err := mobileconfig.Decode(encoded(t, p))
	if err != nil {
		t.Fatal(err)
	}
	return profile
}

// TestRenderedName: a phone lists profiles by name, so there always is one.
func TestRenderedName(t *testing.T) {
	t.Parallel()
	u := alice()
	u.MiddleName = ""
	r := revision(t, "name: mail\ndisplay_name: '%middle_name%'\naccounts: [{name: Mail, host: mail.example.test}]\n")
	rendered, err := Render(r, u, options())
	if err != nil {
		t.Fatal(err)
	}
	if got := decoded(t, rendered.Profile)["PayloadDisplayName"]; got != "mail" {
		t.Errorf("got %v, want the template's name", got)
	}
}

func TestRenderedAccounts(t *testing.T) {
	r, err := Render(revision(t, everyVariable), alice(), options())
	if err != nil {
		t.Fatal(err)
	}
	if !r.NeedsChallenge || r.TemplateName != "mail" || r.Revision != 1 || r.Profile.DisplayName != "Alice Archer 100%" {
		t.Errorf("got %+v", r)
	}
	a := r.Accounts[0]
	if a.Name != "Alice B. Archer" || a.Login() != `EXAMPLE\alice` || a.Email != "alice.archer@example.test" {
		t.Errorf("got account %+v", a)
	}
	if got := r.Accounts[1].Login(); got != "alice@example.test" {
		t.Errorf("got login %q, want no backslash without a domain", got)
	}
}

func TestWithChallengeChangesNothingElse(t *testing.T) {
	r, err := Render(revision(t, everyVariable), alice(), options())
	if err != nil {
		t.Fatal(err)
	}
	before := r.Profile.TopUUID()
	p := r.WithChallenge(secret.New("canary"))
	if !bytes.Contains(encoded(t, p), []byte("<string>canary</string>")) {
		t.Error("got no challenge")
	}
	if bytes.Contains(encoded(t, r.Profile), []byte("Challenge")) {
		t.Error("the rendering itself got the challenge")
	}
	if got := p.TopUUID(); got != before {
		t.Errorf("got top UUID %s, want %s", got, before)
	}
}

// TestIdentifiersStay: what the phone updates in place must keep its UUID, over
// revisions and changes of the user; another user or template has others.
func TestIdentifiersStay(t *testing.T) {
	base := identifiers(t, revision(t, everyVariable), alice())
	changed := revision(t, strings.ReplaceAll(everyVariable, "mail.example.test", "new.example.test"))
	changed.Number = 2
	moved := alice()
	moved.UPN, moved.DisplayName = "alice.new@example.test", "Alice Baker"
	if diff := cmp.Diff(base, identifiers(t, changed, moved)); diff != "" {
		t.Errorf("a new revision for a renamed user: %s", diff)
	}
	other := alice()
	other.ID = "0192f0a0-0000-7000-8000-0000000000bb"
	foreign := revision(t, everyVariable)
	foreign.TemplateID = "0192f0a0-0000-7000-8000-000000000002"
	for name, ids := range map[string][]string{"another user": identifiers(t, revision(t, everyVariable), other), "another template": identifiers(t, foreign, alice())} {
		for _, id := range ids {
			if slices.Contains(base, id) {
				t.Errorf("%s has the same identifier %s", name, id)
			}
		}
	}
}

func identifiers(t *testing.T, r Revision, u directory.User) []string {
	t.Helper()
	rendered, err := Render(r, u, options())
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{rendered.Profile.Identifier}
	for _, payload := range rendered.Profile.Payloads {
		ids = append(ids, payload.Header().Identifier, payload.Header().UUID)
	}
	return ids
}

func TestTopUUIDTellsRevisions(t *testing.T) {
	first, err := Render(revision(t, everyVariable), alice(), options())
	if err != nil {
		t.Fatal(err)
	}
	second, err := Render(revision(t, strings.ReplaceAll(everyVariable, "mail.example.test", "new.example.test")), alice(), options())
	if err != nil {
		t.Fatal(err)
	}
	if first.Profile.TopUUID() == second.Profile.TopUUID() {
		t.Error("two revisions have the same top UUID")
	}
}

func TestHostileValues(t *testing.T) {
	r := revision(t, everyVariable)
	base, err := Render(r, alice(), options())
	if err != nil {
		t.Fatal(err)
	}
	baseline := keySet(decoded(t, base.Profile))
	for _, value := range []string{
		"</string><key>PayloadRemovalDisallowed</key><true/>", "%Password%", "%upn%", "%%", "$(id)", "{{.}}", "a\u202eb", "<!--", "]]>", "&amp;",
	} {
		t.Run(value, func(t *testing.T) {
			u := alice()
			u.DisplayName, u.FirstName = value, value
			rendered, err := Render(r, u, options())
			if err != nil {
				t.Fatal(err)
			}
			profile := decoded(t, rendered.Profile)
			if got, want := profile["PayloadDisplayName"], value+" 100%"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if diff := cmp.Diff(baseline, keySet(profile)); diff != "" {
				t.Errorf("other keys than for a harmless name: %s", diff)
			}
		})
	}
}

func TestRenderRefusesByField(t *testing.T) {
	tests := []struct {
		name   string
		change func(*directory.User)
		field  string
		says   string
	}{
		{"NUL", func(u *directory.User) { u.FirstName = "a\x00" }, "accounts[0].name", "%firstname%"},
		{"64 KB", func(u *directory.User) { u.LastName = strings.Repeat("a", 64<<10) }, "accounts[0].name", "%last_name%"},
		{"missing", func(u *directory.User) { u.FirstName = "" }, "accounts[0].name", "first_name is empty"},
		{"writing direction in the login", func(u *directory.User) { u.Username = "a\u202eb" }, "accounts[0].user_name", "U+202E"},
		{"domain that is none", func(u *directory.User) { u.DomainName = `A\B` }, "accounts[0].domain", "Windows domain"},
		{"email that is none", func(u *directory.User) { u.Email = "alice" }, "accounts[0].email", "mail address"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := alice()
			test.change(&u)
			_, err := Render(revision(t, everyVariable), u, options())
			list := refusal.All(err)
			if !errors.Is(err, ErrRender) || len(list) == 0 || list[0].Field != test.field {
				t.Fatalf("got %v, want %s refused", err, test.field)
			}
			if e := list[0]; !strings.Contains(e.Reason, test.says) || !strings.Contains(e.Reason, u.UPN) || e.Remedy == "" {
				t.Errorf("got %v, want it to say %q, the user and what to do", e, test.says)
			}
		})
	}
}

func TestRenderRefusesOneMailboxTwice(t *testing.T) {
	r := revision(t, "name: mail\naccounts:\n  - {name: A, host: m.test, user_name: '%upn%'}\n  - {name: B, host: m.test, user_name: '%email%'}\n")
	u := alice()
	u.Email = u.UPN
	if _, err := Render(r, u, options()); !errors.Is(err, ErrRender) {
		t.Errorf("got %v, want ErrRender: a phone takes a mailbox once", err)
	}
}

// TestRenderProperty: whatever the directory holds, a rendering is refused by
// field or is deterministic, has the same keys and the values as they are.
func TestRenderProperty(t *testing.T) {
	r := revision(t, everyVariable)
	base, err := Render(r, alice(), options())
	if err != nil {
		t.Fatal(err)
	}
	baseline := keySet(decoded(t, base.Profile))
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "%upn%", "%", "%%", "<key>", "a\u202eb", "Ålice", "x\ny"}))
	rapid.Check(t, func(rt *rapid.T) {
		u := alice()
		for _, field := range []*string{&u.DisplayName, &u.FirstName, &u.MiddleName, &u.LastName, &u.Username} {
			*field = text.Draw(rt, "value")
		}
		rendered, err := Render(r, u, options())
		if err != nil {
			if !errors.Is(err, ErrRender) || len(refusal.All(err)) == 0 {
				rt.Fatalf("got %v, want refusals", err)
			}
			return
		}
		again, err := Render(r, u, options())
		if err != nil || !bytes.Equal(encoded(t, rendered.Profile), encoded(t, again.Profile)) {
			rt.Fatalf("twice rendered, not the same: %v", err)
		}
		profile := decoded(t, rendered.Profile)
		if profile["PayloadDisplayName"] != u.DisplayName+" 100%" || rendered.Accounts[0].UserName != u.Username {
			rt.Fatalf("got %v, want the values as they are", profile)
		}
		if diff := cmp.Diff(baseline, keySet(profile)); diff != "" {
			rt.Fatalf("other keys: %s", diff)
		}
	})
}

func keySet(v any) []string {
	var keys []string
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			keys = append(keys, key)
			for _, below := range keySet(v[key]) {
				keys = append(keys, key+"."+below)
			}
		}
	case []any:
		for _, item := range v {
			keys = append(keys, keySet(item)...)
		}
	}
	return keys
}

// TestIdentifiersArePinned: these are on phones. Another identifier would set
// the account up anew there and load all mail again.
func TestIdentifiersArePinned(t *testing.T) {
	want := []string{
		"sallyport.mail.0192f0a0-0000-7000-8000-000000000001.0192f0a0-0000-7000-8000-0000000000aa",
	}
	for _, slot := range []string{"identity", "account.0", "account.1"} {
		want = append(want, want[0]+"."+slot, "")
	}
	want[2], want[4], want[6] = "3A941C07-BB8B-57F6-BBF0-C858510CAB6D", "D6D58ECF-B8CB-5F66-A85E-EF0D4A71E7D7", "DAA28677-6AF1-5141-AB77-998A6A6BC054"
	if diff := cmp.Diff(want, identifiers(t, revision(t, everyVariable), alice())); diff != "" {
		t.Errorf("the identifiers of a template have changed:\n%s", diff)
	}
}
