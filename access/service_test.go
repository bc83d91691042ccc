package access_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

func boss(t *testing.T) context.Context {
	t.Helper()
	return audit.WithActor(t.Context(), "boss")
}

func reasoned(r access.Rule) access.NewRule {
	r.Reason = "because"
	return access.NewRule{Rule: r}
}

// fields are those that err refuses.
func fields(err error) string {
	var names []string
	for _, r := range refusal.All(err) {
		names = append(names, r.Field)
	}
	return strings.Join(names, ", ")
}

func moved(list []access.Shift) string {
	var words []string
	for _, x := range list {
		words = append(words, fmt.Sprintf("%s %s>%s at %s", x.DeviceID, x.Before, x.After, x.Step))
	}
	return strings.Join(words, ", ")
}

func TestAddRule(t *testing.T) {
	t.Parallel()
	b, s := office()
	n := reasoned(access.Rule{Effect: access.Block, Family: "iPhone"})
	plan, offer, err := s.PlanRule(boss(t), n)
	if err != nil || plan.Devices != 3 || plan.Matched != 2 || plan.ShutOut != 1 || plan.LetIn != 0 || moved(plan.Sample) != "d1 allow>block at rule_block" || offer != "" {
		t.Errorf("plan %+v, offer %q, %v", plan, offer, err)
	}
	if len(b.trail) != 0 || len(b.world.Rules) != 0 {
		t.Error("the plan changed something")
	}
	rule, _, err := s.AddRule(boss(t), n)
	if err != nil || rule.ID == "" || rule.By != "boss" || !rule.At.Equal(start) || !rule.CreatedAt.Equal(start) || len(b.world.Rules) != 1 {
		t.Fatalf("rule %+v, %v", rule, err)
	}
	b.trailed(t, "access.rule_add", string(rule.ID), "because")
	removal, err := s.PlanRemoval(boss(t), rule.ID)
	if err != nil || removal.Matched != 2 || removal.LetIn != 1 || len(b.world.Rules) != 1 {
		t.Errorf("removal %+v, %v", removal, err)
	}
	if err := s.RemoveRule(boss(t), rule.ID, "no more"); err != nil || len(b.world.Rules) != 0 {
		t.Error(err)
	}
	b.trailed(t, "access.rule_remove", string(rule.ID), "no more")
	if err := s.RemoveRule(boss(t), rule.ID, "no more"); !errors.Is(err, access.ErrNotFound) || fields(err) != "id" {
		t.Errorf("got %v", err)
	}
	if _, err := s.PlanRemoval(boss(t), rule.ID); !errors.Is(err, access.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// An allow rule under a default that allows means nothing: the answer offers
// another default, the plan says whom that shuts out, and both go at once.
func TestAllowRuleOffersADefault(t *testing.T) {
	t.Parallel()
	b, s := office()
	b.world.Default = access.Allow
	n := reasoned(access.Rule{Effect: access.Allow, Family: "iPhone"})
	plan, offer, err := s.PlanRule(boss(t), n)
	if err != nil || offer != access.Quarantine || plan.ShutOut != 0 {
		t.Errorf("plan %+v, offer %q, %v", plan, offer, err)
	}
	n.Default = offer
	plan, offer, err = s.PlanRule(boss(t), n)
	if err != nil || offer != "" || plan.ShutOut != 1 || moved(plan.Sample) != "d3 allow>quarantine at default" {
		t.Errorf("plan %+v, offer %q, %v", plan, offer, err)
	}
	if _, offer, err = s.AddRule(boss(t), n); err != nil || offer != "" || b.world.Default != access.Quarantine || len(b.world.Rules) != 1 {
		t.Errorf("offer %q, %v, world %+v", offer, err, b.world)
	}
	if len(b.trail) != 2 || b.trail[0].Action != "access.default" || b.trail[0].Target != "quarantine" {
		t.Errorf("trail %+v", b.trail)
	}
}

func TestRuleLike(t *testing.T) {
	t.Parallel()
	b, s := office()
	family, err := s.RuleLike(t.Context(), "d3", "family", access.Allow)
	if err != nil || family != (access.Rule{Effect: access.Allow, Family: "Outlook"}) {
		t.Errorf("got %+v, %v", family, err)
	}
	model, err := s.RuleLike(t.Context(), "d1", "model", access.Block)
	if err != nil || model.Model != "iPhone15C4" || model.Family != "" {
		t.Errorf("got %+v, %v", model, err)
	}
	b.entries[0].Devices[0].Model = ""
	for _, by := range []string{"model", "colour"} {
		if _, err := s.RuleLike(t.Context(), "d1", by, access.Block); !errors.Is(err, access.ErrInvalid) || fields(err) != "by" {
			t.Errorf("by %s: got %v", by, err)
		}
	}
	if _, err := s.RuleLike(t.Context(), "d9", "model", access.Block); !errors.Is(err, access.ErrNotFound) || fields(err) != "id" {
		t.Errorf("got %v", err)
	}
}

func TestSetDefault(t *testing.T) {
	t.Parallel()
	b, s := office()
	plan, err := s.PlanDefault(boss(t), access.Allow)
	if err != nil || plan.LetIn != 1 || moved(plan.Sample) != "d3 quarantine>allow at default" {
		t.Errorf("plan %+v, %v", plan, err)
	}
	if err := s.SetDefault(boss(t), access.Allow, "pilot"); err != nil || b.world.Default != access.Allow {
		t.Error(err)
	}
	b.trailed(t, "access.default", "allow", "pilot")
	for strategy, want := range map[access.Strategy]access.Effect{access.AllowList: access.Block, access.BlockList: access.Allow, access.Mixed: access.Quarantine} {
		if got, err := strategy.Default(); err != nil || got != want || access.StrategyOf(got) != strategy {
			t.Errorf("%s: %s, %v", strategy, got, err)
		}
	}
	if _, err := access.Strategy("open").Default(); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

func TestServiceRefuses(t *testing.T) {
	t.Parallel()
	b, s := office()
	ctx := boss(t)
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"rule", second(s.AddRule(ctx, access.NewRule{Default: "open"})), "effect, , reason, default"},
		{"long reason", second(s.AddRule(ctx, access.NewRule{Rule: access.Rule{Effect: access.Block, Family: "a", Note: access.Note{Reason: strings.Repeat("a", 501)}}})), "reason"},
		{"reason of two lines", s.SetDefault(ctx, access.Allow, "a\nb"), "reason"},
		{"default", s.SetDefault(ctx, "open", " "), "default, reason"},
		{"planned default", first(s.PlanDefault(ctx, "")), "default"},
		{"removal without a reason", s.RemoveRule(ctx, "r", ""), "reason"},
		{"mail without a reason", s.SetMail(ctx, "alice@example.test", false, ""), "reason"},
		{"word of another kind", first(s.Say(ctx, access.Word{Kind: "praise", User: "alice@example.test", Reason: "r"})), "kind"},
		{"word about nobody", first(s.Say(ctx, access.Word{Kind: access.PersonalBlock, Reason: "r"})), "devices"},
		{"word about both", first(s.Say(ctx, access.Word{Kind: access.PersonalBlock, User: "alice@example.test", Devices: []access.DeviceID{"d1"}, Reason: "r"})), "devices"},
		{"word about many", first(s.Say(ctx, access.Word{Kind: access.PersonalBlock, Devices: make([]access.DeviceID, 1001), Reason: "r"})), "devices"},
		{"word about a DeviceId alone", first(s.Say(ctx, access.Word{Kind: access.PersonalBlock, Devices: []access.DeviceID{"d1"}, EASDevice: "x", Reason: "r"})), "devices"},
		{"word about no DeviceId", first(s.Say(ctx, access.Word{Kind: access.PersonalBlock, User: "alice@example.test", EASDevice: "a b", Reason: "r"})), "eas_device_id"},
		{"endless exemption", first(s.Say(ctx, access.Word{Kind: access.PersonalExempt, Devices: []access.DeviceID{"d1"}})), "reason, expires_at"},
		{"long exemption", first(s.Say(ctx, access.Word{Kind: access.PersonalExempt, Devices: []access.DeviceID{"d1"}, Reason: "r", ExpiresAt: start.Add(91 * 24 * time.Hour)})), "expires_at"},
		{"word that is over", first(s.Say(ctx, access.Word{Kind: access.PersonalBlock, Devices: []access.DeviceID{"d1"}, Reason: "r", ExpiresAt: start})), "expires_at"},
		{"take back rehearsed for no reason", first(s.PlanTakeBack(ctx, access.Word{Kind: access.PersonalBlock, Devices: []access.DeviceID{"d1"}})), "reason"},
		{"take back for no reason", s.TakeBack(ctx, access.Word{Kind: access.PersonalBlock, Devices: []access.DeviceID{"d1"}}), "reason"},
		{"bind to nothing", first(s.Bind(ctx, "d3", "", "r")), "enrollment_id"},
		{"bind to another's phone", first(s.Bind(ctx, "d3", "e1", "r")), "enrollment_id"},
		{"bind for no reason", first(s.Bind(ctx, "d3", "e1", "")), "reason"},
		{"unbind for no reason", s.Unbind(ctx, "d3", ""), "reason"},
		{"remove for no reason", s.Remove(ctx, "d3", ""), "reason"},
	}
	for _, tt := range tests {
		if !errors.Is(tt.err, access.ErrInvalid) || fields(tt.err) != tt.want {
			t.Errorf("%s: got %v, want refusals of %q", tt.name, tt.err, tt.want)
		}
	}
	if len(b.trail) != 0 {
		t.Errorf("the trail tells of what was not done: %+v", b.trail)
	}
}

func first[T any](_ T, err error) error { return err }

func second[A, B any](_ A, _ B, err error) error { return err }

func TestServiceNotFound(t *testing.T) {
	t.Parallel()
	_, s := office()
	ctx := boss(t)
	one := []access.DeviceID{"d9"}
	for name, err := range map[string]error{
		"say":       first(s.Say(ctx, access.Word{Kind: access.PersonalBlock, Devices: one, Reason: "r"})),
		"take back": s.TakeBack(ctx, access.Word{Kind: access.PersonalBlock, Devices: []access.DeviceID{"d1"}, Reason: "r"}),
		"show":      first(s.Show(ctx, "d9")),
		"bind":      first(s.Bind(ctx, "d9", "e1", "r")),
		"unbind":    s.Unbind(ctx, "d9", "r"),
		"unbound":   s.Unbind(ctx, "d1", "r"),
		"remove":    s.Remove(ctx, "d9", "r"),
		"policy":    first(s.Policy(ctx, "none")),
		"report":    second(s.WouldShutOut(ctx, "none", "", 10)),
	} {
		if !errors.Is(err, access.ErrNotFound) || len(refusal.All(err)) != 1 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, err := range map[string]error{
		"mail": s.SetMail(ctx, "eve@example.test", true, "r"),
		"say":  first(s.Say(ctx, access.Word{Kind: access.PersonalBlock, User: "eve@example.test", Reason: "r"})),
		"list": first(s.ListOf(ctx, "eve@example.test", access.DeviceFilter{})),
	} {
		if !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestServiceInTrouble(t *testing.T) {
	t.Parallel()
	b, s := office()
	b.trouble = errors.New("disk is full")
	ctx := boss(t)
	for name, err := range map[string]error{
		"world":   first(s.World(ctx)),
		"rule":    second(s.AddRule(ctx, reasoned(access.Rule{Effect: access.Block, Family: "a"}))),
		"default": s.SetDefault(ctx, access.Allow, "r"),
		"say":     first(s.Say(ctx, access.Word{Kind: access.PersonalBlock, Devices: []access.DeviceID{"d1"}, Reason: "r"})),
		"mail":    s.SetMail(ctx, "alice@example.test", false, "r"),
		"show":    first(s.Show(ctx, "d1")),
		"list":    first(s.List(ctx, access.DeviceFilter{})),
		"remove":  s.Remove(ctx, "d1", "r"),
	} {
		if !errors.Is(err, b.trouble) || len(refusal.All(err)) != 0 {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

const enforced = "name: strict\nassign: everyone\nmode: enforce\nrequire: [mail_profile]\n"

func TestApplyPolicy(t *testing.T) {
	t.Parallel()
	b, s := office()
	b.entries[0].Phones[0].Verdict.Findings = []compliance.Finding{{Rule: compliance.RuleMailProfile, State: compliance.Failed, Fact: "mail profile is not installed", Fix: "Wait.", Since: start}}
	plan, warnings, err := s.PlanPolicy(boss(t), []byte(enforced))
	if err != nil || plan.ShutOut != 1 || moved(plan.Sample) != "d1 allow>block at conditions_failed" || plan.Sample[0].Reasons[0].Rule != "mail_profile" {
		t.Errorf("plan %+v, %v", plan, err)
	}
	if got := fields(refusal.List(warnings)); got != "break_glass, require" {
		t.Errorf("warnings of %q: %v", got, warnings)
	}
	p, changed, _, err := s.ApplyPolicy(boss(t), []byte(enforced))
	if err != nil || !changed || p.Label() != "strict@1" || p.CreatedBy != "boss" || p.Source != enforced || len(b.world.Policies) != 2 {
		t.Errorf("policy %+v, %v", p, err)
	}
	b.trailed(t, "access.policy", "strict", "")
	if _, changed, _, err := s.ApplyPolicy(boss(t), []byte(enforced)); err != nil || changed {
		t.Errorf("again: %v, %v", changed, err)
	}
	b.policies[0].Spec.Rules.MailProfile = true
	sure := strings.Replace(enforced, "mode:", "break_glass: [carol@example.test, eve@example.test]\nmode:", 1)
	p, _, warnings, err = s.ApplyPolicy(boss(t), []byte(sure))
	if err != nil || p.Number != 2 || fields(refusal.List(warnings)) != "break_glass[1]" {
		t.Errorf("policy %+v, warnings %v, %v", p, warnings, err)
	}
	if got, err := s.Policy(boss(t), "strict"); err != nil || got.Number != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	b.policies = nil
	if _, _, warnings, err = s.ApplyPolicy(boss(t), []byte(sure+"\n")); err != nil || fields(refusal.List(warnings)) != "break_glass[1], require" {
		t.Errorf("warnings %v, %v", warnings, err)
	}
	withdrawn := strings.Replace(enforced, "everyone", "{}", 1)
	if _, _, warnings, err = s.ApplyPolicy(boss(t), []byte(withdrawn)); err != nil || len(warnings) != 0 || len(b.world.Policies) != 1 {
		t.Errorf("warnings %v, %v", warnings, err)
	}
	if _, _, _, err := s.ApplyPolicy(boss(t), []byte("name: x")); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// A name that was misspelled would show in nothing but that nobody is kept out.
func TestApplyPolicyWarnsOfWhomItNamesInVain(t *testing.T) {
	t.Parallel()
	b, s := office()
	b.entries[0].Person.Groups = []string{"sales"}
	b.policies = []compliance.Policy{{Name: "base", Spec: compliance.Spec{Name: "base", Assign: directory.Audience{Everyone: true}}}}
	_, _, warnings, err := s.ApplyPolicy(boss(t), []byte("name: some\nassign: {groups: [sales, salse], users: [bob@example.test, bop@example.test]}\n"+
		"except: {groups: [vips], users: [eve@example.test]}\nmode: enforce\nrequire: [enrolled]\n"))
	if got := fields(refusal.List(warnings)); err != nil || got != "assign.users[1], assign.groups[1], except.users[0], except.groups[0]" {
		t.Errorf("warnings %q, %v", got, err)
	}
}

// Until a policy is enforced, the report says whom that would shut out.
func TestWouldShutOut(t *testing.T) {
	t.Parallel()
	b, s := office()
	b.world.Default = access.Allow
	b.world.Policies[0].Spec.Mode = access.ReportOnly
	list, next, err := s.WouldShutOut(t.Context(), "standard", "", 10)
	if err != nil || next != "" || moved(list) != "d2 allow>block at conditions_failed" || list[0].Reasons[0].Fix != "Set one." {
		t.Errorf("%+v, %q, %v", list, next, err)
	}
	b.world.Policies[0].Spec.Mode, b.world.Policies[0].Spec.StartsAt = access.Enforce, start.Add(time.Hour)
	list, next, err = s.WouldShutOut(t.Context(), "standard", "", 1)
	if err != nil || next != "u2" || len(list) != 1 {
		t.Errorf("%+v, %q, %v", list, next, err)
	}
	list, next, err = s.WouldShutOut(t.Context(), "standard", next, 1)
	if err != nil || next != "" || len(list) != 0 {
		t.Errorf("%+v, %q, %v", list, next, err)
	}
}

func TestSay(t *testing.T) {
	t.Parallel()
	b, s := office()
	approve := access.Word{Kind: access.PersonalAllow, Devices: []access.DeviceID{"d3", "d2", "d3"}, Reason: " known "}
	plan, err := s.PlanWord(boss(t), approve)
	// Bob's phone fails a policy: no allow outlives that.
	want := "d2 block>block at conditions_failed, d3 quarantine>allow at personal_allow"
	if err != nil || moved(plan) != want || len(b.trail) != 0 {
		t.Errorf("plan %s, %v", moved(plan), err)
	}
	done, err := s.Say(boss(t), approve)
	if err != nil || moved(done) != want {
		t.Errorf("done %s, %v", moved(done), err)
	}
	if p := b.entries[2].Personal; len(p) != 1 || p[0].Key != "dev3" || p[0].By != "boss" || p[0].Reason != "known" || !p[0].At.Equal(start) {
		t.Errorf("words %+v", p)
	}
	if len(b.trail) != 2 || b.trail[1].Action != "access.allow" || b.trail[1].Target != "d2" && b.trail[1].Target != "d3" {
		t.Errorf("trail %+v", b.trail)
	}
	exempt, err := s.Say(boss(t), access.Word{Kind: access.PersonalExempt, Devices: []access.DeviceID{"d2"}, Reason: "travels", ExpiresAt: start.Add(90 * 24 * time.Hour)})
	if err != nil || moved(exempt) != "d2 block>allow at personal_allow" { // exempt beside the allow
		t.Errorf("done %s, %v", moved(exempt), err)
	}
	b.trailed(t, "access.exempt", "d2", "travels")
	all, err := s.Say(boss(t), access.Word{Kind: access.PersonalBlock, User: "Carol@example.test", Reason: "left"})
	if err != nil || moved(all) != "d3 allow>block at personal_block" {
		t.Errorf("done %s, %v", moved(all), err)
	}
	b.trailed(t, "access.block", "carol@example.test", "left")
	unmet, err := s.Say(boss(t), access.Word{Kind: access.PersonalAllow, User: "alice@example.test", EASDevice: "4E45574445563031", Reason: "ordered"})
	if err != nil || moved(unmet) != " quarantine>allow at personal_allow" || b.entries[0].Personal[0].Key != "newdev01" {
		t.Errorf("done %s, %v, %+v", moved(unmet), err, b.entries[0].Personal)
	}
}

func TestTakeBack(t *testing.T) {
	t.Parallel()
	b, s := office()
	w := access.Word{Kind: access.PersonalBlock, Devices: []access.DeviceID{"d1"}, Reason: "lost"}
	if _, err := s.Say(boss(t), w); err != nil {
		t.Fatal(err)
	}
	w.Reason = "found"
	plan, err := s.PlanTakeBack(boss(t), w)
	if err != nil || moved(plan) != "d1 block>allow at conditions_passed" || len(b.entries[0].Personal) != 1 {
		t.Errorf("plan %s, %v, %+v", moved(plan), err, b.entries[0].Personal)
	}
	some := access.Word{Kind: access.PersonalBlock, Devices: []access.DeviceID{"d1", "d2"}, Reason: "found"} // nothing is said of d2
	if _, err := s.PlanTakeBack(boss(t), some); !errors.Is(err, access.ErrNotFound) {
		t.Errorf("plan of some: %v", err)
	}
	if err := s.TakeBack(boss(t), some); !errors.Is(err, access.ErrNotFound) || len(b.entries[0].Personal) != 1 {
		t.Errorf("some: %v, %+v", err, b.entries[0].Personal)
	}
	if err := s.TakeBack(boss(t), w); err != nil || len(b.entries[0].Personal) != 0 {
		t.Errorf("%v, %+v", err, b.entries[0].Personal)
	}
	b.trailed(t, "access.take_back", "d1", "found")
}

func TestSetMail(t *testing.T) {
	t.Parallel()
	b, s := office()
	if err := s.SetMail(boss(t), "ALICE@example.test", false, "leave"); err != nil || b.entries[0].Person.MailOff == nil || b.entries[0].Person.MailOff.By != "boss" {
		t.Errorf("%v, %+v", err, b.entries[0].Person)
	}
	b.trailed(t, "user.mail_off", "alice@example.test", "leave")
	d, err := s.Show(boss(t), "d1")
	if err != nil || d.Decision.Step != access.StepMailOff || len(d.Trace) != 2 {
		t.Errorf("%+v, %v", d, err)
	}
	b.entries[0].Personal = []access.Personal{
		{UserID: "u1", Key: "lost", Kind: access.PersonalBlock, Note: access.Note{By: "boss", At: start, Reason: "lost"}},
		{UserID: "u1", Key: "over", Kind: access.PersonalExempt, ExpiresAt: start.Add(-time.Second)},
	}
	said, err := s.SaidOf(boss(t), "Alice@example.test")
	if err != nil || said.MailOff == nil || said.MailOff.Reason != "leave" || len(said.Personal) != 1 || said.Personal[0].Key != "lost" {
		t.Errorf("%+v, %v, want what holds, also of a device that never came", said, err)
	}
	if _, err := s.SaidOf(boss(t), "eve@example.test"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if err := s.SetMail(boss(t), "alice@example.test", true, "back"); err != nil || b.entries[0].Person.MailOff != nil {
		t.Errorf("%v, %+v", err, b.entries[0].Person)
	}
	b.trailed(t, "user.mail_on", "alice@example.test", "back")
}

func TestBind(t *testing.T) {
	t.Parallel()
	b, s := office()
	e := &b.entries[0]
	e.Phones[0].EASKey = "" // the phone has not told its DeviceId
	e.Devices[0].Bound, e.Devices[0].Proof = "e1", access.ProofProbable
	if d, err := s.Show(boss(t), "d1"); err != nil || d.Decision.Step != access.StepDefault || len(d.Phones) != 1 || d.Phones[0].Proof != access.ProofProbable {
		t.Errorf("%+v, %v", d, err)
	}
	to, err := s.Bind(boss(t), "d1", "", "asked her")
	if err != nil || to != "e1" || e.Devices[0].Proof != access.ProofConfirmed {
		t.Errorf("%s, %v, %+v", to, err, e.Devices[0])
	}
	b.trailed(t, "access.bind", "d1", "asked her")
	if d, err := s.Show(boss(t), "d1"); err != nil || d.Decision.Step != access.StepConditionsPassed {
		t.Errorf("%+v, %v", d, err)
	}
	if err := s.Unbind(boss(t), "d1", "was not hers"); err != nil || e.Devices[0].Bound != "" || e.Devices[0].Proof != access.ProofNone {
		t.Errorf("%v, %+v", err, e.Devices[0])
	}
	b.trailed(t, "access.unbind", "d1", "was not hers")
	e.Phones[0].State = mdm.Replaced
	if _, err := s.Bind(boss(t), "d1", "e1", "r"); !errors.Is(err, access.ErrInvalid) || fields(err) != "enrollment_id" {
		t.Errorf("got %v", err)
	}
}

func TestListAndRemove(t *testing.T) {
	t.Parallel()
	b, s := office()
	if rows, err := s.ListOf(boss(t), "bob@example.test", access.DeviceFilter{}); err != nil || len(rows) != 1 || rows[0].ID != "d2" {
		t.Errorf("%+v, %v", rows, err)
	}
	if rows, err := s.List(boss(t), access.DeviceFilter{}); err != nil || len(rows) != 3 {
		t.Errorf("%+v, %v", rows, err)
	}
	left := func() int {
		rows, err := s.List(boss(t), access.DeviceFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return len(rows)
	}
	if row, err := s.PlanRemove(boss(t), "d3"); err != nil || row.ID != "d3" || left() != 3 {
		t.Errorf("%+v, %v", row, err)
	}
	if err := s.Remove(boss(t), "d3", "sold"); err != nil || left() != 2 {
		t.Error(err)
	}
	b.trailed(t, "access.remove_device", "d3", "sold")
}

// TestRemoveLeavesPhonesAlone: a mail client on an enrolled phone goes with its
// management; one that was guessed to be on it, or was on one, may be forgotten.
func TestRemoveLeavesPhonesAlone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		state   mdm.EnrollmentState
		proof   access.Proof
		refused bool
	}{
		{"the phone tells of it", mdm.Configured, access.ProofReported, true},
		{"an admin's word", mdm.Enrolled, access.ProofConfirmed, true},
		{"a guess", mdm.Configured, access.ProofProbable, false},
		{"a phone that was", mdm.CheckedOut, access.ProofReported, false},
	}
	for _, tt := range tests {
		b, s := office()
		e := b.entries[0]
		e.Phones[0].State, e.Phones[0].EASKey = tt.state, ""
		if tt.proof == access.ProofReported {
			e.Phones[0].EASKey = e.Devices[0].Key
		} else {
			e.Devices[0].Bound, e.Devices[0].Proof = e.Phones[0].EnrollmentID, tt.proof
		}
		err := s.Remove(boss(t), "d1", "old")
		if tt.refused != errors.Is(err, access.ErrConflict) || tt.refused != (err != nil) || tt.refused && !strings.Contains(refusal.All(err)[0].Remedy, "device retire") {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}

func TestHints(t *testing.T) {
	t.Parallel()
	allow := []access.Rule{{Effect: access.Allow, Family: "a"}}
	strict := []access.Policy{{Spec: access.Spec{Mode: access.Enforce}}}
	tests := []struct {
		name string
		w    access.World
		want string
	}{
		{"as installed", access.World{Default: access.Quarantine, Policies: strict}, ""},
		{"allow rules under allow", access.World{Default: access.Allow, Rules: allow}, "mean nothing"},
		{"policies under allow", access.World{Default: access.Allow, Policies: strict}, "without an enrolment"},
		{"nobody gets in", access.World{Default: access.Block}, "nobody is let in"},
		{"allow list", access.World{Default: access.Block, Rules: allow}, ""},
	}
	for _, tt := range tests {
		hints := tt.w.Hints()
		if (len(hints) > 0) != (tt.want != "") || tt.want != "" && !slices.ContainsFunc(hints, func(h *refusal.Error) bool { return strings.Contains(h.Reason, tt.want) }) {
			t.Errorf("%s: got %v, want %q", tt.name, hints, tt.want)
		}
	}
}
