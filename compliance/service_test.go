package compliance_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// shelf follows the contracts of compliance.Store and compliance.Expecter.
type shelf struct {
	mu       sync.Mutex
	policies []compliance.Policy
	verdicts map[mdm.EnrollmentID]compliance.Verdict
	scenes   map[mdm.EnrollmentID]scene
	entries  []audit.Entry
	saved    int
	trouble  error
	// revisions counts those of all policies.
	revisions int
	// overtake is called before a verdict is compared and saved.
	overtake func()

	run       compliance.Run
	batches   int
	spells    map[mdm.EnrollmentID]*spell
	waiting   map[string]compliance.Notice
	postponed map[string]time.Time
	retired   []mdm.EnrollmentID
	unmailed  []string
}

func newShelf(ids ...mdm.EnrollmentID) *shelf {
	s := &shelf{verdicts: map[mdm.EnrollmentID]compliance.Verdict{}, scenes: map[mdm.EnrollmentID]scene{},
		spells: map[mdm.EnrollmentID]*spell{}, waiting: map[string]compliance.Notice{}, postponed: map[string]time.Time{}}
	for _, id := range ids {
		s.scenes[id] = good()
	}
	p := *good().policy
	p.Spec.Assign = directory.Audience{Everyone: true}
	s.policies, s.revisions = []compliance.Policy{p}, 1
	return s
}

func (s *shelf) SavePolicy(_ context.Context, p compliance.Policy, e audit.Entry) (compliance.Policy, bool, error) {
	if s.trouble != nil {
		return compliance.Policy{}, false, s.trouble
	}
	for i, old := range s.policies {
		if old.Name == p.Name {
			if old.Source == p.Source {
				return old, false, nil
			}
			p.Number = old.Number + 1
			s.revisions++
			s.policies[i], s.entries = p, append(s.entries, e)
			return p, true, nil
		}
	}
	p.Number = 1
	s.revisions++
	s.policies, s.entries = append(s.policies, p), append(s.entries, e)
	return p, true, nil
}

func (s *shelf) Policies(context.Context) ([]compliance.Policy, error) { return s.policies, s.trouble }

func (s *shelf) Verdict(_ context.Context, id mdm.EnrollmentID) (compliance.Verdict, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.verdicts[id]
	if s.trouble == nil && !ok {
		return v, compliance.ErrNotFound
	}
	return v, s.trouble
}

func (s *shelf) SaveVerdict(_ context.Context, before, after compliance.Verdict, e audit.Entry) error {
	if s.overtake != nil {
		s.overtake()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stored := s.verdicts[after.EnrollmentID]
	if !stored.At.Equal(before.At) {
		return compliance.ErrStale
	}
	if stored.State != after.State {
		s.entries = append(s.entries, e)
	}
	s.verdicts[after.EnrollmentID] = after
	s.saved++
	s.watch(stored, after)
	return nil
}

func (s *shelf) DueVerdicts(_ context.Context, now time.Time, limit int) ([]mdm.EnrollmentID, error) {
	var due []mdm.EnrollmentID
	for id, v := range s.verdicts {
		if v.ValidUntil.Before(now) && len(due) < limit {
			due = append(due, id)
		}
	}
	return due, s.trouble
}

func (s *shelf) Expected(_ context.Context, id mdm.EnrollmentID) (compliance.Expected, mdm.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	scene, ok := s.scenes[id]
	if !ok {
		return compliance.Expected{}, mdm.Report{}, fmt.Errorf("enrolment %s: %w", id, compliance.ErrNotFound)
	}
	return scene.expected, scene.report, nil
}

// passcodeOff makes the phone report a missing passcode.
func (s *shelf) passcodeOff(id mdm.EnrollmentID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	scene := s.scenes[id]
	security := *scene.report.Security
	security.PasscodePresent = ptr(false)
	scene.report.Security = &security
	s.scenes[id] = scene
}

func newService(store *shelf) (*compliance.Service, *time.Time) {
	clock := now
	return &compliance.Service{Store: store, Runs: store, Watch: store, Expecter: store, Retirer: store, Now: func() time.Time { return clock }}, &clock
}

func TestApply(t *testing.T) {
	t.Parallel()
	store := newShelf()
	s, _ := newService(store)
	ctx := audit.WithActor(t.Context(), "root")
	p, changed, err := s.Apply(ctx, []byte(standard))
	if err != nil || !changed || p.Name != "standard" || p.Source != standard || p.CreatedBy != "root" || !p.CreatedAt.Equal(now) {
		t.Fatalf("got %+v, %t, %v", p, changed, err)
	}
	if e := store.entries[0]; e.Action != "compliance.apply" || e.Target != "standard" || e.Actor != "root" {
		t.Errorf("audit entry %+v", e)
	}
	again, changed, err := s.Apply(ctx, []byte(standard))
	if err != nil || changed || !reflect.DeepEqual(again, p) || len(store.entries) != 1 {
		t.Errorf("again: got %+v, %t, %v", again, changed, err)
	}
	if _, _, err := s.Apply(ctx, []byte("name: x")); !errors.Is(err, compliance.ErrInvalid) || len(store.entries) != 1 {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	store.trouble = errors.New("disk full")
	if _, _, err := s.Apply(ctx, []byte(standard)); !errors.Is(err, store.trouble) {
		t.Errorf("got %v, want %v", err, store.trouble)
	}
}

func TestEvaluateStoresAndAudits(t *testing.T) {
	t.Parallel()
	store := newShelf("e1")
	s, clock := newService(store)
	v, err := s.Evaluate(t.Context(), "e1")
	if err != nil || v.State != compliance.Compliant || !reflect.DeepEqual(store.verdicts["e1"], v) {
		t.Fatalf("got %+v, %v", v, err)
	}
	*clock = now.Add(time.Minute)
	if _, err := s.Evaluate(t.Context(), "e1"); err != nil {
		t.Fatal(err)
	}
	store.passcodeOff("e1")
	*clock = now.Add(2 * time.Minute)
	v, err = s.Evaluate(t.Context(), "e1")
	if err != nil || v.State != compliance.InGrace || !v.Since.Equal(*clock) {
		t.Fatalf("got %+v, %v", v, err)
	}
	if len(store.entries) != 2 {
		t.Fatalf("got %d audit entries, want 2: one for each change of state", len(store.entries))
	}
	e := store.entries[1]
	if e.Action != "verdict.change" || e.Target != "e1" || e.Detail["from"] != "compliant" || e.Detail["to"] != "in_grace" ||
		e.Detail["open"] != "passcode failed" || e.Detail["policy"] != "standard@3" {
		t.Errorf("audit entry %+v", e)
	}
	if _, err := s.Evaluate(t.Context(), "nobody"); !errors.Is(err, compliance.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestCurrent(t *testing.T) {
	t.Parallel()
	store := newShelf("e1")
	s, clock := newService(store)
	first, err := s.Current(t.Context(), "e1") // none yet
	if err != nil || first.State != compliance.Compliant || store.saved != 1 {
		t.Fatalf("got %+v, %v after %d saves", first, err, store.saved)
	}
	store.passcodeOff("e1")
	*clock = first.ValidUntil.Add(-time.Microsecond)
	if v, err := s.Current(t.Context(), "e1"); err != nil || !reflect.DeepEqual(v, first) || store.saved != 1 {
		t.Errorf("while valid: got %+v, %v after %d saves", v, err, store.saved)
	}
	*clock = first.ValidUntil
	if v, err := s.Current(t.Context(), "e1"); err != nil || v.State != compliance.Unknown || store.saved != 2 {
		t.Errorf("when it ends: got %+v, %v after %d saves", v, err, store.saved)
	}
	if _, err := s.Current(t.Context(), "nobody"); !errors.Is(err, compliance.ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	store.trouble = errors.New("disk full")
	if _, err := s.Current(t.Context(), "e1"); !errors.Is(err, store.trouble) {
		t.Errorf("got %v, want %v", err, store.trouble)
	}
}

// A verdict that was made while the clock stood a year ahead is not in force for
// that year.
func TestCurrentAfterAClockStep(t *testing.T) {
	t.Parallel()
	store := newShelf("e1")
	s, clock := newService(store)
	right := *clock
	*clock = right.AddDate(1, 0, 0)
	if _, err := s.Evaluate(t.Context(), "e1"); err != nil {
		t.Fatal(err)
	}
	*clock = right
	store.passcodeOff("e1")
	for range 2 {
		v, err := s.Current(t.Context(), "e1")
		if err != nil || v.State == compliance.Compliant || !v.At.Equal(right) {
			t.Errorf("got %s of %s, %v", v.State, v.At, err)
		}
	}
	if store.saved != 2 {
		t.Errorf("%d saves, want 2: the verdict of the right time is in force", store.saved)
	}
}

// An evaluation of old facts must never replace one of newer facts.
func TestEvaluateIsOvertaken(t *testing.T) {
	t.Parallel()
	store := newShelf("e1")
	s, _ := newService(store)
	times := 0
	store.overtake = func() {
		if times++; times == 1 { // the facts of this save were read; now they change
			store.passcodeOff("e1")
			if _, err := s.Evaluate(t.Context(), "e1"); err != nil {
				t.Error(err)
			}
		}
	}
	v, err := s.Evaluate(t.Context(), "e1")
	if err != nil || v.State != compliance.InGrace || store.verdicts["e1"].State != compliance.InGrace {
		t.Errorf("got %s, %v, want in_grace", v.State, err)
	}
}

func TestEvaluateGivesUpWhenAlwaysOvertaken(t *testing.T) {
	t.Parallel()
	store := newShelf("e1")
	s, _ := newService(store)
	store.overtake = func() {
		v := store.verdicts["e1"]
		v.At = v.At.Add(time.Hour)
		v.ValidUntil = time.Time{}
		store.verdicts["e1"] = v
	}
	if _, err := s.Evaluate(t.Context(), "e1"); !errors.Is(err, compliance.ErrStale) {
		t.Errorf("evaluate: got %v, want ErrStale", err)
	}
	if _, err := s.Current(t.Context(), "e1"); !errors.Is(err, compliance.ErrStale) {
		t.Errorf("current: got %v, want ErrStale", err)
	}
}

// Many requests at the moment a verdict ends share one evaluation's result.
func TestCurrentFromManySides(t *testing.T) {
	t.Parallel()
	store := newShelf("e1")
	s, _ := newService(store)
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			if v, err := s.Current(t.Context(), "e1"); err != nil || v.State != compliance.Compliant {
				t.Errorf("got %s, %v", v.State, err)
			}
		})
	}
	all.Wait()
}

func TestHandle(t *testing.T) {
	t.Parallel()
	var ids []mdm.EnrollmentID
	for i := range 401 { // more than two pages
		ids = append(ids, mdm.EnrollmentID(fmt.Sprintf("e%03d", i)))
	}
	store := newShelf(ids...)
	s, _ := newService(store)
	events := int64(0)
	handle := func(want bool, kind mdm.EventKind, id mdm.EnrollmentID) {
		t.Helper()
		events++
		if did, err := s.Handle(t.Context(), mdm.Event{ID: events, Kind: kind, EnrollmentID: id}); did != want || err != nil {
			t.Errorf("%s: something came of it: %t, want %t, %v", kind, did, want, err)
		}
	}
	for _, kind := range []mdm.EventKind{mdm.EventVerdict, mdm.EventAccess, mdm.EventDecision} {
		handle(false, kind, "e007")
	}
	if store.saved != 0 {
		t.Error("an event that no verdict rests on caused an evaluation")
	}
	for _, kind := range []mdm.EventKind{mdm.EventEnrolled, mdm.EventReported, mdm.EventEnded, mdm.EventUserRemoved, mdm.EventIdentity} {
		handle(true, kind, "e007")
	}
	if store.saved != 5 || len(store.verdicts) != 1 {
		t.Errorf("got %d evaluations of %d enrolments, want 5 of 1", store.saved, len(store.verdicts))
	}
	handle(false, mdm.EventReported, "gone")
	handle(true, mdm.EventPolicyChanged, "")
	if store.saved != 5 {
		t.Error("a change of all was not left to the run")
	}
	runAll(t, s)
	// The one that was evaluated before says the same still, and is not written.
	if len(store.verdicts) != 401 || store.saved != 5+400 {
		t.Errorf("got %d evaluations of %d enrolments, want all", store.saved, len(store.verdicts))
	}
	store.policies, store.revisions = nil, store.revisions+1
	handle(true, mdm.EventTemplateChange, "")
	runAll(t, s)
	if v := store.verdicts["e400"]; v.State != compliance.NotEvaluated {
		t.Errorf("without a policy: got %s", v.State)
	}
	store.trouble = errors.New("disk full")
	for _, id := range []mdm.EnrollmentID{"", "e007"} {
		if _, err := s.Handle(t.Context(), mdm.Event{Kind: mdm.EventPolicyChanged, EnrollmentID: id}); !errors.Is(err, store.trouble) {
			t.Errorf("got %v, want %v: the event must come again", err, store.trouble)
		}
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	var ids []mdm.EnrollmentID
	for i := range 150 {
		ids = append(ids, mdm.EnrollmentID(fmt.Sprintf("e%03d", i)))
	}
	store := newShelf(ids...)
	s, clock := newService(store)
	if _, err := s.Handle(t.Context(), mdm.Event{ID: 1, Kind: mdm.EventPolicyChanged}); err != nil {
		t.Fatal(err)
	}
	runAll(t, s)
	if more, err := s.Sweep(t.Context()); more || err != nil || store.saved != 150 {
		t.Errorf("nothing due: got %t, %v after %d evaluations", more, err, store.saved)
	}
	*clock = now.Add(12 * time.Hour)
	for i, want := range []bool{true, false, false} {
		if more, err := s.Sweep(t.Context()); more != want || err != nil {
			t.Errorf("sweep %d: got %t, %v, want %t", i, more, err, want)
		}
	}
	if store.saved != 300 || store.verdicts["e000"].State != compliance.Unknown {
		t.Errorf("got %d evaluations, %s", store.saved, store.verdicts["e000"].State)
	}

	// One that cannot be evaluated neither holds up the others nor spins.
	*clock = now.Add(48 * time.Hour)
	delete(store.scenes, "e010")
	more := true
	var err error
	for range 5 {
		more, err = s.Sweep(t.Context())
	}
	if more || err == nil || !strings.Contains(err.Error(), "e010") || store.saved != 300+149 {
		t.Errorf("got %t, %v after %d evaluations", more, err, store.saved)
	}
}
