package compliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/mdm"
)

const (
	attempts  = 5   // evaluations of one phone that others overtake before we say so
	pageSize  = 200 // enrolments read at once when all are concerned
	sweepSize = 100 // verdicts that one Sweep looks at
)

// Service keeps policies, and verdicts up to date.
type Service struct {
	Store    Store
	Expecter Expecter
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil means none
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
		v, err = s.evaluate(ctx, id, v, nil)
		if !errors.Is(err, ErrStale) { // whoever overtook us has stored a fresh one
			return v, err
		}
	}
	return Verdict{}, fmt.Errorf("verdict of enrolment %s: %w", id, ErrStale)
}

// Evaluate makes and stores a new verdict from what is known now.
func (s *Service) Evaluate(ctx context.Context, id mdm.EnrollmentID) (Verdict, error) {
	return s.renew(ctx, id, nil)
}

// renew evaluates until nobody overtakes it. policies is nil to read them anew.
func (s *Service) renew(ctx context.Context, id mdm.EnrollmentID, policies []Policy) (Verdict, error) {
	for range attempts {
		before, err := s.stored(ctx, id)
		if err != nil {
			return Verdict{}, err
		}
		v, err := s.evaluate(ctx, id, before, policies)
		if !errors.Is(err, ErrStale) {
			return v, err
		}
	}
	return Verdict{}, fmt.Errorf("evaluate enrolment %s: %w", id, ErrStale)
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

func (s *Service) evaluate(ctx context.Context, id mdm.EnrollmentID, before Verdict, policies []Policy) (Verdict, error) {
	expected, report, err := s.Expecter.Expected(ctx, id)
	if err != nil {
		return Verdict{}, fmt.Errorf("read what is expected of enrolment %s: %w", id, err)
	}
	if policies == nil {
		if policies, err = s.Policies(ctx); err != nil {
			return Verdict{}, err
		}
	}
	now := s.now()
	expected.EnrollmentID = id
	v := Evaluate(Strictest(Matching(policies, expected)), expected, report, before, now)
	if !v.At.After(before.At) && !before.At.After(now.Add(maxClockStep)) {
		// Two evaluations within a microsecond, or after a clock step, must not
		// look like one to the compare-and-swap. After a long step they do not.
		v.At = before.At.Add(time.Microsecond)
	}
	if err := s.Store.SaveVerdict(ctx, before, v, entry(ctx, now, before, v)); err != nil {
		return Verdict{}, fmt.Errorf("save verdict of enrolment %s: %w", id, err)
	}
	if before.State != v.State && s.Log != nil {
		s.Log.InfoContext(ctx, "verdict changed", slog.String(logkey.Enrollment, string(id)),
			slog.String("from", string(before.State)), slog.String("to", string(v.State)))
	}
	return v, nil
}

// entry says why a state changed: the rules that are not met.
func entry(ctx context.Context, now time.Time, before, after Verdict) audit.Entry {
	var open []string
	for _, f := range after.Findings {
		if f.State != Met {
			open = append(open, string(f.Rule)+" "+string(f.State))
		}
	}
	return audit.New(ctx, now, "verdict.change", string(after.EnrollmentID), audit.Done,
		"from", string(before.State), "to", string(after.State), "policy", after.Policy, "open", strings.Join(open, ", "))
}

// Handle is the outbox consumer "compliance": it evaluates the enrolment that
// the event is about, or all active ones. Doing it twice does no harm.
func (s *Service) Handle(ctx context.Context, event mdm.Event) error {
	switch {
	case event.Kind == mdm.EventVerdict: // our own
		return nil
	case event.Kind == mdm.EventAccess, event.Kind == mdm.EventDecision: // no verdict rests on them
		return nil
	case event.EnrollmentID == "":
		return s.evaluateAll(ctx)
	}
	_, err := s.renew(ctx, event.EnrollmentID, nil)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// evaluateAll goes through the active enrolments page by page. The policies
// are read once: who changes them meanwhile writes another event.
func (s *Service) evaluateAll(ctx context.Context) error {
	policies, err := s.Policies(ctx)
	if err != nil {
		return err
	}
	if policies == nil {
		policies = []Policy{} // none, and known
	}
	for after := mdm.EnrollmentID(""); ; {
		ids, err := s.Expecter.ActiveEnrollments(ctx, after, pageSize)
		if err != nil {
			return fmt.Errorf("list active enrolments: %w", err)
		}
		for _, id := range ids {
			if _, err := s.renew(ctx, id, policies); err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
		}
		if len(ids) < pageSize {
			return nil
		}
		after = ids[len(ids)-1]
	}
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
		if _, err := s.renew(ctx, id, nil); err != nil {
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
