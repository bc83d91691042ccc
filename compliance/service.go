package compliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/mdm"
)

const (
	attempts  = 5   // evaluations of one phone that others overtake before we say so
	sweepSize = 100 // verdicts that one Sweep looks at
)

// Service keeps policies, and verdicts up to date.
type Service struct {
	Store    Store
	Runs     RunStore
	Watch    WatchStore
	Expecter Expecter
	Retirer  Retirer          // nil: no phone is retired
	Notifier Notifier         // nil: notices wait
	Wake     func()           // told when a run was asked for; nil: whoever steps looks by itself
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil means none

	known atomic.Pointer[rulebook] // the newest that was read
}

// rulebook is one state of the policies, ready for use.
type rulebook struct {
	state    int // how many revisions there are; they are only ever added
	policies []Policy
}

// Apply accepts a policy as an admin wrote it. Applying the same text again
// changes nothing. The phones concerned are evaluated when Handle gets the
// event that the store writes with the revision.
func (s *Service) Apply(ctx context.Context, source []byte) (Policy, bool, error) {
	spec, err := ParsePolicy(source)
	if err != nil {
		return Policy{}, false, err
	}
	now := s.now()
	p := Policy{Name: spec.Name, Spec: spec, Source: string(source), CreatedAt: now, CreatedBy: audit.Actor(ctx)}
	stored, changed, err := s.Store.SavePolicy(ctx, p, audit.New(ctx, now, "compliance.apply", p.Name, audit.Done))
	if err != nil {
		return Policy{}, false, fmt.Errorf("save compliance policy %s: %w", p.Name, err)
	}
	return stored, changed, nil
}

// Policies returns the newest revision of every policy by name.
func (s *Service) Policies(ctx context.Context) ([]Policy, error) {
	policies, err := s.Store.Policies(ctx)
	if err != nil {
		return nil, fmt.Errorf("list compliance policies: %w", err)
	}
	return policies, nil
}

// ready returns the policies with their expressions compiled. They are read and
// compiled once for each state.
func (s *Service) ready(ctx context.Context) ([]Policy, error) {
	state, err := s.Store.PolicyRevisions(ctx)
	if err != nil {
		return nil, fmt.Errorf("count compliance policies: %w", err)
	}
	return s.readyAt(ctx, state)
}

func (s *Service) readyAt(ctx context.Context, state int) ([]Policy, error) {
	if known := s.known.Load(); known != nil && known.state == state {
		return known.policies, nil
	}
	policies, err := s.Policies(ctx)
	if err != nil {
		return nil, err
	}
	book := &rulebook{state, Ready(policies)} // what was read may be newer than state says: whoever finds that reads once more
	s.known.Store(book)
	return book.policies, nil
}

// AsksApps reports whether a policy of the user asks which apps a phone has. state
// is how many revisions of policies there are.
func (s *Service) AsksApps(ctx context.Context, state int, u directory.User) (bool, error) {
	policies, err := s.readyAt(ctx, state)
	if err != nil {
		return false, err
	}
	for _, p := range policies {
		if slices.Contains(p.Spec.Rules.groups(), groupApps) && p.Spec.Assign.Includes(u) {
			return true, nil
		}
	}
	return false, nil
}

// Unmailed names users whom a policy asks for a managed mail profile though no
// mail template is assigned to them, at most unmailedAtMost of them, and says how
// many there are. None where it does not ask for one.
func (s *Service) Unmailed(ctx context.Context, spec Spec) (upns []string, total int, err error) {
	if !spec.Rules.MailProfile || spec.Assign.Nobody() {
		return nil, 0, nil
	}
	return s.Expecter.Unmailed(ctx, spec.Assign, unmailedAtMost)
}

const unmailedAtMost = 100

// Current returns the verdict in force: the stored one, evaluated anew when its
// ValidUntil has come, or when a clock made it that stood far ahead. ErrNotFound when no such enrolment is on record.
func (s *Service) Current(ctx context.Context, id mdm.EnrollmentID) (Verdict, error) {
	for range attempts {
		v, err := s.stored(ctx, id)
		if err != nil {
			return Verdict{}, err
		}
		if now := s.now(); !v.At.IsZero() && now.Before(v.ValidUntil) && !v.At.After(now.Add(maxClockStep)) {
			return v, nil
		}
		fresh, err := s.evaluate(ctx, id, v)
		if !errors.Is(err, ErrStale) { // whoever overtook us has stored a fresh one
			return fresh.verdict, err
		}
	}
	return Verdict{}, fmt.Errorf("verdict of enrolment %s: %w", id, ErrStale)
}

// Evaluate makes and stores a new verdict from what is known now.
func (s *Service) Evaluate(ctx context.Context, id mdm.EnrollmentID) (Verdict, error) {
	fresh, err := s.renew(ctx, id)
	return fresh.verdict, err
}

// renew evaluates until nobody overtakes it.
func (s *Service) renew(ctx context.Context, id mdm.EnrollmentID) (judged, error) {
	for range attempts {
		before, err := s.stored(ctx, id)
		if err != nil {
			return judged{}, err
		}
		fresh, err := s.evaluate(ctx, id, before)
		if !errors.Is(err, ErrStale) {
			return fresh, err
		}
	}
	return judged{}, fmt.Errorf("evaluate enrolment %s: %w", id, ErrStale)
}

// judged is a verdict with what it rests on.
type judged struct {
	verdict  Verdict
	expected Expected
	policy   *Policy // nil: none applies
}

// stored returns the zero Verdict when there is none yet. It must be read
// before the facts: the compare-and-swap then proves that nobody has stored a
// verdict from newer facts meanwhile.
func (s *Service) stored(ctx context.Context, id mdm.EnrollmentID) (Verdict, error) {
	v, err := s.Store.Verdict(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return Verdict{}, nil
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("load verdict of enrolment %s: %w", id, err)
	}
	return v, nil
}

func (s *Service) evaluate(ctx context.Context, id mdm.EnrollmentID, before Verdict) (judged, error) {
	expected, report, err := s.Expecter.Expected(ctx, id)
	if err != nil {
		return judged{}, fmt.Errorf("read what is expected of enrolment %s: %w", id, err)
	}
	policies, err := s.ready(ctx)
	if err != nil {
		return judged{}, err
	}
	expected.EnrollmentID = id
	if before.State == InGrace || before.State == NotCompliant {
		if expected.Watched, err = s.Watch.Watched(ctx, id); err != nil {
			return judged{}, fmt.Errorf("read since when enrolment %s does not comply: %w", id, err)
		}
	}
	now := s.now()
	fresh := s.judgeOne(policies, Subject{Expected: expected, Report: report, Verdict: before}, now)
	v := fresh.verdict
	if err := s.Store.SaveVerdict(ctx, before, v, entry(ctx, now, before, v)); err != nil {
		return judged{}, fmt.Errorf("save verdict of enrolment %s: %w", id, err)
	}
	if before.State != v.State && s.Log != nil {
		s.Log.InfoContext(ctx, "verdict changed", slog.String(logkey.Enrollment, string(id)),
			slog.String("from", string(before.State)), slog.String("to", string(v.State)))
	}
	return fresh, nil
}

// judgeOne evaluates. Two evaluations within a microsecond, or after a clock step,
// must not look like one to the compare-and-swap; after a long step they do not.
func (s *Service) judgeOne(policies []Policy, subject Subject, now time.Time) judged {
	policy := Strictest(Matching(policies, subject.Expected))
	before := subject.Verdict
	v := Evaluate(policy, subject.Expected, subject.Report, before, now)
	if !v.At.After(before.At) && !before.At.After(now.Add(maxClockStep)) {
		v.At = before.At.Add(time.Microsecond)
	}
	return judged{v, subject.Expected, policy}
}

// entry says why a state changed: the rules that are not met.
func entry(ctx context.Context, now time.Time, before, after Verdict) audit.Entry {
	return audit.New(ctx, now, "verdict.change", string(after.EnrollmentID), audit.Done,
		"from", string(before.State), "to", string(after.State), "policy", after.Policy, "open", open(after))
}

// open names the rules that are failed, or that nobody has told of.
func open(v Verdict) string {
	var list []string
	for _, f := range v.Findings {
		if f.State == Failed || f.State == Unasked {
			list = append(list, string(f.Rule)+" "+string(f.State))
		}
	}
	return strings.Join(list, ", ")
}

// Handle is the outbox consumer "compliance": it evaluates the enrolment that
// the event is about. One that concerns all asks for a run: see Step. Doing it
// twice does no harm.
func (s *Service) Handle(ctx context.Context, event mdm.Event) (did bool, err error) {
	switch {
	case event.Kind == mdm.EventVerdict: // our own
		return false, nil
	case event.Kind == mdm.EventAccess, event.Kind == mdm.EventDecision: // no verdict rests on them
		return false, nil
	case event.EnrollmentID == "":
		if err := s.Runs.RequestRun(ctx, event, s.now()); err != nil {
			return false, fmt.Errorf("ask for an evaluation of all phones: %w", err)
		}
		if s.Wake != nil {
			s.Wake()
		}
		return true, nil
	}
	_, err = s.renew(ctx, event.EnrollmentID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Sweep evaluates what time alone has made due, and says whether there is more.
// One that cannot be evaluated does not hold up the others.
func (s *Service) Sweep(ctx context.Context) (more bool, err error) {
	ids, err := s.Store.DueVerdicts(ctx, s.now(), sweepSize)
	if err != nil {
		return false, fmt.Errorf("list due verdicts: %w", err)
	}
	done := 0
	var trouble error
	for _, id := range ids {
		if _, err := s.renew(ctx, id); err != nil {
			trouble = errors.Join(trouble, err)
			continue
		}
		done++
	}
	return trouble == nil && done == sweepSize, trouble
}

func (s *Service) now() time.Time {
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}
