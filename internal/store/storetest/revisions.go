package storetest

import (
	"errors"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/profiles"
	"sallyport/templates"
)

func template(name, source string) templates.Revision {
	ssl := true
	return templates.Revision{Name: name, Source: source, CreatedAt: start, CreatedBy: "admin", Spec: templates.Spec{
		Name: name, DisplayName: "Mail", Assign: directory.Audience{Everyone: true},
		Accounts: []profiles.ExchangeAccount{{Name: "Mail", HostType: profiles.OnPremises, Host: "mail.example.test", UserName: "%upn%",
			Email: "%email%", SSL: &ssl, Identity: profiles.IdentitySCEP}},
	}}
}

func testTemplates(t *testing.T, make Maker) {
	w := newWorld(t, make)
	store := w.DB.Templates()
	_, err := store.CurrentRevision(w.ctx, "mail")
	w.is(err, templates.ErrNotFound)
	none, err := store.CurrentRevisions(w.ctx)
	w.ok(err)
	w.same(none, []templates.Revision{})

	save := func(r templates.Revision) (stored templates.Revision, changed bool) {
		stored, changed, err := store.SaveRevision(w.ctx, r, templates.AnyRevision, w.entry("template.apply", r.Name))
		w.ok(err)
		return stored, changed
	}
	first, changed := save(template("mail", "one"))
	want := template("mail", "one")
	want.TemplateID, want.Number, want.CreatedAt = first.TemplateID, 1, stored(start)
	w.same(first, want)
	if first.TemplateID == "" || !changed {
		t.Fatalf("ID %q, changed %v", first.TemplateID, changed)
	}
	w.unchangedBy(func() {
		again := template("mail", "one")
		again.CreatedBy, again.CreatedAt = "another", start.Add(time.Hour)
		same, changed := save(again)
		w.same(same, first)
		w.same(changed, false)
	})
	second, _ := save(template("mail", "two"))
	w.same([]any{second.TemplateID, second.Number}, []any{first.TemplateID, 2})
	third, _ := save(template("mail", "one")) // back again is a revision of its own
	w.same(third.Number, 3)
	other, _ := save(template("backup", "one"))
	if other.TemplateID == first.TemplateID {
		t.Fatal("two templates share an ID")
	}
	w.same(w.events(), []string{"template_change", "template_change", "template_change", "template_change"})
	w.audited("template.apply", 4)

	got, err := store.CurrentRevision(w.ctx, "mail")
	w.ok(err)
	w.same(got, third)
	list, err := store.CurrentRevisions(w.ctx)
	w.ok(err)
	w.same(list, []templates.Revision{other, third})
	testRevisions(w, first, second, third)

	for _, err := range together(16, func(int) error {
		_, _, err := store.SaveRevision(w.ctx, template("race", newID()), templates.AnyRevision, w.entry("template.apply", "race"))
		return err
	}) {
		w.ok(err)
	}
	got, err = store.CurrentRevision(w.ctx, "race")
	w.ok(err)
	w.same(got.Number, 16)
}

// testRevisions: the three revisions of one template, and who may add a fourth.
func testRevisions(w *world, first, second, third templates.Revision) {
	w.t.Helper()
	store := w.DB.Templates()
	all, err := store.Revisions(w.ctx, first.Name)
	w.ok(err)
	w.same(all, []templates.Revision{third, second, first})
	_, err = store.Revisions(w.ctx, "unknown")
	w.is(err, templates.ErrNotFound)
	got, err := store.Revision(w.ctx, first.Name, 2)
	w.ok(err)
	w.same(got, second)
	for _, number := range []int{0, 4, -1} {
		_, err = store.Revision(w.ctx, first.Name, number)
		w.is(err, templates.ErrNotFound)
	}

	save := func(name, source string, expected int) error {
		_, _, err := store.SaveRevision(w.ctx, template(name, source), expected, w.entry("template.expecting", name))
		return err
	}
	w.unchangedBy(func() {
		for _, expected := range []int{0, 2, 4} {
			w.is(save(first.Name, "new", expected), templates.ErrConflict)
		}
		w.is(save("unknown", "new", 1), templates.ErrConflict)
		w.ok(save(first.Name, third.Source, 1)) // it is there already: no conflict
	})
	w.ok(save("expected", "new", 0))
	// Of several who saw the same revision one wins.
	errs := together(8, func(int) error { return save("expected", newID(), 1) })
	w.same(count(errs, func(err error) bool { return err == nil }), 1)
	w.same(count(errs, func(err error) bool { return errors.Is(err, templates.ErrConflict) }), 7)
}

func policy(name, source string) compliance.Policy {
	return compliance.Policy{Name: name, Source: source, CreatedAt: start, CreatedBy: "admin", Spec: compliance.Spec{
		Name: name, Assign: directory.Audience{Groups: []string{"sales"}}, Grace: compliance.Duration(time.Hour),
		Rules: compliance.Rules{Passcode: true, MinimumOS: compliance.AtLeast("16.0"), ReportedWithin: compliance.Duration(24 * time.Hour)},
	}}
}

func testPolicies(t *testing.T, make Maker) {
	w := newWorld(t, make)
	store := w.DB.Compliance()
	none, err := store.Policies(w.ctx)
	w.ok(err)
	w.same(none, []compliance.Policy{})
	save := func(p compliance.Policy) (stored compliance.Policy, changed bool) {
		stored, changed, err := store.SavePolicy(w.ctx, p, w.entry("compliance.apply", p.Name))
		w.ok(err)
		return stored, changed
	}
	first, changed := save(policy("baseline", "one"))
	want := policy("baseline", "one")
	want.Number, want.CreatedAt = 1, stored(start)
	w.same(first, want)
	w.same(changed, true)
	w.unchangedBy(func() {
		same, changed := save(policy("baseline", "one"))
		w.same(same, first)
		w.same(changed, false)
	})
	second, _ := save(policy("baseline", "two"))
	w.same(second.Number, 2)
	other, _ := save(policy("another", "one"))
	list, err := store.Policies(w.ctx)
	w.ok(err)
	w.same(list, []compliance.Policy{other, second})
	w.same(w.events(), []string{"policy_changed", "policy_changed", "policy_changed"})
	w.audited("compliance.apply", 3)
}
