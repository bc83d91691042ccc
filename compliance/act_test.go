package compliance_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// postbox takes notices, or refuses them.
type postbox struct {
	taken   []compliance.Notice
	trouble error
}

func (p *postbox) Notify(_ context.Context, n compliance.Notice) error {
	if p.trouble == nil {
		p.taken = append(p.taken, n)
	}
	return p.trouble
}

// vigil is a phone with an orderly policy, watched hour by hour.
type vigil struct {
	*testing.T
	*shelf
	s     *compliance.Service
	clock *time.Time
	post  *postbox
}

func newVigil(t *testing.T) *vigil {
	t.Helper()
	store := newShelf("e1")
	hours := func(n int) *compliance.Duration { return ptr(compliance.Duration(time.Duration(n) * time.Hour)) }
	spec := &store.policies[0].Spec
	spec.Grace, spec.Rules.ReportedWithin = 0, compliance.Duration(48*time.Hour)
	spec.Actions = compliance.Actions{NotifyUser: hours(0), NotifyAdmins: hours(3), Block: hours(5), Retire: hours(30)}
	s, clock := newService(store)
	v := &vigil{t, store, s, clock, &postbox{}}
	s.Notifier = v.post
	return v
}

// report has the phone report now, with a passcode or without.
func (v *vigil) report(passcode bool) {
	v.Helper()
	scene := v.scenes["e1"]
	scene.expected.LastSeenAt = *v.clock
	scene.expected.Identity.NotAfter = v.clock.AddDate(1, 0, 0)
	scene.report = mdm.Report{
		Device:   &mdm.DeviceFacts{At: *v.clock, OSVersion: "16.1"},
		Security: &mdm.SecurityFacts{At: *v.clock, PasscodePresent: &passcode, PasscodeCompliant: &passcode},
		Profiles: &mdm.ProfileFacts{At: *v.clock, Items: good().report.Profiles.Items},
	}
	v.scenes["e1"] = scene
	if _, err := v.s.Evaluate(v.Context(), "e1"); err != nil {
		v.Fatal(err)
	}
}

// pass lets time go by, with a look at every quarter of an hour.
func (v *vigil) pass(d time.Duration) {
	v.Helper()
	for end := v.clock.Add(d); v.clock.Before(end); {
		*v.clock = v.clock.Add(15 * time.Minute)
		v.look()
	}
}

func (v *vigil) look() {
	v.Helper()
	if _, err := v.s.Act(v.Context()); err != nil {
		v.Fatal(err)
	}
	if _, err := v.s.Deliver(v.Context()); err != nil {
		v.Fatal(err)
	}
}

func (v *vigil) done() string {
	var list []string
	for _, n := range v.post.taken {
		list = append(list, string(n.Kind))
	}
	for range v.retired {
		list = append(list, "retire")
	}
	return strings.Join(list, " ")
}

func (v *vigil) is(want string, state compliance.State) {
	v.Helper()
	if got := v.done(); got != want || v.verdicts["e1"].State != state {
		v.Errorf("done %q, %s; want %q, %s", got, v.verdicts["e1"].State, want, state)
	}
}

func TestActionsOverTime(t *testing.T) {
	t.Parallel()
	v := newVigil(t)
	v.report(true)
	v.pass(5 * time.Hour)
	v.is("", compliance.Compliant)
	v.report(false)
	v.look()
	v.is("notify_user", compliance.InGrace)
	n := v.post.taken[0]
	if n.UPN != "alice@example.test" || n.EnrollmentID != "e1" || len(n.Findings) != 1 || n.Findings[0].Rule != compliance.RulePasscode ||
		!n.BlockAt.Equal(n.Since.Add(5*time.Hour)) || n.RetireAt.Round(time.Second).Sub(n.Since) != 30*time.Hour || !strings.HasSuffix(n.Key, ".notify_user") {
		t.Errorf("notice %+v", n)
	}
	v.pass(4 * time.Hour)
	v.is("notify_user notify_admins", compliance.InGrace)
	v.pass(2 * time.Hour)
	v.is("notify_user notify_admins", compliance.NotCompliant)
	v.pass(25 * time.Hour)
	v.is("notify_user notify_admins retire", compliance.NotCompliant)
	v.pass(6 * time.Hour) // each is done once
	v.is("notify_user notify_admins retire", compliance.NotCompliant)
	if i := slices.IndexFunc(v.entries, func(e audit.Entry) bool { return e.Action == "compliance.retire" }); i < 0 || v.entries[i].Actor != "policy" {
		t.Error("the trail does not tell of the end of management")
	}
	v.report(true)
	if len(v.spells) != 0 {
		t.Error("the spell outlived what it was about")
	}
	*v.clock = v.clock.Add(time.Second)
	v.report(false) // another spell
	v.look()
	v.is("notify_user notify_admins notify_user retire", compliance.InGrace)
}

// Neither a clock that leaps, nor a server that was down, brings anything about
// that was not watched.
func TestActionsWhenTheClockLeaps(t *testing.T) {
	t.Parallel()
	v := newVigil(t)
	v.report(false)
	v.look()
	*v.clock = v.clock.AddDate(1, 0, 0)
	v.report(false)
	v.look()
	v.is("notify_user", compliance.InGrace)
	*v.clock = v.clock.AddDate(-1, 0, 0)
	v.report(false)
	v.look()
	v.is("notify_user", compliance.InGrace)
	v.pass(10 * time.Hour)
	v.is("notify_user notify_admins", compliance.NotCompliant)
}

// A silent phone is not retired, however long it was.
func TestActionsWhileSilent(t *testing.T) {
	t.Parallel()
	v := newVigil(t)
	v.report(false)
	v.pass(20 * time.Hour)
	scene := v.scenes["e1"]
	scene.expected.LastSeenAt = v.clock.Add(-49 * time.Hour)
	v.scenes["e1"] = scene
	v.pass(100 * time.Hour)
	v.is("notify_user notify_admins", compliance.Unknown)
	v.report(false) // it goes on where it was
	v.pass(8 * time.Hour)
	v.is("notify_user notify_admins", compliance.NotCompliant)
	v.pass(4 * time.Hour)
	v.is("notify_user notify_admins retire", compliance.NotCompliant)
}

// What an administrator has to put right retires nobody's phone.
func TestActionsForWhatThePhoneDidNotTell(t *testing.T) {
	t.Parallel()
	v := newVigil(t)
	v.report(true)
	scene := v.scenes["e1"]
	scene.expected.Mail = nil
	v.scenes["e1"] = scene
	v.report(true)
	v.pass(40 * time.Hour)
	v.is("notify_user notify_admins", compliance.NotCompliant)
}

// A notice that is not taken comes again, under its own key, until it is moot.
func TestNoticesComeAgain(t *testing.T) {
	t.Parallel()
	v := newVigil(t)
	v.post.trouble = errors.New("no mail server")
	v.report(false)
	v.look()
	if len(v.waiting) != 1 {
		t.Fatalf("%d notices wait", len(v.waiting))
	}
	v.s.Notifier = nil
	v.pass(4 * time.Hour)
	if len(v.waiting) != 2 {
		t.Fatalf("%d notices wait", len(v.waiting))
	}
	v.s.Notifier, v.post.trouble = v.post, nil
	v.look()
	v.is("notify_user notify_admins", compliance.InGrace)
	v.post.taken = nil
	v.look()
	v.is("", compliance.InGrace)
	v.report(true)
	v.s.Notifier = nil
	v.report(false)
	v.look()
	v.report(true)
	v.s.Notifier = v.post
	v.look()
	v.is("", compliance.Compliant)
}

// A change in the middle of a run has it go round once more from there.
func TestRunGoesRound(t *testing.T) {
	t.Parallel()
	var ids []mdm.EnrollmentID
	for i := range 1200 {
		ids = append(ids, mdm.EnrollmentID(string(rune('a'+i/100))+string(rune('0'+i/10%10))+string(rune('0'+i%10))))
	}
	store := newShelf(ids...)
	s, _ := newService(store)
	ask := func(id int64) {
		t.Helper()
		if did, err := s.Handle(t.Context(), mdm.Event{ID: id, Kind: mdm.EventPolicyChanged}); !did || err != nil {
			t.Fatal(did, err)
		}
	}
	ask(7)
	if more, err := s.Step(t.Context()); !more || err != nil || store.run.Done != 500 {
		t.Fatalf("%t, %v, %+v", more, err, store.run)
	}
	store.policies = slices.Clone(store.policies)
	store.policies[0].Number, store.revisions = 4, 2
	ask(8)
	ask(8) // the same once more
	if store.run.Position == "" || store.run.Done != 0 {
		t.Fatalf("%+v", store.run)
	}
	runAll(t, s)
	if p, err := s.Progress(t.Context()); err != nil || p.Open() || p.Done != 1200 || p.Total != 1200 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, id := range ids {
		if got := store.verdicts[id].Policy; got != "standard@4" {
			t.Fatalf("%s was judged by %s", id, got)
		}
	}
	saved := store.saved
	ask(9)
	runAll(t, s)
	if store.saved != saved {
		t.Errorf("%d verdicts were written though nothing had changed", store.saved-saved)
	}
	store.overtake = func() { store.overtake = nil; store.trouble = errors.New("disk full") }
	store.passcodeOff(ids[1199])
	ask(10)
	var err error
	for more := true; more && err == nil; {
		more, err = s.Step(t.Context())
	}
	store.trouble = nil
	if err == nil || !store.run.Open() {
		t.Fatalf("%v, %+v", err, store.run)
	}
	runAll(t, s) // it goes on where it was
	if store.verdicts[ids[1199]].State != compliance.InGrace || store.run.Done != 1200 {
		t.Errorf("%s, %+v", store.verdicts[ids[1199]].State, store.run)
	}
}

func TestUnmailed(t *testing.T) {
	t.Parallel()
	store := newShelf()
	s, _ := newService(store)
	store.unmailed = slices.Repeat([]string{"a@example.test"}, 150)
	spec := good().policy.Spec
	if users, total, err := s.Unmailed(t.Context(), spec); err != nil || total != 0 || users != nil {
		t.Errorf("of nobody: %d, %v", total, err)
	}
	spec.Assign.Everyone = true
	if users, total, err := s.Unmailed(t.Context(), spec); err != nil || total != 150 || len(users) != 100 {
		t.Errorf("got %d of %d, %v", len(users), total, err)
	}
	spec.Rules.MailProfile = false
	if _, total, err := s.Unmailed(t.Context(), spec); err != nil || total != 0 {
		t.Errorf("without the rule: %d, %v", total, err)
	}
}
