package storetest

import (
	"fmt"
	"testing"

	"sallyport/access"
	"sallyport/enroll/directory"
)

func testWorld(t *testing.T, make Maker) {
	t.Run("standard", testStandardPolicy(make))
	t.Run("rules and default", testAccessRules(make))
	t.Run("policies", testAccessPolicies(make))
}

func accessPolicy(name, source string) access.Policy {
	return access.Policy{Name: name, Source: source, CreatedAt: start, CreatedBy: "admin", Spec: access.Spec{Name: name,
		Assign: directory.Audience{Groups: []string{"sales"}}, BreakGlass: []string{"root@example.test"}, Mode: access.ReportOnly,
		StartsAt: stored(start), Require: []access.Requirement{access.RequireCompliant}}}
}

func (w *world) rules() access.World {
	w.t.Helper()
	got, err := w.DB.Access().World(w.ctx)
	w.ok(err)
	return got
}

// testStandardPolicy: an installation begins with what an admin could have written.
func testStandardPolicy(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		got := w.rules()
		w.same(got.Default, access.Quarantine)
		w.same(got.Rules, []access.Rule{})
		if len(got.Policies) != 1 {
			t.Fatalf("%d policies", len(got.Policies))
		}
		p := got.Policies[0]
		spec, err := access.ParsePolicy([]byte(p.Source))
		w.ok(err)
		w.same(p, access.Policy{Name: "standard", Number: 1, Spec: spec, Source: p.Source, CreatedAt: p.CreatedAt, CreatedBy: "system"})
		w.same(spec, access.Spec{Name: "standard", Assign: directory.Audience{Everyone: true}, Mode: access.Enforce,
			Require: []access.Requirement{access.RequireEnrolled, access.RequireCompliant}})
		if p.CreatedAt.IsZero() {
			t.Error("nobody knows since when")
		}
	}
}

func testAccessRules(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		rule := func(family string) access.Rule {
			return access.Rule{ID: access.RuleID(newID()), Effect: access.Block, Family: family, Note: access.Note{By: "ann", At: w.now(), Reason: "old"}, CreatedAt: w.now()}
		}
		first, second := rule("Windows*"), rule("Android")
		told := w.told(func() {
			w.ok(w.DB.Access().SaveRule(w.ctx, second, w.entry("access.rule", "")))
			w.ok(w.DB.Access().SaveRule(w.ctx, first, w.entry("access.rule", "")))
			w.ok(w.DB.Access().SetDefault(w.ctx, access.Block, w.entry("access.default", "")))
		})
		w.same(told, []string{"access", "access", "access"})
		first.At, first.CreatedAt, second.At, second.CreatedAt = stored(start), stored(start), stored(start), stored(start)
		got := w.rules()
		w.same(got.Rules, []access.Rule{first, second})
		w.same(got.Default, access.Block)

		first.Effect, first.OS = access.Quarantine, "iOS 16*"
		w.ok(w.DB.Access().SaveRule(w.ctx, first, w.entry("access.rule", "")))
		w.same(w.rules().Rules, []access.Rule{first, second})
		told = w.told(func() { w.ok(w.DB.Access().RemoveRule(w.ctx, second.ID, w.entry("access.rule", ""))) })
		w.same(told, []string{"access"})
		w.same(w.rules().Rules, []access.Rule{first})
		w.unchangedBy(func() {
			w.is(w.DB.Access().RemoveRule(w.ctx, second.ID, w.entry("access.rule", "")), access.ErrNotFound)
		})
		w.audited("access.rule", 4)
		w.audited("access.default", 1)
	}
}

func testAccessPolicies(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		save := func(p access.Policy) (access.Policy, bool) {
			t.Helper()
			stored, changed, err := w.DB.Access().SavePolicy(w.ctx, p, w.entry("access.apply", p.Name))
			w.ok(err)
			return stored, changed
		}
		var one access.Policy
		told := w.told(func() { one, _ = save(accessPolicy("mail", "one")) })
		w.same(told, []string{"access"})
		w.same([]any{one.Number, one.CreatedAt}, []any{1, stored(start)})
		w.unchangedBy(func() {
			same, changed := save(accessPolicy("mail", "one"))
			w.same(same, one)
			w.same(changed, false)
		})
		two, changed := save(accessPolicy("mail", "two"))
		w.same([]any{two.Number, changed}, []any{2, true})
		w.same(w.rules().Policies[0], two)

		// A policy that is assigned to nobody is not in force, and comes back as it was.
		gone := accessPolicy("mail", "three")
		gone.Spec.Assign = directory.Audience{}
		save(gone)
		w.same(len(w.rules().Policies), 1)
		again, _ := save(accessPolicy("mail", "two"))
		w.same([]any{again.Number, len(w.rules().Policies)}, []any{4, 2})
		w.audited("access.apply", 4)

		errs := together(16, func(i int) error {
			_, _, err := w.DB.Access().SavePolicy(w.ctx, accessPolicy("mail", fmt.Sprint("at once ", i)), w.entry("access.apply", ""))
			return err
		})
		w.same(count(errs, func(err error) bool { return err == nil }), 16)
		w.same(w.rules().Policies[0].Number, 20)
	}
}
