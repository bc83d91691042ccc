package storetest

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/templates"
)

const canary = "canary-4711"

func password(name string, user directory.UserID, value string) templates.Secret {
	return templates.Secret{Name: name, Kind: templates.SecretPassword, UserID: user, Revision: newID(), Value: secret.New(value), CreatedAt: stored(start)}
}

func identityFile(name string, user directory.UserID) templates.Secret {
	s := password(name, user, canary)
	s.Kind, s.Data, s.Subject = templates.SecretPKCS12, []byte(canary+"\x00\xff"), "CN=Alice"
	s.UPNs, s.Mails, s.NotAfter = []string{"alice@example.test"}, []string{"a@example.test", "b@example.test"}, stored(start).AddDate(1, 0, 0)
	return s
}

// sameSecrets compares values too, which cmp cannot see into.
func (w *world) sameSecrets(got, want []templates.Secret) {
	w.t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b secret.Value) bool { return a.Reveal() == b.Reveal() })); diff != "" {
		w.t.Fatalf("unexpected secrets (-want +got):\n%s", diff)
	}
}

func (w *world) saveSecret(s templates.Secret) {
	w.t.Helper()
	w.ok(w.DB.Templates().SaveSecret(w.ctx, s, w.entry("secret.set", s.Name)))
}

func (w *world) secretsFor(id directory.UserID) []templates.Secret {
	w.t.Helper()
	list, err := w.DB.Templates().SecretsFor(w.ctx, id)
	w.ok(err)
	return list
}

func testSecrets(t *testing.T, make Maker) {
	t.Run("the user's own go before those for everyone", func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		w.sameSecrets(w.secretsFor(alice.ID), nil)
		shared, own, others := password("b", "", "everyone's"), password("b", alice.ID, "alice's"), identityFile("a", bob.ID)
		only := password("c", "", "for all")
		for _, s := range []templates.Secret{shared, own, others, only} {
			w.saveSecret(s)
		}
		own.UPN, others.UPN = alice.UPN, bob.UPN
		w.sameSecrets(w.secretsFor(alice.ID), []templates.Secret{own, only})
		w.sameSecrets(w.secretsFor(bob.ID), []templates.Secret{others, shared, only})
		w.sameSecrets(w.secretsFor("nobody"), []templates.Secret{shared, only})
		w.sameSecrets(w.secretsFor(""), []templates.Secret{shared, only})

		list, err := w.DB.Templates().ListSecrets(w.ctx)
		w.ok(err)
		blank := func(s templates.Secret) templates.Secret { s.Value, s.Data = secret.Value{}, nil; return s }
		w.sameSecrets(list, []templates.Secret{blank(others), blank(shared), blank(own), blank(only)})
		w.same(w.events(), []string{"template_change", "template_change", "template_change", "template_change"})
		w.audited("secret.set", 4)
	})
	t.Run("replace", func(t *testing.T) {
		w := newWorld(t, make)
		w.saveSecret(identityFile("mail", ""))
		after := password("mail", "", "new")
		w.saveSecret(after)
		w.sameSecrets(w.secretsFor("x"), []templates.Secret{after})
	})
	t.Run("sealed", func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		w.saveSecret(identityFile("mail", alice.ID))
		w.saveSecret(password("pass", "", canary))
		if strings.Contains(w.Dump(t), canary) {
			t.Fatal("a row shows a secret")
		}
		var backup bytes.Buffer
		if err := w.DB.Backup(w.ctx, &backup); !errors.Is(err, store.ErrOwnTools) {
			w.ok(err)
		}
		if bytes.Contains(backup.Bytes(), []byte(canary)) {
			t.Fatal("a backup shows a secret")
		}
	})
	t.Run("unknown user", func(t *testing.T) {
		w := newWorld(t, make)
		gone := w.user("gone@example.test")
		w.ok(w.DB.Users().RemoveUser(w.ctx, gone.ID, w.now(), w.entry("user.remove", "")))
		w.unchangedBy(func() {
			for _, id := range []directory.UserID{"nobody", gone.ID} {
				w.is(w.DB.Templates().SaveSecret(w.ctx, password("mail", id, "x"), w.entry("secret.set", "")), directory.ErrNotFound)
			}
		})
	})
	t.Run("remove", testSecretRemove(make))
}

func testSecretRemove(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		remove := func(name string, user directory.UserID) error {
			return w.DB.Templates().RemoveSecret(w.ctx, name, user, w.entry("secret.remove", name))
		}
		shared := password("mail", "", "everyone's")
		w.saveSecret(shared)
		w.unchangedBy(func() {
			w.is(remove("other", ""), templates.ErrNotFound)
			w.is(remove("mail", alice.ID), templates.ErrNotFound)
		})
		w.saveSecret(password("mail", alice.ID, "alice's"))
		w.same(w.newEvents(func() { w.ok(remove("mail", alice.ID)) }), []string{"template_change"})
		w.sameSecrets(w.secretsFor(alice.ID), []templates.Secret{shared})
		w.audited("secret.remove", 1)

		// A removed user's secrets go with the user.
		w.saveSecret(password("mail", alice.ID, "alice's"))
		w.ok(w.DB.Users().RemoveUser(w.ctx, alice.ID, w.now(), w.entry("user.remove", "")))
		list, err := w.DB.Templates().ListSecrets(w.ctx)
		w.ok(err)
		w.same(len(list), 1)
	}
}

func securityPolicy(name, source string) templates.SecurityRevision {
	no := false
	r := templates.SecurityRevision{Name: name, Source: source, CreatedAt: start, CreatedBy: "admin", Spec: templates.SecuritySpec{
		Name: name, Priority: 3, Assign: directory.Audience{Everyone: true}, Exclude: directory.Audience{Groups: []string{"board"}},
	}}
	r.Spec.Settings.RequirePasscode, r.Spec.Settings.MinimumLength, r.Spec.Settings.AllowSimple = true, 6, &no
	return r
}

func testSecurityPolicies(t *testing.T, make Maker) {
	w := newWorld(t, make)
	store := w.DB.Templates()
	none, err := store.CurrentSecurityPolicies(w.ctx)
	w.ok(err)
	w.same(none, []templates.SecurityRevision{})
	save := func(r templates.SecurityRevision, expected int) (templates.SecurityRevision, bool, error) {
		return store.SaveSecurityPolicy(w.ctx, r, expected, w.entry("security_policy.apply", r.Name))
	}
	first, changed, err := save(securityPolicy("baseline", "one"), 0)
	w.ok(err)
	want := securityPolicy("baseline", "one")
	want.PolicyID, want.Number, want.CreatedAt = first.PolicyID, 1, stored(start)
	w.same(first, want)
	if first.PolicyID == "" || !changed {
		t.Fatalf("ID %q, changed %v", first.PolicyID, changed)
	}
	w.unchangedBy(func() {
		same, changed, err := save(securityPolicy("baseline", "one"), 7) // it is there already: no conflict
		w.ok(err)
		w.same(same, first)
		w.same(changed, false)
		for _, expected := range []int{0, 2} {
			_, _, err = save(securityPolicy("baseline", "two"), expected)
			w.is(err, templates.ErrConflict)
		}
		_, _, err = save(securityPolicy("other", "one"), 1)
		w.is(err, templates.ErrConflict)
	})
	second, _, err := save(securityPolicy("baseline", "two"), 1)
	w.ok(err)
	w.same([]any{second.PolicyID, second.Number}, []any{first.PolicyID, 2})
	other, _, err := save(securityPolicy("another", "one"), templates.AnyRevision)
	w.ok(err)
	list, err := store.CurrentSecurityPolicies(w.ctx)
	w.ok(err)
	w.same(list, []templates.SecurityRevision{other, second})
	w.same(w.events(), []string{"template_change", "template_change", "template_change"})
	w.audited("security_policy.apply", 3)
}
